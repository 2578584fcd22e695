//! Where events go.

use std::sync::Arc;

use lambent_base::BoxFuture;

use crate::event::Event;
use crate::ports::{Invocation, InvokeFunction};

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

/// Delivers to functions.
#[derive(Clone)]
pub struct DeliverToFunctions(pub Arc<dyn InvokeFunction>);

impl Deliver for DeliverToFunctions {
    fn deliver<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Delivery> {
        Box::pin(async {
            let invocation = Invocation {
                function: event.target.clone(),
                payload: event.payload.clone(),
                request_id: event.request_id.clone(),
                caller: event.caller.clone(),
                earlier_attempts: event.failures,
            };
            match self.0.invoke(invocation).await {
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
