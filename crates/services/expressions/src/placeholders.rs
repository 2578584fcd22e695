//! `ExpressionAttributeNames` and `ExpressionAttributeValues` of a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use lambent_model_dynamodb::AttributeValue;

use crate::lexer::is_part;
use crate::{Invalid, Value, from_wire};

/// Bytes of a placeholder, its `#` or `:` included ("Quotas in Amazon DynamoDB": expression parameters).
const MAX_KEY_BYTES: usize = 255;

/// What a request's placeholders stand for, and which of them its expressions used.
#[derive(Debug, Default)]
pub struct Placeholders {
    /// By key, as are the values.
    names: Vec<Entry<String>>,
    values: Vec<Entry<Arc<Value>>>,
}

#[derive(Debug)]
struct Entry<T> {
    key: String,
    stands_for: T,
    used: bool,
}

impl<T> Entry<T> {
    fn new(key: String, stands_for: T) -> Self {
        Self { key, stands_for, used: false }
    }

    /// Finds what `key` stands for among entries that are sorted, and notes that it was used.
    fn used<'a>(all: &'a mut [Self], key: &str) -> Option<&'a T> {
        let place = all.binary_search_by(|entry| entry.key.as_str().cmp(key)).ok()?;
        let entry = &mut all[place];
        entry.used = true;
        Some(&entry.stands_for)
    }
}

impl Placeholders {
    /// Those of a request, names before values. Neither map may be there and empty; keys are checked before values, as AWS does.
    pub fn from_wire(
        names: Option<BTreeMap<String, String>>,
        values: Option<BTreeMap<String, AttributeValue>>,
    ) -> Result<Self, Invalid> {
        const VALUES: &str = "ExpressionAttributeValues";
        let names = read_names(names)?;
        let Some(values) = values else { return Ok(Self { names, values: Vec::new() }) };
        check_keys(VALUES, ':', values.keys())?;
        let read = values.into_iter().map(|(key, value)| match from_wire(value) {
            Ok(value) => Ok(Entry::new(key, Arc::new(value))),
            Err(Invalid(why)) => {
                Err(Invalid::new(format!("{VALUES} contains invalid value: {why} for key {key}")))
            }
        });
        Ok(Self { names, values: read.collect::<Result<_, Invalid>>()? })
    }

    /// Those of a request whose values were read already.
    pub fn new(
        names: Option<BTreeMap<String, String>>,
        values: Option<BTreeMap<String, Value>>,
    ) -> Result<Self, Invalid> {
        let names = read_names(names)?;
        let Some(values) = values else { return Ok(Self { names, values: Vec::new() }) };
        check_keys("ExpressionAttributeValues", ':', values.keys())?;
        let entries = values.into_iter().map(|(key, value)| Entry::new(key, Arc::new(value)));
        Ok(Self { names, values: entries.collect() })
    }

    /// That no expression left one of them unused.
    pub fn all_used(&self) -> Result<(), Invalid> {
        check_used("ExpressionAttributeNames", &self.names)?;
        check_used("ExpressionAttributeValues", &self.values)
    }

    /// The name behind `key`, which begins with `#`.
    pub(crate) fn name(&mut self, key: &str) -> Option<&str> {
        Entry::used(&mut self.names, key).map(String::as_str)
    }

    /// The value behind `key`, which begins with `:`.
    pub(crate) fn value(&mut self, key: &str) -> Option<Arc<Value>> {
        Entry::used(&mut self.values, key).map(Arc::clone)
    }
}

fn read_names(names: Option<BTreeMap<String, String>>) -> Result<Vec<Entry<String>>, Invalid> {
    const NAMES: &str = "ExpressionAttributeNames";
    let Some(names) = names else { return Ok(Vec::new()) };
    check_keys(NAMES, '#', names.keys())?;
    if let Some((key, _)) = names.iter().find(|(_, name)| name.is_empty()) {
        return Err(Invalid::new(format!(
            "{NAMES} contains invalid value: Empty attribute name for key {key}"
        )));
    }
    Ok(names.into_iter().map(|(key, name)| Entry::new(key, name)).collect())
}

fn check_keys<'a>(
    map: &str,
    sigil: char,
    mut keys: impl ExactSizeIterator<Item = &'a String>,
) -> Result<(), Invalid> {
    if keys.len() == 0 {
        return Err(Invalid::new(format!("{map} must not be empty")));
    }
    let wrong = |key: &String| {
        let rest = key.strip_prefix(sigil).unwrap_or_default();
        if key.len() > MAX_KEY_BYTES {
            let size = key.len();
            return Some(format!(
                "The expression attribute map contains a key that is too long; size of key: {size}"
            ));
        }
        let is_key = !rest.is_empty() && rest.bytes().all(is_part);
        (!is_key).then(|| format!("Syntax error; key: \"{key}\""))
    };
    match keys.find_map(wrong) {
        Some(why) => Err(Invalid::new(format!("{map} contains invalid key: {why}"))),
        None => Ok(()),
    }
}

fn check_used<T>(map: &str, entries: &[Entry<T>]) -> Result<(), Invalid> {
    let unused: Vec<&str> =
        entries.iter().filter(|entry| !entry.used).map(|entry| entry.key.as_str()).collect();
    if unused.is_empty() {
        return Ok(());
    }
    let keys = unused.join(", ");
    Err(Invalid::new(format!("Value provided in {map} unused in expressions: keys: {{{keys}}}")))
}
