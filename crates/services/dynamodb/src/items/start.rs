//! ExclusiveStartKey: where a query or a scan goes on.

use std::collections::BTreeMap;

use lambent_expressions::{Invalid, Item, from_wire};
use lambent_model_dynamodb::AttributeValue;

use super::checks::{self, KEY_MISMATCH, KeyIn};
use crate::table::{Index, Table};

const START_INVALID: &str = "The provided starting key is invalid";

/// AWS says what is wrong with some values without saying where they are.
const BARE: [&str; 5] =
    ["contains duplicates", "number set", "numeric value", "significant digits", "number with magnitude"];

/// Reads the key's values.
pub(crate) fn from_request(key: Option<BTreeMap<String, AttributeValue>>) -> Result<Option<Item>, Invalid> {
    let Some(key) = key else { return Ok(None) };
    let value = |(name, value)| match from_wire(value) {
        Ok(value) => Ok((name, value)),
        Err(Invalid(why)) if BARE.iter().any(|bare| why.contains(bare)) => Err(Invalid(why)),
        Err(Invalid(why)) => Err(Invalid::new(format!("{START_INVALID}: {why}"))),
    };
    key.into_iter().map(value).collect::<Result<Item, Invalid>>().map(Some)
}

/// Without more.
pub(crate) fn invalid() -> Invalid {
    Invalid::new(START_INVALID)
}

/// With the reason that it is no key of the table.
pub(crate) fn invalid_for(why: &str) -> Invalid {
    Invalid::new(format!("{START_INVALID}: {why}"))
}

/// How many attributes the key of a row has.
pub(crate) fn attributes(table: &Table, index: Option<&Index>) -> usize {
    let own = table.key.attributes().count();
    let further = index.into_iter().flat_map(|index| index.key.attributes());
    own + further.filter(|attribute| !table.key.has(&attribute.name)).count()
}

/// Checks that the table's part of the key is one.
pub(crate) fn check_table_part(table: &Table, start: &Item) -> Result<(), Invalid> {
    let own = table.keys_of(start);
    checks::key(table, &own, KeyIn::Request).map_err(|Invalid(why)| invalid_for(&why))
}

/// The row after which to go on: the key of an item that need not be there.
pub(crate) fn row(table: &Table, index: Option<&Index>, start: &Item) -> Result<Vec<u8>, Invalid> {
    let key = table.key_of(start).map_err(|_| invalid_for(KEY_MISMATCH))?;
    match index {
        None => Ok(key.as_bytes().to_vec()),
        Some(index) => index.row_key(start, &key).ok_or_else(invalid),
    }
}
