//! What a table's schema asks of items and keys, in AWS's order and words.

use lambent_expressions::{Action, Change, Invalid, Item, Path, Source, Update, Value};

use crate::table::{Index, KeyAttribute, KeySchema, Table};

/// The most bytes of a partition key. Source: Developer Guide, Quotas.
const HASH_KEY_BYTES_MAX: usize = 2048;
/// The most bytes of a sort key. Source: as above.
const RANGE_KEY_BYTES_MAX: usize = 1024;
/// What AWS says of a key that is not what the table wants.
pub(crate) const KEY_MISMATCH: &str = "The provided key element does not match the schema";
const INVALID: &str = "One or more parameter values were invalid: ";
/// Newer checks of AWS begin in other words.
const NOT_VALID: &str = "One or more parameter values are not valid. ";

/// What an empty key attribute is told with: AWS words it after where the key was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyIn {
    /// The Key of a request about one item.
    Request,
    /// An item, or a request of a batch.
    Item,
}

/// Checks the keys of an item that is to be put: the table's, then those of its indexes.
pub(crate) fn item(table: &Table, item: &Item) -> Result<(), Invalid> {
    for (attribute, is_hash) in parts(&table.key) {
        let name = &attribute.name;
        let Some(value) = item.get(name) else {
            return Err(Invalid::new(format!("{INVALID}Missing the key {name} in the item")));
        };
        if !attribute.kind.fits(value) {
            let (expected, actual) = (attribute.kind.name(), value.type_name());
            return Err(Invalid::new(format!(
                "{INVALID}Type mismatch for key {name} expected: {expected} actual: {actual}"
            )));
        }
        filled(attribute, value, KeyIn::Item)?;
        fitting(value, is_hash)?;
    }
    for index in kept_indexes(table) {
        for (attribute, is_hash) in parts(&index.key) {
            if let Some(value) = item.get(&attribute.name) {
                index_key(index, attribute, value, is_hash)?;
            }
        }
        fitting_together(index, item)?;
    }
    Ok(())
}

/// Checks a Key: exactly the table's key attributes, of the right types.
pub(crate) fn key(table: &Table, key: &Item, place: KeyIn) -> Result<(), Invalid> {
    if key.len() != table.key.attributes().count() {
        return Err(Invalid::new(KEY_MISMATCH));
    }
    parts(&table.key).try_for_each(|(attribute, is_hash)| key_part(key, attribute, is_hash, place))
}

/// Checks one attribute of a key that the caller gave.
pub(crate) fn key_part(
    key: &Item,
    attribute: &KeyAttribute,
    is_hash: bool,
    place: KeyIn,
) -> Result<(), Invalid> {
    match key.get(&attribute.name) {
        Some(value) if attribute.kind.fits(value) => {
            filled(attribute, value, place)?;
            fitting(value, is_hash)
        }
        _ => Err(Invalid::new(KEY_MISMATCH)),
    }
}

/// The empty value among the key attributes of the table or, for an item, of its indexes: what AWS refuses before a
/// transaction begins.
pub(crate) fn no_empty_keys(table: &Table, item: &Item) -> Result<(), Invalid> {
    for attribute in table.key.attributes() {
        if let Some(value) = item.get(&attribute.name) {
            filled(attribute, value, KeyIn::Item)?;
        }
    }
    for index in kept_indexes(table) {
        for attribute in index.key.attributes() {
            if let Some(value) = item.get(&attribute.name).filter(|value| attribute.kind.fits(value)) {
                index_key_filled(index, attribute, value)?;
            }
        }
    }
    Ok(())
}

