//! Objects for other parts of the platform, as Lambda's packages.

use bytes::Bytes;
use lambent_api::ApiError;
use lambent_blobs::BlobStore;
use lambent_store::Db;

use crate::errors::{self, S3Error};
use crate::ranges::Span;
use crate::rows::ObjectRow;
use crate::{data, keys};

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

    /// The bytes of an object of `account`; `Err(size)` inside when it has more than `limit` of them.
    pub async fn fetch(
        &self,
        account: &str,
        bucket: &str,
        key: &str,
        limit: u64,
    ) -> Result<Result<Bytes, u64>, ApiError> {
        let object = self.find(account, bucket, key).await.map_err(ApiError::from)?;
        if object.size > limit {
            return Ok(Err(object.size));
        }
        let whole = Span { start: 0, end: object.size };
        let mut body = data::read(&self.db, &self.blobs, &object, whole).await.map_err(ApiError::from)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let grown = || ApiError::internal(&"an object has more bytes than its row says");
        Ok(Ok(body.collect(limit, grown).await?))
    }

    async fn find(&self, account: &str, bucket: &str, key: &str) -> Result<ObjectRow, S3Error> {
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
