//! After a restart: the server's state against the ledger.

mod care;
mod events;
mod logs;
mod objects;
mod uploads;

pub(crate) use care::care;
pub(crate) use events::{events, printed};
pub(crate) use logs::stream;
pub(crate) use objects::objects;
pub(crate) use uploads::uploads;
