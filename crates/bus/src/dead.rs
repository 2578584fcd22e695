//! Events that were given up.

use bytes::Bytes;
use lambent_base::Arn;
use lambent_store::{ScanOptions, Txn, get_large};

use crate::error::BusError;
use crate::event::{Event, Header, decode, encode};
use crate::keys;
use crate::outbox::Outbox;
use crate::settle::remove_body;

/// An event that was given up, with the reason in its `last_error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Names the dead letter; letters of one target sort by the time of their death.
    pub key: Bytes,
    pub event: Event,
    /// In milliseconds since 1970.
    pub died_ms: i64,
}

impl Outbox {
    /// At most `limit` dead letters, of one target or of all, that come after the one named `after`.
    pub async fn dead_letters(
        &self,
        target: Option<&Arn>,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, BusError> {
        let mut range = keys::dead_letters(target);
        if let Some(after) = after {
            range = range.after(after);
        }
        let range = &range;
        self.db
            .read(|txn| async move {
                let page = txn.scan(range, ScanOptions::rows(limit)).await?;
                let mut letters = Vec::with_capacity(page.rows.len());
                for (key, row) in page.rows {
                    match read(&txn, &row).await {
                        Ok((event, died_ms)) => letters.push(DeadLetter { key, event, died_ms }),
                        Err(BusError::Store(error)) => return Err(error.into()),
                        Err(error) => {
                            let key = key.escape_ascii();
                            tracing::error!(%error, %key, "an unreadable dead letter");
                        }
                    }
                }
                Ok(letters)
            })
            .await
    }

    /// Sends a dead letter again, as if its event were new.
    pub async fn redrive(&self, key: &[u8]) -> Result<(), BusError> {
        let now_ms = self.clock.unix_ms();
        self.db
            .run(|txn| async move {
                let (mut header, payload) = take(&txn, key).await?;
                header.renew(now_ms);
                self.line_up(&txn, &encode(&header, &payload)?);
                Ok(())
            })
            .await
    }

    /// Removes a dead letter for good.
    pub async fn forget_dead_letter(&self, key: &[u8]) -> Result<(), BusError> {
        self.db
            .run(|txn| async move {
                let (header, _) = take(&txn, key).await?;
                remove_body(&txn, &header).await
            })
            .await
    }
}

/// Reads and deletes the row of a dead letter.
async fn take(txn: &Txn, key: &[u8]) -> Result<(Header, Bytes), BusError> {
    let row = if key.starts_with(keys::DEAD) { txn.get(key).await? } else { None };
    txn.delete(key);
    decode(&row.ok_or(BusError::NoSuchDeadLetter)?)
}

async fn read(txn: &Txn, row: &Bytes) -> Result<(Event, i64), BusError> {
    let (header, mut payload) = decode(row)?;
    if let Some(body) = header.body {
        let stored = get_large(txn, &keys::body(body)).await?;
        payload = stored.ok_or_else(|| BusError::Unreadable("its body is missing".to_owned()))?;
    }
    let died_ms = header.died_ms.ok_or_else(|| BusError::Unreadable("it has not died".to_owned()))?;
    Ok((header.event(payload)?, died_ms))
}
