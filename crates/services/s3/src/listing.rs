//! Listing objects: ListObjects, ListObjectsV2, and the walk over keys that ListMultipartUploads shares.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use lambent_api::{ApiError, Call};
use lambent_model_s3::{
    CommonPrefix, EncodingType, ListObjectsOutput, ListObjectsRequest, ListObjectsV2Output,
    ListObjectsV2Request, Object, ObjectStorageClass,
};
use lambent_store::{Key, KeyError, KeyRange, ScanOptions, Txn, prefix_end};
use lambent_wire::Timestamp;

use crate::buckets;
use crate::checksums::{shown_algorithm, shown_type};
use crate::conditions::quoted;
use crate::errors::{self, S3Error};
use crate::rows::{BucketRow, ObjectRow};
use crate::service::S3;
use crate::{keys, limits, names};

/// The first read after a jump over a common prefix is this small: another jump may follow.
const ROWS_AFTER_JUMP: usize = 16;

/// What a page of a listing shall hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Query<'a> {
    pub prefix: &'a str,
    /// Never empty.
    pub delimiter: Option<&'a str>,
    /// Only what comes after this name or common prefix.
    pub after: Option<&'a str>,
    /// Of several uploads under the name `after`, also those that come after this one.
    pub after_upload: Option<&'a str>,
    pub max: usize,
}

/// Rows of one bucket that begin with an object's key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table<'a> {
    Objects(&'a str),
    Uploads(&'a str),
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry<T> {
    Row { name: String, shown: T },
    CommonPrefix(String),
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed<T> {
    pub entries: Vec<Entry<T>>,
    pub truncated: bool,
}

/// What a listing shows of a row, by its key and its bytes. It must keep neither: rows may hold whole bodies, and slices
/// of them what the store read around them.
pub(crate) type Show<T> = fn(&[u8], &Bytes) -> Result<T, S3Error>;

impl<T> Entry<T> {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Row { name, .. } | Self::CommonPrefix(name) => name,
        }
    }
}

impl Table<'_> {
    /// What the keys of names with this beginning start with.
    fn prefix(self, beginning: &str) -> Key {
        match self {
            Self::Objects(bucket) => keys::object(bucket, beginning),
            Self::Uploads(bucket) => keys::uploads(bucket).str_prefix(beginning),
        }
    }

    fn name(self, key: &[u8]) -> Result<String, S3Error> {
        match self {
            Self::Objects(bucket) => {
                let name = key.get(keys::objects(bucket).len()..).ok_or(KeyError::Short)?;
                Ok(String::from_utf8(name.to_vec()).map_err(|_| KeyError::Utf8)?)
            }
            Self::Uploads(_) => Ok(keys::object_and_upload(key)?.0),
        }
    }

    /// The rows of `range` that come after the query's marker.
    fn behind(self, range: KeyRange, marker: &str, upload: Option<&str>) -> KeyRange {
        match (self, upload) {
            (Self::Objects(bucket), _) => range.after(&keys::object(bucket, marker)),
            (Self::Uploads(bucket), Some(id)) => range.after(&keys::upload(bucket, marker, id)),
            (Self::Uploads(bucket), None) => {
                range.starting_at(&prefix_end(&keys::uploads_of(bucket, marker)))
            }
        }
    }
}

/// Walks over a table in the order of the names' bytes. Names with a common prefix are jumped over, so that the work
/// grows with the page, not with the bucket; each row is let go of before the next is looked at, so that the memory
/// grows with what is shown, not with what is stored.
pub(crate) async fn walk<T>(
    txn: &Txn,
    table: Table<'_>,
    query: Query<'_>,
    show: Show<T>,
) -> Result<Listed<T>, S3Error> {
    for name in [Some(query.prefix), query.after].into_iter().flatten() {
        names::check_key(name)?;
    }
    let mut listed = Listed { entries: Vec::new(), truncated: false };
    if query.max == 0 {
        return Ok(listed);
    }
    let mut range = start(table, query);
    let mut rows_a_page = limits::LIST_PAGE_ROWS.min(query.max + 1);
    while !range.is_empty() {
        let options = ScanOptions::rows(rows_a_page).max_bytes(limits::LIST_PAGE_BYTES);
        let page = txn.scan(&range, options).await?;
        let rest = range.rest(&page, false);
        let mut jump = None;
        for (key, row) in page.rows {
            if listed.entries.len() == query.max {
                listed.truncated = true;
                return Ok(listed);
            }
            let name = table.name(&key)?;
            if let Some(prefix) = common_prefix(&name, query) {
                jump = Some(prefix_end(&table.prefix(prefix)));
                listed.entries.push(Entry::CommonPrefix(prefix.to_owned()));
                break;
            }
            listed.entries.push(Entry::Row { name, shown: show(&key, &row)? });
        }
        range = match (jump, rest) {
            (Some(end_of_prefix), _) => {
                rows_a_page = ROWS_AFTER_JUMP;
                range.starting_at(&end_of_prefix)
            }
            (None, Some(rest)) => {
                rows_a_page = (rows_a_page * 4).min(limits::LIST_PAGE_ROWS);
                rest
            }
            (None, None) => break,
        };
    }
    Ok(listed)
}

