//! After a restart: the server's state against the ledger.

mod care;
mod events;
mod histories;
mod logs;
mod objects;
mod tables;
mod uploads;

pub(crate) use care::care;
pub(crate) use events::{events, printed};
pub(crate) use histories::{Deed, Op};
pub(crate) use logs::stream;
pub(crate) use objects::objects;
pub(crate) use tables::tables;
pub(crate) use uploads::uploads;
