//! Provisioned concurrency: environments that are initialised before anybody calls, and replaced when they end or age.
//! Source: AWS Lambda Developer Guide, "Configuring provisioned concurrency for a function".

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::Call;
use crate::environment::{Environment, Event, FAILURE};
use crate::error::InvokeError;
use crate::function::{FunctionKey, FunctionSpec};
use crate::platform::{Platform, Status};
use crate::pool::{Inner, Pool, Working};
use crate::start::{PROVISIONED, start_as};
use crate::texts;

/// How often it is looked whether any ended or is too old, while there are any.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A start that failed is tried again after so long, and then after twice as long each time, up to the last.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(300);
/// One is replaced when it has reached this part of the greatest age, so that no call meets one that is too old.
const REPLACED_AT: (u32, u32) = (9, 10);
/// A function has so long to initialise before it is called.
const INIT_TIMEOUT: Duration = Duration::from_secs(120);

/// What there is of a version's provisioned concurrency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provisioned {
    /// As was asked for.
    pub wanted: u32,
    /// Environments that are initialised, whether they run a call or wait for one.
    pub allocated: u32,
    /// Why the last start failed, if it did.
    pub failure: Option<ProvisionFailure>,
}

/// Why environments could not be provisioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProvisionFailure {
    /// The function's own initialisation failed.
    Function,
    /// The platform could not start one; in words.
    Platform(String),
}

/// One version's wish, and what is under way for it.
pub(crate) struct Provision {
    pub(crate) function: Arc<FunctionSpec>,
    pub(crate) wanted: usize,
    /// Provisioned environments that run a call.
    pub(crate) busy: usize,
    /// Those that are being started.
    pub(crate) making: usize,
    pub(crate) failure: Option<ProvisionFailure>,
    /// Starts that failed since the last one that did not.
    pub(crate) failures: u32,
    pub(crate) retry_at: Duration,
}

impl Provision {
    pub(crate) fn new(function: Arc<FunctionSpec>, wanted: usize) -> Self {
        let (failure, retry_at) = (None, Duration::ZERO);
        Self { function, wanted, busy: 0, making: 0, failure, failures: 0, retry_at }
    }

    /// How many to start now; `fresh` wait for a call, and are not too old.
    pub(crate) fn missing(&self, fresh: usize, now: Duration) -> usize {
        if now < self.retry_at {
            return 0;
        }
        let missing = self.wanted.saturating_sub(fresh + self.busy + self.making);
        // What failed is tried with one.
        if self.failures > 0 { missing.min(1_usize.saturating_sub(self.making)) } else { missing }
    }

    /// A start is over.
    pub(crate) fn made(&mut self, failure: Option<ProvisionFailure>, now: Duration) {
        self.making -= 1;
        self.failures = if failure.is_some() { self.failures + 1 } else { 0 };
        if failure.is_some() {
            let factor = 1_u32 << self.failures.saturating_sub(1).min(20);
            self.retry_at = now + FIRST_RETRY.saturating_mul(factor).min(LAST_RETRY);
        }
        self.failure = failure;
    }
}

impl Pool {
    /// From now on these versions of a function have so many environments initialised before they are called, and no
    /// others of it. Returns at once.
    pub fn provision(
        &self,
        account: &str,
        region: &str,
        name: &str,
        wanted: Vec<(Arc<FunctionSpec>, usize)>,
    ) {
        let inner = &self.inner();
        let ended = inner.leases.lock().provision(account, region, name, wanted);
        inner.end(ended);
        inner.provision_from_now_on();
    }

    /// What there is of a version's provisioned concurrency; nothing where none was asked for.
    pub fn provisioned(&self, account: &str, region: &str, name: &str, version: &str) -> Option<Provisioned> {
        self.inner().leases.lock().provisioned(account, region, name, version)
    }

    /// What all functions of a place that have no reserved concurrency may run at once, provisioned environments apart.
    pub fn limit_unreserved(&self, account: &str, region: &str, limit: usize) {
        self.inner().leases.lock().limit_unreserved(account, region, limit);
    }
}

/// Counts calls that do not run in environments against what the functions of a place without reserved concurrency may run
/// together: the pool's calls and these.
pub trait SharedConcurrency: Send + Sync {
    /// Counts one; `false` where it must not run.
    fn begin(&self, account: &str, region: &str) -> bool;

    /// One that was counted has ended.
    fn end(&self, account: &str, region: &str);
}

impl SharedConcurrency for Pool {
    fn begin(&self, account: &str, region: &str) -> bool {
        self.inner().leases.lock().begin_elsewhere(account, region)
    }

    fn end(&self, account: &str, region: &str) {
        self.inner().leases.lock().end_elsewhere(account, region);
    }
}

impl Inner {
    /// Keeps provisioned environments for as long as any are wanted.
    fn provision_from_now_on(self: &Arc<Self>) {
        self.provision_changed.notify_one();
        if self.provisioning.swap(true, Ordering::SeqCst) {
            return;
        }
        let (inner, changed) = (Arc::downgrade(self), self.provision_changed.clone());
        tokio::spawn(async move {
            loop {
                let Some(inner) = inner.upgrade() else { return };
                if !inner.see_to_provisioned() {
                    inner.provisioning.store(false, Ordering::SeqCst);
                    // One may have been asked for between the look and the store.
                    if inner.leases.lock().has_provisions() {
                        inner.provision_from_now_on();
                    }
                    return;
                }
                drop(inner);
                // Whichever of the two it was.
                let _ = tokio::time::timeout(LOOK_EVERY, changed.notified()).await;
            }
        });
    }

