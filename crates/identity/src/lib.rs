//! Principals, credentials, policy decisions; the only maker of [`Authorized`].
#![forbid(unsafe_code)]

mod caller;

pub use caller::{Authorized, Caller, CallerKind};