/// Checks what an update is going to write to attributes that are keys, as far as that can be known without the item.
pub(crate) fn update(table: &Table, update: &Update) -> Result<(), Invalid> {
    let writes = |attribute: &&KeyAttribute| update.paths().any(|path| path.head == attribute.name);
    if let Some(attribute) = table.key.attributes().find(writes) {
        return Err(Invalid::new(format!(
            "{INVALID}Cannot update attribute {}. This attribute is part of the key",
            attribute.name
        )));
    }
    for index in kept_indexes(table) {
        for attribute in index.key.attributes() {
            let of_it = |action: &&Action| !action.path.is_nested() && action.path.head == attribute.name;
            let kind = update.actions().iter().find(of_it).and_then(Action::static_type);
            if let Some(actual) = kind.filter(|kind| *kind != attribute.kind.name()) {
                return Err(index_type(index, attribute, actual));
            }
        }
    }
    scalar_keys(table, |name| is_nested(update.all_paths(), name))
}

/// The empty literal that an update writes to a key of an index: what AWS refuses before a transaction begins.
pub(crate) fn no_empty_updates(table: &Table, update: &Update) -> Result<(), Invalid> {
    for attribute in kept_indexes(table).flat_map(|index| index.key.attributes()) {
        for action in update.actions() {
            if let Change::Set(Source::Value(value)) = &action.change
                && !action.path.is_nested()
                && action.path.head == attribute.name
            {
                updated_key_filled(value)?;
            }
        }
    }
    Ok(())
}

/// Checks what an update wrote to attributes that are keys of indexes. What it left as it was may be too long for an index that
/// was added later: the item is not in that, and can be updated all the same.
pub(crate) fn updated_index_keys(table: &Table, old: Option<&Item>, new: &Item) -> Result<(), Invalid> {
    for index in kept_indexes(table) {
        let mut is_changed = false;
        for (attribute, is_hash) in parts(&index.key) {
            let Some(value) = new.get(&attribute.name) else { continue };
            if old.and_then(|old| old.get(&attribute.name)) == Some(value) {
                continue;
            }
            is_changed = true;
            if !attribute.kind.fits(value) {
                return Err(Invalid::new(
                    "The update expression attempted to update the secondary index key to unsupported type",
                ));
            }
            if !table.key.has(&attribute.name) {
                updated_key_filled(value)?;
            }
            fitting(value, is_hash)?;
        }
        if is_changed {
            fitting_together(index, new)?;
        }
    }
    Ok(())
}

/// Refuses paths that look into key attributes, as `a.b` where `a` is a key: those are never documents. `is_nested` says
/// whether there is such a path for a name.
pub(crate) fn scalar_keys(table: &Table, is_nested: impl Fn(&str) -> bool) -> Result<(), Invalid> {
    let refused = |what: &str, name: &str| {
        Err(Invalid::new(format!(
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: {what}: {name}"
        )))
    };
    for attribute in table.key.attributes() {
        if is_nested(&attribute.name) {
            return refused("Key", &attribute.name);
        }
    }
    for index in kept_indexes(table) {
        for attribute in index.key.attributes() {
            if is_nested(&attribute.name) {
                return refused("IndexKey", &attribute.name);
            }
        }
    }
    Ok(())
}

/// Whether one of the paths leads into the attribute.
pub(crate) fn is_nested<'a>(paths: impl IntoIterator<Item = &'a Path>, name: &str) -> bool {
    paths.into_iter().any(|path| path.is_nested() && path.head == name)
}

/// The attributes of a key, and whether each is the partition key.
pub(crate) fn parts(key: &KeySchema) -> impl Iterator<Item = (&KeyAttribute, bool)> {
    key.hashes().map(|hash| (hash, true)).chain(key.ranges().map(|range| (range, false)))
}

/// Global indexes come first, as AWS looks at them.
fn kept_indexes(table: &Table) -> impl Iterator<Item = &Index> {
    table.globals.iter().chain(&table.locals).filter(|index| index.is_kept())
}

fn index_key(index: &Index, attribute: &KeyAttribute, value: &Value, is_hash: bool) -> Result<(), Invalid> {
    if !attribute.kind.fits(value) {
        return Err(index_type(index, attribute, value.type_name()));
    }
    index_key_filled(index, attribute, value)?;
    fitting(value, is_hash)
}

