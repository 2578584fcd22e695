//! Where events go.

use std::sync::Arc;
use std::time::Duration;

use lambent_base::BoxFuture;

use crate::event::Event;
use crate::ports::{Invocation, InvokeFunction, KeepRuns};

/// The first pause after the records of runs could not be kept; it doubles up to [`MAX_KEEP_PAUSE`].
const FIRST_KEEP_PAUSE: Duration = Duration::from_millis(100);
const MAX_KEEP_PAUSE: Duration = Duration::from_secs(10);

/// The kind of events whose targets are functions.
pub const FUNCTION: &str = "function";

/// Brings events of one kind to their targets.
pub trait Deliver: Send + Sync {
    /// Tries once. The same event may come again after a crash, even when this returned [`Delivery::Done`]. The future
    /// may be dropped at any point when the process stops; the event comes again after the next start.
    fn deliver<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Delivery>;
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
        Box::pin(async {
            let invocation = Invocation {
                function: event.target.clone(),
                payload: event.payload.clone(),
                request_id: event.request_id.clone(),
                caller: event.caller.clone(),
                trace: event.trace.clone(),
                earlier_attempts: event.failures,
            };
            let answer = self.functions.invoke(invocation).await;
            if answer.is_ok() {
                self.keep_runs().await;
            }
            match answer {
                Ok(invoked) => match invoked.function_error {
                    None => Delivery::Done,
                    Some(error) => {
                        Delivery::Failed(format!("{error}: {}", String::from_utf8_lossy(&invoked.payload)))
                    }
                },
                Err(error) if error.is_retriable() => Delivery::Busy(error.to_string()),
                Err(error) => Delivery::Refused(error.to_string()),
            }
        })
    }
}
