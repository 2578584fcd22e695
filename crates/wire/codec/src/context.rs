//! Where a reader is in a message, and what was wrong on the way: validation for every codec and service.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, LazyLock, RwLock};

use regex_lite::Regex;

use crate::{Constraint, Kind, Member, ReadError, Shape};

/// Bounds on what a message may ask of a reader.
pub mod limits {
    /// How deep structures, lists and maps may nest. A DynamoDB item's 32 levels are two each, within a request of several.
    pub const DEPTH_MAX: usize = 96;
    /// How many broken constraints are reported at once.
    pub const VIOLATIONS_MAX: usize = 32;
    /// How many elements of a list are shown where it breaks a constraint.
    pub const ELEMENTS_SHOWN_MAX: usize = 64;
    /// How many members a structure may have (the width of the set that tells which were seen).
    pub const MEMBERS_MAX: usize = 128;
}

/// The path from the message's root to the value being read, with the shapes along it.
#[derive(Debug, Default)]
pub struct ReadContext {
    frames: Vec<Frame>,
    violations: Vec<String>,
}

#[derive(Debug)]
struct Frame {
    shape: &'static Shape,
    seen: u128,
    count: i64,
    at: At,
    /// Of a list or map of scalars: the first of them, to show it where it breaks a constraint.
    shown: Vec<String>,
    /// Whether an element of a list, or a value of a map, breaks a constraint: AWS reports that once, of the whole.
    is_element_broken: bool,
    /// The same of a map's keys.
    is_key_broken: bool,
}

#[derive(Debug)]
enum At {
    Start,
    Member(usize),
    Item,
    /// Before the value of an entry.
    EntryKey(String),
    Key(String),
}

impl ReadContext {
    /// Opens a structure or union of this shape.
    pub fn open(&mut self, shape: &'static Shape) -> Result<(), ReadError> {
        if self.frames.len() >= limits::DEPTH_MAX {
            return Err(ReadError::Limit(format!("values nest deeper than {} levels", limits::DEPTH_MAX)));
        }
        self.frames.push(Frame {
            shape,
            seen: 0,
            count: 0,
            at: At::Start,
            shown: Vec::new(),
            is_element_broken: false,
            is_key_broken: false,
        });
        Ok(())
    }

    /// Opens the list or map that stands at the current place.
    pub fn open_here(&mut self) -> Result<(), ReadError> {
        let shape = self.target();
        self.open(shape)
    }

    /// Goes to a member of the open structure.
    pub fn at_member(&mut self, index: usize) {
        let frame = self.top();
        frame.seen |= 1 << index;
        frame.at = At::Member(index);
    }

    /// Goes to the next element of the open list.
    pub fn at_item(&mut self) {
        let frame = self.top();
        frame.count += 1;
        frame.at = At::Item;
    }

    /// Goes to an entry of the open map.
    pub fn at_key(&mut self, key: &str) {
        let frame = self.top();
        frame.count += 1;
        frame.at = At::EntryKey(key.to_owned());
        if let Kind::Map(member, _) = frame.shape.kind {
            self.check_string_of(member.target, key);
        }
        let frame = self.top();
        if let At::EntryKey(key) = std::mem::replace(&mut frame.at, At::Start) {
            frame.at = At::Key(key);
        }
    }