/// The rows that can be on the page.
fn start(table: Table<'_>, query: Query<'_>) -> KeyRange {
    let range = table.prefix(query.prefix).range();
    let Some(after) = query.after else { return range };
    match common_prefix(after, query) {
        // The common prefix of the marker comes not after it, so nothing below is listed any more.
        Some(prefix) => range.starting_at(&prefix_end(&table.prefix(prefix))),
        None => table.behind(range, after, query.after_upload),
    }
}

/// The beginning of `name` up to the first delimiter behind the query's prefix.
fn common_prefix<'a>(name: &'a str, query: Query<'_>) -> Option<&'a str> {
    let rest = name.strip_prefix(query.prefix)?;
    let delimiter = query.delimiter?;
    let at = rest.find(delimiter)?;
    Some(&name[..query.prefix.len() + at + delimiter.len()])
}

impl S3 {
    pub(crate) async fn list_objects(
        &self,
        call: &Call,
        input: ListObjectsRequest,
    ) -> Result<ListObjectsOutput, S3Error> {
        let encoding = Encoding::new(input.encoding_type.as_ref())?;
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: delimiter(input.delimiter.as_deref()),
            after: input.marker.as_deref().filter(|marker| !marker.is_empty()),
            max: max_entries(input.max_keys, "max-keys")?,
            ..Query::default()
        };
        let expected = input.expected_bucket_owner.as_deref();
        let (bucket, listed) = self.list(call, &input.bucket, expected, query).await?;
        // Without a delimiter clients go on from the last key.
        let next = listed.entries.last().filter(|_| listed.truncated && query.delimiter.is_some());
        let next_marker = next.map(|entry| encoding.apply(entry.name()));
        let page = Contents::new(listed, encoding, Some(&bucket));
        Ok(ListObjectsOutput {
            common_prefixes: page.common_prefixes,
            contents: page.contents,
            delimiter: query.delimiter.map(|delimiter| encoding.apply(delimiter)),
            encoding_type: input.encoding_type,
            is_truncated: Some(page.truncated),
            marker: Some(encoding.apply(input.marker.as_deref().unwrap_or_default())),
            max_keys: shown_max(input.max_keys),
            next_marker,
            prefix: Some(encoding.apply(query.prefix)),
            name: Some(input.bucket),
            request_charged: None,
        })
    }

    pub(crate) async fn list_objects_v2(
        &self,
        call: &Call,
        input: ListObjectsV2Request,
    ) -> Result<ListObjectsV2Output, S3Error> {
        let encoding = Encoding::new(input.encoding_type.as_ref())?;
        let from_token = input.continuation_token.as_deref().map(read_token).transpose()?;
        let start_after = input.start_after.as_deref().filter(|start| !start.is_empty());
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: delimiter(input.delimiter.as_deref()),
            after: from_token.as_deref().or(start_after),
            max: max_entries(input.max_keys, "max-keys")?,
            ..Query::default()
        };
        let expected = input.expected_bucket_owner.as_deref();
        let (bucket, listed) = self.list(call, &input.bucket, expected, query).await?;
        let next = listed.entries.last().filter(|_| listed.truncated);
        let next_token = next.map(|entry| BASE64_URL_SAFE_NO_PAD.encode(entry.name()));
        let key_count = i32::try_from(listed.entries.len()).ok();
        let page = Contents::new(listed, encoding, Some(&bucket).filter(|_| input.fetch_owner == Some(true)));
        Ok(ListObjectsV2Output {
            common_prefixes: page.common_prefixes,
            contents: page.contents,
            continuation_token: input.continuation_token,
            delimiter: query.delimiter.map(|delimiter| encoding.apply(delimiter)),
            encoding_type: input.encoding_type,
            is_truncated: Some(page.truncated),
            key_count,
            max_keys: shown_max(input.max_keys),
            next_continuation_token: next_token,
            prefix: Some(encoding.apply(query.prefix)),
            start_after: input.start_after.as_deref().map(|start| encoding.apply(start)),
            name: Some(input.bucket),
            request_charged: None,
        })
    }

    async fn list(
        &self,
        call: &Call,
        name: &str,
        expected_owner: Option<&str>,
        query: Query<'_>,
    ) -> Result<(BucketRow, Listed<Object>), S3Error> {
        self.db(call)
            .read(|txn| async move {
                let bucket = buckets::bucket(&txn, call, name, expected_owner).await?;
                Ok((bucket, walk(&txn, Table::Objects(name), query, object).await?))
            })
            .await
    }
}

