//! The key layout. Text parts end with the store's end mark; "raw" ones go on to the key's end.
//!
//! | key | row |
//! |---|---|
//! | `s3/bucket/` NAME | [`crate::rows::BucketRow`] |
//! | `s3/owner/` ACCOUNT, NAME | empty: an account's buckets in order |
//! | `s3/access/` NAME | [`crate::rows::AccessRow`]: the bucket's policy |
//! | `s3/revision/` ACCOUNT | how often its buckets have come, gone, or changed whom they let in (a counter): decisions about them read it, and no other account's |
//! | `s3/notify/` NAME | the notification rules (a large value) |
//! | `s3/object/` BUCKET, KEY (raw) | [`crate::rows::ObjectRow`], with the body when that is small |
//! | `s3/upload/` BUCKET, KEY, UPLOAD (raw) | [`crate::rows::UploadRow`] |
//! | `s3/part/` UPLOAD, number `u64` | [`crate::rows::PartRow`] of an upload that goes on |
//! | `s3/span/` UPLOAD, offset `u64` | [`crate::rows::SpanRow`]: a part of a completed upload, by its first byte |
//! | `s3/ref/` BLOB (raw) | how many rows name the blob (a counter) |
//! | `s3/dead/` due `i64`, id (raw) | [`crate::rows::DeadRow`]: data that nothing names any more |
//! | `s3/reading/` BLOB or UPLOAD, NODE, number `u64` | empty: a read that lasts, of another node's perhaps |
//! | `s3/damaged/` key (raw) | the bytes that were found under the key and do not read back |

use lambent_blobs::BlobId;
use lambent_bus::NodeId;
use lambent_store::{Key, KeyError, KeyRange, KeyReader};

const BUCKET: &[u8] = b"s3/bucket/";
const OWNER: &[u8] = b"s3/owner/";
const ACCESS: &[u8] = b"s3/access/";
const REVISION: &[u8] = b"s3/revision/";
const NOTIFY: &[u8] = b"s3/notify/";
const OBJECT: &[u8] = b"s3/object/";
const UPLOAD: &[u8] = b"s3/upload/";
const PART: &[u8] = b"s3/part/";
const SPAN: &[u8] = b"s3/span/";
const REF: &[u8] = b"s3/ref/";
const DEAD: &[u8] = b"s3/dead/";
const READING: &[u8] = b"s3/reading/";
const DAMAGED: &[u8] = b"s3/damaged/";

/// Woken when data has become garbage.
pub(crate) const DEAD_TOPIC: &[u8] = b"s3/dead";

pub(crate) fn bucket(name: &str) -> Key {
    Key::new(BUCKET).str(name)
}

pub(crate) fn owned_bucket(account: &str, name: &str) -> Key {
    Key::new(OWNER).str(account).str(name)
}

/// The buckets of an account whose names start with `prefix`.
pub(crate) fn owned_buckets(account: &str, prefix: &str) -> KeyRange {
    Key::new(OWNER).str(account).str_prefix(prefix).range()
}

/// The bucket name in a key of [`owned_buckets`].
pub(crate) fn name_of_owned(key: &[u8]) -> Result<String, KeyError> {
    let mut reader = KeyReader::new(key, OWNER)?;
    reader.str()?;
    reader.str()
}

/// The counter that rises with every change of whom an account's buckets let in, and when one of them comes or goes.
pub(crate) fn revision(account: &str) -> Key {
    Key::new(REVISION).str(account)
}

pub(crate) fn access(bucket: &str) -> Key {
    Key::new(ACCESS).str(bucket)
}

pub(crate) fn notify(bucket: &str) -> Key {
    Key::new(NOTIFY).str(bucket)
}

pub(crate) fn object(bucket: &str, key: &str) -> Key {
    objects(bucket).raw(key.as_bytes())
}

/// What the keys of a bucket's objects start with; the object's key follows as it is.
pub(crate) fn objects(bucket: &str) -> Key {
    Key::new(OBJECT).str(bucket)
}

pub(crate) fn upload(bucket: &str, key: &str, id: &str) -> Key {
    uploads_of(bucket, key).raw(id.as_bytes())
}

