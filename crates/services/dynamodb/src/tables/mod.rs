//! Operations on tables.

mod check;
mod create;
mod delete;
mod describe;
mod list;
mod throughput;
mod update;

pub(crate) use check::table_name as check_table_name;
pub(crate) use create::{encryption, mode_of, throughput};
pub(crate) use delete::{not_found, remove};
pub(crate) use describe::{Shown, counted, definitions, describe, key_schema};