/// How names are written in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    /// Errors: `InvalidArgument`.
    pub(crate) fn new(given: Option<&EncodingType>) -> Result<Self, ApiError> {
        match given {
            None => Ok(Self::Plain),
            Some(EncodingType::Url) => Ok(Self::Url),
            Some(EncodingType::Unknown(other)) => {
                let message = "Invalid Encoding Method specified in Request";
                Err(errors::invalid_argument(message, "encoding-type", other))
            }
        }
    }

    pub(crate) fn apply(self, name: &str) -> String {
        match self {
            Self::Plain => name.to_owned(),
            Self::Url => names::url_encoded(name),
        }
    }
}

/// An empty delimiter is none.
pub(crate) fn delimiter(given: Option<&str>) -> Option<&str> {
    given.filter(|delimiter| !delimiter.is_empty())
}

/// How many entries a page has: S3 takes larger numbers for its own limit.
///
/// Errors: `InvalidArgument` for negative ones.
pub(crate) fn max_entries(given: Option<i32>, name: &'static str) -> Result<usize, ApiError> {
    let Some(given) = given else { return Ok(limits::LIST_MAX_ENTRIES) };
    match usize::try_from(given) {
        Ok(max) => Ok(max.min(limits::LIST_MAX_ENTRIES)),
        Err(_) => {
            let message = format!("Argument {name} must be an integer between 0 and {}", i32::MAX);
            Err(errors::invalid_argument(message, name, given.to_string()))
        }
    }
}

/// The common prefixes of a page as answers show them.
pub(crate) fn common_prefixes(prefixes: Vec<String>) -> Option<Vec<CommonPrefix>> {
    let shown: Vec<_> = prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect();
    Some(shown).filter(|shown| !shown.is_empty())
}

/// The lines of a page, parted.
struct Contents {
    contents: Option<Vec<Object>>,
    common_prefixes: Option<Vec<CommonPrefix>>,
    truncated: bool,
}

impl Contents {
    fn new(listed: Listed<Object>, encoding: Encoding, owned_by: Option<&BucketRow>) -> Self {
        let owner = owned_by.map(|bucket| buckets::owner(&bucket.owner));
        let mut contents = Vec::new();
        let mut prefixes = Vec::new();
        for entry in listed.entries {
            match entry {
                Entry::CommonPrefix(prefix) => prefixes.push(encoding.apply(&prefix)),
                Entry::Row { name, shown } => {
                    let key = Some(encoding.apply(&name));
                    contents.push(Object { key, owner: owner.clone(), ..shown });
                }
            }
        }
        Self {
            contents: Some(contents).filter(|contents| !contents.is_empty()),
            common_prefixes: common_prefixes(prefixes),
            truncated: listed.truncated,
        }
    }
}

/// All but the key and the owner.
fn object(key: &[u8], row: &Bytes) -> Result<Object, S3Error> {
    let row = ObjectRow::decode(key, row)?;
    let class = row.metadata.storage_class.as_deref().unwrap_or("STANDARD");
    Ok(Object {
        checksum_algorithm: row.checksum.as_ref().map(|checksum| vec![shown_algorithm(checksum.algorithm)]),
        checksum_type: row.checksum.as_ref().map(|checksum| shown_type(checksum.checksum_type)),
        e_tag: Some(quoted(&row.etag)),
        key: None,
        last_modified: Some(Timestamp::from_s(row.modified_unix_s)),
        owner: None,
        restore_status: None,
        size: i64::try_from(row.size).ok(),
        storage_class: Some(ObjectStorageClass::from(class)),
    })
}

fn shown_max(given: Option<i32>) -> Option<i32> {
    let limit = i32::try_from(limits::LIST_MAX_ENTRIES).ok();
    given.map_or(limit, Some).min(limit)
}

fn read_token(token: &str) -> Result<String, ApiError> {
    let name = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.filter(|name| !name.is_empty()).ok_or_else(|| {
        ApiError::client("InvalidArgument", "The continuation token provided is incorrect")
            .with("ArgumentName", "continuation-token")
    })
}
