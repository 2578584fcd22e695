//! Pins: while one stands, no sweeper lets go of a blob.
//!
//! A backup copies rows first and then the blobs that they name. A blob whose last row is deleted meanwhile must still be
//! there when its turn comes.
//!
//! | key | value |
//! |---|---|
//! | `bus/pin/` 16 random bytes | until when it stands, in milliseconds since 1970, `i64` big-endian |
//!
//! A pin falls by itself when its process has stopped renewing it. A sweeper reads all pins in the transaction in which
//! it lets go, and depends on them: so a pin that is set stands before the next blob goes.

use std::time::Duration;

use lambent_base::{Clock, Random, text};
use lambent_store::{Db, Key, KeyRange, ScanOptions, StoreError, Txn};

const PIN: &[u8] = b"bus/pin/";
/// The beats of nodes that share a store.
const NODE: &[u8] = b"bus/node/";
/// How long a pin stands unless it is renewed.
pub const STANDS_FOR: Duration = Duration::from_secs(120);
/// How often [`hold`] renews.
const RENEW_EVERY: Duration = Duration::from_secs(30);
/// Pins that may stand at once.
const PINS_MAX: usize = 1_000;
const ID_BYTES: usize = 16;

/// A pin that this process renews until it is let go.
pub struct Held {
    db: Db,
    id: [u8; ID_BYTES],
    renewing: tokio::task::JoinHandle<()>,
}

/// Rows that speak of processes which run now. They mean nothing in another place or at another time, so no dump has
/// them.
pub fn process_rows() -> Vec<KeyRange> {
    vec![KeyRange::prefix(PIN), KeyRange::prefix(NODE)]
}

/// Until when blobs must stay, in milliseconds since 1970; `None` when nothing holds them. The transaction depends on it.
pub async fn pinned_until(txn: &Txn, now_ms: i64) -> Result<Option<i64>, StoreError> {
    let page = txn.scan(&KeyRange::prefix(PIN), ScanOptions::rows(PINS_MAX)).await?;
    let until = |row: &[u8]| row.try_into().map_or(i64::MIN, i64::from_be_bytes);
    Ok(page.rows.iter().map(|(_, row)| until(row)).max().filter(|until| *until > now_ms))
}

/// Sets a pin, or lets it stand longer: [`STANDS_FOR`] from now.
pub async fn set(db: &Db, id: &[u8; ID_BYTES], now_ms: i64) -> Result<(), StoreError> {
    let stands_ms = i64::try_from(STANDS_FOR.as_millis()).expect("the span is short");
    let until_ms = now_ms.saturating_add(stands_ms);
    db.run(|txn| async move {
        // On a full disk a backup is needed most.
        txn.frees_space();
        // Those of processes that died go with the next one that is set.
        let page = txn.scan_snapshot(&KeyRange::prefix(PIN), ScanOptions::rows(PINS_MAX)).await?;
        for (key, row) in &page.rows {
            if row[..].try_into().map_or(i64::MIN, i64::from_be_bytes) <= now_ms {
                txn.delete(key);
            }
        }
        txn.put(&key(id), &until_ms.to_be_bytes());
        Ok(())
    })
    .await
}

/// Removes a pin.
pub async fn remove(db: &Db, id: &[u8; ID_BYTES]) -> Result<(), StoreError> {
    db.run(|txn| async move {
        txn.delete(&key(id));
        Ok(())
    })
    .await
}

/// Sets a pin and renews it until it is let go or dropped.
pub async fn hold(db: &Db, clock: &Clock, random: &Random) -> Result<Held, StoreError> {
    let id = random.bytes();
    set(db, &id, clock.unix_ms()).await?;
    let (own, clock) = (db.clone(), clock.clone());
    let renewing = tokio::spawn(async move {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if let Err(error) = set(&own, &id, clock.unix_ms()).await {
                tracing::warn!(%error, "a pin could not be renewed; trying again");
            }
        }
    });
    Ok(Held { db: db.clone(), id, renewing })
}

/// The id of a pin in a request.
pub fn read_id(hex: &str) -> Option<[u8; ID_BYTES]> {
    text::unhex(hex)?.try_into().ok()
}

impl Held {
    /// Lets go now, rather than when the pin falls by itself.
    pub async fn let_go(self) -> Result<(), StoreError> {
        self.renewing.abort();
        remove(&self.db, &self.id).await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

fn key(id: &[u8; ID_BYTES]) -> Key {
    Key::new(PIN).raw(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until(db: &Db, now_ms: i64) -> Option<i64> {
        db.read(|txn| async move { pinned_until(&txn, now_ms).await }).await.unwrap()
    }

    #[tokio::test]
    async fn a_pin_stands_until_it_falls_or_is_removed() {
        let (clock, hand) = Clock::manual(1_790_000_000_000);
        let db = Db::memory(clock.clone(), Random::seeded(1));
        assert_eq!(until(&db, clock.unix_ms()).await, None);
        set(&db, &[1; 16], clock.unix_ms()).await.unwrap();
        assert_eq!(until(&db, clock.unix_ms()).await, Some(1_790_000_120_000));
        hand.advance(Duration::from_secs(60));
        set(&db, &[2; 16], clock.unix_ms()).await.unwrap();
        hand.advance(Duration::from_secs(61));
        assert_eq!(until(&db, clock.unix_ms()).await, Some(1_790_000_180_000));
        remove(&db, &[2; 16]).await.unwrap();
        assert_eq!(until(&db, clock.unix_ms()).await, None, "the first has fallen");
        let held = hold(&db, &clock, &Random::seeded(2)).await.unwrap();
        assert!(until(&db, clock.unix_ms()).await.is_some());
        held.let_go().await.unwrap();
        assert!(db.is_empty().await.unwrap());
    }

    #[tokio::test]
    async fn who_lets_go_depends_on_pins() {
        let db = Db::memory(Clock::system(), Random::seeded(1));
        let (db, attempts) = (&db, std::sync::atomic::AtomicU32::new(0));
        let attempts = &attempts;
        let pinned = db
            .run(|txn| async move {
                let pinned = pinned_until(&txn, 5).await?.is_some();
                if attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                    set(db, &[1; 16], 5).await?;
                }
                txn.put(b"gone", b"");
                Ok::<_, StoreError>(pinned)
            })
            .await;
        assert!(pinned.unwrap(), "a pin that was set meanwhile was seen");
    }
}
