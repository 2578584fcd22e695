//! Operations on items.

mod batch_get;
mod batch_write;
mod capacity;
pub(crate) mod checks;
pub(crate) mod collections;
mod delete;
pub(crate) mod document;
mod get;
mod page;
mod parameters;
mod put;
mod query;
mod scan;
mod select;
mod single;
mod span;
mod spending;
pub(crate) mod start;
#[cfg(test)]
mod tests;
mod throttle;
mod tokens;
mod transact;
mod transact_get;
mod transact_write;
mod update;
mod write;

pub(crate) use capacity::{Consistency, Direction, Spent, read_units, report};
pub(crate) use checks::KEY_MISMATCH;
pub(crate) use page::{Reading, read as read_page};
pub(crate) use scan::index_of;
pub(crate) use select::Selection;
pub(crate) use single::{Single, Told, tells_old};
pub(crate) use span::Span;
pub(crate) use throttle::Throttle;
pub(crate) use tokens::Token;
pub(crate) use transact::{Reason, canceled};
pub(crate) use transact_get::Wanted;
pub(crate) use transact_write::Part;
pub(crate) use write::{Action, ItemWrite, check_size};
