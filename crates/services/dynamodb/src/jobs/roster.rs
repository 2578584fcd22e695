//! Whose turn it is: which jobs are known, at work, or wait after a failure.
//!
//! Accounts take turns, so that none with a thousand jobs delays another's. A job that failed gives its place back, and comes
//! again after a pause that grows with each failure.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// How many jobs are worked on at once.
pub(super) const AT_ONCE_MAX: usize = 8;
/// How many of them may be such whose steps take long: the others are left for short ones.
const LONG_AT_ONCE_MAX: usize = AT_ONCE_MAX / 2;
/// How many jobs are known at once; further ones are looked up when some of these are done.
const KNOWN_MAX: usize = 100_000;
/// The pause after the first failure; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// The jobs that are known. Times are those of the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Roster {
    jobs: HashMap<u64, Known>,
    accounts: BTreeMap<String, Account>,
    waiting: BTreeSet<(Duration, u64)>,
    /// Whether there are jobs that are not known.
    is_cut: bool,
    at_work: usize,
    long_at_work: usize,
    /// Turns that were given.
    turns: u64,
}

#[derive(Debug)]
struct Known {
    account: String,
    is_long: bool,
    /// Attempts in a row that failed.
    failures: u32,
}

#[derive(Debug, Default)]
struct Account {
    ready: VecDeque<u64>,
    at_work: usize,
    /// The number of its last turn.
    turn: u64,
}

impl Roster {
    /// Takes a job in that is not known yet.
    pub(super) fn add(&mut self, id: u64, account: &str, is_long: bool) {
        if self.jobs.contains_key(&id) {
            return;
        }
        if self.jobs.len() >= KNOWN_MAX {
            self.is_cut = true;
            return;
        }
        self.jobs.insert(id, Known { account: account.to_owned(), is_long, failures: 0 });
        self.queue(id);
    }

    /// All jobs are about to be added again.
    pub(super) fn begin_listing(&mut self) {
        self.is_cut = false;
    }

    #[cfg(test)]
    pub(super) fn ids(&self) -> Vec<u64> {
        self.jobs.keys().copied().collect()
    }

    /// Whether jobs should be listed again, as some that were not known may find room.
    pub(super) fn wants_listing(&self) -> bool {
        self.is_cut && self.jobs.len() < KNOWN_MAX / 2
    }

    /// Gives a place to a job of the account that has the fewest, and of those to the one whose last turn is the longest ago.
    pub(super) fn next(&mut self, now: Duration) -> Option<u64> {
        if self.at_work >= AT_ONCE_MAX {
            return None;
        }
        self.wake(now);
        let may_be_long = self.long_at_work < LONG_AT_ONCE_MAX;
        let jobs = &self.jobs;
        let may_go = |id: &u64| may_be_long || jobs.get(id).is_some_and(|known| !known.is_long);
        let candidates = self.accounts.values_mut().filter_map(|account| {
            let at = account.ready.iter().position(may_go)?;
            Some((at, account))
        });
        let (at, account) = candidates.min_by_key(|(_, account)| (account.at_work, account.turn))?;
        let id = account.ready.remove(at)?;
        self.turns += 1;
        account.at_work += 1;
        account.turn = self.turns;
        self.at_work += 1;
        self.long_at_work += usize::from(jobs.get(&id).is_some_and(|known| known.is_long));
        Some(id)
    }

