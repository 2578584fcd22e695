//! The ready set: environments that were prepared ahead and wait for a function.
//!
//! Each serves one function, and one only: what is taken from here never comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use lambent_sandbox::{Boot, Shell};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::demand::{Demand, Wish, share_out};
use crate::prepared::Prepared;

/// What a waiting interpreter that was started for itself takes of the host's memory; one that was forked; and a shell
/// whose program does not run yet. (Shared pages are counted once, by whoever has them.)
const BOOTED_BYTES: u64 = 48 << 20;
const FORKED_BYTES: u64 = 6 << 20;
const EMPTY_BYTES: u64 = 2 << 20;
/// What a kind takes besides, once: its template; and the interpreter that others are forked from.
const TEMPLATE_BYTES: u64 = 2 << 20;
const ZYGOTE_BYTES: u64 = 40 << 20;
/// Kinds that are looked after at once; the least recently used goes first.
const MAX_KINDS: usize = 64;
/// A kind of which none could be prepared, or one died while it waited, is not tried again ahead of a call for so long.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How much the ready ones may take together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: u64,
    /// How many more environments may live.
    pub(crate) room: usize,
    pub(crate) keep_alive: Duration,
}

/// What is to be done so that the right ones are ready.
#[derive(Default)]
pub(crate) struct Plan {
    /// To prepare, one for each mention.
    pub(crate) make: Vec<Arc<Shell>>,
    /// To end.
    pub(crate) excess: Vec<Prepared>,
    /// Kinds that nobody uses any more.
    pub(crate) retired: Vec<Arc<Shell>>,
    /// When the next kind will have been unused for too long; none when there are no kinds left.
    pub(crate) next_over: Option<Duration>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct ReadySet {
    kinds: Mutex<Kinds>,
    changed: Notify,
    closing: watch::Sender<bool>,
    /// Counts starts.
    starts: AtomicU64,
}

#[derive(Default)]
struct Kinds {
    known: HashMap<Arc<Shell>, Kind>,
    closed: bool,
}

struct Kind {
    demand: Demand,
    /// The newest last.
    ready: Vec<Prepared>,
    making: usize,
    /// Starts that are under way: what they need is theirs to make, and would otherwise be let go by nobody.
    starting: usize,
    retry_at: Duration,
}

/// A start that is under way. Its kind is looked after until this is dropped, and from then on for the keep-alive.
pub(crate) struct UnderWay {
    set: Arc<ReadySet>,
    shell: Arc<Shell>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(kind) = self.set.kinds.lock().known.get_mut(&self.shell) {
            kind.starting -= 1;
        }
    }
}

impl Kind {
    fn new(now: Duration) -> Self {
        Self { demand: Demand::new(now), ready: Vec::new(), making: 0, starting: 0, retry_at: now }
    }

    fn is_busy(&self) -> bool {
        self.making + self.starting > 0
    }
}

impl Kinds {
    /// How many of each may be ready, in the map's order.
    fn grant(&self, now: Duration, limits: Limits) -> Vec<usize> {
        let wish = |(shell, kind): (&Arc<Shell>, &Kind)| Wish {
            wanted: kind.demand.wanted(now, limits.keep_alive),
            bytes: bytes_of(&shell.boot),
            used: kind.demand.used(),
        };
        let wishes: Vec<Wish> = self.known.iter().map(wish).collect();
        let fixed: u64 = self.known.keys().map(|shell| fixed_bytes_of(&shell.boot)).sum();
        share_out(&wishes, limits.bytes.saturating_sub(fixed), limits.room)
    }

    /// Kinds that were unused for too long, and those for which there is no place besides what was used since.
    fn to_retire(&self, now: Duration, limits: Limits) -> Vec<Arc<Shell>> {
        let mut order: Vec<_> = self.known.iter().collect();
        order.sort_by_key(|(_, kind)| std::cmp::Reverse(kind.demand.used()));
        let (mut kept, mut bytes) = (0, 0);
        let mut goes = |(shell, kind): &(&Arc<Shell>, &Kind)| {
            let more = fixed_bytes_of(&shell.boot);
            // The last one is worth its memory even where that is little: it was just needed.
            let fits = kept == 0 || (kept < MAX_KINDS && bytes + more <= limits.bytes);
            let stays = kind.is_busy() || (fits && !kind.demand.is_over(now, limits.keep_alive));
            if stays {
                kept += 1;
                bytes += more;
            }
            !stays
        };
        order.iter().filter(|one| goes(one)).map(|(shell, _)| (*shell).clone()).collect()
    }
}

impl ReadySet {
    /// A start begins now: a ready environment for it, if there is one.
    pub(crate) fn begin(self: &Arc<Self>, shell: &Arc<Shell>, now: Duration) -> (Option<Prepared>, UnderWay) {
        let mut kinds = self.kinds.lock();
        let kind = kinds.known.entry(shell.clone()).or_insert_with(|| Kind::new(now));
        kind.demand.note_start(now);
        kind.starting += 1;
        let taken = kind.ready.pop();
        drop(kinds);
        self.starts.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
        (taken, UnderWay { set: self.clone(), shell: shell.clone() })
    }

