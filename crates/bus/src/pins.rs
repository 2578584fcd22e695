//! Pins: while one stands, no sweeper lets go of a blob.
//!
//! A backup copies rows first and then the blobs that they name. A blob whose last row is deleted meanwhile must still be
//! there when its turn comes.
//!
//! A pin falls by itself when its process has stopped renewing it. A sweeper reads all pins in the transaction in which
//! it lets go, and depends on them: so a pin that is set stands before the next blob goes.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lambent_base::{Clock, Random, text};
use lambent_store::{Db, KeyRange, ScanOptions, StoreError, Txn};

use crate::keys;

/// How long a pin stands unless it is renewed.
pub const STANDS_FOR: Duration = Duration::from_secs(120);
/// How often a pin is renewed: a renewal or two may fail before it falls.
const RENEW_EVERY: Duration = Duration::from_secs(STANDS_FOR.as_secs() / 4);
/// [`Stand::since_ms`] of a pin that fell before it was renewed.
const FELL: i64 = i64::MIN;
/// Pins that may stand at once.
const PINS_MAX: usize = 1_000;
const ID_BYTES: usize = 16;

/// A pin that this process renews until it is let go.
pub struct Held {
    db: Db,
    id: [u8; ID_BYTES],
    renewing: Renewing,
}

/// Renews a pin until it is dropped, and knows whether it has stood all the time.
pub struct Renewing {
    stand: Arc<Stand>,
    task: tokio::task::JoinHandle<()>,
}

struct Stand {
    clock: Clock,
    /// When the last renewal that succeeded was begun, in milliseconds since 1970: the pin was set no earlier.
    since_ms: AtomicI64,
}

/// Rows that speak of processes which run now. They mean nothing in another place or at another time, so no dump has
/// them.
pub fn process_rows() -> Vec<KeyRange> {
    vec![keys::pins(), keys::nodes()]
}

/// Until when blobs must stay, in milliseconds since 1970; `None` when nothing holds them. The transaction depends on it.
pub async fn pinned_until(txn: &Txn, now_ms: i64) -> Result<Option<i64>, StoreError> {
    let page = txn.scan(&keys::pins(), ScanOptions::rows(PINS_MAX)).await?;
    let until = |row: &[u8]| row.try_into().map_or(i64::MIN, i64::from_be_bytes);
    Ok(page.rows.iter().map(|(_, row)| until(row)).max().filter(|until| *until > now_ms))
}

/// Sets a pin, or lets it stand longer: [`STANDS_FOR`] from now.
pub async fn set(db: &Db, id: &[u8; ID_BYTES], now_ms: i64) -> Result<(), StoreError> {
    let until_ms = now_ms.saturating_add(stands_ms());
    db.run(|txn| async move {
        // On a full disk a backup is needed most.
        txn.frees_space();
        // Those of processes that died go with the next one that is set.
        let page = txn.scan_snapshot(&keys::pins(), ScanOptions::rows(PINS_MAX)).await?;
        for (key, row) in &page.rows {
            if row[..].try_into().map_or(i64::MIN, i64::from_be_bytes) <= now_ms {
                txn.delete(key);
            }
        }
        txn.put(&keys::pin(*id), &until_ms.to_be_bytes());
        Ok(())
    })
    .await
}

/// Removes a pin.
pub async fn remove(db: &Db, id: &[u8; ID_BYTES]) -> Result<(), StoreError> {
    db.run(|txn| async move {
        txn.delete(&keys::pin(*id));
        Ok(())
    })
    .await
}

/// Sets a pin and renews it until it is let go or dropped.
pub async fn hold(db: &Db, clock: &Clock, random: &Random) -> Result<Held, StoreError> {
    let id = random.bytes();
    let (own, now) = (db.clone(), clock.clone());
    let renewing = renew(clock, move || {
        let (db, now_ms) = (own.clone(), now.unix_ms());
        async move { set(&db, &id, now_ms).await }
    });
    Ok(Held { db: db.clone(), id, renewing: renewing.await? })
}

/// Sets a pin with `set`, wherever it is, and then again and again.
pub async fn renew<E, Fut>(clock: &Clock, set: impl Fn() -> Fut + Send + 'static) -> Result<Renewing, E>
where
    E: Display + Send,
    Fut: Future<Output = Result<(), E>> + Send,
{
    let stand = Arc::new(Stand { clock: clock.clone(), since_ms: AtomicI64::new(clock.unix_ms()) });
    set().await?;
    let own = stand.clone();
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let begun_ms = own.clock.unix_ms();
            match set().await {
                Ok(()) => own.renewed(begun_ms),
                Err(error) => tracing::warn!(%error, "a pin could not be renewed; trying again"),
            }
        }
    });
    Ok(Renewing { stand, task })
}

/// The id of a pin in a request.
pub fn read_id(hex: &str) -> Option<[u8; ID_BYTES]> {
    text::unhex(hex)?.try_into().ok()
}

impl Held {
    /// Lets go now, rather than when the pin falls by itself.
    pub async fn let_go(self) -> Result<(), StoreError> {
        drop(self.renewing);
        remove(&self.db, &self.id).await
    }

    /// [`Renewing::has_stood`].
    pub fn has_stood(&self) -> bool {
        self.renewing.has_stood()
    }
}

impl Renewing {
    /// Whether the pin stands, and never fell since it was set.
    pub fn has_stood(&self) -> bool {
        self.stand.has_stood()
    }
}

impl Drop for Renewing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stand {
    fn has_stood(&self) -> bool {
        let since_ms = self.since_ms.load(Ordering::SeqCst);
        since_ms != FELL && self.clock.unix_ms().saturating_sub(since_ms) <= stands_ms()
    }

    fn renewed(&self, begun_ms: i64) {
        let since_ms = if self.has_stood() { begun_ms } else { FELL };
        self.since_ms.store(since_ms, Ordering::SeqCst);
    }
}

fn stands_ms() -> i64 {
    i64::try_from(STANDS_FOR.as_millis()).expect("the span is short")
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

    #[test]
    fn a_pin_that_fell_is_never_again_said_to_have_stood() {
        let (clock, hand) = Clock::manual(1_790_000_000_000);
        let stand = Stand { clock: clock.clone(), since_ms: AtomicI64::new(clock.unix_ms()) };
        for _ in 0..10 {
            hand.advance(STANDS_FOR);
            assert!(stand.has_stood());
            stand.renewed(clock.unix_ms());
        }
        let begun_ms = clock.unix_ms();
        hand.advance(STANDS_FOR + Duration::from_millis(1));
        assert!(!stand.has_stood());
        // It was begun in time, and came too late.
        stand.renewed(begun_ms);
        stand.renewed(clock.unix_ms());
        assert!(!stand.has_stood());
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
