//! Whether a history of one value can have happened in one order: its operations one after another, each at some moment
//! between its beginning and its end.
//!
//! Every order is tried that the times allow, and no state twice: of which operations were done, and what the value was
//! then. Few are under way at once, so there are few.

use std::collections::HashSet;
use std::time::Duration;

/// What was done with a number that may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Write(i64),
    Read(Option<i64>),
    /// From one number to another; whether it was done, where that is known.
    Swap {
        old: i64,
        new: i64,
        done: Option<bool>,
    },
    /// One more, from 0 when absent; the number then, where that is known.
    Add {
        seen: Option<i64>,
    },
    /// Makes it absent; what it was, where that is known.
    Delete {
        seen: Option<Option<i64>>,
    },
}

/// An operation of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    pub(crate) deed: Deed,
    /// In monotonic time, before it was asked for.
    pub(crate) began: Duration,
    /// After the answer; `None` when there was none: then it may never have been done, or any time later.
    pub(crate) ended: Option<Duration>,
}

/// Whether the operations, of a value that is absent at first, can have been done in one order.
pub(crate) fn is_linearizable(ops: &[Op]) -> bool {
    let answered: Vec<usize> = (0..ops.len()).filter(|&at| ops[at].ended.is_some()).collect();
    let mut tried = HashSet::new();
    let mut open = vec![(Done::of(ops.len()), None)];
    while let Some((done, value)) = open.pop() {
        if answered.iter().all(|&at| done.has(at)) {
            return true;
        }
        // What began after another's end comes after it.
        let ends = answered.iter().filter(|&&at| !done.has(at)).filter_map(|&at| ops[at].ended);
        let first_end = ends.min().unwrap_or(Duration::MAX);
        for (at, op) in ops.iter().enumerate() {
            if done.has(at) || op.began > first_end {
                continue;
            }
            let Some(next) = after(op.deed, value) else { continue };
            let step = (done.with(at), next);
            if tried.insert(step.clone()) {
                open.push(step);
            }
        }
    }
    false
}

/// The value after a deed; `None` when it cannot have been done to this value.
fn after(deed: Deed, value: Option<i64>) -> Option<Option<i64>> {
    match deed {
        Deed::Write(new) => Some(Some(new)),
        Deed::Read(seen) => (seen == value).then_some(value),
        Deed::Swap { old, new, done } => match value == Some(old) {
            true => (done != Some(false)).then_some(Some(new)),
            false => (done != Some(true)).then_some(value),
        },
        Deed::Add { seen } => {
            let sum = value.unwrap_or(0) + 1;
            seen.is_none_or(|seen| seen == sum).then_some(Some(sum))
        }
        Deed::Delete { seen } => seen.is_none_or(|seen| seen == value).then_some(None),
    }
}

/// Which operations were done: a bit for each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Done(Vec<u64>);

impl Done {
    fn of(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] & (1 << (at % 64)) != 0
    }

    fn with(&self, at: usize) -> Self {
        let mut bits = self.0.clone();
        bits[at / 64] |= 1 << (at % 64);
        Self(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(began: u64, ended: u64, deed: Deed) -> Op {
        Op { deed, began: Duration::from_millis(began), ended: Some(Duration::from_millis(ended)) }
    }

    fn unanswered(began: u64, deed: Deed) -> Op {
        Op { deed, began: Duration::from_millis(began), ended: None }
    }

    #[test]
    fn a_read_sees_the_last_write_or_one_under_way() {
        let writes = [op(0, 10, Deed::Write(1)), op(20, 40, Deed::Write(2))];
        for (began, ended, seen, is_fine) in [
            (11, 12, Some(1), true),
            (11, 12, None, false),
            (11, 12, Some(2), false),
            (25, 30, Some(1), true),
            (25, 30, Some(2), true),
            (41, 42, Some(1), false),
        ] {
            let ops = [writes[0], writes[1], op(began, ended, Deed::Read(seen))];
            assert_eq!(is_linearizable(&ops), is_fine, "{seen:?} from {began} to {ended}");
        }
    }

    #[test]
    fn two_reads_do_not_go_back_in_time() {
        let write = op(0, 100, Deed::Write(1));
        let back = [write, op(10, 20, Deed::Read(Some(1))), op(30, 40, Deed::Read(None))];
        assert!(!is_linearizable(&back));
        let forth = [write, op(10, 20, Deed::Read(None)), op(30, 40, Deed::Read(Some(1)))];
        assert!(is_linearizable(&forth));
    }

    #[test]
    fn no_addition_is_lost_and_no_swap_done_twice() {
        let two = [op(0, 10, Deed::Add { seen: Some(1) }), op(0, 10, Deed::Add { seen: Some(1) })];
        assert!(!is_linearizable(&two));
        let two = [op(0, 10, Deed::Add { seen: Some(2) }), op(0, 10, Deed::Add { seen: Some(1) })];
        assert!(is_linearizable(&two));
        let swap = |done| Deed::Swap { old: 5, new: 6, done: Some(done) };
        let write = op(0, 1, Deed::Write(5));
        assert!(!is_linearizable(&[write, op(2, 9, swap(true)), op(2, 9, swap(true))]));
        assert!(is_linearizable(&[write, op(2, 9, swap(true)), op(2, 9, swap(false))]));
        assert!(!is_linearizable(&[write, op(2, 9, swap(false))]));
    }

    #[test]
    fn what_was_not_answered_may_be_done_late_or_never() {
        let lost = unanswered(0, Deed::Write(7));
        assert!(is_linearizable(&[lost, op(50, 60, Deed::Read(None))]));
        assert!(is_linearizable(&[lost, op(50, 60, Deed::Read(None)), op(70, 80, Deed::Read(Some(7)))]));
        assert!(!is_linearizable(&[lost, op(50, 60, Deed::Read(Some(7))), op(70, 80, Deed::Read(None))]));
        let gone = op(10, 20, Deed::Delete { seen: Some(Some(7)) });
        assert!(is_linearizable(&[lost, gone, op(50, 60, Deed::Read(None))]));
    }
}
