//! Where events go.

use std::sync::Arc;
use std::time::Duration;

use lambent_base::BoxFuture;

use crate::event::{Event, NewEvent, RetryPolicy};
use crate::ports::{Caller, Invocation, InvokeError, InvokeFunction, Invoked, KeepRuns, Outgoing, Targets};

/// The first pause after the records of runs could not be kept; it doubles up to [`MAX_KEEP_PAUSE`].
const FIRST_KEEP_PAUSE: Duration = Duration::from_millis(100);
const MAX_KEEP_PAUSE: Duration = Duration::from_secs(10);

/// The kind of events whose targets are functions.
pub const FUNCTION: &str = "function";
/// The kind of events that functions hand on: records of invocations, and dead letters.
pub const DESTINATION: &str = "destination";

/// Brings events of one kind to their targets.
pub trait Deliver: Send + Sync {
    /// Tries once. The same event may come again after a crash, even when this returned [`Delivery::Done`]. The future
    /// may be dropped at any point when the process stops; the event comes again after the next start.
    fn deliver<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Delivery>;

    /// The same, with what follows from it.
    fn attempt<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Attempt> {
        Box::pin(async { self.deliver(event).await.into() })
    }
}

/// One attempt, and what follows from it.
pub struct Attempt {
    pub delivery: Delivery,
    /// Decides instead of the event's own.
    pub retry: Option<RetryPolicy>,
    /// What to put in the transaction that settles the event, once it is over; see [`crate::ports::Follow`].
    pub follow: Option<Box<dyn Fn(End) -> Vec<NewEvent> + Send + Sync>>,
}

/// How an event came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    /// Its target failed as often as it may.
    Exhausted,
    /// It would be too old at the next attempt.
    TooOld,
    /// No attempt would ever succeed.
    Refused,
}

impl From<Delivery> for Attempt {
    fn from(delivery: Delivery) -> Self {
        Self { delivery, retry: None, follow: None }
    }
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The target has it: the event is removed.
    Done,
    /// The target failed: tried again until the event's attempts are used up.
    Failed(String),
    /// The target could not be tried (throttled, not ready, unreachable): tried again until the event is too old.
    Busy(String),
    /// No attempt will ever succeed (no such target, not allowed): the event is dead at once.
    Refused(String),
}

/// Delivers to functions. An event is delivered once its run is in the bill, and not before: whoever crashes in between
/// runs it again.
#[derive(Clone)]
pub struct DeliverToFunctions {
    pub functions: Arc<dyn InvokeFunction>,
    pub runs: Arc<dyn KeepRuns>,
}

impl DeliverToFunctions {
    /// Keeps trying while the runs cannot be billed: what ran must not run again only because of that.
    async fn keep_runs(&self) {
        let mut pause = FIRST_KEEP_PAUSE;
        while let Err(error) = self.runs.keep_runs().await {
            tracing::error!(%error, "the record of an event's run cannot be kept; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_KEEP_PAUSE);
        }
    }
}

impl Deliver for DeliverToFunctions {
    fn deliver<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Delivery> {
        Box::pin(async { self.attempt(event).await.delivery })
    }

    fn attempt<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Attempt> {
        Box::pin(async {
            let plan = match self.functions.plan(event).await {
                Ok(plan) => plan,
                // To run it without would lose what its owner wants to follow from that.
                Err(error) => return delivery_of(&Err(error)).into(),
            };
            let answer = if plan.is_overdue { None } else { Some(self.invoke(event).await) };
            let delivery = match &answer {
                None => Delivery::Busy("it waited for too long".to_owned()),
                Some(answer) => delivery_of(answer),
            };
            let event = event.clone();
            let follow = plan.follow.map(|follow| {
                let events = move |end| follow.events(&event, end, answer.as_ref());
                Box::new(events) as Box<dyn Fn(End) -> Vec<NewEvent> + Send + Sync>
            });
            Attempt { delivery, retry: Some(plan.retry), follow }
        })
    }
}

/// Delivers what functions hand on, to whoever has the target's service.
#[derive(Clone)]
pub struct DeliverToTargets(pub Arc<Targets>);

impl Deliver for DeliverToTargets {
    fn deliver<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Delivery> {
        Box::pin(async {
            let Caller::Role { role_arn, source } = &event.caller else {
                return Delivery::Refused("no role says who hands it on".to_owned());
            };
            let Some(target) = self.0.of(&event.target.service) else {
                return Delivery::Refused(format!("nothing here takes it for {}", event.target));
            };
            let outgoing = Outgoing {
                target: event.target.clone(),
                role_arn: role_arn.clone(),
                source: source.clone(),
                body: event.payload.clone(),
                attributes: event.attributes.clone(),
                id: event.request_id.clone(),
                created_ms: event.created_ms,
                trace: event.trace.clone(),
            };
            target.deliver(outgoing).await
        })
    }
}

impl DeliverToFunctions {
    async fn invoke(&self, event: &Event) -> Result<Invoked, InvokeError> {
        let invocation = Invocation {
            function: event.target.clone(),
            payload: event.payload.clone(),
            request_id: event.request_id.clone(),
            caller: event.caller.clone(),
            trace: event.trace.clone(),
            earlier_attempts: event.failures,
            attributes: event.attributes.clone(),
        };
        let answer = self.functions.invoke(invocation).await;
        if answer.is_ok() {
            self.keep_runs().await;
        }
        answer
    }
}

fn delivery_of(answer: &Result<Invoked, InvokeError>) -> Delivery {
    match answer {
        Ok(invoked) => match &invoked.function_error {
            None => Delivery::Done,
            Some(error) => {
                Delivery::Failed(format!("{error}: {}", String::from_utf8_lossy(&invoked.payload)))
            }
        },
        Err(error) if error.is_retriable() => Delivery::Busy(error.to_string()),
        Err(error) => Delivery::Refused(error.to_string()),
    }
}
