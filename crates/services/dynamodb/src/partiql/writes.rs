//! Statements that write.

use lambent_expressions::partiql::{Statement, named_key, only_key};
use lambent_expressions::{Condition, Invalid, Item, Path};

use super::key_names;
use crate::items::{Action, ItemWrite, check_size};
use crate::table::Table;

/// The write that a statement asks for. `no_key` is what AWS says of a condition that does not name one item.
/// Errors: the statement reads; its condition names no item, or two.
pub(super) fn write(
    table: &Table,
    statement: &Statement,
    tells_old: bool,
    no_key: &str,
) -> Result<ItemWrite, Invalid> {
    let key = |condition: Option<&Condition>| -> Result<Item, Invalid> {
        named_key(condition, key_names(&table.key), true)?.ok_or_else(|| Invalid::new(no_key))
    };
    let (action, condition) = match statement {
        Statement::Insert { item, .. } => {
            check_size(item)?;
            (Action::Insert(item.clone()), None)
        }
        // The condition names the key, so it does not hold when there is no item.
        Statement::Update { update, condition, .. } => {
            let key = key(condition.as_ref())?;
            (Action::Update(key, Some(update.clone())), condition.clone())
        }
        Statement::Delete { condition, .. } => {
            let key = key(condition.as_ref())?;
            (Action::Delete(key), condition.as_ref().map(|condition| or_no_item(table, condition)))
        }
        Statement::Exists(select) | Statement::Select(select) => {
            (Action::Check(key(select.condition.as_ref())?), select.condition.clone())
        }
    };
    Ok(ItemWrite { action, condition, tells_old })
}

/// Checks that EXISTS asks for more of one item than that it is there. Who names two is refused before either is read.
pub(super) fn check_exists(table: &Table, condition: Option<&Condition>) -> Result<(), Invalid> {
    let names = key_names(&table.key);
    let has_key = named_key(condition, names, true)?.is_some();
    if has_key && only_key(condition, names).is_none() {
        return Ok(());
    }
    Err(Invalid::new("EXISTS() must contain a single item read with additional condition"))
}

/// Who deletes what is not there has nothing to complain about.
fn or_no_item(table: &Table, condition: &Condition) -> Condition {
    let nothing = Condition::NotExists(Path::of_attribute(&table.key.hash.name));
    Condition::Any(vec![nothing, condition.clone()])
}
