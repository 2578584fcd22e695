//! The environments of one function, and how much the next call would gain by one more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::environment::Environment;
use crate::function::{FunctionKey, FunctionSpec};
use crate::leases::Grant;
use crate::provision::{Provision, ProvisionFailure, Provisioned};
use crate::stats::Tally;

/// Calls that hold an environment for longer than this are not worth a wait.
const SHORT_CALL: Duration = Duration::from_millis(2);
/// A call queues behind short ones while it expects to wait for less than this, which is about what a start takes; it
/// gives up when it has waited for so long.
pub(crate) const WORTH_WAITING: Duration = Duration::from_millis(100);
/// After a wait in vain calls do not queue for so long; each time it comes again, for twice as long.
const FIRST_DISTRUST: Duration = Duration::from_millis(100);
const LONGEST_DISTRUST: Duration = Duration::from_secs(60);
/// The weight of the newest call in the mean, as a divisor.
const MEAN_WEIGHT: u32 = 8;

/// See the module.
#[derive(Default)]
pub(crate) struct Fleet {
    /// The most recently used last.
    pub(crate) idle: Vec<Environment>,
    /// Environments that run a call, or start for one.
    pub(crate) busy: usize,
    /// Counted up when every environment must go, or every one of a version; a call remembers what it was when it began.
    generation: u64,
    retired_versions: HashMap<String, u64>,
    /// Calls that let others before them finish, although there is room for them.
    queue: VecDeque<Queued>,
    pub(crate) tally: Tally,
    /// How long warm calls hold an environment when they are few; `None` while that is not known or not to be trusted.
    mean_held: Option<Duration>,
    /// Whether the function has reserved concurrency, as its last call said.
    pub(crate) has_reserved: bool,
    /// Wishes for provisioned environments, by version.
    provisions: HashMap<String, Provision>,
    scaling: Scaling,
    /// Since when waits were in vain, and until when nobody queues for it (on the pool's monotonic clock).
    distrust: Option<Distrust>,
}

/// How many environments the function may begin to start: so many at once, and as many again within
/// [`SCALING_PERIOD`].
#[derive(Default)]
struct Scaling {
    /// What was taken and did not come back yet.
    taken: f64,
    counted_at: Duration,
}

/// Source: AWS Lambda Developer Guide, "Understanding concurrency scaling rates": 1,000 environments every 10 seconds.
pub(crate) const SCALING_PERIOD: Duration = Duration::from_secs(10);

impl Scaling {
    fn take(&mut self, rate: usize, now: Duration) -> bool {
        let rate = rate as f64;
        let passed = now.saturating_sub(self.counted_at).as_secs_f64() / SCALING_PERIOD.as_secs_f64();
        self.taken = (self.taken - passed * rate).max(0.0);
        self.counted_at = now;
        let may = self.taken + 1.0 <= rate;
        if may {
            self.taken += 1.0;
        }
        may
    }
}

struct Distrust {
    until: Duration,
    lasts: Duration,
}

struct Queued {
    key: FunctionKey,
    tenant_id: Option<String>,
    give: oneshot::Sender<Grant>,
}

impl Fleet {
    /// Calls that AWS would count as running.
    pub(crate) fn concurrency(&mut self) -> usize {
        self.forget_who_gave_up();
        self.busy + self.queue.len()
    }

    /// The same without those whose environments are provisioned.
    pub(crate) fn on_demand(&mut self) -> usize {
        let provisioned: usize = self.provisions.values().map(|provision| provision.busy).sum();
        self.concurrency().saturating_sub(provisioned)
    }

    /// Whether one more environment may begin to start; counts it if so.
    pub(crate) fn may_start(&mut self, rate: usize, now: Duration) -> bool {
        self.scaling.take(rate, now)
    }

    /// Takes new wishes over. Gives back what must be ended.
    pub(crate) fn provision(&mut self, wanted: Vec<(Arc<FunctionSpec>, usize)>) -> Vec<Environment> {
        let mut old = std::mem::take(&mut self.provisions);
        for (function, wanted) in wanted {
            let version = function.key.version.clone();
            let provision = match old.remove(&version) {
                Some(old) if old.function.key == function.key => Provision { function, wanted, ..old },
                _ => Provision::new(function, wanted),
            };
            self.provisions.insert(version, provision);
        }
        let provisions = &self.provisions;
        self.idle
            .extract_if(.., |one| one.provisioned && !provisions.contains_key(&one.key.version))
            .collect()
    }

