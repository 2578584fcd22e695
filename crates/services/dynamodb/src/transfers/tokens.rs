//! Client tokens: the same request again, within eight hours, is the same export or import.
//!
//! A token is claimed before anything is done, and with it the id of what comes of it: so a request that is sent again does
//! the same once more, and not something else beside it. As long as nothing came of it, another request may claim it.

use std::fmt::Debug;

use lambent_base::{Place, text};
use lambent_store::{Key, KeyError, ScanOptions, Txn};
use lambent_wire::ApiError;
use ring::digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keys;
use crate::{DynamoError, rows};

/// Source: API reference, ExportTableToPointInTime, ClientToken.
const KEPT_MS: i64 = 8 * 3_600_000;
/// How many tokens that are over one request removes.
const REMOVED_MAX: usize = 20;

/// What a token was used for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asked {
    id: String,
    made_ms: i64,
    /// Of the whole request.
    digest: String,
}

/// What requests with tokens ask for: the row of an export or an import.
pub(super) trait Begun: DeserializeOwned {
    const KIND: &'static str;
    const ROW: &'static str;

    fn key(place: &Place, id: &str) -> Key;

    /// What a request is told whose token was used for another.
    fn conflict() -> ApiError;
}

/// A request with a token.
#[derive(Clone, Debug)]
pub(super) struct Request {
    place: Place,
    pub(super) token: String,
    /// Of the token: keys of rows are of one length.
    name: String,
    digest: String,
    now_ms: i64,
}

impl Request {
    pub(super) fn new(place: &Place, token: String, input: &impl Debug, now_ms: i64) -> Self {
        // Any text that tells two requests apart will do.
        let (name, digest) = (digest_of(&token), digest_of(&format!("{input:?}")));
        Self { place: place.clone(), token, name, digest, now_ms }
    }

    /// What came of the request when it was sent before, with its id.
    ///
    /// Errors: ExportConflictException and ImportConflictException where something came of another.
    pub(super) async fn look<J: Begun>(&self, txn: &Txn) -> Result<Option<(String, J)>, DynamoError> {
        let Some(asked) = self.asked::<J>(txn).await? else { return Ok(None) };
        let Some(row) = txn.get(&J::key(&self.place, &asked.id)).await? else { return Ok(None) };
        if asked.digest != self.digest {
            return Err(J::conflict().into());
        }
        Ok(Some((asked.id, rows::decode(J::ROW, &row)?)))
    }

    /// Claims the token, where [`Request::look`] found nothing; gives the id for what is to come of it: `id`, or the one that the
    /// same request got before.
    pub(super) async fn claim<J: Begun>(&self, txn: &Txn, id: &str) -> Result<String, DynamoError> {
        if let Some(asked) = self.asked::<J>(txn).await?.filter(|asked| asked.digest == self.digest) {
            return Ok(asked.id);
        }
        self.keep::<J>(txn, id).await?;
        Ok(id.to_owned())
    }

    /// Keeps the token for what has this id. Tokens that are over go on the way.
    pub(super) async fn keep<J: Begun>(&self, txn: &Txn, id: &str) -> Result<(), DynamoError> {
        let asked = Asked { id: id.to_owned(), made_ms: self.now_ms, digest: self.digest.clone() };
        txn.put(&keys::asked(&self.place, J::KIND, &self.name), &rows::encode(&asked));
        txn.put(&keys::asked_end(asked.ends_ms(), &self.place, J::KIND, &self.name), b"");
        remove(txn, self.now_ms).await
    }

    async fn asked<J: Begun>(&self, txn: &Txn) -> Result<Option<Asked>, DynamoError> {
        let key = keys::asked(&self.place, J::KIND, &self.name);
        let Some(row) = txn.get(&key).await? else { return Ok(None) };
        // What cannot be read holds nobody up: whoever claims the token writes over it.
        Ok(read(&key, &row).filter(|asked| asked.ends_ms() > self.now_ms))
    }
}

fn digest_of(text: &str) -> String {
    text::hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

impl Asked {
    fn ends_ms(&self) -> i64 {
        self.made_ms.saturating_add(KEPT_MS)
    }
}

/// A token's row; none, and a word to the operator, where it cannot be read.
fn read(key: &[u8], row: &[u8]) -> Option<Asked> {
    let asked = rows::decode("a client token", row);
    asked
        .inspect_err(|error| {
            let key = key.escape_ascii();
            tracing::error!(%key, %error, "a client token of an export or import could not be read; taking it for none");
        })
        .ok()
}

/// Removes some tokens that are over, of whatever account, and what cannot be read: it would be met by every request.
async fn remove(txn: &Txn, now_ms: i64) -> Result<(), DynamoError> {
    let over = keys::asked_ends_before(now_ms);
    let page = txn.scan_snapshot(&over, ScanOptions::rows(REMOVED_MAX).keys_only()).await?;
    for (end, _) in page.rows {
        match token_of(&end) {
            Ok(key) => {
                // A token may have come again since: it has a later end.
                if let Some(row) = txn.get(&key).await?
                    && read(&key, &row).is_none_or(|asked| asked.ends_ms() <= now_ms)
                {
                    txn.delete(&key);
                }
            }
            Err(error) => {
                let key = end.escape_ascii();
                tracing::error!(%key, %error, "the end of a client token could not be read; removing it");
            }
        }
        txn.delete(&end);
    }
    Ok(())
}

/// The key of the token whose end this is.
fn token_of(end: &[u8]) -> Result<Key, KeyError> {
    let mut reader = keys::read_asked_end(end)?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    Ok(keys::asked(&place, &reader.str()?, &reader.str()?))
}
