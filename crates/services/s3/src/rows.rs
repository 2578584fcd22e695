//! The formats of stored rows: one byte of version, then JSON; an object's row has its JSON's length (`u32`,
//! little-endian) before it and its body, if that is small, behind it.

use std::collections::BTreeMap;

use bytes::Bytes;
use lambent_identity::Pins;
use lambent_store::Txn;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::checksums::{Plan, StoredChecksum};
use crate::errors::S3Error;
use crate::keys;

const VERSION: u8 = 1;
/// The version byte and the length of the JSON.
const OBJECT_PREFIX_BYTES: usize = 1 + 4;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BucketRow {
    /// The owner's account.
    pub owner: String,
    pub region: String,
    /// What CreateBucket was given; absent in us-east-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_constraint: Option<String>,
    pub created_unix_ms: i64,
    /// Whether there are notification rules to read.
    #[serde(default)]
    pub notifies: bool,
}

/// What an object carries besides its bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website_redirect_location: Option<String>,
    /// Absent for STANDARD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// The user's own, by name without `x-amz-meta-`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, String>,
}

/// Where the bytes of an object are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Data {
    /// In the row itself.
    Inline,
    /// In one blob.
    Blob(String),
    /// In the spans of this completed upload, of which there are `count`.
    Spans { upload: String, count: u32 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ObjectRow {
    /// The account of the bucket's owner, so that a read needs no other row.
    pub owner: String,
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    pub modified_unix_s: i64,
    /// Grows with every write of the key; names this write.
    pub sequencer: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<StoredChecksum>,
    #[serde(default)]
    pub metadata: Metadata,
    pub data: Data,
    /// The bytes, when they are [`Data::Inline`].
    #[serde(skip)]
    pub inline: Bytes,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UploadRow {
    pub initiated_unix_ms: i64,
    /// The account of the bucket's owner.
    pub owner: String,
    /// Who began it, as ListMultipartUploads shows it.
    pub initiator_id: String,
    pub initiator_name: String,
    /// What the parts' checksums are; absent when the client named none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Plan>,
    pub metadata: Metadata,
    /// The sequencer of the object under the key when the upload began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartRow {
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    pub modified_unix_s: i64,
    /// Of the upload's algorithm, or CRC64NVME.
    pub checksum: StoredChecksum,
    pub blob: String,
}

/// A part of a completed upload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpanRow {
    pub size: u64,
    /// The place among the object's parts, from 1.
    pub number: u32,
    pub checksum: StoredChecksum,
    pub blob: String,
}

/// Data that nothing names any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum DeadRow {
    /// One reference to this blob less.
    Blob(String),
    /// The spans of an upload that an object had.
    Spans(String),
    /// The parts of an upload that was aborted, or that completion left out.
    Parts(String),
}

/// Who may use a bucket besides its account's own principals. Without the row: nobody, and public policies are blocked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AccessRow {
    /// The bucket's policy, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Whom its principals mean.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    pub pins: Pins,
    /// Whether there is a configuration of Block Public Access to show.
    pub has_block: bool,
    pub block: Block,
}

/// Block Public Access. There are no ACLs, so the first two settings are only remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "AWS has four switches")]
pub(crate) struct Block {
    pub block_public_acls: bool,
    pub ignore_public_acls: bool,
    pub block_public_policy: bool,
    pub restrict_public_buckets: bool,
}

impl Block {
    pub(crate) const OFF: Self = Self::all(false);
    pub(crate) const ON: Self = Self::all(true);

    const fn all(is_on: bool) -> Self {
        Self {
            block_public_acls: is_on,
            ignore_public_acls: is_on,
            block_public_policy: is_on,
            restrict_public_buckets: is_on,
        }
    }
}

impl Default for AccessRow {
    fn default() -> Self {
        Self { policy: None, pins: Pins::default(), has_block: true, block: Block::ON }
    }
}

impl AccessRow {
    /// Of a bucket that is there; a commit of `txn` depends on the row.
    pub(crate) async fn of(txn: &Txn, bucket: &str) -> Result<Self, S3Error> {
        let key = keys::access(bucket);
        txn.get(&key).await?.map_or_else(|| Ok(Self::default()), |row| decode(&key, &row))
    }

    /// Of a bucket of this account's.
    pub(crate) fn put(&self, txn: &Txn, owner: &str, bucket: &str) -> Result<(), S3Error> {
        txn.put(&keys::access(bucket), &encode(self)?);
        txn.add(&keys::revision(owner), 1);
        Ok(())
    }
}

impl ObjectRow {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, S3Error> {
        let mut bytes = Vec::with_capacity(512 + self.inline.len());
        bytes.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
        serde_json::to_writer(&mut bytes, self).map_err(|source| row_error(b"s3/object/", source))?;
        let length =
            u32::try_from(bytes.len() - OBJECT_PREFIX_BYTES).expect("metadata is bounded far below 4 GiB");
        bytes[1..OBJECT_PREFIX_BYTES].copy_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&self.inline);
        Ok(bytes)
    }

    pub(crate) fn decode(key: &[u8], row: &Bytes) -> Result<Self, S3Error> {
        check_version(key, row.first())?;
        let Some([a, b, c, d]) = row.get(1..OBJECT_PREFIX_BYTES).and_then(|length| length.first_chunk())
        else {
            return Err(S3Error::RowVersion { key: printable(key), expected: VERSION, got: 0 });
        };
        let json_bytes = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        let end = OBJECT_PREFIX_BYTES.saturating_add(json_bytes).min(row.len());
        let mut object: Self = serde_json::from_slice(&row[OBJECT_PREFIX_BYTES..end])
            .map_err(|source| S3Error::Row { key: printable(key), source })?;
        object.inline = row.slice(end..);
        Ok(object)
    }
}

/// The bytes of any other row.
pub(crate) fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, S3Error> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, row).map_err(|source| row_error(b"s3/", source))?;
    Ok(bytes)
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode<T: DeserializeOwned>(key: &[u8], row: &[u8]) -> Result<T, S3Error> {
    check_version(key, row.first())?;
    serde_json::from_slice(&row[1..]).map_err(|source| S3Error::Row { key: printable(key), source })
}

fn check_version(key: &[u8], version: Option<&u8>) -> Result<(), S3Error> {
    match version {
        Some(&VERSION) => Ok(()),
        other => Err(S3Error::RowVersion {
            key: printable(key),
            expected: VERSION,
            got: other.copied().unwrap_or_default(),
        }),
    }
}

fn row_error(key: &[u8], source: serde_json::Error) -> S3Error {
    S3Error::Row { key: printable(key), source }
}

fn printable(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}
