//! Values of attributes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::Number;

/// An item: its attributes by name.
pub type Item = BTreeMap<String, Value>;

/// The value of an attribute. Sets are never empty; equal values are equal in DynamoDB's sense.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A text.
    S(String),
    /// A number.
    N(Number),
    /// Bytes.
    B(Bytes),
    /// True or false.
    Bool(bool),
    /// Nothing, which is something that an attribute can have.
    Null,
    /// A list.
    L(Vec<Value>),
    /// A map.
    M(Item),
    /// A set of texts.
    Ss(BTreeSet<String>),
    /// A set of numbers.
    Ns(BTreeSet<Number>),
    /// A set of bytes.
    Bs(BTreeSet<Bytes>),
}

impl Value {
    /// The type's name on the wire and in `attribute_type`: `S`, `N`, `BOOL`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::B(_) => "B",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
            Self::L(_) => "L",
            Self::M(_) => "M",
            Self::Ss(_) => "SS",
            Self::Ns(_) => "NS",
            Self::Bs(_) => "BS",
        }
    }
}

/// What a caller did wrong: the message of AWS's ValidationException.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    /// A refusal with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
