//! Whether the rows of identity can be read.

use lambent_care::Findings;
use lambent_store::{Export, StoreError};

use crate::{keys, roles};

/// Reads all roles.
pub async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    view.for_each(keys::all(), |key, row| {
        if let Err(why) = roles::from_row(row) {
            let what = format!("role {} cannot be read: {why}", key.escape_ascii());
            findings.unreadable("identity", what, (key, row), None);
        }
    })
    .await
}
