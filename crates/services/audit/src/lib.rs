//! The audit log: every decision and what came of it, appended and never changed; in CloudTrail's event shape.
//!
//! [`Audit`] is told each decision by `identity` and each answer by the gateway, joins both to one [`Event`] in memory, and
//! writes events together, some each half second. A crash loses that half second at most; nothing else waits for it.
#![forbid(unsafe_code)]

mod check;
mod cloud_trail;
mod error;
mod event;
mod keys;
mod log;
mod open;
mod queue;
mod read;
mod suggest;
mod sweep;
#[cfg(test)]
mod tests;

pub use check::check;
pub use cloud_trail::cloud_trail;
pub use error::AuditError;
pub use event::{Decided, Event, Statement, Who};
pub use log::{Answered, Audit};
pub use read::{Mark, MarkError, Page, Wanted};
pub use suggest::{Suggestion, suggest};
