//! Document paths: an attribute, and the way into it.

use std::fmt;

use crate::{Item, Value};

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The attribute of a map.
    Name(String),
    /// The element of a list, counted from 0.
    Index(usize),
}

/// An attribute of an item, or something in it: `name.inner[3]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// The attribute of the item.
    pub head: String,
    /// The way from there on; empty for the attribute itself.
    pub rest: Vec<Step>,
}

impl Path {
    /// The path of a whole attribute.
    pub fn of_attribute(name: impl Into<String>) -> Self {
        Self { head: name.into(), rest: Vec::new() }
    }

    /// Whether it leads into an attribute rather than to it.
    pub fn is_nested(&self) -> bool {
        !self.rest.is_empty()
    }

    /// What lies at its end, if anything does.
    pub fn find<'a>(&self, item: &'a Item) -> Option<&'a Value> {
        let mut value = item.get(&self.head)?;
        for step in &self.rest {
            value = match (step, value) {
                (Step::Name(name), Value::M(map)) => map.get(name)?,
                (Step::Index(index), Value::L(list)) => list.get(*index)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// How the two stand to each other.
    pub(crate) fn clash(&self, other: &Self) -> Option<Clash> {
        if self.head != other.head {
            return None;
        }
        for (mine, its) in self.rest.iter().zip(&other.rest) {
            match (mine, its) {
                (Step::Name(_), Step::Index(_)) | (Step::Index(_), Step::Name(_)) => {
                    return Some(Clash::Conflict);
                }
                _ if mine != its => return None,
                _ => {}
            }
        }
        Some(Clash::Overlap)
    }
}

/// Why two paths cannot be used together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clash {
    /// One lies in the other, or they are the same.
    Overlap,
    /// One takes for a list what the other takes for a map.
    Conflict,
}

impl Clash {
    /// AWS's message.
    pub(crate) fn message(self, one: &Path, two: &Path) -> String {
        let how = match self {
            Self::Overlap => "overlap",
            Self::Conflict => "conflict",
        };
        format!(
            "Two document paths {how} with each other; must remove or rewrite one of these paths; path one: {one}, path two: {two}"
        )
    }
}

/// The first overlap among the paths, else the first conflict, in AWS's words.
pub(crate) fn clash_among<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Option<String> {
    let paths: Vec<&Path> = paths.into_iter().collect();
    let mut heads: Vec<&str> = paths.iter().map(|path| path.head.as_str()).collect();
    heads.sort_unstable();
    if heads.windows(2).all(|pair| pair[0] != pair[1]) {
        return None;
    }
    let mut conflict = None;
    for (count, later) in paths.iter().enumerate() {
        for earlier in &paths[..count] {
            match earlier.clash(later) {
                Some(Clash::Overlap) => return Some(Clash::Overlap.message(earlier, later)),
                Some(Clash::Conflict) if conflict.is_none() => {
                    conflict = Some(Clash::Conflict.message(earlier, later));
                }
                _ => {}
            }
        }
    }
    conflict
}

/// As AWS's messages show a path: `[name, inner, [3]]`.
impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "[{}", self.head)?;
        for step in &self.rest {
            match step {
                Step::Name(name) => write!(out, ", {name}")?,
                Step::Index(index) => write!(out, ", [{index}]")?,
            }
        }
        write!(out, "]")
    }
}
