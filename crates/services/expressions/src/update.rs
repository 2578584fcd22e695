//! Updates: what an UpdateExpression changes ("Using update expressions in DynamoDB").

use std::sync::Arc;

use crate::parser::{Grammar, parse};
use crate::path::Path;
use crate::placeholders::Placeholders;
use crate::projection::Projection;
use crate::{Invalid, Item, Value, apply, update_parser, value_bytes};

/// Where a new value comes from. All of it is read from the item as it was before the update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// What the item has there.
    Path(Path),
    /// What the request said.
    Value(Arc<Value>),
    /// `if_not_exists(path, other)`
    IfNotExists(Path, Box<Source>),
    /// `list_append(list, list)`
    Append(Box<Source>, Box<Source>),
    /// `number + number`
    Plus(Box<Source>, Box<Source>),
    /// `number - number`
    Minus(Box<Source>, Box<Source>),
}

impl Source {
    /// The name of its type, where that does not depend on the item.
    pub fn static_type(&self) -> Option<&'static str> {
        match self {
            Self::Path(_) => None,
            Self::Value(value) => Some(value.type_name()),
            Self::IfNotExists(_, other) => other.static_type(),
            Self::Append(..) => Some("L"),
            Self::Plus(..) | Self::Minus(..) => Some("N"),
        }
    }

    fn value_bytes(&self) -> usize {
        match self {
            Self::Path(_) => 0,
            Self::Value(value) => value_bytes(value),
            Self::IfNotExists(_, other) => other.value_bytes(),
            Self::Append(one, two) | Self::Plus(one, two) | Self::Minus(one, two) => {
                one.value_bytes() + two.value_bytes()
            }
        }
    }

    fn add_paths<'a>(&'a self, paths: &mut Vec<&'a Path>) {
        match self {
            Self::Path(path) => paths.push(path),
            Self::Value(_) => {}
            Self::IfNotExists(path, other) => {
                paths.push(path);
                other.add_paths(paths);
            }
            Self::Append(one, two) | Self::Plus(one, two) | Self::Minus(one, two) => {
                one.add_paths(paths);
                two.add_paths(paths);
            }
        }
    }
}

/// What happens at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It becomes this.
    Set(Source),
    /// It goes away.
    Remove,
    /// A number is added to it, or elements to a set.
    Add(Arc<Value>),
    /// Elements of a set go away.
    Delete(Arc<Value>),
}

/// A change at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Where.
    pub path: Path,
    /// What.
    pub change: Change,
}

impl Action {
    /// The name of the type that the path will have, where that does not depend on the item.
    pub fn static_type(&self) -> Option<&'static str> {
        match &self.change {
            Change::Set(source) => source.static_type(),
            Change::Remove => None,
            Change::Add(value) | Change::Delete(value) => Some(value.type_name()),
        }
    }
}

/// Changes of an item, no two of which touch the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    actions: Vec<Action>,
    /// What AWS says when an attribute is not of a set's or a number's type.
    mismatch: &'static str,
}

impl Update {
    /// Reads an UpdateExpression, and checks everything that can be known without a table.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, Invalid> {
        let actions = parse("UpdateExpression", text, Grammar::Update, placeholders, update_parser::update)?;
        Ok(Self::new(actions))
    }

    /// Made of actions, no two of which touch the same.
    pub fn new(actions: Vec<Action>) -> Self {
        Self { actions, mismatch: apply::WRONG_TYPE }
    }

    /// Made of the legacy parameter AttributeUpdates, for which AWS has another message.
    pub(crate) fn legacy(actions: Vec<Action>) -> Self {
        Self { actions, mismatch: "Type mismatch for attribute to update" }
    }

    /// Its actions, in the order that they are written.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The paths that it changes, in the order that they are written.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.actions.iter().map(|action| &action.path)
    }

    /// All paths in it: those that it changes, and those that it reads.
    pub fn all_paths(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        for action in &self.actions {
            paths.push(&action.path);
            if let Change::Set(source) = &action.change {
                source.add_paths(&mut paths);
            }
        }
        paths
    }

    /// The bytes of the values in it, each as often as it is there.
    pub fn value_bytes(&self) -> usize {
        let of_change = |action: &Action| match &action.change {
            Change::Set(source) => source.value_bytes(),
            Change::Remove => 0,
            Change::Add(value) | Change::Delete(value) => value_bytes(value),
        };
        self.actions.iter().map(of_change).sum()
    }

    /// What `UPDATED_OLD` shows of the item before, and `UPDATED_NEW` of the item after.
    pub fn touched(&self) -> Projection {
        Projection::new(self.paths().cloned().collect())
    }

    /// Changes `item`. After an error it may be half changed, and is of no more use.
    pub fn apply(&self, item: &mut Item) -> Result<(), Invalid> {
        apply::apply(&self.actions, item, self.mismatch)
    }
}