    /// Closes the innermost structure, list or map and checks it as a whole.
    pub fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        match frame.shape.kind {
            Kind::Structure(members) => {
                for (index, member) in members.iter().enumerate() {
                    if member.required && !member.streaming && frame.seen & (1 << index) == 0 {
                        let path = self.path_to(member.name);
                        self.violate(None, path, "Member must not be null");
                    }
                }
            }
            Kind::List(item) => {
                let shown = || format!("[{}]", frame.shown.join(", "));
                self.check_length(frame.shape.constraint, frame.count, shown);
                if frame.is_element_broken {
                    let all = constraints(item.target, true);
                    self.violate_here(shown(), format!("Member must satisfy constraint: [{all}]"));
                }
            }
            Kind::Map(key, value) => {
                let shown = || format!("{{{}}}", frame.shown.join(", "));
                self.check_length(frame.shape.constraint, frame.count, shown);
                if frame.is_key_broken {
                    let all = constraints(key.target, false);
                    self.violate_here(shown(), format!("Map keys must satisfy constraint: [{all}]"));
                }
                if frame.is_element_broken {
                    let all = constraints(value.target, true);
                    self.violate_here(shown(), format!("Map value must satisfy constraint: [{all}]"));
                }
            }
            _ => {}
        }
    }

    /// How many structures, lists and maps are open.
    pub fn depth(&self) -> usize {
        self.frames.len()
    }

    /// The shape of the structure, list or map that is open.
    pub fn shape(&self) -> &'static Shape {
        self.frames.last().map_or(&crate::EMPTY, |frame| frame.shape)
    }

    /// The member (of a structure, or the element of a list or map) at the current place.
    pub fn member(&self) -> Option<&'static Member> {
        let frame = self.frames.last()?;
        match (&frame.shape.kind, &frame.at) {
            (Kind::Structure(members) | Kind::Union(members), At::Member(index)) => members.get(*index),
            (Kind::List(member) | Kind::Map(_, member), _) => Some(member),
            _ => None,
        }
    }

    /// The shape of the value at the current place.
    pub fn target(&self) -> &'static Shape {
        self.member().map_or_else(|| self.shape(), |member| member.target)
    }

    /// Checks a string, or the value of an enum, at the current place.
    pub fn check_string(&mut self, value: &str) {
        self.show(value);
        self.check_string_of(self.target(), value);
    }

    /// Checks the length of a blob at the current place, in bytes.
    pub fn check_blob(&mut self, length: usize) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        self.check_length(self.target().constraint, length, || "java.nio.HeapByteBuffer".to_owned());
    }

    /// Checks a whole number at the current place, first that it fits its type.
    pub fn check_number(&mut self, value: i64) -> Result<(), ReadError> {
        let target = self.target();
        if matches!(target.kind, Kind::Integer) && i32::try_from(value).is_err() {
            return Err(self.type_error("an integer of 32 bits", value));
        }
        self.show(value);
        let Constraint { min, max, .. } = target.constraint;
        if let Some(min) = min.filter(|min| value < *min) {
            self.violate_here(value, format!("Member must have value greater than or equal to {min}"));
        }
        if let Some(max) = max.filter(|max| value > *max) {
            self.violate_here(value, format!("Member must have value less than or equal to {max}"));
        }
        Ok(())
    }

    /// Checks a floating-point number at the current place. What is no number breaks every bound.
    pub fn check_double(&mut self, value: f64) {
        // As AWS writes it: with a fraction, be it zero.
        self.show(format!("{value:?}"));
        let Constraint { min, max, .. } = self.target().constraint;
        if let Some(min) = min.map(bound).filter(|min| value < *min || value.is_nan()) {
            self.violate_here(
                format!("{value:?}"),
                format!("Member must have value greater than or equal to {min:?}"),
            );
        }
        if let Some(max) = max.map(bound).filter(|max| value > *max || value.is_nan()) {
            self.violate_here(
                format!("{value:?}"),
                format!("Member must have value less than or equal to {max:?}"),
            );
        }
    }

    /// An error for a value of the wrong type at the current place.
    pub fn type_error(&self, expected: &'static str, found: impl Display) -> ReadError {
        let (target, within) = (self.target(), self.shape());
        ReadError::Type { path: self.path(), expected, found: found.to_string(), target, within }
    }

    /// A text that should be base64, of this many characters, at the current place.
    pub fn base64_error(&self, length: usize) -> ReadError {
        ReadError::Base64 { path: self.path(), length }
    }

    /// What AWS says of all constraints that failed; `None` when none did.
    pub fn violation_message(&self) -> Option<String> {
        let count = self.violations.len();
        let plural = if count == 1 { "" } else { "s" };
        (count > 0)
            .then(|| format!("{count} validation error{plural} detected: {}", self.violations.join("; ")))
    }

    /// The dotted path of the current place, in AWS's form: `tags.1.member.key`.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.frames {
            let segment = match (&frame.at, &frame.shape.kind) {
                (At::Member(index), Kind::Structure(members) | Kind::Union(members)) => {
                    lower_first(members[*index].name)
                }
                (At::Item, _) => format!("{}.member", frame.count),
                (At::Key(key) | At::EntryKey(key), _) => format!("{key}.member"),
                _ => continue,
            };
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&segment);
        }
        path
    }

    fn path_to(&self, member: &str) -> String {
        let parent = self.path();
        let name = lower_first(member);
        if parent.is_empty() { name } else { format!("{parent}.{name}") }
    }

    fn check_string_of(&mut self, shape: &'static Shape, value: &str) {
        if let Kind::Enum(values) = shape.kind
            && !values.contains(&value)
        {
            self.violate_here(value, format!("Member must satisfy enum value set: [{}]", values.join(", ")));
        }
        let Constraint { min, max, pattern } = shape.constraint;
        if min.is_some() || max.is_some() {
            let length = i64::try_from(value.chars().count()).unwrap_or(i64::MAX);
            self.check_length(shape.constraint, length, || value.to_owned());
        }
        if let Some(pattern) = pattern.filter(|pattern| !matches_whole(pattern, value)) {
            self.violate_here(value, format!("Member must satisfy regular expression pattern: {pattern}"));
        }
    }

    fn check_length(&mut self, constraint: Constraint, length: i64, shown: impl Fn() -> String) {
        if let Some(min) = constraint.min.filter(|min| length < *min) {
            self.violate_here(shown(), format!("Member must have length greater than or equal to {min}"));
        }
        if let Some(max) = constraint.max.filter(|max| length > *max) {
            self.violate_here(shown(), format!("Member must have length less than or equal to {max}"));
        }
    }

    /// Remembers a scalar of a list or map, in case that has to be shown.
    fn show(&mut self, value: impl Display) {
        let Some(frame) = self.frames.last_mut() else { return };
        let text = match &frame.at {
            At::Item => value.to_string(),
            At::Key(key) => format!("{key}={value}"),
            _ => return,
        };
        if frame.shown.len() < limits::ELEMENTS_SHOWN_MAX {
            frame.shown.push(text);
        }
    }

    fn violate_here(&mut self, value: impl Display, constraint: String) {
        let target = self.target();
        if let Some(frame) = self.frames.last_mut() {
            match frame.at {
                At::EntryKey(_) => return frame.is_key_broken = true,
                At::Item | At::Key(_) => return frame.is_element_broken = true,
                _ => {}
            }
        }
        let is_hidden = target.sensitive || holds_secrets(target);
        self.violate(Some((!is_hidden).then(|| value.to_string())), self.path(), &constraint);
    }

    /// `value` is `None` for null, `Some(None)` for one that must not be shown.
    fn violate(&mut self, value: Option<Option<String>>, path: String, constraint: &str) {
        if self.violations.len() < limits::VIOLATIONS_MAX {
            let value = match value {
                None => " null".to_owned(),
                Some(None) => String::new(),
                Some(Some(text)) => format!(" '{text}'"),
            };
            self.violations
                .push(format!("Value{value} at '{path}' failed to satisfy constraint: {constraint}"));
        }
    }

    fn top(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("codecs open a frame before they move in it")
    }
}