    /// Forgets all that was wanted.
    pub(crate) fn forget_provisions(&mut self) {
        self.provisions.clear();
    }

    /// Forgets what was wanted of a version.
    pub(crate) fn forget_provision(&mut self, version: &str) {
        self.provisions.remove(version);
    }

    pub(crate) fn has_provisions(&self) -> bool {
        !self.provisions.is_empty()
    }

    /// How many environments are wanted, over all versions.
    pub(crate) fn provisioned_in_all(&self) -> usize {
        self.provisions.values().map(|provision| provision.wanted).sum()
    }

    pub(crate) fn provisioned(&self, version: &str) -> Option<Provisioned> {
        let provision = self.provisions.get(version)?;
        let idle = self.idle.iter().filter(|one| one.provisioned && one.key.version == version).count();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Some(Provisioned {
            wanted: count(provision.wanted),
            allocated: count((idle + provision.busy).min(provision.wanted)),
            failure: provision.failure.clone(),
        })
    }

    /// A provisioned environment for a call, the newest first.
    pub(crate) fn take_provisioned(&mut self, key: &FunctionKey) -> Option<Environment> {
        if self.provisions.is_empty() {
            return None;
        }
        let at = self.idle.iter().rposition(|one| one.provisioned && *one.key == *key)?;
        self.went_out(&key.version);
        Some(self.idle.remove(at))
    }

    /// A provisioned environment was given to a call.
    pub(crate) fn went_out(&mut self, version: &str) {
        if let Some(provision) = self.provisions.get_mut(version) {
            provision.busy += 1;
        }
    }

    /// That call is over.
    pub(crate) fn came_back(&mut self, version: &str) {
        if let Some(provision) = self.provisions.get_mut(version) {
            provision.busy = provision.busy.saturating_sub(1);
        }
    }

    /// Whether one that comes back stays provisioned.
    pub(crate) fn wants_provisioned(&self, key: &FunctionKey) -> bool {
        let Some(provision) = self.provisions.get(&key.version) else { return false };
        let idle = self.idle.iter().filter(|one| one.provisioned && *one.key == *key).count();
        // One that replaces an old one may be one too many for a moment.
        provision.function.key == *key && idle + provision.busy <= provision.wanted
    }

    /// Takes out provisioned environments that ended while they waited, and those that are too many, the oldest first.
    pub(crate) fn spent_provisioned(&mut self, now: Duration, greatest_age: Duration) -> Vec<Environment> {
        let mut spent: Vec<_> = self.idle.extract_if(.., |one| one.provisioned && one.has_ended()).collect();
        for (version, provision) in &self.provisions {
            let is_its = |one: &Environment| one.provisioned && one.key.version == *version;
            let idle = self.idle.iter().filter(|one| is_its(one)).count();
            for _ in provision.wanted..(idle + provision.busy) {
                let its = self.idle.iter().enumerate().filter(|(_, one)| is_its(one));
                let Some((oldest, _)) = its.min_by_key(|(_, one)| one.started_at) else { break };
                spent.push(self.idle.remove(oldest));
            }
            // What was not replaced in time must not be met by a call.
            let is_over = |one: &Environment| now.saturating_sub(one.started_at) >= greatest_age * 2;
            spent.extend(self.idle.extract_if(.., |one| is_its(one) && is_over(one)));
        }
        spent
    }

    /// The next version of which an environment is to be started.
    pub(crate) fn next_missing(&self, now: Duration, greatest_age: Duration) -> Option<Arc<FunctionSpec>> {
        let is_missing = |(version, provision): &(&String, &Provision)| {
            let is_fresh = |one: &&Environment| {
                let age = now.saturating_sub(one.started_at);
                one.provisioned && one.key.version == **version && age < greatest_age
            };
            provision.missing(self.idle.iter().filter(is_fresh).count(), now) > 0
        };
        self.provisions.iter().find(is_missing).map(|(_, provision)| provision.function.clone())
    }

    pub(crate) fn count_making(&mut self, version: &str) {
        if let Some(provision) = self.provisions.get_mut(version) {
            provision.making += 1;
        }
    }

    /// A start is over; whether what came of it is still wanted.
    pub(crate) fn made_provisioned(
        &mut self,
        key: &FunctionKey,
        failure: Option<ProvisionFailure>,
        now: Duration,
    ) -> bool {
        let Some(provision) = self.provisions.get_mut(&key.version) else { return false };
        if provision.function.key != *key || provision.making == 0 {
            return false;
        }
        provision.made(failure, now);
        true
    }