    /// When the next job that waits may go on, if one could.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.waiting.first().map(|(due, _)| *due).filter(|_| self.at_work < AT_ONCE_MAX)
    }

    /// The turn is over, and there is more to do.
    pub(super) fn again(&mut self, id: u64) {
        self.leave(id);
        if let Some(known) = self.jobs.get_mut(&id) {
            known.failures = 0;
        }
        self.queue(id);
    }

    /// The turn is over, and there is nothing to do before `due`.
    pub(super) fn later(&mut self, id: u64, due: Duration) {
        self.leave(id);
        if self.jobs.contains_key(&id) {
            self.waiting.insert((due, id));
        }
    }

    /// The turn ended with a failure, `failures` of them in a row if all were counted.
    pub(super) fn failed(&mut self, id: u64, failures: u32, now: Duration) {
        let Some(known) = self.jobs.get_mut(&id) else { return };
        known.failures = (known.failures + 1).max(failures);
        let doubled = 2_u32.saturating_pow(known.failures.saturating_sub(1));
        self.later(id, now + PAUSE_MIN.saturating_mul(doubled).min(PAUSE_MAX));
    }

    /// The job is there no more.
    pub(super) fn done(&mut self, id: u64) {
        self.leave(id);
        self.jobs.remove(&id);
    }

    /// Jobs whose pause is over are ready again.
    fn wake(&mut self, now: Duration) {
        while let Some((due, id)) = self.waiting.first().copied().filter(|(due, _)| *due <= now) {
            self.waiting.remove(&(due, id));
            self.queue(id);
        }
    }

    /// A job is ready. An account that comes anew stands behind those that wait.
    fn queue(&mut self, id: u64) {
        let Some(known) = self.jobs.get(&id) else { return };
        let turn = self.turns;
        let account = self.accounts.entry(known.account.clone());
        account.or_insert_with(|| Account { turn, ..Account::default() }).ready.push_back(id);
    }

    /// Gives the place of a job back.
    fn leave(&mut self, id: u64) {
        let Some(known) = self.jobs.get(&id) else { return };
        self.at_work -= 1;
        self.long_at_work -= usize::from(known.is_long);
        if let Some(account) = self.accounts.get_mut(&known.account) {
            account.at_work -= 1;
            if account.at_work == 0 && account.ready.is_empty() {
                self.accounts.remove(&known.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn all(roster: &mut Roster, now: Duration) -> Vec<u64> {
        std::iter::from_fn(|| roster.next(now)).collect()
    }

    #[test]
    fn accounts_take_turns() {
        let mut roster = Roster::default();
        (0..100).for_each(|id| roster.add(id, "many", false));
        (100..102).for_each(|id| roster.add(id, "few", false));
        assert_eq!(all(&mut roster, NOW), [100, 0, 101, 1, 2, 3, 4, 5]);
        roster.add(102, "late", false);
        roster.again(0);
        assert_eq!(all(&mut roster, NOW), [102]);
        roster.done(100);
        roster.done(101);
        assert_eq!(all(&mut roster, NOW), [6, 7]);
    }

    #[test]
    fn who_fails_gives_its_place_back_and_waits_longer_each_time() {
        let mut roster = Roster::default();
        roster.add(1, "a", false);
        let (mut now, mut pauses) = (NOW, Vec::new());
        for _ in 0..10 {
            assert_eq!(all(&mut roster, now), [1]);
            roster.failed(1, 0, now);
            assert!(all(&mut roster, now).is_empty());
            let due = roster.next_due().unwrap();
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(all(&mut roster, now), [1]);
        roster.again(1);
        assert_eq!(all(&mut roster, now), [1]);
        roster.failed(1, 0, now);
        assert_eq!(roster.next_due(), Some(now + PAUSE_MIN));
        // Failures before this process began count, too.
        roster.add(2, "a", false);
        assert_eq!(all(&mut roster, now), [2]);
        roster.failed(2, 40, now);
        assert_eq!(roster.waiting.last(), Some(&(now + PAUSE_MAX, 2)));
    }

    #[test]
    fn long_steps_leave_room_for_short_ones() {
        let mut roster = Roster::default();
        (0..10).for_each(|id| roster.add(id, "a", true));
        (10..20).for_each(|id| roster.add(id, "a", false));
        assert_eq!(all(&mut roster, NOW), [0, 1, 2, 3, 10, 11, 12, 13]);
        roster.done(0);
        assert_eq!(all(&mut roster, NOW), [4]);
        roster.done(10);
        assert_eq!(all(&mut roster, NOW), [14]);
    }

    #[test]
    fn no_account_is_passed_over() {
        let mut roster = Roster::default();
        (0..20).for_each(|id| roster.add(id, &format!("account {id}"), false));
        let mut seen = Vec::new();
        for _ in 0..3 {
            let turn = all(&mut roster, NOW);
            turn.iter().for_each(|id| roster.again(*id));
            seen.extend(turn);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 20);
    }
}