/// Whether a list or map may not be shown, as its elements must not.
fn holds_secrets(shape: &Shape) -> bool {
    match shape.kind {
        Kind::List(item) => item.target.sensitive,
        Kind::Map(key, value) => key.target.sensitive || value.target.sensitive,
        _ => false,
    }
}

/// All that a shape asks of an element of a list or map, in AWS's order: where one constraint is broken, all are named.
fn constraints(shape: &Shape, is_required: bool) -> String {
    let Constraint { min, max, pattern } = shape.constraint;
    let mut all = Vec::new();
    let (what, shown): (_, fn(i64) -> String) = match shape.kind {
        Kind::Float | Kind::Double => ("value", |limit| format!("{:?}", bound(limit))),
        Kind::Integer | Kind::Long => ("value", |limit| limit.to_string()),
        _ => ("length", |limit| limit.to_string()),
    };
    if let Kind::Enum(values) = shape.kind {
        all.push(format!("Member must satisfy enum value set: [{}]", values.join(", ")));
    }
    all.extend(max.map(|max| format!("Member must have {what} less than or equal to {}", shown(max))));
    all.extend(min.map(|min| format!("Member must have {what} greater than or equal to {}", shown(min))));
    all.extend(pattern.map(|pattern| format!("Member must satisfy regular expression pattern: {pattern}")));
    if is_required {
        all.push("Member must not be null".to_owned());
    }
    all.join(", ")
}

/// A bound of a model, for floating-point numbers.
fn bound(limit: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "the models' bounds are small")]
    let limit = limit as f64;
    limit
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}