    /// What a call of a version remembers when it begins: it changes when the version's environments must go.
    pub(crate) fn generation(&self, version: &str) -> u64 {
        self.generation + self.retired_versions.get(version).unwrap_or(&0)
    }

    /// Lets every environment go when its call is over.
    pub(crate) fn retire(&mut self) {
        self.generation += 1;
    }

    /// The same for those of a version; `is_awaited` says whether calls of the function wait for room.
    pub(crate) fn retire_version(&mut self, version: &str, is_awaited: bool) {
        if self.concurrency() == 0 && !is_awaited {
            // Nobody has anything to remember.
            self.retired_versions.clear();
        } else {
            *self.retired_versions.entry(version.to_owned()).or_default() += 1;
        }
    }

    /// The newest idle environment for a call.
    pub(crate) fn take_idle(&mut self, key: &FunctionKey, tenant_id: Option<&str>) -> Option<Environment> {
        let at = self.idle.iter().rposition(|one| one.serves(key, tenant_id))?;
        Some(self.idle.remove(at))
    }

    /// Whether a call that begins now shares its cores with no more of its kind than there are for.
    pub(crate) fn is_uncrowded(&self, parallel: usize) -> bool {
        self.busy < parallel
    }

    /// Lets a call queue, if `parallel` calls of this function run already and it would come to its turn at once: with
    /// more of them than the host has cores for, short calls only take each other's time.
    pub(crate) fn queue(
        &mut self,
        key: &FunctionKey,
        tenant_id: Option<&str>,
        parallel: usize,
        now: Duration,
    ) -> Option<oneshot::Receiver<Grant>> {
        if self.distrust.as_ref().is_some_and(|distrust| now < distrust.until) {
            return None;
        }
        let mean = self.mean_held.filter(|mean| *mean <= SHORT_CALL && !self.is_uncrowded(parallel))?;
        self.forget_who_gave_up();
        let before = u32::try_from(self.queue.len() + 1).ok()?;
        if mean * before / u32::try_from(parallel).ok()? > WORTH_WAITING {
            return None;
        }
        let (give, wait) = oneshot::channel();
        self.queue.push_back(Queued { key: key.clone(), tenant_id: tenant_id.map(str::to_owned), give });
        Some(wait)
    }

    /// Hands idle environments to the queue, as long as there are cores for them.
    pub(crate) fn serve_queue(&mut self, parallel: usize) {
        while self.is_uncrowded(parallel) {
            // Calls of different versions may queue together.
            let served = |queued: &Queued| {
                self.idle.iter().any(|one| one.serves(&queued.key, queued.tenant_id.as_deref()))
            };
            let Some(queued) = self.queue.iter().position(served).and_then(|at| self.queue.remove(at)) else {
                return;
            };
            let Some(environment) = self.take_idle(&queued.key, queued.tenant_id.as_deref()) else { return };
            let is_provisioned = environment.provisioned;
            match queued.give.send(Grant::Warm(Box::new(environment))) {
                Ok(()) => {
                    self.busy += 1;
                    if is_provisioned {
                        self.went_out(&queued.key.version);
                    }
                    self.distrust = None;
                }
                // It has given up waiting.
                Err(Grant::Warm(back)) => self.idle.push(*back),
                Err(Grant::Room) => {}
            }
        }
    }

    /// Notes how long a warm, uncrowded call held its environment.
    pub(crate) fn note(&mut self, held: Duration) {
        self.mean_held = match self.mean_held {
            None => Some(held),
            Some(mean) => Some((mean * (MEAN_WEIGHT - 1) + held) / MEAN_WEIGHT),
        };
    }

    /// Forgets how long calls take: an environment could not serve another.
    pub(crate) fn forget(&mut self) {
        self.mean_held = None;
    }

    /// Notes that a wait was in vain: the calls before it were not as short as was thought, or ran crowded.
    pub(crate) fn distrust(&mut self, now: Duration) {
        let lasts = match &self.distrust {
            // Others found out before.
            Some(distrust) if now < distrust.until => return,
            Some(distrust) => (distrust.lasts * 2).min(LONGEST_DISTRUST),
            None => FIRST_DISTRUST,
        };
        self.distrust = Some(Distrust { until: now + lasts, lasts });
    }

