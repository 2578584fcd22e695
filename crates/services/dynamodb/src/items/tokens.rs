//! ClientRequestToken: a transaction that is sent again within ten minutes is done once. Tokens that are over are removed by a
//! sweeper, so that no request has more to do than its own.

use std::time::Duration;

use bytes::Bytes;
use lambent_api::PlatformWork;
use lambent_base::Place;
use lambent_model_dynamodb::errors::idempotent_parameter_mismatch_exception;
use lambent_store::{KeyError, ScanOptions, Txn};
use ring::digest;

use crate::{Dynamo, DynamoError, keys};

/// How long a token is remembered. Source: API reference, TransactWriteItems.
const TOKEN_LIFE_MS: i64 = 10 * 60 * 1000;
/// How many tokens one transaction of the sweeper removes.
const STEP_ROWS: usize = 500;
/// Tokens that end closer together than this are removed together.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
const DIGEST_BYTES: usize = 32;

/// A token with what it was sent with.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    place: Place,
    /// Of the token's text: keys of rows are of one length.
    name: [u8; DIGEST_BYTES],
    /// Of the request.
    asked: [u8; DIGEST_BYTES],
}

impl Token {
    pub(crate) fn new(place: &Place, text: &str, asked: &impl std::fmt::Debug) -> Self {
        // Any text that tells two requests apart will do; the maps in it are sorted.
        let asked = digest_of(format!("{asked:?}").as_bytes());
        Self { place: place.clone(), name: digest_of(text.as_bytes()), asked }
    }

