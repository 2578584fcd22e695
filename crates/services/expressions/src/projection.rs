//! Projections: which parts of an item an answer has ("Using projection expressions in DynamoDB").

use std::collections::BTreeMap;

use crate::lexer::Kind;
use crate::parser::{Grammar, Parsed, Parser, parse};
use crate::path::{Path, Step, clash_among};
use crate::placeholders::Placeholders;
use crate::{Invalid, Item, Value};

/// Paths into an item, none of which lies in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    paths: Vec<Path>,
}

impl Projection {
    /// Reads a ProjectionExpression.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, Invalid> {
        parse("ProjectionExpression", text, Grammar::Projection, placeholders, projection)
    }

    /// The projection to these paths, none of which lies in another.
    pub fn new(paths: Vec<Path>) -> Self {
        Self { paths }
    }

    /// The projection to whole attributes.
    pub fn of_attributes(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new(names.into_iter().map(Path::of_attribute).collect())
    }

    /// Its paths, in the order that they are written.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// What of `item` it shows. Elements of a list keep their order, and the places between them close.
    pub fn of(&self, item: &Item) -> Item {
        let mut shown = Item::new();
        let mut parts: BTreeMap<&str, Part<'_>> = BTreeMap::new();
        for path in &self.paths {
            let Some(value) = path.find(item) else { continue };
            if path.rest.is_empty() {
                shown.insert(path.head.clone(), value.clone());
            } else {
                parts.entry(&path.head).or_insert(Part::None).add(&path.rest, value);
            }
        }
        shown.extend(parts.into_iter().map(|(name, part)| (name.to_owned(), part.into_value())));
        shown
    }
}

/// What is shown of an attribute.
enum Part<'a> {
    None,
    Whole(&'a Value),
    Map(BTreeMap<&'a str, Part<'a>>),
    List(BTreeMap<usize, Part<'a>>),
}

impl<'a> Part<'a> {
    fn add(&mut self, rest: &'a [Step], value: &'a Value) {
        let Some((step, rest)) = rest.split_first() else {
            *self = Self::Whole(value);
            return;
        };
        match step {
            Step::Name(name) => {
                if let Self::None = self {
                    *self = Self::Map(BTreeMap::new());
                }
                if let Self::Map(parts) = self {
                    parts.entry(name).or_insert(Self::None).add(rest, value);
                }
            }
            Step::Index(index) => {
                if let Self::None = self {
                    *self = Self::List(BTreeMap::new());
                }
                if let Self::List(parts) = self {
                    parts.entry(*index).or_insert(Self::None).add(rest, value);
                }
            }
        }
    }

    fn into_value(self) -> Value {
        match self {
            // No part is made without something in it.
            Self::None => Value::Null,
            Self::Whole(value) => value.clone(),
            Self::Map(parts) => {
                Value::M(parts.into_iter().map(|(name, part)| (name.to_owned(), part.into_value())).collect())
            }
            Self::List(parts) => Value::L(parts.into_values().map(Self::into_value).collect()),
        }
    }
}

fn projection(parser: &mut Parser<'_>) -> Parsed<Projection> {
    let mut paths = vec![parser.path()?];
    while parser.takes(Kind::Comma) {
        paths.push(parser.path()?);
    }
    if parser.token.kind != Kind::End {
        return parser.refuse();
    }
    let problems = &mut parser.problems;
    let first = problems.reserved.take().or_else(|| problems.undefined_name.take());
    match first.or_else(|| clash_among(&paths)).or_else(|| problems.operand_type.take()) {
        Some(problem) => Err(problem),
        None => Ok(Projection { paths }),
    }
}