fn index_type(index: &Index, attribute: &KeyAttribute, actual: &str) -> Invalid {
    let (name, expected, index) = (&attribute.name, attribute.kind.name(), &index.name);
    Invalid::new(format!(
        "{INVALID}Type mismatch for Index Key {name} Expected: {expected} Actual: {actual} IndexName: {index}"
    ))
}

fn filled(attribute: &KeyAttribute, value: &Value, place: KeyIn) -> Result<(), Invalid> {
    let Some(kind) = empty_kind(value) else { return Ok(()) };
    let start = if place == KeyIn::Item { NOT_VALID } else { INVALID };
    let name = &attribute.name;
    Err(Invalid::new(format!(
        "{start}The AttributeValue for a key attribute cannot contain an empty {kind} value. Key: {name}"
    )))
}

fn index_key_filled(index: &Index, attribute: &KeyAttribute, value: &Value) -> Result<(), Invalid> {
    let Some(kind) = empty_kind(value) else { return Ok(()) };
    let (name, index) = (&attribute.name, &index.name);
    Err(Invalid::new(format!(
        "{NOT_VALID}A value specified for a secondary index key is not supported. The AttributeValue for a key attribute \
         cannot contain an empty {kind} value. IndexName: {index}, IndexKey: {name}"
    )))
}

fn updated_key_filled(value: &Value) -> Result<(), Invalid> {
    let Some(kind) = empty_kind(value) else { return Ok(()) };
    Err(Invalid::new(format!(
        "{NOT_VALID}The update expression attempted to update a secondary index key to a value that is not supported. \
         The AttributeValue for a key attribute cannot contain an empty {kind} value."
    )))
}

fn empty_kind(value: &Value) -> Option<&'static str> {
    match value {
        Value::S(text) if text.is_empty() => Some("string"),
        Value::B(bytes) if bytes.is_empty() => Some("binary"),
        _ => None,
    }
}

/// Whether values may be the partition key, or the sort key, of an index: items with others are not in it.
pub(crate) fn may_be_key(values: &[&Value], is_hash: bool) -> bool {
    values.iter().all(|value| empty_kind(value).is_none()) && fitting_all(values, is_hash).is_ok()
}

/// Keys of several attributes are as long as those of one may be. Items without one of them are not in the index.
fn fitting_together(index: &Index, item: &Item) -> Result<(), Invalid> {
    let is_in = || index.key.attributes().all(|attribute| item.contains_key(&attribute.name));
    if index.key.is_simple() || !is_in() {
        return Ok(());
    }
    let hashes: Vec<&Value> = index.key.hashes().filter_map(|hash| item.get(&hash.name)).collect();
    let ranges: Vec<&Value> = index.key.ranges().filter_map(|range| item.get(&range.name)).collect();
    fitting_all(&hashes, true)?;
    fitting_all(&ranges, false)
}

fn fitting(value: &Value, is_hash: bool) -> Result<(), Invalid> {
    fitting_all(&[value], is_hash)
}

fn fitting_all(values: &[&Value], is_hash: bool) -> Result<(), Invalid> {
    let bytes_of = |value: &&Value| match value {
        Value::S(text) => text.len(),
        Value::B(bytes) => bytes.len(),
        _ => 0,
    };
    let bytes: usize = values.iter().map(bytes_of).sum();
    // AWS's own sentence lacks the blank.
    if is_hash && bytes > HASH_KEY_BYTES_MAX {
        Err(Invalid::new(format!(
            "{INVALID}Size of hashkey has exceeded the maximum size limit of{HASH_KEY_BYTES_MAX} bytes"
        )))
    } else if !is_hash && bytes > RANGE_KEY_BYTES_MAX {
        Err(Invalid::new(format!(
            "{INVALID}Aggregated size of all range keys has exceeded the size limit of {RANGE_KEY_BYTES_MAX} bytes"
        )))
    } else {
        Ok(())
    }
}