/// What the keys of an object's uploads start with; the upload's id follows as it is.
pub(crate) fn uploads_of(bucket: &str, key: &str) -> Key {
    uploads(bucket).str(key)
}

/// What the keys of a bucket's uploads start with.
pub(crate) fn uploads(bucket: &str) -> Key {
    Key::new(UPLOAD).str(bucket)
}

/// Object key and upload id in a key of [`uploads`].
pub(crate) fn object_and_upload(key: &[u8]) -> Result<(String, String), KeyError> {
    let mut reader = KeyReader::new(key, UPLOAD)?;
    reader.bytes()?;
    let object = reader.str()?;
    let id = std::str::from_utf8(reader.rest()).map_err(|_| KeyError::Utf8)?;
    Ok((object, id.to_owned()))
}

pub(crate) fn part(upload: &str, number: i32) -> Key {
    parts(upload).u64(u64::from(number.unsigned_abs()))
}

/// What the keys of an upload's parts start with.
pub(crate) fn parts(upload: &str) -> Key {
    Key::new(PART).str(upload)
}

/// The part number in a key of [`parts`].
pub(crate) fn number_of_part(key: &[u8]) -> Result<i32, KeyError> {
    let mut reader = KeyReader::new(key, PART)?;
    reader.bytes()?;
    i32::try_from(reader.u64()?).map_err(|_| KeyError::Long)
}

pub(crate) fn span(upload: &str, offset: u64) -> Key {
    spans(upload).u64(offset)
}

/// What the keys of a completed upload's spans start with.
pub(crate) fn spans(upload: &str) -> Key {
    Key::new(SPAN).str(upload)
}

/// The offset of the first byte in a key of [`spans`].
pub(crate) fn offset_of_span(key: &[u8]) -> Result<u64, KeyError> {
    let mut reader = KeyReader::new(key, SPAN)?;
    reader.bytes()?;
    reader.u64()
}

pub(crate) fn all_spans() -> KeyRange {
    Key::new(SPAN).range()
}

pub(crate) fn all_blob_references() -> KeyRange {
    Key::new(REF).range()
}

pub(crate) fn blob_references(blob: &str) -> Key {
    Key::new(REF).raw(blob.as_bytes())
}

/// The blob whose references a key of [`blob_references`] counts.
pub(crate) fn blob_of_references(key: &[u8]) -> Option<BlobId> {
    std::str::from_utf8(key.strip_prefix(REF)?).ok()?.parse().ok()
}

pub(crate) fn dead(due_unix_ms: i64, id: &str) -> Key {
    Key::new(DEAD).i64(due_unix_ms).raw(id.as_bytes())
}

/// Everything that nothing names any more, by the time when it may go.
pub(crate) fn all_dead() -> KeyRange {
    Key::new(DEAD).range()
}

/// When the data under a key of [`all_dead`] may go, in milliseconds since 1970.
pub(crate) fn due_of_dead(key: &[u8]) -> Result<i64, KeyError> {
    KeyReader::new(key, DEAD)?.i64()
}

/// The same as a key of [`all_dead`] speaks of, at another time.
pub(crate) fn dead_later(key: &[u8], due_unix_ms: i64) -> Result<Key, KeyError> {
    let mut reader = KeyReader::new(key, DEAD)?;
    reader.i64()?;
    Ok(Key::new(DEAD).i64(due_unix_ms).raw(reader.rest()))
}

/// A read by `node` of a blob or a completed upload.
pub(crate) fn reading(name: &str, node: NodeId, number: u64) -> Key {
    Key::new(READING).str(name).bytes(&node.to_bytes()).u64(number)
}

/// All reads of a blob or a completed upload that were told.
pub(crate) fn all_reading(name: &str) -> KeyRange {
    Key::new(READING).str(name).range()
}

/// All reads of whatever it may be that were told.
pub(crate) fn all_readings() -> KeyRange {
    Key::new(READING).range()
}

/// Whose read a key of [`all_readings`] speaks of.
pub(crate) fn node_of_reading(key: &[u8]) -> Result<NodeId, KeyError> {
    let mut reader = KeyReader::new(key, READING)?;
    reader.str()?;
    reader.bytes()?.try_into().map(NodeId::from_bytes).map_err(|_| KeyError::Long)
}

