//! What SELECT shows of items.

use lambent_expressions::partiql::Column;
use lambent_expressions::{Invalid, Item, Projection};

use crate::items::Selection;
use crate::table::{Index, Table};

/// The columns of an item; those that it has nothing for are left out.
pub(super) fn shown(columns: Option<&[Column]>, item: Item) -> Item {
    let Some(columns) = columns else { return item };
    let found = |column: &Column| Some((column.name.clone(), column.path.find(&item)?.clone()));
    columns.iter().filter_map(found).collect()
}

/// Whether items must be looked up in the table, as the index has less than is asked for.
/// Errors: a global index has all that there is to get.
pub(super) fn fetches(
    table: &Table,
    index: Option<&Index>,
    columns: Option<&[Column]>,
) -> Result<bool, Invalid> {
    let paths = columns.map(|columns| columns.iter().map(|column| column.path.clone()).collect());
    Selection { select: None, projection: paths.map(Projection::new) }.fetches(table, index)
}
