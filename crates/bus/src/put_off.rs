//! Where the put-off events of a queue are looked for that are due.

use lambent_store::KeyRange;

use crate::keys;

/// A transaction may put an event at a due time that has passed when it commits, by no more than this.
const LATE_COMMIT_MS: i64 = 60_000;

/// Passes over the events that are due, again and again: each begins where late commits of the one before may lie.
pub(crate) struct PutOff {
    queue: u64,
    /// Where this pass goes on.
    pub(crate) from: KeyRange,
    /// When what this pass began with was due.
    began_ms: i64,
    /// Where the next pass begins; none before this one has.
    next_ms: Option<i64>,
}

impl PutOff {
    /// Every event that was due before `due_ms` is settled.
    pub(crate) fn new(queue: u64, due_ms: i64) -> Self {
        Self { queue, from: from(queue, due_ms), began_ms: due_ms, next_ms: None }
    }

    /// Whether the clock was set back: what was settled by it is not known any more.
    pub(crate) fn is_ahead(&self, now_ms: i64) -> bool {
        self.began_ms > now_ms
    }

    /// Goes on with a pass, or begins one.
    pub(crate) fn begin(&mut self, now_ms: i64) {
        if self.is_ahead(now_ms) {
            *self = Self::new(self.queue, 0);
        }
        self.next_ms.get_or_insert(now_ms.saturating_sub(LATE_COMMIT_MS));
    }

    /// The event under a key was taken up.
    pub(crate) fn pass(&mut self, key: &[u8]) {
        self.from = keys::laters(self.queue).after(key);
    }

    /// Everything that was due was taken up.
    pub(crate) fn end(&mut self) {
        if let Some(next_ms) = self.next_ms.take() {
            *self = Self::new(self.queue, next_ms);
        }
    }

    /// What was due before this range was taken up, late commits too.
    pub(crate) fn settled(&self) -> KeyRange {
        from(self.queue, self.began_ms)
    }
}

fn from(queue: u64, due_ms: i64) -> KeyRange {
    keys::laters(queue).starting_at(&keys::later_from(queue, due_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_commit_is_met_by_the_next_pass() {
        let mut put_off = PutOff::new(0, 0);
        let (due, later) = (keys::later(0, 1_000_000, [1; 16]), keys::later(0, 1_000_500, [1; 16]));
        put_off.begin(1_001_000);
        put_off.pass(&later);
        assert!(!put_off.from.contains(&due) && put_off.settled().contains(&due));
        // The pass took long: what it began with counts.
        put_off.begin(9_000_000);
        put_off.end();
        assert!(put_off.from.contains(&due) && put_off.settled().contains(&due));
        // Set back.
        put_off.begin(500_000);
        assert!(put_off.from.contains(&due) && put_off.settled().contains(&due));
        put_off.end();
        put_off.begin(9_000_000);
        put_off.end();
        assert!(!put_off.from.contains(&due) && !put_off.settled().contains(&due));
    }
}