/// Patterns are compiled once in the life of the process, when they are first needed.
static PATTERNS: LazyLock<RwLock<Patterns>> = LazyLock::new(RwLock::default);

/// `None` for a pattern that the engine cannot compile.
type Patterns = HashMap<&'static str, Option<Arc<Regex>>>;

fn matches_whole(pattern: &'static str, value: &str) -> bool {
    let known = PATTERNS.read().ok().and_then(|patterns| patterns.get(pattern).cloned());
    let compiled = known.unwrap_or_else(|| {
        // The generator leaves out patterns that do not compile, so `None` only passes what it could not judge.
        let compiled = Regex::new(&format!("^(?:{pattern})$")).ok().map(Arc::new);
        if let Ok(mut patterns) = PATTERNS.write() {
            patterns.insert(pattern, compiled.clone());
        }
        compiled
    });
    compiled.is_none_or(|regex| regex.is_match(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    static NAME: Shape = Shape::new("Name", Kind::String).min(1).max(3).pattern("[a-z]+");
    static NAMES: Shape = Shape::new("Names", Kind::List(&NAME_MEMBER)).max(1);
    static NAME_MEMBER: Member = Member::new("member", &NAME);
    static INPUT: Shape = Shape::new(
        "Input",
        Kind::Structure(&[Member::new("FunctionName", &NAME).required(), Member::new("Names", &NAMES)]),
    );

    #[test]
    fn every_broken_constraint_is_reported_with_its_path() {
        let mut context = ReadContext::default();
        context.open(&INPUT).unwrap();
        context.at_member(1);
        context.open_here().unwrap();
        for value in ["ab", "ABCD"] {
            context.at_item();
            context.check_string(value);
        }
        context.close();
        context.close();
        let message = context.violation_message().unwrap();
        assert!(message.starts_with("3 validation errors detected: "), "{message}");
        let of_list = "Value '[ab, ABCD]' at 'names' failed to satisfy constraint: ";
        let length = "Member must have length less than or equal to";
        assert!(message.contains(&format!("{of_list}{length} 1")), "{message}");
        let elements = format!(
            "[{length} 3, Member must have length greater than or equal to 1, Member must satisfy regular expression \
             pattern: [a-z]+, Member must not be null]"
        );
        assert!(
            message.contains(&format!("{of_list}Member must satisfy constraint: {elements}")),
            "{message}"
        );
        assert!(
            message.contains(
                "Value null at 'functionName' failed to satisfy constraint: Member must not be null"
            )
        );
    }

    static WEIGHT: Shape = Shape::new("Weight", Kind::Double).min(0).max(1);
    static WEIGHTS: Shape =
        Shape::new("Weights", Kind::Map(&Member::new("key", &NAME), &Member::new("value", &WEIGHT)));

    #[test]
    fn maps_are_reported_as_a_whole() {
        let told = |key: &str, value: f64| {
            let mut context = ReadContext::default();
            context.open(&WEIGHTS).unwrap();
            context.at_key(key);
            context.check_double(value);
            context.close();
            context.violation_message()
        };
        assert_eq!(told("a", 0.5), None);
        let whole = |shown: &str, which: &str, all: &str| {
            Some(format!(
                "1 validation error detected: Value '{shown}' at '' failed to satisfy constraint: Map {which} must \
                 satisfy constraint: [{all}]"
            ))
        };
        let range = "Member must have value less than or equal to 1.0, Member must have value greater than or equal \
                     to 0.0, Member must not be null";
        assert_eq!(told("a", 2.0), whole("{a=2.0}", "value", range));
        assert_eq!(told("a", -1.0), whole("{a=-1.0}", "value", range));
        assert_eq!(told("a", f64::NAN), whole("{a=NaN}", "value", range));
        let name = "Member must have length less than or equal to 3, Member must have length greater than or equal to \
                    1, Member must satisfy regular expression pattern: [a-z]+";
        assert_eq!(told("A", 0.5), whole("{A=0.5}", "keys", name));
    }

    #[test]
    fn a_valid_message_has_no_violations() {
        let mut context = ReadContext::default();
        context.open(&INPUT).unwrap();
        context.at_member(0);
        context.check_string("abc");
        context.close();
        assert_eq!(context.violation_message(), None);
    }
}
