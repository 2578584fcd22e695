//! What the tasks of a dispatcher do: each works on one event, or on what is known of the queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_store::{KeyRange, get_large};
use tokio::sync::Semaphore;

use crate::deliver::{Attempt, Deliver, Delivery};
use crate::error::BusError;
use crate::event::{Event, decode};
use crate::heads::Heads;
use crate::keys;
use crate::settle::Owner;

/// The first pause after the store failed; it doubles up to [`MAX_STORE_PAUSE`].
pub(crate) const FIRST_STORE_PAUSE: Duration = Duration::from_millis(100);
pub(crate) const MAX_STORE_PAUSE: Duration = Duration::from_secs(10);

/// How many events with long payloads are delivered at once: what they have is in memory meanwhile.
const LONG_AT_ONCE: usize = 8;

/// By the kind of events that they take.
pub(crate) type Deliverers = HashMap<String, Arc<dyn Deliver>>;

/// What a delivery needs.
pub(crate) struct Work {
    pub(crate) owner: Owner,
    pub(crate) deliverers: Deliverers,
    long: Semaphore,
}

impl Work {
    pub(crate) fn new(owner: Owner, deliverers: Deliverers) -> Self {
        Self { owner, deliverers, long: Semaphore::new(LONG_AT_ONCE) }
    }

    /// Delivers the event in a row, and settles it.
    pub(crate) async fn deliver(&self, key: &Bytes, row: &Bytes) -> Result<(), BusError> {
        let is_long = decode(row).is_ok_and(|(header, _)| header.is_long);
        let _permit = if is_long { self.long.acquire().await.ok() } else { None };
        let attempt = match self.load(row).await {
            Ok(event) => match self.deliverers.get(&event.kind) {
                Some(deliverer) => deliverer.attempt(&event).await,
                None => {
                    Delivery::Busy(format!("nothing here delivers events of kind `{}`", event.kind)).into()
                }
            },
            Err(error @ BusError::Store(_)) => Delivery::Busy(error.to_string()).into(),
            Err(error) => Delivery::Refused(error.to_string()).into(),
        };
        self.settle(key, row, &attempt).await
    }

    /// Keeps the heads, or leaves them as they are: the next start then passes more in vain, and loses nothing.
    pub(crate) async fn keep_heads(&self, heads: Heads) -> Result<(), BusError> {
        if let Err(error) = heads.keep(&self.owner).await {
            tracing::warn!(%error, queue = self.owner.queue, "the head of the queue could not be kept");
        }
        Ok(())
    }

    /// As with the heads: one that is kept for nothing costs the next start a look.
    pub(crate) async fn forget_wait(&self, target: &str, from: &KeyRange) -> Result<(), BusError> {
        if let Err(error) = self.owner.forget_wait(target, from).await {
            tracing::warn!(%error, target_arn = target, "that events waited for it could not be forgotten");
        }
        Ok(())
    }

    async fn load(&self, row: &Bytes) -> Result<Event, BusError> {
        let (header, mut payload) = decode(row)?;
        if let Some(body) = header.body {
            let key = &keys::body(body);
            let stored = self.owner.db.read(|txn| async move { get_large(&txn, key).await }).await?;
            payload = stored.ok_or_else(|| BusError::Unreadable("its body is missing".to_owned()))?;
        }
        header.event(payload)
    }

    /// Settles, and keeps trying while the store fails: a delivery that has happened must be accounted for.
    pub(crate) async fn settle(&self, key: &Bytes, row: &Bytes, attempt: &Attempt) -> Result<(), BusError> {
        let mut pause = FIRST_STORE_PAUSE;
        let mut settled = self.owner.settle(key, row, attempt).await;
        while let Err(BusError::Store(error)) = settled {
            tracing::error!(%error, "an attempt cannot be recorded; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_STORE_PAUSE);
            settled = self.owner.settle_again(key, row, attempt).await;
        }
        settled
    }
}
