//! PartiQL, as DynamoDB speaks it ("PartiQL - a SQL-compatible query language for Amazon DynamoDB"): statements are read into the
//! conditions and updates that the expressions of other operations are read into.

mod branches;
mod condition;
mod cursor;
mod lexer;
mod literal;
mod statement;
mod update;

pub use branches::{Branch, KeyNames, branches, named_key, only_key};
pub use statement::{Column, Order, Returning, Select, Statement, Verb, parse};
