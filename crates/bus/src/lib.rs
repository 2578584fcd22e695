//! What joins services without their knowing each other: the [`ports`] that one gives another when the binary is put
//! together, and the [`Outbox`] that delivers events durably.
#![forbid(unsafe_code)]

mod backoff;
mod dead;
mod deliver;
mod dispatcher;
mod error;
mod event;
mod keys;
mod outbox;
pub mod pins;
pub mod ports;
mod settle;
#[cfg(test)]
mod tests;

pub use dead::DeadLetter;
pub use deliver::{Deliver, DeliverToFunctions, Delivery, FUNCTION};
pub use error::BusError;
pub use event::{Event, MAX_PAYLOAD_BYTES, NewEvent, RetryPolicy};
pub use outbox::{Backlog, Outbox, Workers};
