//! The transactions of who delivers. Each depends on the lease of the queue: see [`crate::keys`].

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{Clock, Random};
use lambent_store::{Db, KeyRange, ScanOptions, Txn, delete_large};

use crate::backoff;
use crate::deliver::{Attempt, Delivery, End};
use crate::error::BusError;
use crate::event::{Header, NewEvent, RetryPolicy, decode, encode};
use crate::heads;
use crate::keys;
use crate::leases::Lease;
use crate::outbox::Outbox;

/// Where the events begin that wait for a target.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head {
    /// As the one who delivers knows.
    Known(u64),
    /// None waited, as far as is known.
    New(u64),
}

/// Who delivers from a queue.
#[derive(Clone)]
pub(crate) struct Owner {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) queue: u64,
    pub(crate) lease: Lease,
}

impl Owner {
    /// Does with the event in `row` under `key` what an attempt at it asks for.
    pub(crate) async fn settle(&self, key: &Bytes, row: &Bytes, attempt: &Attempt) -> Result<(), BusError> {
        self.db
            .run(|txn| async move {
                self.lease.check(&txn).await?;
                // What is put below replaces the row that goes.
                txn.frees_space();
                txn.delete(key);
                self.account(&txn, row, attempt).await
            })
            .await
    }

    /// The same after an attempt to settle of which nobody knows what became: what is settled is not settled twice.
    pub(crate) async fn settle_again(
        &self,
        key: &Bytes,
        row: &Bytes,
        attempt: &Attempt,
    ) -> Result<(), BusError> {
        let is_there = self.db.read(|txn| async move { Ok::<_, BusError>(txn.get(key).await?.is_some()) });
        // Nobody else may remove it, as that takes the lease.
        if is_there.await? { self.settle(key, row, attempt).await } else { Ok(()) }
    }

    /// Lets events, with their targets, wait for these alone. `heads` has each of the targets, with a commit that is not
    /// younger than any event that waits for it. Gives the heads as they are then: where an earlier attempt was not
    /// answered, older ones.
    pub(crate) async fn park(
        &self,
        events: &[(Bytes, Bytes, String)],
        heads: &BTreeMap<String, Head>,
    ) -> Result<BTreeMap<String, u64>, BusError> {
        self.db
            .run(|txn| async move {
                self.lease.check(&txn).await?;
                txn.frees_space();
                for (key, row, target) in events {
                    txn.delete(key);
                    txn.put_stamped(&keys::wait(self.queue, target), b"", row);
                }
                let mut kept = BTreeMap::new();
                for (target, head) in heads {
                    let key = keys::head_of_wait(self.queue, target);
                    let version = match head {
                        Head::Known(version) => *version,
                        Head::New(version) => heads::counter(txn.get(&key).await?)?.unwrap_or(*version),
                    };
                    // Also where it is there already: it may be about to be forgotten.
                    txn.max(&key, version);
                    kept.insert(target.clone(), version);
                }
                Ok(kept)
            })
            .await
    }

    /// Forgets that events waited for a target, unless one does again from `from` on.
    pub(crate) async fn forget_wait(&self, target: &str, from: &KeyRange) -> Result<(), BusError> {
        self.db
            .run(|txn| async move {
                self.lease.check(&txn).await?;
                if txn.scan(from, ScanOptions::rows(1).keys_only()).await?.rows.is_empty() {
                    txn.delete(&keys::head_of_wait(self.queue, target));
                }
                Ok(())
            })
            .await
    }