    /// A function was made that needs one of this kind.
    pub(crate) fn expect(&self, shell: &Arc<Shell>, now: Duration) {
        let mut kinds = self.kinds.lock();
        kinds.known.entry(shell.clone()).or_insert_with(|| Kind::new(now)).demand.expect(now);
        drop(kinds);
        self.changed.notify_one();
    }

    /// How many starts there were.
    pub(crate) fn starts(&self) -> u64 {
        self.starts.load(Ordering::SeqCst)
    }

    /// What is to be done now. What it says to make counts as being made; see `put`.
    pub(crate) fn plan(&self, now: Duration, limits: Limits, may_make: usize) -> Plan {
        let mut kinds = self.kinds.lock();
        if kinds.closed {
            return Plan::default();
        }
        let mut plan = Plan { retired: kinds.to_retire(now, limits), ..Plan::default() };
        let retired = plan.retired.iter().filter_map(|shell| kinds.known.remove(shell));
        plan.excess = retired.flat_map(|kind| kind.ready).collect();
        let granted = kinds.grant(now, limits);
        let mut making: usize = kinds.known.values().map(|kind| kind.making).sum();
        for ((shell, kind), granted) in kinds.known.iter_mut().zip(granted) {
            let over = kind.ready.len().saturating_sub(granted);
            plan.excess.extend(kind.ready.drain(..over));
            while kind.ready.len() + kind.making < granted && making < may_make && now >= kind.retry_at {
                kind.making += 1;
                making += 1;
                plan.make.push(shell.clone());
            }
        }
        plan.next_over = kinds.known.values().map(|kind| kind.demand.over_at(limits.keep_alive)).min();
        plan
    }

    /// Whether something would be made now if it might.
    pub(crate) fn wants_more(&self, now: Duration, limits: Limits) -> bool {
        let kinds = self.kinds.lock();
        let granted = kinds.grant(now, limits);
        let wants = |(kind, granted): (&Kind, usize)| {
            kind.ready.len() + kind.making < granted && now >= kind.retry_at
        };
        !kinds.closed && kinds.known.values().zip(granted).any(wants)
    }

    /// Takes what was made; nothing when it could not be. Gives back what must be ended.
    pub(crate) fn put(&self, shell: &Arc<Shell>, made: Option<Prepared>, now: Duration) -> Option<Prepared> {
        let mut kinds = self.kinds.lock();
        let closed = kinds.closed;
        let Some(kind) = kinds.known.get_mut(shell) else { return made };
        kind.making -= 1;
        let back = match made {
            Some(made) if !closed => {
                kind.ready.push(made);
                None
            }
            Some(made) => Some(made),
            None => {
                kind.retry_at = now + RETRY_AFTER;
                None
            }
        };
        drop(kinds);
        self.changed.notify_one();
        back
    }

    /// One died while it waited: whatever is the matter with its kind, the next one may fare the same.
    pub(crate) fn put_off(&self, shell: &Arc<Shell>, now: Duration) {
        if let Some(kind) = self.kinds.lock().known.get_mut(shell) {
            kind.retry_at = now + RETRY_AFTER;
        }
    }

    /// Whether it looks after a kind.
    pub(crate) fn knows(&self, shell: &Arc<Shell>) -> bool {
        self.kinds.lock().known.contains_key(shell)
    }

    /// How many are ready.
    pub(crate) fn len(&self) -> usize {
        self.kinds.lock().known.values().map(|kind| kind.ready.len()).sum()
    }

    /// Takes out all, and keeps no more.
    pub(crate) fn close(&self) -> Vec<Prepared> {
        let mut kinds = self.kinds.lock();
        kinds.closed = true;
        self.closing.send_replace(true);
        kinds.known.values_mut().flat_map(|kind| std::mem::take(&mut kind.ready)).collect()
    }

