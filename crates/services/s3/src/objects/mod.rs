//! Objects: what every write and every read of one has in common.

mod access;
mod copy;
mod delete;
mod get;
mod put;

use lambent_api::{ApiError, Call};
use lambent_identity::Wanted;
use lambent_store::Txn;

use crate::conditions::WriteCondition;
use crate::errors::{self, S3Error};
use crate::notifications::EventName;
use crate::readers::Held;
use crate::rows::{Data, ObjectRow};
use crate::service::S3;
use crate::{buckets, gc, keys, names};

pub(crate) use access::{wanted_deletion, wanted_deletions, wanted_get, wanted_head};
pub(crate) use copy::{CopySource, check_copied_size};

/// An object that is to be written.
pub(crate) struct NewObject<'a> {
    pub bucket: &'a str,
    pub key: &'a str,
    pub expected_owner: Option<&'a str>,
    pub condition: &'a WriteCondition,
    /// For writes that took several requests: what stood under the key when the first came.
    pub since: Option<Option<u64>>,
    /// Everything but the owner and the sequencer, which come from the bucket and the object before.
    pub row: &'a ObjectRow,
    pub event: EventName,
}

impl S3 {
    /// Writes an object's row, lets go of the one before, and records the event: all in `txn`.
    pub(crate) async fn publish(&self, txn: &Txn, call: &Call, new: &NewObject<'_>) -> Result<(), S3Error> {
        let bucket = buckets::bucket(txn, call, new.bucket, new.expected_owner).await?;
        let key = keys::object(new.bucket, new.key);
        let old = txn.get(&key).await?;
        let old = old.map(|row| ObjectRow::decode(&key, &row)).transpose()?;
        match new.since {
            None => new.condition.check(new.key, old.as_ref())?,
            Some(replaces) => new.condition.check_since(new.key, old.as_ref(), replaces)?,
        }
        if let Some(old) = &old {
            gc::bury_object(txn, self.clock().unix_ms(), old)?;
        }
        let mut row = new.row.clone();
        row.owner.clone_from(&bucket.owner);
        row.sequencer = self.next_sequencer(old.as_ref());
        if let Data::Blob(blob) = &row.data {
            txn.add(&keys::blob_references(blob), 1);
        }
        txn.put(&key, &row.encode()?);
        let change = Change {
            bucket_name: new.bucket,
            key: new.key,
            event: new.event,
            sequencer: row.sequencer,
            row: Some(&row),
        };
        self.record_event(txn, call, &bucket, &change).await
    }

    /// Looks before a long body is taken in: errors that can be known now need not wait for it.
    pub(crate) async fn look_ahead(
        &self,
        call: &Call,
        bucket: &str,
        key: &str,
        expected_owner: Option<&str>,
        condition: &WriteCondition,
    ) -> Result<(), S3Error> {
        let object_key = &keys::object(bucket, key);
        self.db(call)
            .read(|txn| async move {
                buckets::bucket(&txn, call, bucket, expected_owner).await?;
                if *condition == WriteCondition::None {
                    return Ok(());
                }
                let row = txn.get(object_key).await?;
                let row = row.map(|row| ObjectRow::decode(object_key, &row)).transpose()?;
                Ok(condition.check(key, row.as_ref())?)
            })
            .await
    }

    /// An object that the caller may see, and whose data stays: with one read of the store as a rule.
    pub(crate) async fn find(
        &self,
        call: &Call,
        bucket: &str,
        key: &str,
        expected_owner: Option<&str>,
    ) -> Result<Held, S3Error> {
        names::check_bucket(bucket)?;
        names::check_key(key)?;
        let object_key = &keys::object(bucket, key);
        let look = || {
            self.db(call).read(|txn| async move {
                let Some(row) = txn.get(object_key).await? else {
                    buckets::bucket(&txn, call, bucket, expected_owner).await?;
                    return Ok::<_, S3Error>(None);
                };
                let row = ObjectRow::decode(object_key, &row)?;
                buckets::check_owner(call, &row.owner, expected_owner)?;
                Ok(Some(row))
            })
        };
        if let Some(found) = self.readers().hold(look).await? {
            return Ok(found);
        }
        // That a key is missing is told only to those who may list the bucket.
        call.authorize(Wanted::new("s3:ListBucket", names::bucket_arn(bucket))).await?;
        Err(errors::no_such_key(key).into())
    }

    /// Grows with every write of a key, and with time across deletions of it.
    pub(crate) fn next_sequencer(&self, old: Option<&ObjectRow>) -> u64 {
        let now = u64::try_from(self.clock().unix_us()).unwrap_or_default();
        old.map_or(now, |old| now.max(old.sequencer + 1))
    }
}

/// What happened to an object, for those who want to hear of it.
pub(crate) struct Change<'a> {
    pub bucket_name: &'a str,
    pub key: &'a str,
    pub event: EventName,
    pub sequencer: u64,
    /// The object as it is now; `None` when it is gone.
    pub row: Option<&'a ObjectRow>,
}

/// Buckets have no versions yet: only the one called `null` is there.
pub(crate) fn check_version(id: Option<&str>) -> Result<(), ApiError> {
    match id {
        None | Some("null") => Ok(()),
        Some(other) => Err(errors::invalid_version_id(other)),
    }
}
