//! DynamoDB's values and languages: pure functions, with no store, no clock and nothing asynchronous.
//!
//! A [`Value`] is made of the wire's attribute values by [`from_wire`], which checks what AWS checks. Items are stored in the
//! form of [`encode_item`], and keys in that of [`ordered`].
//!
//! Expressions are read by `parse` of [`Condition`], [`Update`], [`Projection`] and [`KeyCondition`] with the request's
//! [`Placeholders`], which tell afterwards whether all of them were used.
#![forbid(unsafe_code)]

mod apply;
mod condition;
mod condition_parser;
mod functions;
mod glance;
mod hash;
mod key_condition;
pub mod legacy;
mod lexer;
mod number;
pub mod ordered;
mod parser;
pub mod partiql;
mod path;
mod placeholders;
mod projection;
mod reserved;
mod size;
mod stored;
#[cfg(test)]
mod tests;
mod update;
mod update_parser;
mod value;
mod wire;

pub use condition::{Comparator, Condition, Kind, Operand};
pub use glance::{Piece, pieces};
pub use hash::hash_of;
pub use key_condition::{KeyCondition, RangeTest};
pub use number::{Number, NumberError};
pub use path::{Path, Step};
pub use placeholders::Placeholders;
pub use projection::Projection;
pub use size::{item_bytes, nesting, value_bytes};
pub use stored::{Corrupt, decode_item, encode_item};
pub use update::{Action, Change, Source, Update};
pub use value::{Invalid, Item, Value};
pub use wire::{from_wire, item_from_wire, item_to_wire, to_wire};

/// How deep lists and maps of an item may lie in one another ("Quotas in Amazon DynamoDB": 32 levels).
pub const MAX_NESTING: usize = 32;
