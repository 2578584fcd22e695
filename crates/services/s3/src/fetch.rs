//! Objects for other parts of the platform, as Lambda's packages.

use lambent_api::{ApiError, Body};
use lambent_blobs::BlobStore;
use lambent_store::Db;

use crate::errors::{self, S3Error};
use crate::ranges::Span;
use crate::rows::ObjectRow;
use crate::{data, keys, names};

/// Reads whole objects. Whether the caller may is decided before.
#[derive(Clone)]
pub struct ObjectReader {
    db: Db,
    blobs: BlobStore,
}

impl ObjectReader {
    pub fn new(db: Db, blobs: BlobStore) -> Self {
        Self { db, blobs }
    }

    /// The bytes of an object of `account`, streamed; S3's own error when there is none.
    pub async fn fetch(&self, account: &str, bucket: &str, key: &str) -> Result<Body, ApiError> {
        let object = self.find(account, bucket, key).await?;
        let whole = Span { start: 0, end: object.size };
        Ok(data::read(&self.db, &self.blobs, &object, whole).await?)
    }

    async fn find(&self, account: &str, bucket: &str, key: &str) -> Result<ObjectRow, S3Error> {
        names::check_bucket(bucket)?;
        names::check_key(key)?;
        let (bucket_key, object_key) = (&keys::bucket(bucket), &keys::object(bucket, key));
        self.db
            .read(|txn| async move {
                if txn.get(bucket_key).await?.is_none() {
                    return Err(errors::no_such_bucket(bucket).into());
                }
                let row = txn.get(object_key).await?.ok_or_else(|| errors::no_such_key(key))?;
                let row = ObjectRow::decode(object_key, &row)?;
                if row.owner == account { Ok(row) } else { Err(errors::access_denied().into()) }
            })
            .await
    }
}