    /// Removes the event's body, or puts the event where it waits for what comes next.
    async fn account(&self, txn: &Txn, row: &Bytes, attempt: &Attempt) -> Result<(), BusError> {
        let (mut header, payload) = match decode(row) {
            Ok(parts) => parts,
            Err(error) => return keep_unreadable(txn, row, &error),
        };
        match &attempt.delivery {
            Delivery::Done => {}
            Delivery::Failed(error) => {
                header.failures += 1;
                header.note_error(error);
            }
            Delivery::Busy(error) => {
                header.busy += 1;
                header.note_error(error);
            }
            Delivery::Refused(error) => header.note_error(error),
        }
        let end = match self.next(&header, &attempt.delivery, attempt.retry.unwrap_or(header.retry())) {
            Ok(pause) => return self.put_off(txn, &header, &payload, pause),
            Err(end) => end,
        };
        let mut follow = attempt.follow.as_ref().map(|follow| follow(end)).unwrap_or_default();
        follow.retain(is_within_bounds);
        if follow.is_empty() && end != End::Done {
            return self.give_up(txn, header, &payload);
        }
        let outbox = self.outbox();
        for event in follow {
            outbox.put(txn, event).await?;
        }
        remove_body(txn, &header).await
    }

    /// How long to wait before the next attempt, or why there is none.
    fn next(&self, header: &Header, delivery: &Delivery, retry: RetryPolicy) -> Result<Duration, End> {
        let pause = match delivery {
            Delivery::Done => return Err(End::Done),
            Delivery::Refused(_) => return Err(End::Refused),
            Delivery::Failed(_) if header.failures >= retry.max_attempts => return Err(End::Exhausted),
            Delivery::Failed(_) => {
                backoff::after_failure(header.failures, retry.first_delay, retry.max_delay, &self.random)
            }
            Delivery::Busy(_) => backoff::after_busy(header.busy, &self.random),
        };
        let age = self.clock.unix_ms().saturating_sub(header.created_ms).max(0).unsigned_abs();
        let is_too_old = Duration::from_millis(age) + pause > retry.max_age;
        if is_too_old { Err(End::TooOld) } else { Ok(pause) }
    }

    /// For what follows from an event: it is delivered by whoever delivered that.
    fn outbox(&self) -> Outbox {
        let outbox = Outbox::new(self.db.clone(), self.clock.clone(), self.random.clone());
        outbox.queue.store(self.queue, std::sync::atomic::Ordering::Relaxed);
        outbox
    }

    fn put_off(&self, txn: &Txn, header: &Header, payload: &[u8], pause: Duration) -> Result<(), BusError> {
        let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        let due_ms = self.clock.unix_ms().saturating_add(pause_ms);
        txn.put(&keys::later(self.queue, due_ms, self.random.bytes()), &encode(header, payload)?);
        txn.on_commit(&keys::topic(self.queue));
        Ok(())
    }

    fn give_up(&self, txn: &Txn, mut header: Header, payload: &[u8]) -> Result<(), BusError> {
        header.died_ms = Some(self.clock.unix_ms());
        tracing::warn!(target_arn = header.target, failures = header.failures, "an event is dead");
        txn.put_stamped(&keys::dead_prefix(&header.target), b"", &encode(&header, payload)?);
        Ok(())
    }
}

/// Whether an event can be put at all. One that cannot must not keep the event that it follows from unsettled, or that would
/// be delivered again at every start.
fn is_within_bounds(event: &NewEvent) -> bool {
    let (bytes, limit) = (event.payload.len(), event.payload_max());
    if bytes > limit {
        tracing::error!(target_arn = %event.target, bytes, limit, "what follows from an event is too large, and lost");
    }
    bytes <= limit
}

pub(crate) async fn remove_body(txn: &Txn, header: &Header) -> Result<(), BusError> {
    if let Some(body) = header.body {
        delete_large(txn, &keys::body(body)).await?;
    }
    Ok(())
}

/// Bytes that are no event are not dropped either: they lie among the dead under no target.
fn keep_unreadable(txn: &Txn, row: &[u8], error: &BusError) -> Result<(), BusError> {
    tracing::error!(%error, "an event in the outbox is unreadable; it is kept under bus/dead/");
    txn.put_stamped(&keys::dead_prefix(""), b"", row);
    Ok(())
}