    /// Returns when no more are kept.
    pub(crate) async fn closing(&self) {
        let mut closing = self.closing.subscribe();
        // It lives as long as this.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// Waits until something has changed: a start, an expectation, one that is ready now. Gives those that died waiting.
    pub(crate) async fn changed(&self) -> Vec<Prepared> {
        tokio::select! {
            () = self.changed.notified() => Vec::new(),
            dead = std::future::poll_fn(|context| self.poll_dead(context)) => dead,
        }
    }

    fn poll_dead(&self, context: &mut Context<'_>) -> Poll<Vec<Prepared>> {
        let mut kinds = self.kinds.lock();
        let mut dead = Vec::new();
        for kind in kinds.known.values_mut() {
            dead.extend(kind.ready.extract_if(.., |one| one.reports.poll_end(context).is_ready()));
        }
        if dead.is_empty() { Poll::Pending } else { Poll::Ready(dead) }
    }
}

fn bytes_of(boot: &Boot) -> u64 {
    match boot {
        Boot::Now { .. } => BOOTED_BYTES,
        Boot::Fork { .. } => FORKED_BYTES,
        Boot::Later { .. } => EMPTY_BYTES,
    }
}

fn fixed_bytes_of(boot: &Boot) -> u64 {
    match boot {
        Boot::Fork { .. } => TEMPLATE_BYTES + ZYGOTE_BYTES,
        Boot::Now { .. } | Boot::Later { .. } => TEMPLATE_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, boot: fn(String) -> Boot) -> Arc<Shell> {
        Arc::new(Shell {
            binds: Vec::new(),
            links: Vec::new(),
            boot: boot(name.to_owned()),
            scratch_mib: 512,
            max_processes: 1,
            max_open_files: 1,
            runtime_api_port: 1,
            endpoint_port: 2,
            egress: false,
            image: None,
            companions: 0,
        })
    }

    fn later(name: &str) -> Arc<Shell> {
        shell(name, |program| Boot::Later { program, args: Vec::new() })
    }

    const LIMITS: Limits = Limits { bytes: 1 << 30, room: 100, keep_alive: Duration::from_secs(300) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_used_is_made_once_and_dismantled_after_the_keep_alive() {
        let (set, kind) = (Arc::new(ReadySet::default()), later("one"));
        assert!(set.begin(&kind, at(1)).0.is_none());
        assert_eq!(set.plan(at(1), LIMITS, 8).make, [kind.clone(), kind.clone()]);
        assert!(set.plan(at(1), LIMITS, 8).make.is_empty(), "they are being made");
        assert!(set.put(&kind, None, at(1)).is_none());
        assert!(set.plan(at(1), LIMITS, 8).make.is_empty(), "it failed, and is not tried for a while");
        assert!(set.plan(at(400), LIMITS, 8).retired.is_empty(), "one is still being made");
        assert!(set.put(&kind, None, at(2)).is_none());
        assert_eq!(set.plan(at(12), LIMITS, 1).make.len(), 1, "no more at once than may be");
        assert!(set.put(&kind, None, at(12)).is_none());
        let plan = set.plan(at(301), LIMITS, 8);
        assert_eq!(plan.retired, [kind]);
        assert!(plan.make.is_empty() && plan.next_over.is_none());
    }

    #[test]
    fn a_kind_stays_as_long_as_a_start_is_under_way() {
        let (set, kind) = (Arc::new(ReadySet::default()), later("one"));
        let (_, under_way) = set.begin(&kind, at(1));
        let plan = set.plan(at(1_000), LIMITS, 0);
        assert!(plan.retired.is_empty());
        assert_eq!(plan.next_over, Some(at(301)), "it is looked at again at once");
        drop(under_way);
        assert_eq!(set.plan(at(1_000), LIMITS, 0).retired, [kind]);
    }

    #[test]
    fn what_died_while_it_waited_is_not_made_again_at_once() {
        let (set, kind) = (ReadySet::default(), later("one"));
        set.expect(&kind, at(1));
        set.put_off(&kind, at(1));
        assert!(!set.wants_more(at(10), LIMITS));
        assert!(set.plan(at(10), LIMITS, 8).make.is_empty());
        assert!(set.wants_more(at(11), LIMITS));
    }

    #[test]
    fn kinds_are_bounded_in_number_and_memory() {
        let set = ReadySet::default();
        let kinds: Vec<_> = (0..MAX_KINDS + 2).map(|number| later(&number.to_string())).collect();
        for (second, kind) in (1..).zip(&kinds) {
            set.expect(kind, at(second));
        }
        let mut retired = set.plan(at(100), LIMITS, 0).retired;
        retired.sort_by_key(|shell| kinds.iter().position(|kind| kind == shell));
        assert_eq!(retired, kinds[..2], "the least recently used");
        let two = Limits { bytes: 2 * TEMPLATE_BYTES + 1, ..LIMITS };
        assert_eq!(set.plan(at(100), two, 0).retired.len(), MAX_KINDS - 2);
        assert_eq!(
            set.plan(at(100), Limits { bytes: 0, ..LIMITS }, 0).retired.len(),
            1,
            "the last one stays"
        );
        assert!(set.knows(kinds.last().unwrap()));
    }

    #[test]
    fn nothing_is_made_where_there_is_no_room() {
        let (set, kind) = (ReadySet::default(), later("one"));
        set.expect(&kind, at(1));
        assert!(set.plan(at(1), Limits { room: 0, ..LIMITS }, 8).make.is_empty());
        assert!(
            set.plan(at(1), Limits { bytes: TEMPLATE_BYTES + EMPTY_BYTES - 1, ..LIMITS }, 8).make.is_empty()
        );
        assert_eq!(
            set.plan(at(1), Limits { bytes: TEMPLATE_BYTES + EMPTY_BYTES, ..LIMITS }, 8).make.len(),
            1
        );
    }
}
