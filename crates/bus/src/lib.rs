//! What joins services without their knowing each other: the [`ports`] that one gives another when the binary is put
//! together, and the [`Outbox`] that delivers events durably. And what joins the processes that work on one store: the
//! [`Nodes`], and the leases of what only one of them may do.
#![forbid(unsafe_code)]

mod at_work;
mod backoff;
mod check;
mod dead;
mod deliver;
mod dispatcher;
mod error;
mod event;
mod heads;
mod keys;
mod leases;
mod nodes;
mod outbox;
pub mod pins;
pub mod ports;
mod put_off;
mod queues;
mod room;
mod settle;
#[cfg(test)]
mod tests;
mod waits;
mod work;
mod workers;

pub use at_work::is_any_node_at_work;
pub use check::check;
pub use dead::DeadLetter;
pub use deliver::{
    Attempt, DESTINATION, Deliver, DeliverToFunctions, DeliverToTargets, Delivery, End, FUNCTION,
};
pub use error::BusError;
pub use event::{Event, MAX_HANDED_ON_BYTES, MAX_PAYLOAD_BYTES, NewEvent, RetryPolicy};
pub use leases::Lease;
pub use nodes::{NodeId, Nodes};
pub use outbox::{Backlog, Outbox};
pub use workers::Workers;