    /// The most memory that its environments used, together, as far as is known.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let idle: u64 = self.idle.iter().map(|one| one.memory_bytes).sum();
        idle + self.tally.memory_bytes * self.busy as u64
    }

    /// Whether there is anything to tell of it.
    pub(crate) fn is_known(&self) -> bool {
        self.busy > 0 || !self.idle.is_empty() || !self.tally.is_empty() || self.has_provisions()
    }

    /// Whether it has no environments, and nobody waits for one.
    pub(crate) fn is_unused(&mut self) -> bool {
        self.forget_who_gave_up();
        self.busy == 0 && self.idle.is_empty() && self.queue.is_empty() && !self.has_provisions()
    }

    fn forget_who_gave_up(&mut self) {
        while self.queue.front().is_some_and(|queued| queued.give.is_closed()) {
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn key() -> FunctionKey {
        FunctionKey {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            name: "one".to_owned(),
            version: "$LATEST".to_owned(),
            revision: "1".to_owned(),
        }
    }

    fn busy(busy: usize, mean_us: &[u64]) -> Fleet {
        let mut fleet = Fleet { busy, ..Fleet::default() };
        mean_us.iter().for_each(|us| fleet.note(Duration::from_micros(*us)));
        fleet
    }

    #[test]
    fn only_short_calls_queue_and_only_where_all_cores_work() {
        assert!(busy(4, &[500]).queue(&key(), None, 4, NOW).is_some());
        assert!(busy(3, &[500]).queue(&key(), None, 4, NOW).is_none(), "a core is free");
        assert!(busy(4, &[2_001]).queue(&key(), None, 4, NOW).is_none(), "the calls are long");
        assert!(busy(4, &[]).queue(&key(), None, 4, NOW).is_none(), "nothing is known of the calls");
        let mut fleet = busy(4, &[500]);
        fleet.forget();
        assert!(fleet.queue(&key(), None, 4, NOW).is_none(), "environments that served end");
    }

    #[test]
    fn a_function_grows_by_so_many_environments_in_ten_seconds() {
        let mut fleet = busy(0, &[]);
        let grown = |fleet: &mut Fleet, at| (0..5_000).filter(|_| fleet.may_start(1_000, at)).count();
        assert_eq!(grown(&mut fleet, NOW), 1_000);
        assert_eq!(grown(&mut fleet, NOW + Duration::from_secs(1)), 100);
        assert_eq!(grown(&mut fleet, NOW + Duration::from_secs(60)), 1_000);
    }

    #[test]
    fn a_version_is_retired_without_the_others() {
        let mut fleet = busy(1, &[]);
        let before = (fleet.generation("1"), fleet.generation("2"));
        fleet.retire_version("1", false);
        assert_ne!(fleet.generation("1"), before.0);
        assert_eq!(fleet.generation("2"), before.1);
        fleet.retire();
        assert_ne!(fleet.generation("2"), before.1);
    }

    #[test]
    fn who_waited_in_vain_keeps_others_from_it_for_a_while() {
        let mut fleet = busy(4, &[500]);
        let ms = Duration::from_millis;
        for (from, until) in [(1_000, 1_100), (1_100, 1_300), (2_000, 2_400)] {
            fleet.distrust(ms(from));
            fleet.distrust(ms(from + 1));
            assert!(fleet.queue(&key(), None, 4, ms(until - 1)).is_none());
            assert!(fleet.queue(&key(), None, 4, ms(until)).is_some());
        }
    }

    #[test]
    fn the_queue_is_as_long_as_its_wait_is_short() {
        let mut fleet = busy(4, &[2_000]);
        let waits: Vec<_> = std::iter::from_fn(|| fleet.queue(&key(), None, 4, NOW)).collect();
        assert_eq!(waits.len(), 200, "200 calls of 2 ms on 4 environments take 100 ms");
        assert_eq!(fleet.concurrency(), 204);
        drop(waits);
        assert_eq!(fleet.concurrency(), 4);
    }

    #[test]
    fn one_long_call_among_short_ones_is_forgotten() {
        let mut fleet = busy(4, &[100, 100, 40_000]);
        assert!(fleet.queue(&key(), None, 4, NOW).is_none());
        (0..16).for_each(|_| fleet.note(Duration::from_micros(100)));
        assert!(fleet.queue(&key(), None, 4, NOW).is_some());
    }
}
