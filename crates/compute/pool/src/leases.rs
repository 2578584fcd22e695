//! Who may use which environment: warm ones, room for new ones, calls that wait, calls that are turned away.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::enclosure::Stillness;
use crate::environment::Environment;
use crate::error::ThrottleReason;
use crate::fleet::Fleet;
use crate::function::{FunctionKey, FunctionSpec};
use crate::pool::PoolStats;
use crate::provision::{ProvisionFailure, Provisioned};
use crate::stats::{FunctionStats, Recent, Tally};

/// Functions without environments whose counts are kept.
const MAX_REMEMBERED: usize = 10_000;

/// How much there may be of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Environments alive at once.
    pub(crate) environments: usize,
    /// Environments of one function that begin to start within [`SCALING_PERIOD`].
    pub(crate) scaling: usize,
    /// Environments that start at once.
    pub(crate) starting: usize,
    /// Calls of one function that run at once before short ones queue behind each other.
    pub(crate) parallel: usize,
    /// Calls that wait for room.
    pub(crate) waiting: usize,
}

/// What a call was given.
pub(crate) enum Grant {
    /// A warm environment.
    Warm(Box<Environment>),
    /// Room for a new one.
    Room,
}

/// What a call gets at once.
pub(crate) enum Answer {
    Granted(Grant),
    /// All room is taken: something will come, or the sender is dropped.
    Wait(oneshot::Receiver<Grant>),
    /// The calls before this one are short: an environment will come in a moment, or the call must ask again.
    Queue(oneshot::Receiver<Grant>),
    Throttled(ThrottleReason),
    Closed,
}

/// Account, region and name: what concurrency is counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name(String, String, String);

/// All environments that are not just being used, and counts of those that are.
pub(crate) struct Leases {
    bounds: Bounds,
    functions: HashMap<Name, Fleet>,
    waiting: VecDeque<Waiter>,
    /// Environments that live or are being started.
    total: usize,
    /// Those of them that have their turn to start.
    starting: usize,
    closed: bool,
    /// By account and region: what functions without reserved concurrency may run at once, provisioned environments apart.
    unreserved: Vec<(String, String, usize)>,
    /// By account and region: calls of such functions that run elsewhere, see [`crate::SharedConcurrency`].
    elsewhere: HashMap<(String, String), usize>,
}

/// What is to be done about provisioned environments.
#[derive(Default)]
pub(crate) struct ProvisionPlan {
    /// To start, one for each mention.
    pub(crate) start: Vec<Arc<FunctionSpec>>,
    pub(crate) ended: Vec<Environment>,
    /// Whether any are wanted.
    pub(crate) is_wanted: bool,
}

struct Waiter {
    name: Name,
    key: FunctionKey,
    tenant_id: Option<String>,
    give: oneshot::Sender<Grant>,
}

/// Proof that a call holds an environment, or room for one.
pub(crate) struct Held {
    name: Name,
    version: String,
    generation: u64,
    /// Whether it tells how long the function's calls take when they are few.
    uncrowded: bool,
    /// Whether its environment is a provisioned one.
    pub(crate) provisioned: bool,
}

/// What a call leaves behind.
pub(crate) enum Left {
    /// An environment, after a call that found it warm and held it for so long.
    Warm(Environment, Duration),
    /// An environment that was started for the call.
    Started(Environment),
    /// Nothing of use.
    Nothing,
}

/// How much is going on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Environments of functions.
    pub(crate) living: usize,
    /// Those that start, and calls that wait until they may.
    pub(crate) starting: usize,
    /// Environments that run a call.
    pub(crate) running: usize,
}

/// What is known of a call that ran to some end.
#[derive(Clone, Copy)]
pub(crate) struct Ran {
    pub(crate) duration_ms: f64,
    /// The most that its environment ever used.
    pub(crate) memory_bytes: u64,
}

