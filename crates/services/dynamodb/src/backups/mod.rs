//! Copies of tables as they were: on-demand backups, point-in-time recovery, and what exports read.
//!
//! A copy is made while writes go on. From the moment for which it is asked on, every change of an item leaves in the
//! [journal] what the item was before. The [copy] takes the items as they are, page by page, and then undoes, the last
//! first, what was changed since that moment: each item that was changed has a first change then, which says what it was. So
//! a copy shows one moment, whatever its pages saw. A table with point-in-time recovery keeps its journal for weeks, and its
//! items for as long when it is [deleted].

pub(crate) mod continuous;
pub(crate) mod copy;
pub(crate) mod deleted;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod on_demand;
pub(crate) mod restore;
mod sweep;
pub(crate) mod target;

#[cfg(test)]
mod tests;

/// Why nothing can come of a copy whose table is not there.
fn table_is_gone() -> (String, String) {
    ("TableNotFoundException".to_owned(), "The table is not there any more".to_owned())
}
