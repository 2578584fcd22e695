//! PartiQL: statements, alone, in batches and in transactions.
//!
//! A statement is read into what other operations are made of, a write of one item or reads of partitions, and done as
//! those are.

mod batch;
mod columns;
mod execute;
mod pages;
#[cfg(test)]
mod tests;
mod token;
mod transaction;
mod writes;

use lambent_expressions::ordered::Kind;
use lambent_expressions::partiql::{self, Branch, KeyNames, Statement, branches};
use lambent_expressions::{Condition, Invalid, Value, from_wire};
use lambent_model_dynamodb::AttributeValue;

use crate::table::{KeyAttribute, KeyKind, KeySchema};

/// Reads a statement. What is wrong with its parameters is told first.
pub(crate) fn read(statement: &str, parameters: Option<&[AttributeValue]>) -> Result<Statement, Invalid> {
    let values = parameters.unwrap_or_default().iter().cloned().map(from_wire);
    partiql::parse(statement, values.collect::<Result<Vec<Value>, Invalid>>()?)
}

/// The partitions that a condition names; `None` where it is about all items, or the key has many attributes.
pub(crate) fn reads(
    condition: Option<&Condition>,
    schema: &KeySchema,
) -> Result<Option<Vec<Branch>>, Invalid> {
    if schema.is_simple() { branches(condition, key_names(schema)) } else { Ok(None) }
}

/// The attributes of a key, as statements are planned by.
pub(crate) fn key_names(schema: &KeySchema) -> KeyNames<'_> {
    KeyNames { hash: named(&schema.hash), range: schema.range.as_ref().map(named) }
}

fn named(attribute: &KeyAttribute) -> (&str, Kind) {
    let kind = match attribute.kind {
        KeyKind::S => Kind::S,
        KeyKind::N => Kind::N,
        KeyKind::B => Kind::B,
    };
    (&attribute.name, kind)
}