impl Leases {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let (functions, waiting) = (HashMap::new(), VecDeque::new());
        let (unreserved, elsewhere) = (Vec::new(), HashMap::new());
        Self { bounds, functions, waiting, total: 0, starting: 0, closed: false, unreserved, elsewhere }
    }

    /// An environment for a call, and those that must be ended because they are out of date or in the way. A `patient`
    /// call lets short ones before it finish first.
    pub(crate) fn acquire(
        &mut self,
        spec: &FunctionSpec,
        tenant_id: Option<&str>,
        patient: bool,
        now: Duration,
    ) -> (Answer, Held, Vec<Environment>) {
        let name = name_of(&spec.key);
        let fleet = self.functions.entry(name.clone()).or_default();
        let mut held = Held {
            name,
            version: spec.key.version.clone(),
            generation: fleet.generation(&spec.key.version),
            uncrowded: false,
            provisioned: false,
        };
        if self.closed {
            return (Answer::Closed, held, Vec::new());
        }
        fleet.has_reserved = spec.reserved_concurrency.is_some();
        if tenant_id.is_none()
            && let Some(warm) = fleet.take_provisioned(&spec.key)
        {
            held.uncrowded = fleet.is_uncrowded(self.bounds.parallel);
            fleet.busy += 1;
            return (Answer::Granted(Grant::Warm(Box::new(warm))), held, Vec::new());
        }
        if let Some(reason) = self.exhausted(spec, &held.name) {
            self.functions.entry(held.name.clone()).or_default().tally.throttles += 1;
            return (Answer::Throttled(reason), held, Vec::new());
        }
        let fleet = self.functions.entry(held.name.clone()).or_default();
        let old = |one: &Environment| one.key.version == spec.key.version && *one.key != spec.key;
        let mut ended: Vec<Environment> = fleet.idle.extract_if(.., |one| old(one)).collect();
        self.total -= ended.len();
        if !ended.is_empty() {
            ended.extend(self.offer_room());
        }
        let fleet = self.functions.entry(held.name.clone()).or_default();
        if patient && let Some(wait) = fleet.queue(&spec.key, tenant_id, self.bounds.parallel, now) {
            held.uncrowded = true;
            return (Answer::Queue(wait), held, ended);
        }
        if let Some(warm) = fleet.take_idle(&spec.key, tenant_id) {
            held.uncrowded = fleet.is_uncrowded(self.bounds.parallel);
            fleet.busy += 1;
            return (Answer::Granted(Grant::Warm(Box::new(warm))), held, ended);
        }
        let fleet = self.functions.entry(held.name.clone()).or_default();
        if !fleet.may_start(self.bounds.scaling, now) {
            fleet.tally.throttles += 1;
            let reason = ThrottleReason::FunctionInvocationRateLimitExceeded;
            return (Answer::Throttled(reason), held, ended);
        }
        let answer = self.room_for(&spec.key, tenant_id, &mut ended);
        (answer, held, ended)
    }

    /// Why one more call must not run, if that is so.
    fn exhausted(&mut self, spec: &FunctionSpec, name: &Name) -> Option<ThrottleReason> {
        if let Some(limit) = spec.reserved_concurrency {
            let waiting = waiting_for(&self.waiting, name);
            let fleet = self.functions.get_mut(name)?;
            let left = (limit as usize).saturating_sub(fleet.provisioned_in_all());
            let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
            return (fleet.on_demand() + waiting >= left).then_some(reason);
        }
        let is_full = self.is_shared_exhausted(&name.0, &name.1);
        is_full.then_some(ThrottleReason::ConcurrentInvocationLimitExceeded)
    }

    /// Whether as much runs in a place as functions without reserved concurrency may run there together.
    fn is_shared_exhausted(&mut self, account: &str, region: &str) -> bool {
        // There are few places.
        let here = self.unreserved.iter().find(|known| known.0 == account && known.1 == region);
        let Some(limit) = here.map(|known| known.2) else { return false };
        let elsewhere = self.elsewhere.iter().find(|(place, _)| place.0 == account && place.1 == region);
        let mut running = elsewhere.map_or(0, |(_, calls)| *calls);
        // Most of the time there are fewer environments than that, whatever they do.
        if running + self.total + self.waiting.len() < limit {
            return false;
        }
        let is_here = |other: &Name| other.0 == account && other.1 == region;
        for (other, fleet) in &mut self.functions {
            if !fleet.has_reserved && is_here(other) {
                running += fleet.on_demand();
            }
        }
        let shares = |waiter: &&Waiter| {
            !waiter.give.is_closed()
                && is_here(&waiter.name)
                && self.functions.get(&waiter.name).is_none_or(|fleet| !fleet.has_reserved)
        };
        running += self.waiting.iter().filter(shares).count();
        running >= limit
    }

    /// Counts a call that runs elsewhere; `false` where it must not run.
    pub(crate) fn begin_elsewhere(&mut self, account: &str, region: &str) -> bool {
        if self.is_shared_exhausted(account, region) {
            return false;
        }
        *self.elsewhere.entry((account.to_owned(), region.to_owned())).or_default() += 1;
        true
    }

    /// It has ended.
    pub(crate) fn end_elsewhere(&mut self, account: &str, region: &str) {
        let place = (account.to_owned(), region.to_owned());
        if let Some(calls) = self.elsewhere.get_mut(&place) {
            *calls = calls.saturating_sub(1);
        }
    }

    /// See [`crate::Pool::limit_unreserved`].
    pub(crate) fn limit_unreserved(&mut self, account: &str, region: &str, limit: usize) {
        self.unreserved.retain(|known| known.0 != account || known.1 != region);
        self.unreserved.push((account.to_owned(), region.to_owned(), limit));
    }

    /// See [`crate::Pool::provision`]. What is there too much of is ended, or made ordinary, by and by.
    pub(crate) fn provision(
        &mut self,
        account: &str,
        region: &str,
        name: &str,
        wanted: Vec<(Arc<FunctionSpec>, usize)>,
    ) -> Vec<Environment> {
        let name = Name(account.to_owned(), region.to_owned(), name.to_owned());
        if wanted.is_empty() && !self.functions.contains_key(&name) {
            return Vec::new();
        }
        let ended = self.functions.entry(name).or_default().provision(wanted);
        self.total -= ended.len();
        ended.into_iter().chain(self.offer_room()).collect()
    }

    /// See [`crate::Pool::provisioned`].
    pub(crate) fn provisioned(
        &self,
        account: &str,
        region: &str,
        name: &str,
        version: &str,
    ) -> Option<Provisioned> {
        let name = Name(account.to_owned(), region.to_owned(), name.to_owned());
        self.functions.get(&name)?.provisioned(version)
    }

    pub(crate) fn has_provisions(&self) -> bool {
        !self.closed && self.functions.values().any(Fleet::has_provisions)
    }

    /// What is to be done so that provisioned environments are there; what it says to start counts as being started: see
    /// [`Leases::put_provisioned`].
    pub(crate) fn plan_provisioned(&mut self, now: Duration, greatest_age: Duration) -> ProvisionPlan {
        if self.closed {
            return ProvisionPlan::default();
        }
        let mut plan = ProvisionPlan { is_wanted: self.has_provisions(), ..ProvisionPlan::default() };
        for fleet in self.functions.values_mut().filter(|fleet| fleet.has_provisions()) {
            plan.ended.extend(fleet.spent_provisioned(now, greatest_age));
        }
        self.total -= plan.ended.len();
        let names: Vec<Name> = self
            .functions
            .iter()
            .filter(|(_, fleet)| fleet.has_provisions())
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            while let Some(function) =
                self.functions.get_mut(&name).and_then(|fleet| fleet.next_missing(now, greatest_age))
            {
                if !self.make_room(&mut plan.ended) {
                    return plan;
                }
                self.total += 1;
                self.starting += 1;
                if let Some(fleet) = self.functions.get_mut(&name) {
                    fleet.count_making(&function.key.version);
                }
                plan.start.push(function);
            }
        }
        plan
    }

    /// Takes a provisioned environment that was started. Gives back what must be ended.
    pub(crate) fn put_provisioned(
        &mut self,
        key: &FunctionKey,
        made: Result<Environment, ProvisionFailure>,
        now: Duration,
    ) -> Vec<Environment> {
        let fleet = self.functions.entry(name_of(key)).or_default();
        let failure = made.as_ref().err().cloned();
        let is_wanted = fleet.made_provisioned(key, failure, now) && !self.closed;
        let mut ended = Vec::new();
        match made {
            Ok(environment) if is_wanted => {
                self.keep(environment);
                let parallel = self.bounds.parallel;
                self.functions.entry(name_of(key)).or_default().serve_queue(parallel);
            }
            Ok(environment) => {
                self.total -= 1;
                ended.push(environment);
            }
            Err(_) => self.total -= 1,
        }
        ended.extend(self.offer_room());
        ended
    }

    /// Room for a new environment, or a place among those that wait for it.
    fn room_for(
        &mut self,
        key: &FunctionKey,
        tenant_id: Option<&str>,
        ended: &mut Vec<Environment>,
    ) -> Answer {
        if self.make_room(ended) {
            self.count_start(key);
            return Answer::Granted(Grant::Room);
        }
        self.forget_who_gave_up();
        if self.waiting.len() >= self.bounds.waiting {
            self.functions.entry(name_of(key)).or_default().tally.throttles += 1;
            return Answer::Throttled(ThrottleReason::ConcurrentInvocationLimitExceeded);
        }
        let (give, wait) = oneshot::channel();
        let (name, tenant_id) = (name_of(key), tenant_id.map(str::to_owned));
        self.waiting.push_back(Waiter { name, key: key.clone(), tenant_id, give });
        Answer::Wait(wait)
    }

    /// Ends the turn of one that started, or that has had its time. Gives back what must be ended.
    pub(crate) fn end_start(&mut self) -> Vec<Environment> {
        self.starting -= 1;
        self.offer_room()
    }

    /// Takes back what a call held. Gives back what must be ended.
    pub(crate) fn release(&mut self, held: &Held, left: Left, ran: Option<Ran>) -> Vec<Environment> {
        let fleet = self.functions.entry(held.name.clone()).or_default();
        fleet.busy = fleet.busy.saturating_sub(1);
        if held.provisioned {
            fleet.came_back(&held.version);
        }
        if let Some(ran) = ran {
            fleet.tally.recent.note(ran.duration_ms);
            fleet.tally.memory_bytes = ran.memory_bytes;
        }
        let current = fleet.generation(&held.version) == held.generation && !self.closed;
        let mut ended = Vec::new();
        match left {
            Left::Warm(environment, duration) if current => {
                if held.uncrowded {
                    fleet.note(duration);
                }
                self.keep(environment);
            }
            Left::Started(environment) if current => self.keep(environment),
            Left::Warm(environment, _) | Left::Started(environment) => {
                self.total -= 1;
                ended.push(environment);
            }
            Left::Nothing => {
                fleet.forget();
                self.total -= 1;
            }
        }
        self.functions.entry(held.name.clone()).or_default().serve_queue(self.bounds.parallel);
        ended.extend(self.offer_room());
        ended
    }

    /// Gives an environment to the first call that waits for one like it, else lets it idle.
    fn keep(&mut self, mut environment: Environment) {
        if environment.provisioned {
            let fleet = self.functions.entry(name_of(&environment.key)).or_default();
            environment.provisioned = fleet.wants_provisioned(&environment.key);
        }
        if let Some(environment) = self.offer(environment) {
            self.functions.entry(name_of(&environment.key)).or_default().idle.push(environment);
        }
    }

    /// Notes that a call queued behind others which were not as short as was thought.
    pub(crate) fn queued_in_vain(&mut self, held: &Held, now: Duration) {
        if let Some(fleet) = self.functions.get_mut(&held.name) {
            fleet.distrust(now);
        }
    }

    /// How much is going on.
    pub(crate) fn load(&self) -> Load {
        let idle: usize = self.functions.values().map(|function| function.idle.len()).sum();
        let running = (self.total - idle).saturating_sub(self.starting);
        Load { living: self.total, starting: self.starting + self.waiting_now(), running }
    }

    /// What is to be frozen, as it has been idle since before `then`.
    pub(crate) fn still_since(&mut self, then: Duration) -> Vec<Stillness> {
        let idle = self.functions.values_mut().flat_map(|function| &mut function.idle);
        let due = idle.filter(|one| one.is_unfrozen() && one.idle_since <= then);
        due.map(Environment::be_still).collect()
    }

    /// Since when the longest idle one has been so, of those that are not frozen.
    pub(crate) fn longest_unfrozen(&self) -> Option<Duration> {
        let idle = self.functions.values().flat_map(|function| &function.idle);
        idle.filter(|one| one.is_unfrozen()).map(|one| one.idle_since).min()
    }

    /// Notes that a call waited for room as long as it may, and was turned away.
    pub(crate) fn waited_in_vain(&mut self, held: &Held) {
        if let Some(fleet) = self.functions.get_mut(&held.name) {
            fleet.tally.throttles += 1;
        }
    }

    /// What is known of every function of a place, without percentiles, and the durations of which these are made.
    pub(crate) fn functions(&self, account: &str, region: &str) -> Vec<(FunctionStats, Recent)> {
        let here = self.functions.iter().filter(|(name, _)| name.0 == account && name.1 == region);
        let known = here.filter(|(_, fleet)| fleet.is_known());
        let stats = known.map(|(name, fleet)| {
            let stats = FunctionStats {
                account: name.0.clone(),
                region: name.1.clone(),
                name: name.2.clone(),
                idle: fleet.idle.len(),
                busy: fleet.busy,
                cold_starts: fleet.tally.cold_starts,
                throttles: fleet.tally.throttles,
                memory_bytes: fleet.memory_bytes(),
                p50_ms: None,
                p99_ms: None,
            };
            (stats, fleet.tally.recent.clone())
        });
        stats.collect()
    }

    /// How many there are.
    pub(crate) fn stats(&self) -> PoolStats {
        let idle = self.functions.values().map(|function| function.idle.len()).sum();
        PoolStats { idle, busy: self.total - idle, waiting: self.waiting_now() }
    }

    /// Takes out what has been idle since before `then`; and how long ago the longest idle of the rest began.
    pub(crate) fn take_idle_since(&mut self, then: Duration) -> (Vec<Environment>, Option<Duration>) {
        let mut taken = Vec::new();
        for function in self.functions.values_mut() {
            taken.extend(function.idle.extract_if(.., |one| one.idle_since <= then && !one.provisioned));
        }
        self.total -= taken.len();
        // Who waits remembers its fleet's generation.
        let awaited = self.waiting.iter().filter(|waiter| !waiter.give.is_closed());
        let awaited: HashSet<&Name> = awaited.map(|waiter| &waiter.name).collect();
        let too_many = self.functions.len() > MAX_REMEMBERED;
        self.functions.retain(|name, fleet| {
            let is_told = fleet.is_known() && !too_many;
            is_told || !fleet.is_unused() || awaited.contains(name)
        });
        taken.extend(self.offer_room());
        let left = self.functions.values().flat_map(|function| &function.idle).filter(|one| !one.provisioned);
        (taken, left.map(|one| one.idle_since).min())
    }

    /// Takes out a function's idle environments, and lets the busy ones go when their calls end.
    pub(crate) fn retire(&mut self, account: &str, region: &str, name: &str) -> Vec<Environment> {
        let name = Name(account.to_owned(), region.to_owned(), name.to_owned());
        let Some(function) = self.functions.get_mut(&name) else { return Vec::new() };
        function.retire();
        function.forget_provisions();
        function.tally = Tally::default();
        let mut taken = std::mem::take(&mut function.idle);
        self.total -= taken.len();
        taken.extend(self.offer_room());
        taken
    }

    /// The same for one version's; of the others what is busy is kept.
    pub(crate) fn retire_version(
        &mut self,
        account: &str,
        region: &str,
        name: &str,
        version: &str,
    ) -> Vec<Environment> {
        let name = Name(account.to_owned(), region.to_owned(), name.to_owned());
        let is_awaited = waiting_for(&self.waiting, &name) > 0;
        let Some(function) = self.functions.get_mut(&name) else { return Vec::new() };
        function.retire_version(version, is_awaited);
        function.forget_provision(version);
        let mut taken: Vec<_> = function.idle.extract_if(.., |one| one.key.version == version).collect();
        self.total -= taken.len();
        taken.extend(self.offer_room());
        taken
    }

    /// Refuses all further calls; those that wait are told by their senders' end.
    pub(crate) fn close(&mut self) -> Vec<Environment> {
        self.closed = true;
        self.waiting.clear();
        let taken: Vec<_> = self.functions.values_mut().flat_map(|fleet| fleet.idle.drain(..)).collect();
        self.total -= taken.len();
        taken
    }

    /// Calls that wait, without those that gave up.
    fn waiting_now(&self) -> usize {
        self.waiting.iter().filter(|waiter| !waiter.give.is_closed()).count()
    }

    /// Calls that were throttled after their wait take no place in the queue.
    fn forget_who_gave_up(&mut self) {
        self.waiting.retain(|waiter| !waiter.give.is_closed());
    }

    fn take_longest_idle(&mut self) -> Option<Environment> {
        let first = |function: &Fleet| function.idle.iter().position(|one| !one.provisioned);
        let functions = self.functions.values_mut();
        let longest = functions.filter_map(|function| first(function).map(|at| (function, at)));
        let (function, at) = longest.min_by_key(|(function, at)| function.idle[*at].idle_since)?;
        self.total -= 1;
        Some(function.idle.remove(at))
    }

    /// Hands a warm environment to the first call that waits for one like it.
    fn offer(&mut self, environment: Environment) -> Option<Environment> {
        let mut environment = environment;
        let like = |waiter: &Waiter, one: &Environment| one.serves(&waiter.key, waiter.tenant_id.as_deref());
        while let Some(at) = self.waiting.iter().position(|waiter| like(waiter, &environment)) {
            let Some(waiter) = self.waiting.remove(at) else { break };
            let is_provisioned = environment.provisioned;
            match waiter.give.send(Grant::Warm(Box::new(environment))) {
                Ok(()) => {
                    let fleet = self.functions.entry(name_of(&waiter.key)).or_default();
                    fleet.busy += 1;
                    if is_provisioned {
                        fleet.went_out(&waiter.key.version);
                    }
                    return None;
                }
                // It has given up waiting.
                Err(Grant::Warm(back)) => environment = *back,
                Err(Grant::Room) => return None,
            }
        }
        Some(environment)
    }

    /// Hands what room there is to the calls that have waited longest; what has idled longest makes room. Gives back
    /// what must be ended.
    fn offer_room(&mut self) -> Vec<Environment> {
        let mut ended = Vec::new();
        self.forget_who_gave_up();
        while !self.waiting.is_empty() && self.make_room(&mut ended) {
            let Some(waiter) = self.waiting.pop_front() else { break };
            if waiter.give.send(Grant::Room).is_ok() {
                self.count_start(&waiter.key);
            }
        }
        ended
    }

    /// Whether one more may start, once `ended` has ended.
    fn make_room(&mut self, ended: &mut Vec<Environment>) -> bool {
        if self.starting >= self.bounds.starting {
            return false;
        }
        if self.total >= self.bounds.environments {
            ended.extend(self.take_longest_idle());
        }
        self.total < self.bounds.environments
    }

    fn count_start(&mut self, key: &FunctionKey) {
        self.total += 1;
        self.starting += 1;
        let fleet = self.functions.entry(name_of(key)).or_default();
        fleet.busy += 1;
        fleet.tally.cold_starts += 1;
    }
}

/// How many calls of one function wait for room.
fn waiting_for(waiting: &VecDeque<Waiter>, name: &Name) -> usize {
    waiting.iter().filter(|waiter| !waiter.give.is_closed() && waiter.name == *name).count()
}

fn name_of(key: &FunctionKey) -> Name {
    Name(key.account.clone(), key.region.clone(), key.name.clone())
}

#[cfg(test)]
pub(crate) mod tests;
