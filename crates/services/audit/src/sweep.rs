//! Old events go, and the oldest of those that are too many.

use lambent_store::{Db, KeyRange, ScanOptions, StoreError, engine};

use crate::keys::{self, Events};

/// How long events are kept. Source: AWS CloudTrail User Guide, "Working with CloudTrail event history": 90 days.
const KEPT_MS: i64 = 90 * 86_400_000;
/// Bytes of an account's events that are kept, whatever their age.
const KEPT_BYTES: i64 = 4 << 30;
/// The same of its events with a no, which are kept a second time.
const KEPT_DENIED_BYTES: i64 = 1 << 30;
/// The part of either that is for events of callers of no account or of another, who push out each other's and none of the
/// account's own: one of so many.
const FOREIGN_PART: i64 = 4;
/// Chunks that one transaction removes.
const STEP_CHUNKS: usize = 40;

/// How many bytes of these are kept of an account.
pub(crate) fn kept_bytes(of: Events) -> i64 {
    match of {
        Events::All => KEPT_BYTES - KEPT_BYTES / FOREIGN_PART,
        Events::Denied => KEPT_DENIED_BYTES - KEPT_DENIED_BYTES / FOREIGN_PART,
        Events::Foreign => KEPT_BYTES / FOREIGN_PART,
        Events::ForeignDenied => KEPT_DENIED_BYTES / FOREIGN_PART,
    }
}

/// Removes the events that are too old, account by account: one whose events are all young costs two reads.
pub(crate) async fn old_events(db: &Db, now_ms: i64) -> Result<(), StoreError> {
    for of in Events::EACH {
        let mut left = keys::all(of);
        while let Some(key) = first_key(db, &left).await? {
            left = match keys::read(of, &key) {
                Ok((account, _, _)) => {
                    remove_oldest(db, of, &account, |time_ms, _| time_ms < now_ms - KEPT_MS).await?;
                    KeyRange::new(keys::chunks(of, &account).range().end, left.end)
                }
                // For `lambent check` to find.
                Err(_) => left.after(&key),
            };
        }
    }
    Ok(())
}

/// Removes an account's oldest events until the others have at most so many bytes.
pub(crate) async fn down_to(db: &Db, of: Events, account: &str, max_bytes: i64) -> Result<(), StoreError> {
    let key = &keys::bytes(of, account);
    let counted = db.read(|txn| async move { txn.get_snapshot(key).await }).await?;
    if i64::from_le_bytes(engine::read_counter(counted.as_deref())?) <= max_bytes {
        return Ok(());
    }
    tracing::warn!(account, max_bytes, ?of, "the audit log of an account is full: its oldest events go");
    remove_oldest(db, of, account, |_, bytes| bytes > max_bytes).await
}

/// Counts an account's chunks if nobody has: those of a log that is older than the counter.
pub(crate) async fn count_first(db: &Db, of: Events, account: &str) -> Result<(), StoreError> {
    let (counter, range) = (&keys::bytes(of, account), &keys::chunks(of, account).range());
    let counted = db.run(|txn| async move {
        // Read so that whoever adds meanwhile makes this one begin anew.
        if txn.get(counter).await?.is_some() {
            return Ok::<_, StoreError>(());
        }
        let (mut bytes, mut left) = (0, Some(range.clone()));
        while let Some(range) = left {
            let page = txn.scan_snapshot(&range, ScanOptions::rows(STEP_CHUNKS)).await?;
            let readable = page.rows.iter().filter(|(key, _)| keys::read(of, key).is_ok());
            bytes += readable.map(|(_, row)| i64::try_from(row.len()).unwrap_or(i64::MAX)).sum::<i64>();
            left = range.rest(&page, false);
        }
        if bytes > 0 {
            txn.add(counter, bytes);
        }
        Ok(())
    });
    counted.await
}

/// Removes an account's oldest chunks as long as `goes` says so of one's time, and of the bytes of all that are left.
async fn remove_oldest(
    db: &Db,
    of: Events,
    account: &str,
    goes: impl Fn(i64, i64) -> bool,
) -> Result<(), StoreError> {
    let mut left = Some(keys::chunks(of, account).range());
    while let Some(range) = left {
        left = remove_some(db, (of, account), &range, &goes).await?;
    }
    Ok(())
}

/// One transaction's part of that. What is left of the range, as long as there may be more of these.
async fn remove_some(
    db: &Db,
    (of, account): (Events, &str),
    range: &KeyRange,
    goes: &impl Fn(i64, i64) -> bool,
) -> Result<Option<KeyRange>, StoreError> {
    let counter = &keys::bytes(of, account);
    let removed = db.run(|txn| async move {
        txn.frees_space();
        let counted = txn.get_snapshot(counter).await?;
        let bytes = i64::from_le_bytes(engine::read_counter(counted.as_deref())?);
        let page = txn.scan(range, ScanOptions::rows(STEP_CHUNKS)).await?;
        let (mut removed, mut left) = (0, range.rest(&page, false));
        for (key, row) in &page.rows {
            // What cannot be read is for `lambent check` to find, and stands in nobody's way.
            let Ok((_, time_ms, _)) = keys::read(of, key) else { continue };
            if !goes(time_ms, bytes - removed) {
                left = None;
                break;
            }
            txn.delete(key);
            removed += i64::try_from(row.len()).unwrap_or(i64::MAX);
        }
        // What was never counted is not taken off.
        let counted = removed.min(bytes);
        if counted != 0 {
            txn.add(counter, -counted);
        }
        Ok::<_, StoreError>(left)
    });
    removed.await
}

async fn first_key(db: &Db, range: &KeyRange) -> Result<Option<bytes::Bytes>, StoreError> {
    if range.is_empty() {
        return Ok(None);
    }
    let read = db.read(|txn| async move { txn.scan(range, ScanOptions::rows(1).keys_only()).await });
    Ok(read.await?.rows.into_iter().next().map(|(key, _)| key))
}
