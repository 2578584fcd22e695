//! Objects for other parts of the platform, as Lambda's packages.

use lambent_api::{ApiError, Body, Guarded};
use lambent_blobs::BlobStore;
use lambent_identity::Authorized;
use lambent_store::Db;

use crate::errors::{self, S3Error};
use crate::ranges::Span;
use crate::readers::{Held, OpenReaders};
use crate::rows::ObjectRow;
use crate::{data, keys, names};

/// Reads whole objects, for who may.
#[derive(Clone)]
pub struct ObjectReader {
    rows: Guarded<Db>,
    blobs: Guarded<BlobStore>,
    readers: OpenReaders,
}

impl ObjectReader {
    pub fn new(rows: Guarded<Db>, blobs: Guarded<BlobStore>, readers: OpenReaders) -> Self {
        Self { rows, blobs, readers }
    }

    /// The bytes of an object that may be read, streamed; S3's own error when there is none.
    pub async fn fetch(&self, proof: &Authorized, bucket: &str, key: &str) -> Result<Body, ApiError> {
        let found = self.find(proof, bucket, key).await?;
        let whole = Span { start: 0, end: found.row.size };
        Ok(data::read(self.rows.of(proof), self.blobs.of(proof), &found, whole).await?)
    }

    async fn find(&self, proof: &Authorized, bucket: &str, key: &str) -> Result<Held, S3Error> {
        names::check_bucket(bucket)?;
        names::check_key(key)?;
        let (bucket_key, object_key) = (&keys::bucket(bucket), &keys::object(bucket, key));
        let look = || {
            self.rows.of(proof).read(|txn| async move {
                if txn.get(bucket_key).await?.is_none() {
                    return Err(errors::no_such_bucket(bucket).into());
                }
                let Some(row) = txn.get(object_key).await? else { return Ok(None) };
                let row = ObjectRow::decode(object_key, &row)?;
                if row.owner == proof.owner() { Ok(Some(row)) } else { Err(errors::access_denied().into()) }
            })
        };
        Ok(self.readers.hold(look).await?.ok_or_else(|| errors::no_such_key(key))?)
    }
}