    /// Whether the transaction was done before; else remembers that it is done now.
    /// Errors: IdempotentParameterMismatchException.
    pub(crate) async fn is_done(&self, txn: &Txn, now_ms: i64) -> Result<bool, DynamoError> {
        let key = keys::token(&self.place, &self.name);
        if let Some(row) = txn.get(&key).await? {
            let (expires_ms, asked) = read_row(&row)?;
            if expires_ms > now_ms {
                if asked == self.asked {
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
        txn.put(&key, &[&expires_ms.to_be_bytes()[..], &self.asked].concat());
        txn.put(&keys::token_end(expires_ms, &key), b"");
        txn.on_commit(keys::TOKENS_TOPIC);
        Ok(false)
    }
}

impl Dynamo {
    /// Removes tokens when they are over, until the future is dropped. Sleeps while there are none.
    pub async fn run_token_sweeper(&self, work: &PlatformWork) {
        let mut watch = self.rows.of_platform(work).watch(keys::TOKENS_TOPIC);
        loop {
            let pause = match self.sweep_tokens(work).await {
                Ok(None) => {
                    watch.changed().await;
                    continue;
                }
                // What comes meanwhile ends later.
                Ok(Some(next_ms)) => {
                    let left_ms = (next_ms - self.clock.unix_ms()).clamp(0, TOKEN_LIFE_MS);
                    Duration::from_millis(left_ms.unsigned_abs()).max(PAUSE_MIN)
                }
                Err(error) => {
                    tracing::error!(%error, "request tokens that are over could not be removed; trying again");
                    PAUSE_AFTER_FAILURE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Removes all that are over; gives when the next one is (milliseconds since 1970), if there is any.
    pub(super) async fn sweep_tokens(&self, work: &PlatformWork) -> Result<Option<i64>, DynamoError> {
        let db = self.rows.of_platform(work);
        loop {
            let (now_ms, options) = (self.clock.unix_ms(), ScanOptions::rows(STEP_ROWS).keys_only());
            let ends = db
                .read(|txn| async move {
                    Ok::<_, DynamoError>(txn.scan_snapshot(&keys::token_ends(), options).await?)
                })
                .await?
                .rows;
            // What cannot be read is removed, too: it would stand before all others for ever.
            let is_over = |end: &Bytes| keys::read_token_end(end).map_or(true, |(ms, _)| ms <= now_ms);
            let over: Vec<&Bytes> = ends.iter().map(|(end, _)| end).take_while(|end| is_over(end)).collect();
            if over.is_empty() {
                let next = ends.first().map(|(end, _)| keys::read_token_end(end)).transpose()?;
                return Ok(next.map(|(ms, _)| ms));
            }
            let over = &over;
            db.run(|txn| async move {
                for end in over {
                    remove(&txn, end, now_ms).await?;
                }
                Ok::<_, DynamoError>(())
            })
            .await?;
        }
    }
}

/// Removes what is over, and its token unless that has come again since, and so has a later end.
async fn remove(txn: &Txn, end: &[u8], now_ms: i64) -> Result<(), DynamoError> {
    match keys::read_token_end(end) {
        Ok((_, token)) => {
            if let Some(row) = txn.get(&token).await? {
                let expires_ms = read_row(&row).map(|(expires_ms, _)| expires_ms);
                if let Err(error) = &expires_ms {
                    tracing::error!(key = %token.escape_ascii(), %error, "a request token could not be read; removing it");
                }
                if expires_ms.is_ok_and(|expires_ms| expires_ms > now_ms) {
                    txn.delete(end);
                    return Ok(());
                }
                txn.delete(&token);
            }
        }
        Err(error) => {
            tracing::error!(key = %end.escape_ascii(), %error, "the end of a request token could not be read; removing it");
        }
    }
    txn.delete(end);
    Ok(())
}

/// When a token is over, and the digest of what it came with.
fn read_row(row: &[u8]) -> Result<(i64, &[u8]), KeyError> {
    let (expires_ms, asked) = row.split_first_chunk().ok_or(KeyError::Short)?;
    Ok((i64::from_be_bytes(*expires_ms), asked))
}

fn digest_of(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().expect("a digest of SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use lambent_model_dynamodb as model;

    use super::*;
    use crate::testing::Bench;

    const TABLE: &str = "tab";

    async fn put(bench: &Bench, id: usize, token: &str) {
        let text = model::AttributeValue { s: Some(id.to_string()), ..Default::default() };
        let item = [("id".to_owned(), text)].into();
        let put = model::Put { table_name: TABLE.to_owned(), item, ..Default::default() };
        let input = model::TransactWriteItemsInput {
            client_request_token: Some(token.to_owned()),
            transact_items: vec![model::TransactWriteItem { put: Some(put), ..Default::default() }],
            ..Default::default()
        };
        bench.dynamo.transact_write_items(&bench.call(), input).await.unwrap();
    }

    #[tokio::test]
    async fn every_token_goes_after_ten_minutes() {
        let bench = Bench::new().await;
        bench.table(TABLE, None).await;
        for id in 0..=STEP_ROWS {
            put(&bench, id, &format!("token {id}")).await;
        }
        let ten_minutes = Duration::from_mins(10);
        let end_ms = bench.now_ms() + TOKEN_LIFE_MS;
        bench.hand.advance(ten_minutes - Duration::from_millis(1));
        assert_eq!(bench.dynamo.sweep_tokens(&bench.work).await.unwrap(), Some(end_ms));
        assert_eq!(bench.rows(b"dynamodb/token/").await, STEP_ROWS + 1);
        bench.hand.advance(Duration::from_millis(1));
        put(&bench, 0, "token 0").await;
        assert_eq!(bench.dynamo.sweep_tokens(&bench.work).await.unwrap(), Some(end_ms + TOKEN_LIFE_MS));
        assert_eq!(bench.rows(b"dynamodb/token").await, 2, "one that came again, and its end");
        bench.hand.advance(ten_minutes);
        assert_eq!(bench.dynamo.sweep_tokens(&bench.work).await.unwrap(), None);
        assert_eq!(bench.rows(b"dynamodb/token").await, 0);
    }

    #[tokio::test]
    async fn what_cannot_be_read_keeps_no_token_from_going() {
        let bench = Bench::new().await;
        bench.table(TABLE, None).await;
        put(&bench, 0, "one").await;
        put(&bench, 1, "two").await;
        let place = bench.call().place().clone();
        let damage = |txn: Txn| {
            let token = keys::token(&place, &digest_of(b"one"));
            async move {
                txn.put(&token, b"short");
                txn.put(b"dynamodb/token-end/", b"");
                Ok::<_, DynamoError>(())
            }
        };
        bench.db.run(damage).await.unwrap();
        bench.hand.advance(Duration::from_mins(10));
        assert_eq!(bench.dynamo.sweep_tokens(&bench.work).await.unwrap(), None);
        assert_eq!(bench.rows(b"dynamodb/token").await, 0);
    }

    #[test]
    fn keys_of_tokens_have_one_length() {
        let place = Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() };
        let [short, long] = ["a", &"\0".repeat(36)].map(|text| Token::new(&place, text, &0));
        assert_eq!(keys::token(&place, &short.name).len(), keys::token(&place, &long.name).len());
    }
}