    /// Ends what is not needed, and begins to start what is missing; whether any are wanted.
    fn see_to_provisioned(self: &Arc<Self>) -> bool {
        let now = self.parts.clock.monotonic();
        let greatest_age = self.config.max_environment_age * REPLACED_AT.0 / REPLACED_AT.1;
        let plan = self.leases.lock().plan_provisioned(now, greatest_age);
        self.end(plan.ended);
        for function in plan.start {
            let (inner, work) = (self.clone(), Working::new(self));
            tokio::spawn(async move {
                let turn = inner.begin_start();
                let made = inner.provision_one(&function).await;
                drop(turn);
                inner.put_provisioned(&function.key, made);
                drop(work);
            });
        }
        plan.is_wanted
    }

    fn put_provisioned(self: &Arc<Self>, key: &FunctionKey, made: Result<Environment, ProvisionFailure>) {
        let now = self.parts.clock.monotonic();
        let made = made.map(|mut environment| {
            (environment.idle_since, environment.provisioned) = (now, true);
            environment
        });
        let ended = self.leases.lock().put_provisioned(key, made, now);
        self.end(ended);
        self.freeze_from_now_on();
        self.provision_changed.notify_one();
    }

    /// One environment, initialised.
    async fn provision_one(
        self: &Arc<Self>,
        function: &FunctionSpec,
    ) -> Result<Environment, ProvisionFailure> {
        let platform = |error: InvokeError| ProvisionFailure::Platform(error.to_string());
        self.refuse_weak_isolation().await.map_err(platform)?;
        let mut killing = self.killing.subscribe();
        let made = async {
            let mut environment = start_as(self, function, Some(PROVISIONED)).await.map_err(platform)?;
            match self.initialise(&mut environment).await {
                Ok(()) => Ok(environment),
                Err(failure) => {
                    self.end(vec![environment]);
                    Err(failure)
                }
            }
        };
        tokio::select! {
            biased;
            _ = killing.wait_for(|killing| *killing) => {
                Err(ProvisionFailure::Platform(InvokeError::ShuttingDown.to_string()))
            }
            made = made => made,
        }
    }

    /// Waits until the runtime asks for its first event.
    async fn initialise(&self, environment: &mut Environment) -> Result<(), ProvisionFailure> {
        let mut deadline = environment.alarm.after(INIT_TIMEOUT);
        let kind = loop {
            match environment.next(&self.logs, &mut deadline).await {
                Event::Call(_, Call::Next) => {
                    environment.drain_output();
                    let now = self.parts.clock.monotonic();
                    let ms = now.saturating_sub(environment.init_since).as_secs_f64() * 1000.0;
                    environment.tell_initialised(ms);
                    environment.log.hand_over(&self.logs).await;
                    return Ok(());
                }
                Event::Call(connection, Call::InitError { kind, body }) => {
                    environment.api.accept(connection);
                    let kind = kind.or_else(|| texts::error_type_of(&body));
                    break kind.or_else(|| Some("Runtime.Unknown".to_owned()));
                }
                Event::Call(connection, call) => environment.refuse(connection, &call),
                Event::TimedOut => break None,
                Event::Exited(_) => break Some("Runtime.ExitError".to_owned()),
                Event::NotExecuted(_) => break Some("Runtime.InvalidEntrypoint".to_owned()),
                Event::NotEntered(_) => break Some("Runtime.InvalidWorkingDir".to_owned()),
                Event::Extension(failure) => break Some(failure.kind.to_owned()),
                Event::ExtensionsReady => {}
                Event::Broken(detail) => return Err(ProvisionFailure::Platform(detail)),
                Event::Stopped => {
                    return Err(ProvisionFailure::Platform(InvokeError::ShuttingDown.to_string()));
                }
            }
        };
        let ms = self.parts.clock.monotonic().saturating_sub(environment.init_since).as_secs_f64() * 1000.0;
        environment.drain_output();
        environment.log.end_line();
        let status = kind.as_deref().map_or(Status::Timeout, Status::Error);
        environment.end_reason = FAILURE;
        environment.log.tell(&Platform::InitReport { initialization: PROVISIONED, ms, status });
        environment.log.hand_over(&self.logs).await;
        Err(ProvisionFailure::Function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provision(wanted: usize) -> Provision {
        Provision::new(Arc::new(crate::leases::tests::function()), wanted)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_missing_is_made_once() {
        let mut provision = provision(5);
        assert_eq!(provision.missing(0, at(1)), 5);
        provision.making = 3;
        provision.busy = 1;
        assert_eq!(provision.missing(1, at(1)), 0);
        assert_eq!(provision.missing(0, at(1)), 1, "one has ended, or is too old");
        assert_eq!(provision.missing(9, at(1)), 0);
    }

    #[test]
    fn what_fails_is_tried_again_later_and_later_with_one() {
        let mut provision = provision(3);
        provision.making = 3;
        for _ in 0..3 {
            provision.made(Some(ProvisionFailure::Function), at(10));
        }
        assert_eq!(provision.missing(0, at(17)), 0);
        assert_eq!(provision.missing(0, at(18)), 1);
        provision.making = 1;
        assert_eq!(provision.missing(0, at(18)), 0);
        provision.made(None, at(19));
        assert_eq!((provision.missing(1, at(19)), &provision.failure), (2, &None));
        for _ in 0..60 {
            provision.making = 1;
            provision.made(Some(ProvisionFailure::Function), at(20));
        }
        assert_eq!((provision.missing(0, at(319)), provision.missing(0, at(320))), (0, 1));
    }
}
