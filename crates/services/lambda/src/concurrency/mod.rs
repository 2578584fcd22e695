//! How many calls run at once: what is reserved, what is provisioned, what an account has.

mod account_settings;
pub(crate) mod provisioned;
pub(crate) mod reserved;

pub(crate) use reserved::{Shares, all_rows, read_provisioned, readable, reserved, shown, untyped};
