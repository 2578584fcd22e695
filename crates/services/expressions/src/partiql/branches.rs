//! Where the items are that a condition can hold for: the partitions that it names, and the ranges in them.

use crate::condition::{Comparator, Condition, Operand};
use crate::key_condition::RangeTest;
use crate::ordered::{self, Kind};
use crate::path::Path;
use crate::{Invalid, Item, Value};

/// How many reads a condition may come to.
const MAX_READS: usize = 50;
/// How many ways to meet a condition are looked at before it is too much, whatever it says.
const MAX_WAYS: usize = 256;

const TOO_MANY: &str = "Too many decomposed read operations for a given query.";
const OVERLAPPING: &str = "Overlapping conditions with range keys are not supported in where clause";

/// The attributes of a key: names and types.
#[derive(Clone, Copy, Debug)]
pub struct KeyNames<'a> {
    /// The partition key.
    pub hash: (&'a str, Kind),
    /// The sort key.
    pub range: Option<(&'a str, Kind)>,
}

/// One read: a partition, or a range of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The value of the partition key.
    pub hash: Value,
    /// What holds of the sort key; more may hold of it.
    pub range: Option<RangeTest>,
}

/// The reads that find all items for which `condition` can hold, in the order that they are written; nothing if all items have
/// to be looked at. What is read may still not meet the condition.
pub fn branches(condition: Option<&Condition>, key: KeyNames<'_>) -> Result<Option<Vec<Branch>>, Invalid> {
    let Some(condition) = condition else { return Ok(None) };
    let ways = ways(condition, key)?;
    if ways.iter().any(|way| way.hashes.is_empty()) {
        return Ok(None);
    }
    for way in &ways {
        way.check_types(key)?;
    }
    if ways.len() > MAX_READS {
        return Err(Invalid::new(TOO_MANY));
    }
    let mut reads: Vec<(Branch, Way)> = Vec::new();
    for way in ways.into_iter().filter(Way::is_possible) {
        let Some(hash) = way.hashes.first().cloned() else { continue };
        let meets = reads.iter_mut().find(|(branch, other)| branch.hash == hash && other.meets(&way));
        match meets {
            Some((branch, other)) if way.is_negated || other.is_negated => {
                branch.range = None;
                other.is_negated = true;
                other.tests.clear();
            }
            Some(_) => return Err(Invalid::new(OVERLAPPING)),
            None => reads.push((Branch { hash, range: way.narrowest().cloned() }, way)),
        }
    }
    merge_whole_partitions(&mut reads);
    Ok(Some(reads.into_iter().map(|(branch, _)| branch).collect()))
}

/// The key that `condition` names, if it asks for an equality of each of its attributes. Who asks for `one_value` gets an error of
/// a condition that names two; others get the first.
pub fn named_key(
    condition: Option<&Condition>,
    key: KeyNames<'_>,
    one_value: bool,
) -> Result<Option<Item>, Invalid> {
    let mut found = Item::new();
    let mut parts = condition.into_iter().collect::<Vec<_>>();
    parts.reverse();
    while let Some(part) = parts.pop() {
        if let Condition::All(inner) = part {
            parts.extend(inner.iter().rev());
        } else if let Some((name, value)) = equality(part)
            && key.has(name)
        {
            let first = found.entry(name.to_owned()).or_insert_with(|| value.clone());
            if one_value && first != value {
                return Err(Invalid::new(format!(
                    "Multiple conditions on same key {name}. Only single item Update/Insert/Delete are supported"
                )));
            }
        }
    }
    let is_whole = found.len() == 1 + usize::from(key.range.is_some());
    Ok(is_whole.then_some(found))
}

/// The key that `condition` names, if that is all that it says.
pub fn only_key(condition: Option<&Condition>, key: KeyNames<'_>) -> Option<Item> {
    let mut found = Item::new();
    let mut parts = condition.into_iter().collect::<Vec<_>>();
    while let Some(part) = parts.pop() {
        let (name, value) = match part {
            Condition::All(inner) => {
                parts.extend(inner);
                continue;
            }
            Condition::In(Operand::Path(path), values) if path.rest.is_empty() => match values.as_slice() {
                [Operand::Value(value)] => (path.head.as_str(), &**value),
                _ => return None,
            },
            other => equality(other)?,
        };
        if !key.has(name) || found.entry(name.to_owned()).or_insert_with(|| value.clone()) != value {
            return None;
        }
    }
    (found.len() == 1 + usize::from(key.range.is_some())).then_some(found)
}

