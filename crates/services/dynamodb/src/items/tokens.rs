//! ClientRequestToken: a transaction that is sent again within ten minutes is done once.

use lambent_base::Place;
use lambent_model_dynamodb::errors::idempotent_parameter_mismatch_exception;
use lambent_store::{KeyReader, ScanOptions, Txn};
use ring::digest;

use crate::{DynamoError, keys};

/// How long a token is remembered. Source: API reference, TransactWriteItems.
const TOKEN_LIFE_MS: i64 = 10 * 60 * 1000;
/// How many tokens that are over one transaction removes.
const REMOVED_MAX: usize = 64;
/// One of so many transactions removes some.
const REMOVING_SHARE: u8 = 16;
const DIGEST_BYTES: usize = 32;

/// A token with what it was sent with.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    place: Place,
    text: String,
    digest: [u8; DIGEST_BYTES],
}

impl Token {
    pub(crate) fn new(place: &Place, text: String, asked: &impl std::fmt::Debug) -> Self {
        // Any text that tells two requests apart will do; the maps in it are sorted.
        let digested = digest::digest(&digest::SHA256, format!("{asked:?}").as_bytes());
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(digested.as_ref());
        Self { place: place.clone(), text, digest }
    }

    /// Whether the transaction was done before; else remembers that it is done now.
    /// Errors: IdempotentParameterMismatchException.
    pub(crate) async fn is_done(&self, txn: &Txn, now_ms: i64) -> Result<bool, DynamoError> {
        let key = keys::token(&self.place, &self.text);
        if let Some(row) = txn.get(&key).await? {
            let (expires, digest) = row.split_first_chunk().ok_or(lambent_store::KeyError::Short)?;
            if i64::from_be_bytes(*expires) > now_ms {
                if digest == self.digest {
                    return Ok(true);
                }
                return Err(idempotent_parameter_mismatch_exception(
                    "Request rejected because it was retried with different parameters but with an idempotent token that was \
                     already used.",
                )
                .into());
            }
        }
        let expires_ms = now_ms + TOKEN_LIFE_MS;
        txn.put(&key, &[&expires_ms.to_be_bytes()[..], &self.digest].concat());
        txn.put(&keys::token_end(expires_ms, &self.place, &self.text), b"");
        if self.digest[0].is_multiple_of(REMOVING_SHARE) {
            remove(txn, now_ms).await?;
        }
        Ok(false)
    }
}

/// Removes some tokens that are over. Nobody's transaction depends on it.
async fn remove(txn: &Txn, now_ms: i64) -> Result<(), DynamoError> {
    let over = keys::token_ends_before(now_ms);
    let page = txn.scan_snapshot(&over, ScanOptions::rows(REMOVED_MAX).keys_only()).await?;
    for (end, _) in page.rows {
        let mut reader: KeyReader<'_> = keys::read_token_end(&end)?;
        let (account, region, text) = (reader.str()?, reader.str()?, reader.str()?);
        let key = keys::token(&Place { account, region }, &text);
        // A token may have come again since: it has a later end.
        if let Some(row) = txn.get(&key).await?
            && let Some((expires, _)) = row.split_first_chunk()
            && i64::from_be_bytes(*expires) <= now_ms
        {
            txn.delete(&key);
        }
        txn.delete(&end);
    }
    Ok(())
}
