//! Updates at work on an item.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::path::{Path, Step};
use crate::update::{Action, Change, Source};
use crate::{Invalid, Item, Number, Value};

/// AWS's message for an attribute of a type that does not take part.
pub(crate) const WRONG_TYPE: &str = "An operand in the update expression has an incorrect data type";
const NOT_THERE: &str = "The provided expression refers to an attribute that does not exist in the item";
const NO_SUCH_PATH: &str = "The document path provided in the update expression is invalid for update";

/// Does all actions. Values are computed from the item as it was, and indexes of lists are those of the lists as they were: what
/// is removed from lists or set behind their ends waits until everything else is done.
pub(crate) fn apply(actions: &[Action], item: &mut Item, mismatch: &str) -> Result<(), Invalid> {
    let values = actions.iter().map(|action| match &action.change {
        Change::Set(source) => computed(source, item).map(|value| Some(value.into_owned())),
        _ => Ok(None),
    });
    let values = values.collect::<Result<Vec<_>, Invalid>>()?;
    let mut later = Vec::new();
    for (action, value) in actions.iter().zip(values) {
        let edit = match (&action.change, value) {
            (Change::Set(_), Some(value)) => Edit::Set(value),
            (Change::Set(_) | Change::Remove, _) => Edit::Remove,
            (Change::Add(value), _) => Edit::Add(value),
            (Change::Delete(value), _) => Edit::Delete(value),
        };
        make(&action.path, edit, item, mismatch, &mut later)?;
    }
    settle(later, item)
}

/// A change whose value is known.
enum Edit<'a> {
    Set(Value),
    Remove,
    Add(&'a Value),
    Delete(&'a Value),
}

/// A change of a list's length.
struct Later<'a> {
    path: &'a Path,
    index: usize,
    /// What is appended; nothing when an element goes away.
    appended: Option<Value>,
}

/// Makes one change, or leaves it for later.
fn make<'a>(
    path: &'a Path,
    edit: Edit<'_>,
    item: &mut Item,
    mismatch: &str,
    later: &mut Vec<Later<'a>>,
) -> Result<(), Invalid> {
    let Some((last, way)) = path.rest.split_last() else {
        return change_attribute(item, &path.head, edit, mismatch);
    };
    match (last, find(item, &path.head, way)) {
        (Step::Name(name), Some(Value::M(map))) => change_attribute(map, name, edit, mismatch),
        (Step::Index(index), Some(Value::L(list))) => {
            change_element(list, Later { path, index: *index, appended: None }, edit, mismatch, later)
        }
        _ => Err(Invalid::new(NO_SUCH_PATH)),
    }
}

fn find<'a>(item: &'a mut Item, head: &str, way: &[Step]) -> Option<&'a mut Value> {
    let mut value = item.get_mut(head)?;
    for step in way {
        value = match (step, value) {
            (Step::Name(name), Value::M(map)) => map.get_mut(name)?,
            (Step::Index(index), Value::L(list)) => list.get_mut(*index)?,
            _ => return None,
        };
    }
    Some(value)
}

fn change_attribute(map: &mut Item, name: &str, edit: Edit<'_>, mismatch: &str) -> Result<(), Invalid> {
    match edit {
        Edit::Set(value) => match map.get_mut(name) {
            Some(old) => *old = value,
            None => {
                map.insert(name.to_owned(), value);
            }
        },
        Edit::Remove => {
            map.remove(name);
        }
        Edit::Add(value) => match map.get_mut(name) {
            Some(old) => add(old, value, mismatch)?,
            None => {
                map.insert(name.to_owned(), value.clone());
            }
        },
        Edit::Delete(value) => {
            if let Some(old) = map.get_mut(name)
                && !delete(old, value, mismatch)?
            {
                map.remove(name);
            }
        }
    }
    Ok(())
}

fn change_element<'a>(
    list: &mut [Value],
    place: Later<'a>,
    edit: Edit<'_>,
    mismatch: &str,
    later: &mut Vec<Later<'a>>,
) -> Result<(), Invalid> {
    match (list.get_mut(place.index), edit) {
        (Some(old), Edit::Set(value)) => *old = value,
        (Some(old), Edit::Add(value)) => add(old, value, mismatch)?,
        (Some(old), Edit::Delete(value)) => {
            if !delete(old, value, mismatch)? {
                later.push(place);
            }
        }
        (Some(_), Edit::Remove) => later.push(place),
        (None, Edit::Set(value)) => later.push(Later { appended: Some(value), ..place }),
        (None, Edit::Add(value)) => later.push(Later { appended: Some(value.clone()), ..place }),
        (None, Edit::Delete(_) | Edit::Remove) => {}
    }
    Ok(())
}