impl<'a> KeyNames<'a> {
    fn has(&self, name: &str) -> bool {
        self.is_hash(name) || self.is_range(name)
    }

    fn is_hash(&self, name: &str) -> bool {
        self.hash.0 == name
    }

    fn is_range(&self, name: &str) -> bool {
        self.range.is_some_and(|(range, _)| range == name)
    }
}

/// A way to meet a condition: what all holds of the key then.
#[derive(Clone, Debug, Default)]
struct Way {
    hashes: Vec<Value>,
    tests: Vec<RangeTest>,
    /// Whether it says of the sort key what it is not.
    is_negated: bool,
}

impl Way {
    fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.add(other);
        both
    }

    fn add(&mut self, other: &Self) {
        for hash in &other.hashes {
            if !self.hashes.contains(hash) {
                self.hashes.push(hash.clone());
            }
        }
        self.tests.extend(other.tests.iter().cloned());
        self.is_negated |= other.is_negated;
    }

    fn is_possible(&self) -> bool {
        let (from, to) = self.bounds();
        self.hashes.len() == 1 && to.is_none_or(|to| from < to)
    }

    /// The test that leaves the fewest items: an equality, else the first.
    fn narrowest(&self) -> Option<&RangeTest> {
        self.tests.iter().find(|test| matches!(test, RangeTest::Eq(_))).or(self.tests.first())
    }

    /// The sort keys for which all tests hold: from one, to before another, in the order of stored keys.
    fn bounds(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut all = (Vec::new(), None::<Vec<u8>>);
        for (from, to) in self.tests.iter().map(bounds) {
            all.0 = all.0.max(from);
            all.1 = match (all.1, to) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            };
        }
        all
    }

    fn meets(&self, other: &Self) -> bool {
        let (from, to) = self.bounds();
        let (other_from, other_to) = other.bounds();
        other_to.is_none_or(|end| from < end) && to.is_none_or(|end| other_from < end)
    }

    fn check_types(&self, key: KeyNames<'_>) -> Result<(), Invalid> {
        let mismatch = |name: &str| {
            Invalid::new(format!(
                "Key attribute's data type should match its data type in table's schema: Key {name}"
            ))
        };
        if self.hashes.iter().any(|value| !is_of(value, key.hash.1)) {
            return Err(mismatch(key.hash.0));
        }
        if let Some((name, kind)) = key.range
            && self.tests.iter().flat_map(RangeTest::values).any(|value| !is_of(value, kind))
        {
            return Err(mismatch(name));
        }
        Ok(())
    }
}

fn is_of(value: &Value, kind: Kind) -> bool {
    matches!((value, kind), (Value::S(_), Kind::S) | (Value::N(_), Kind::N) | (Value::B(_), Kind::B))
}

/// When one read takes in a whole partition, others of it are done with it.
fn merge_whole_partitions(reads: &mut Vec<(Branch, Way)>) {
    let whole: Vec<Value> = reads
        .iter()
        .filter(|(_, way)| way.is_negated && way.tests.is_empty())
        .map(|(branch, _)| branch.hash.clone())
        .collect();
    for hash in whole {
        let mut seen = false;
        reads.retain_mut(|(branch, _)| {
            let keep = branch.hash != hash || !seen;
            if branch.hash == hash {
                seen = true;
                branch.range = None;
            }
            keep
        });
    }
}

fn bounds(test: &RangeTest) -> (Vec<u8>, Option<Vec<u8>>) {
    let at = |value: &Value| {
        let mut key = Vec::new();
        ordered::push(value, &mut key);
        key
    };
    let after = |value: &Value| {
        let mut key = at(value);
        key.push(0);
        key
    };
    match test {
        RangeTest::Eq(value) => (at(value), Some(after(value))),
        RangeTest::Lt(value) => (Vec::new(), Some(at(value))),
        RangeTest::Le(value) => (Vec::new(), Some(after(value))),
        RangeTest::Gt(value) => (after(value), None),
        RangeTest::Ge(value) => (at(value), None),
        RangeTest::Between(low, high) => (at(low), Some(after(high))),
        RangeTest::BeginsWith(start) => {
            let mut from = Vec::new();
            ordered::push_prefix(start, &mut from);
            let mut to = from.clone();
            while to.last() == Some(&u8::MAX) {
                to.pop();
            }
            match to.last_mut() {
                Some(last) => *last += 1,
                None => return (from, None),
            }
            (from, Some(to))
        }
        RangeTest::NotIndexable => (Vec::new(), None),
    }
}

