//! Who may use which environment: warm ones, room for new ones, calls that wait, calls that are turned away.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::environment::Environment;
use crate::error::ThrottleReason;
use crate::function::{FunctionKey, FunctionSpec};
use crate::pool::PoolStats;

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
    Throttled(ThrottleReason),
    Closed,
}

/// Account, region and name: what concurrency is counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name(String, String, String);

/// All environments that are not just being used, and counts of those that are.
#[derive(Default)]
pub(crate) struct Leases {
    functions: HashMap<Name, Function>,
    waiting: VecDeque<Waiter>,
    /// Environments that live or are being started.
    total: usize,
    closed: bool,
}

#[derive(Default)]
struct Function {
    /// The most recently used last.
    idle: Vec<Environment>,
    busy: usize,
    /// Counted up when every environment must go; a call remembers what it was when it began.
    generation: u64,
}

struct Waiter {
    key: FunctionKey,
    give: oneshot::Sender<Grant>,
}

/// Proof that a call holds an environment, or room for one.
pub(crate) struct Held {
    name: Name,
    generation: u64,
}

impl Leases {
    /// An environment for a call, and those that must be ended because they are out of date or in the way.
    pub(crate) fn acquire(
        &mut self,
        spec: &FunctionSpec,
        max_environments: usize,
        max_waiting: usize,
    ) -> (Answer, Held, Vec<Environment>) {
        let name = name_of(&spec.key);
        let function = self.functions.entry(name.clone()).or_default();
        let held = Held { name, generation: function.generation };
        if self.closed {
            return (Answer::Closed, held, Vec::new());
        }
        if spec.reserved_concurrency.is_some_and(|limit| function.busy >= limit as usize) {
            let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
            return (Answer::Throttled(reason), held, Vec::new());
        }
        let old = |one: &Environment| one.key.version == spec.key.version && *one.key != spec.key;
        let mut ended: Vec<Environment> = function.idle.extract_if(.., |one| old(one)).collect();
        self.total -= ended.len();
        if let Some(at) = function.idle.iter().rposition(|one| *one.key == spec.key) {
            function.busy += 1;
            return (Answer::Granted(Grant::Warm(Box::new(function.idle.remove(at)))), held, ended);
        }
        if self.total >= max_environments
            && let Some(longest_idle) = self.take_longest_idle()
        {
            ended.push(longest_idle);
        }
        if self.total < max_environments {
            self.total += 1;
            self.functions.entry(held.name.clone()).or_default().busy += 1;
            return (Answer::Granted(Grant::Room), held, ended);
        }
        self.forget_who_gave_up();
        if self.waiting.len() >= max_waiting {
            let reason = ThrottleReason::ConcurrentInvocationLimitExceeded;
            return (Answer::Throttled(reason), held, ended);
        }
        let (give, wait) = oneshot::channel();
        self.waiting.push_back(Waiter { key: spec.key.clone(), give });
        (Answer::Wait(wait), held, ended)
    }

    /// Takes an environment back after a call; `None` when it is of no more use. Gives back what must be ended.
    pub(crate) fn release(&mut self, held: &Held, environment: Option<Environment>) -> Option<Environment> {
        let function = self.functions.entry(held.name.clone()).or_default();
        function.busy = function.busy.saturating_sub(1);
        let current = function.generation == held.generation && !self.closed;
        let Some(environment) = environment else {
            self.total -= 1;
            self.offer_room();
            return None;
        };
        if !current {
            self.total -= 1;
            self.offer_room();
            return Some(environment);
        }
        let environment = self.offer(environment)?;
        self.forget_who_gave_up();
        if self.waiting.is_empty() {
            let function = self.functions.entry(held.name.clone()).or_default();
            function.idle.push(environment);
            return None;
        }
        // Others wait for room, and have waited longer than this function has been idle.
        self.total -= 1;
        self.offer_room();
        Some(environment)
    }

    /// How many there are.
    pub(crate) fn stats(&self) -> PoolStats {
        let idle = self.functions.values().map(|function| function.idle.len()).sum();
        let waiting = self.waiting.iter().filter(|waiter| !waiter.give.is_closed()).count();
        PoolStats { idle, busy: self.total - idle, waiting }
    }

    /// Takes out what has been idle since before `then`; and how long ago the longest idle of the rest began.
    pub(crate) fn take_idle_since(&mut self, then: Duration) -> (Vec<Environment>, Option<Duration>) {
        let mut taken = Vec::new();
        for function in self.functions.values_mut() {
            taken.extend(function.idle.extract_if(.., |one| one.idle_since <= then));
        }
        self.total -= taken.len();
        self.functions.retain(|_, function| function.busy > 0 || !function.idle.is_empty());
        let left = self.functions.values().flat_map(|function| &function.idle);
        (taken, left.map(|one| one.idle_since).min())
    }

