//! What hangs on a function, or on one of its versions and aliases by its name, and goes with it.

use lambent_base::Place;
use lambent_store::{ScanOptions, Txn};

use crate::errors::LambdaError;
use crate::limits::ROWS_DELETED_AT_ONCE;
use crate::{keys, urls};

/// Deletes what hangs on one version or alias.
pub(crate) fn delete_of_qualifier(txn: &Txn, place: &Place, name: &str, qualifier: &str) {
    for kind in keys::ATTACHED {
        txn.delete(&keys::attached(kind, place, name).str(qualifier));
    }
}

/// Deletes a function's aliases and all that hangs on it, on them and on its versions, as much as one transaction should;
/// whether this was the rest.
pub(crate) async fn delete_some(txn: &Txn, place: &Place, name: &str) -> Result<bool, LambdaError> {
    let mut room = ROWS_DELETED_AT_ONCE;
    room -= urls::delete_some(txn, place, name, room).await?;
    if room == 0 {
        return Ok(false);
    }
    let kinds = keys::ATTACHED.iter().map(|kind| keys::attached(kind, place, name));
    for prefix in kinds.chain([keys::aliases(place, name)]) {
        let page = txn.scan(&prefix.range(), ScanOptions::rows(room).keys_only()).await?;
        for (key, _) in &page.rows {
            txn.delete(key);
        }
        room = room.saturating_sub(page.rows.len());
        if page.more.is_some() || room == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