/// Makes the changes of lists' lengths: inner lists before outer ones, so that paths stay true; in a list what is appended in the
/// order of the indexes, then what is removed from behind.
fn settle(mut later: Vec<Later<'_>>, item: &mut Item) -> Result<(), Invalid> {
    later.sort_by_key(|change| {
        let depth = std::cmp::Reverse(change.path.rest.len());
        let appends = change.appended.is_some();
        (depth, !appends, if appends { change.index } else { usize::MAX - change.index })
    });
    for Later { path, index, appended } in later {
        let way = path.rest.len().saturating_sub(1);
        let Some(Value::L(list)) = find(item, &path.head, &path.rest[..way]) else {
            return Err(Invalid::new(NO_SUCH_PATH));
        };
        match appended {
            Some(value) => list.push(value),
            None if index < list.len() => {
                list.remove(index);
            }
            None => {}
        }
    }
    Ok(())
}

/// Adds a number or the elements of a set or, in legacy updates, of a list.
fn add(old: &mut Value, value: &Value, mismatch: &str) -> Result<(), Invalid> {
    match (old, value) {
        (Value::N(old), Value::N(value)) => *old = old.add(*value)?,
        (Value::Ss(old), Value::Ss(value)) => old.extend(value.iter().cloned()),
        (Value::Ns(old), Value::Ns(value)) => old.extend(value.iter().copied()),
        (Value::Bs(old), Value::Bs(value)) => old.extend(value.iter().cloned()),
        (Value::L(old), Value::L(value)) => old.extend(value.iter().cloned()),
        _ => return Err(Invalid::new(mismatch)),
    }
    Ok(())
}

/// Deletes the elements of a set; whether any stay.
fn delete(old: &mut Value, value: &Value, mismatch: &str) -> Result<bool, Invalid> {
    fn without<T: Ord>(old: &mut BTreeSet<T>, gone: &BTreeSet<T>) -> bool {
        old.retain(|element| !gone.contains(element));
        !old.is_empty()
    }
    match (old, value) {
        (Value::Ss(old), Value::Ss(value)) => Ok(without(old, value)),
        (Value::Ns(old), Value::Ns(value)) => Ok(without(old, value)),
        (Value::Bs(old), Value::Bs(value)) => Ok(without(old, value)),
        _ => Err(Invalid::new(mismatch)),
    }
}

/// What `source` is for `item`.
fn computed<'a>(source: &'a Source, item: &'a Item) -> Result<Cow<'a, Value>, Invalid> {
    match source {
        Source::Path(path) => path.find(item).map(Cow::Borrowed).ok_or_else(|| Invalid::new(NOT_THERE)),
        Source::Value(value) => Ok(Cow::Borrowed(value)),
        Source::IfNotExists(path, other) => match path.find(item) {
            Some(found) => Ok(Cow::Borrowed(found)),
            None => computed(other, item),
        },
        Source::Append(one, two) => {
            let Value::L(mut all) = computed(one, item)?.into_owned() else {
                return Err(Invalid::new(WRONG_TYPE));
            };
            match computed(two, item)? {
                Cow::Borrowed(Value::L(more)) => all.extend(more.iter().cloned()),
                Cow::Owned(Value::L(more)) => all.extend(more),
                _ => return Err(Invalid::new(WRONG_TYPE)),
            }
            Ok(Cow::Owned(Value::L(all)))
        }
        Source::Plus(one, two) => sum(one, two, item, Number::add),
        Source::Minus(one, two) => sum(one, two, item, Number::sub),
    }
}

fn sum<'a, E: Into<Invalid>>(
    one: &'a Source,
    two: &'a Source,
    item: &'a Item,
    operation: fn(Number, Number) -> Result<Number, E>,
) -> Result<Cow<'a, Value>, Invalid> {
    let number = |source: &'a Source| match *computed(source, item)? {
        Value::N(number) => Ok(number),
        _ => Err(Invalid::new(WRONG_TYPE)),
    };
    let (one, two) = (number(one)?, number(two)?);
    Ok(Cow::Owned(Value::N(operation(one, two).map_err(Into::into)?)))
}
