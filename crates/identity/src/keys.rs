//! The key layout of identity:
//!
//! | key | value |
//! |---|---|
//! | `identity/1` account `role` name | the role as JSON ([`crate::Role`]), with its inline policies |

use lambent_store::{Key, KeyRange};

const PREFIX: &[u8] = b"identity/1";

pub(crate) fn role(account: &str, name: &str) -> Key {
    Key::new(PREFIX).str(account).str("role").str(name)
}

/// All roles of all accounts.
pub(crate) fn all() -> KeyRange {
    KeyRange::prefix(PREFIX)
}

/// All roles of an account, by name.
pub(crate) fn roles(account: &str) -> Key {
    Key::new(PREFIX).str(account).str("role")
}