    /// Takes out a function's idle environments, and lets the busy ones go when their calls end.
    pub(crate) fn retire(&mut self, account: &str, region: &str, name: &str) -> Vec<Environment> {
        let name = Name(account.to_owned(), region.to_owned(), name.to_owned());
        let Some(function) = self.functions.get_mut(&name) else { return Vec::new() };
        function.generation += 1;
        let taken = std::mem::take(&mut function.idle);
        self.total -= taken.len();
        taken
    }

    /// Refuses all further calls; those that wait are told by their senders' end.
    pub(crate) fn close(&mut self) -> Vec<Environment> {
        self.closed = true;
        self.waiting.clear();
        let taken: Vec<_> =
            self.functions.values_mut().flat_map(|function| function.idle.drain(..)).collect();
        self.total -= taken.len();
        taken
    }

    /// Calls that were throttled after their wait take no place in the queue.
    fn forget_who_gave_up(&mut self) {
        self.waiting.retain(|waiter| !waiter.give.is_closed());
    }

    fn take_longest_idle(&mut self) -> Option<Environment> {
        let functions = self.functions.values_mut().filter(|function| !function.idle.is_empty());
        let function = functions.min_by_key(|function| function.idle[0].idle_since)?;
        self.total -= 1;
        Some(function.idle.remove(0))
    }

    /// Hands a warm environment to the first call that waits for one like it.
    fn offer(&mut self, environment: Environment) -> Option<Environment> {
        let mut environment = environment;
        while let Some(at) = self.waiting.iter().position(|waiter| waiter.key == *environment.key) {
            let Some(waiter) = self.waiting.remove(at) else { break };
            match waiter.give.send(Grant::Warm(Box::new(environment))) {
                Ok(()) => {
                    self.functions.entry(name_of(&waiter.key)).or_default().busy += 1;
                    return None;
                }
                // It has given up waiting.
                Err(Grant::Warm(back)) => environment = *back,
                Err(Grant::Room) => return None,
            }
        }
        Some(environment)
    }

    /// Hands free room to the call that has waited longest.
    fn offer_room(&mut self) {
        while let Some(waiter) = self.waiting.pop_front() {
            if waiter.give.send(Grant::Room).is_ok() {
                self.total += 1;
                self.functions.entry(name_of(&waiter.key)).or_default().busy += 1;
                return;
            }
        }
    }
}

fn name_of(key: &FunctionKey) -> Name {
    Name(key.account.clone(), key.region.clone(), key.name.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lambent_base::BoxFuture;

    use super::*;
    use crate::function::{Credentials, CredentialsSource};

    struct Nobody;

    impl CredentialsSource for Nobody {
        fn credentials(&self) -> BoxFuture<'_, Result<Credentials, String>> {
            Box::pin(async { Err("there are none".to_owned()) })
        }
    }

    fn function() -> FunctionSpec {
        FunctionSpec {
            key: FunctionKey {
                account: "000000000000".to_owned(),
                region: "us-east-1".to_owned(),
                name: "one".to_owned(),
                version: "$LATEST".to_owned(),
                revision: "1".to_owned(),
            },
            runtime: "python3.11".to_owned(),
            handler: "app.handler".to_owned(),
            memory_mib: 128,
            timeout_ms: 3_000,
            ephemeral_mib: 512,
            environment: Vec::new(),
            code_dir: "/nowhere".into(),
            log_group: "/aws/lambda/one".to_owned(),
            reserved_concurrency: None,
            credentials: Arc::new(Nobody),
        }
    }

    #[test]
    fn who_gave_up_waiting_leaves_the_queue() {
        let (mut leases, function) = (Leases::default(), function());
        let (first, held, _) = leases.acquire(&function, 1, 1);
        assert!(matches!(first, Answer::Granted(Grant::Room)));
        for _ in 0..3 {
            let (Answer::Wait(wait), ..) = leases.acquire(&function, 1, 1) else {
                panic!("the only place in the queue is free");
            };
            assert_eq!(leases.stats().waiting, 1);
            drop(wait);
            assert_eq!(leases.stats().waiting, 0);
        }
        let (Answer::Wait(mut wait), ..) = leases.acquire(&function, 1, 1) else {
            panic!("it is still free")
        };
        assert!(matches!(leases.acquire(&function, 1, 1).0, Answer::Throttled(_)), "now it is not");
        assert!(leases.release(&held, None).is_none());
        assert!(matches!(wait.try_recv(), Ok(Grant::Room)));
    }
}