/// Where a row that does not read back is kept; `key` is where it was found.
pub(crate) fn damaged(key: &[u8]) -> Key {
    Key::new(DAMAGED).raw(key)
}

/// Everything that was set aside.
pub(crate) fn all_damaged() -> KeyRange {
    Key::new(DAMAGED).range()
}

/// Every bucket of every account.
pub(crate) fn all_buckets() -> KeyRange {
    Key::new(BUCKET).range()
}

/// The name in a key of [`all_buckets`].
pub(crate) fn name_of_bucket(key: &[u8]) -> Result<String, KeyError> {
    KeyReader::new(key, BUCKET)?.str()
}

pub(crate) fn all_owners() -> KeyRange {
    Key::new(OWNER).range()
}

/// Account and bucket in a key of [`all_owners`].
pub(crate) fn read_owned(key: &[u8]) -> Result<(String, String), KeyError> {
    let mut reader = KeyReader::new(key, OWNER)?;
    Ok((reader.str()?, reader.str()?))
}

pub(crate) fn all_access() -> KeyRange {
    Key::new(ACCESS).range()
}

pub(crate) fn all_notify() -> KeyRange {
    Key::new(NOTIFY).range()
}

pub(crate) fn all_objects() -> KeyRange {
    Key::new(OBJECT).range()
}

/// Bucket and object key in a key of [`all_objects`].
pub(crate) fn bucket_and_object(key: &[u8]) -> Result<(String, String), KeyError> {
    let mut reader = KeyReader::new(key, OBJECT)?;
    let bucket = reader.str()?;
    let object = std::str::from_utf8(reader.rest()).map_err(|_| KeyError::Utf8)?;
    Ok((bucket, object.to_owned()))
}

pub(crate) fn all_uploads() -> KeyRange {
    Key::new(UPLOAD).range()
}

/// The upload's id in a key of [`all_uploads`].
pub(crate) fn upload_of(key: &[u8]) -> Result<String, KeyError> {
    object_and_upload(key).map(|(_, upload)| upload)
}

pub(crate) fn all_parts() -> KeyRange {
    Key::new(PART).range()
}

/// The upload's id in a key of [`all_parts`].
pub(crate) fn upload_of_part(key: &[u8]) -> Result<String, KeyError> {
    KeyReader::new(key, PART)?.str()
}

/// The upload's id, and the offset of the first byte, in a key of [`all_spans`].
pub(crate) fn upload_and_offset(key: &[u8]) -> Result<(String, u64), KeyError> {
    let mut reader = KeyReader::new(key, SPAN)?;
    Ok((reader.str()?, reader.u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back() {
        assert_eq!(name_of_owned(&owned_bucket("000000000000", "photos")).unwrap(), "photos");
        let key = upload("photos", "a/\0b", "id1");
        assert_eq!(object_and_upload(&key).unwrap(), ("a/\0b".to_owned(), "id1".to_owned()));
        assert_eq!(number_of_part(&part("id1", 10_000)).unwrap(), 10_000);
        assert_eq!(offset_of_span(&span("id1", 1 << 40)).unwrap(), 1 << 40);
        assert_eq!(due_of_dead(&dead(-5, "blob/1")).unwrap(), -5);
        assert!(dead_later(&dead(-5, "blob/1"), 9).unwrap() == dead(9, "blob/1"));
        let node = NodeId::from_bytes([0, 1, 255, 3, 0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(node_of_reading(&reading("blob", node, 7)).unwrap(), node);
    }

    #[test]
    fn objects_sort_by_the_bytes_of_their_keys() {
        let mut names = ["a", "a\0", "a/", "b", "é", "z", "😀", "a\u{1}"];
        names.sort_unstable();
        let keys: Vec<_> = names.iter().map(|name| object("b", name)).collect();
        assert!(keys.is_sorted());
    }

    #[test]
    fn buckets_do_not_share_ranges() {
        assert!(!objects("photo").range().contains(&object("photos", "a")));
        assert!(!uploads_of("photos", "a").range().contains(&upload("photos", "ab", "id")));
    }
}
