//! Client tokens: the same request again, within eight hours, is the same export or import.

use std::fmt::Debug;

use lambent_base::{Place, text};
use lambent_store::{ScanOptions, Txn};
use ring::digest;
use serde::{Deserialize, Serialize};

use super::keys;
use crate::{DynamoError, rows};

/// Source: API reference, ExportTableToPointInTime, ClientToken.
const KEPT_MS: i64 = 8 * 3_600_000;
/// Old tokens that one request removes.
const REMOVED_MAX: usize = 20;

/// What a token was used for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    id: String,
    made_ms: i64,
    /// Of the whole request.
    digest: String,
}

/// What a token says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Use {
    New,
    /// The same was asked for before: its id.
    Again(String),
    /// Something else was.
    Other,
}

/// Looks a token up, and keeps it for `id` if it is new. Old tokens go on the way.
pub(super) async fn take(
    txn: &Txn,
    (place, what): (&Place, &str),
    (token, request): (&str, &impl Debug),
    id: &str,
    now_ms: i64,
) -> Result<Use, DynamoError> {
    let key = keys::asked(place, what, token);
    let digest = digest::digest(&digest::SHA256, format!("{request:?}").as_bytes());
    let digest = text::hex(digest.as_ref());
    if let Some(row) = txn.get(&key).await? {
        let asked: Asked = rows::decode("a client token", &row)?;
        if asked.made_ms + KEPT_MS > now_ms {
            return Ok(if asked.digest == digest { Use::Again(asked.id) } else { Use::Other });
        }
    }
    let old = txn.scan_snapshot(&keys::all_asked(place, what), ScanOptions::rows(REMOVED_MAX)).await?;
    for (key, row) in &old.rows {
        let asked: Asked = rows::decode("a client token", row)?;
        if asked.made_ms + KEPT_MS <= now_ms {
            txn.delete(key);
        }
    }
    txn.put(&key, &rows::encode(&Asked { id: id.to_owned(), made_ms: now_ms, digest }));
    Ok(Use::New)
}