/// The ways to meet a condition, told apart by what they say of the key; what says nothing of it is one way.
fn ways(condition: &Condition, key: KeyNames<'_>) -> Result<Vec<Way>, Invalid> {
    match condition {
        Condition::All(parts) => {
            let mut all = vec![Way::default()];
            for part in parts {
                let part = ways(part, key)?;
                // Most parts leave only one way, which is added in place: a copy of all for each would take long.
                if let [only] = part.as_slice() {
                    all.iter_mut().for_each(|way| way.add(only));
                    continue;
                }
                if all.len() * part.len() > MAX_WAYS {
                    return Err(Invalid::new(TOO_MANY));
                }
                all = all.iter().flat_map(|way| part.iter().map(|other| way.and(other))).collect();
            }
            Ok(all)
        }
        Condition::Any(parts) if mentions_key(condition, key) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(ways(part, key)?);
                if all.len() > MAX_WAYS {
                    return Err(Invalid::new(TOO_MANY));
                }
            }
            Ok(all)
        }
        Condition::In(Operand::Path(path), others) if path.rest.is_empty() && key.has(&path.head) => {
            let values = others.iter().map(|other| match other {
                Operand::Value(value) => Some(way(path, RangeTest::Eq((**value).clone()), key)),
                _ => None,
            });
            Ok(values.collect::<Option<Vec<_>>>().unwrap_or_else(|| vec![Way::default()]))
        }
        Condition::Not(_) => {
            let of_range =
                key.range.is_some_and(|(range, _)| condition.paths().iter().any(|path| path.head == range));
            Ok(vec![Way { is_negated: of_range, ..Way::default() }])
        }
        other => Ok(vec![tested(other, key)]),
    }
}

/// Whether a part of `condition` says where in the key to look.
fn mentions_key(condition: &Condition, key: KeyNames<'_>) -> bool {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().any(|part| mentions_key(part, key)),
        Condition::In(Operand::Path(path), _) => path.rest.is_empty() && key.has(&path.head),
        Condition::Not(inner) => mentions_key(inner, key),
        other => {
            let way = tested(other, key);
            way.is_negated || !way.hashes.is_empty() || !way.tests.is_empty()
        }
    }
}

/// What a single test says of the key.
fn tested(condition: &Condition, key: KeyNames<'_>) -> Way {
    match condition {
        Condition::Compare(comparator, Operand::Path(path), Operand::Value(value)) => {
            compared(*comparator, path, value, key)
        }
        Condition::Compare(comparator, Operand::Value(value), Operand::Path(path)) => {
            compared(comparator.turned(), path, value, key)
        }
        Condition::Between(Operand::Path(path), Operand::Value(low), Operand::Value(high)) => {
            way(path, RangeTest::Between((**low).clone(), (**high).clone()), key)
        }
        Condition::BeginsWith(Operand::Path(path), Operand::Value(start)) => {
            way(path, RangeTest::BeginsWith((**start).clone()), key)
        }
        _ => Way::default(),
    }
}

fn compared(comparator: Comparator, path: &Path, value: &Value, key: KeyNames<'_>) -> Way {
    let value = value.clone();
    let test = match comparator {
        Comparator::Eq => RangeTest::Eq(value),
        Comparator::Lt => RangeTest::Lt(value),
        Comparator::Le => RangeTest::Le(value),
        Comparator::Gt => RangeTest::Gt(value),
        Comparator::Ge => RangeTest::Ge(value),
        Comparator::Ne => {
            let of_range = path.rest.is_empty() && key.is_range(&path.head);
            return Way { is_negated: of_range, ..Way::default() };
        }
    };
    way(path, test, key)
}

fn way(path: &Path, test: RangeTest, key: KeyNames<'_>) -> Way {
    if !path.rest.is_empty() {
        return Way::default();
    }
    match test {
        RangeTest::Eq(value) if key.is_hash(&path.head) => Way { hashes: vec![value], ..Way::default() },
        test if key.is_range(&path.head) => Way { tests: vec![test], ..Way::default() },
        _ => Way::default(),
    }
}

/// The attribute and the value of `attribute = value`.
fn equality(condition: &Condition) -> Option<(&str, &Value)> {
    match condition {
        Condition::Compare(Comparator::Eq, Operand::Path(path), Operand::Value(value))
        | Condition::Compare(Comparator::Eq, Operand::Value(value), Operand::Path(path))
            if path.rest.is_empty() =>
        {
            Some((path.head.as_str(), value))
        }
        _ => None,
    }
}
