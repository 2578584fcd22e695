//! ListParts and ListMultipartUploads.

use bytes::Bytes;
use lambent_api::{ApiError, Call};
use lambent_model_s3::{
    Initiator, ListMultipartUploadsOutput, ListMultipartUploadsRequest, ListPartsOutput, ListPartsRequest,
    MultipartUpload, Part, StorageClass,
};
use lambent_store::{ScanOptions, Txn};
use lambent_wire::Timestamp;

use super::{Named, is_id_of, named, upload};
use crate::checksums::{self, shown_algorithm, shown_type};
use crate::conditions::quoted;
use crate::errors::{self, S3Error};
use crate::listing::{Encoding, Entry, Listed, Query, Table, common_prefixes, delimiter, max_entries, walk};
use crate::rows::{self, PartRow, UploadRow};
use crate::service::S3;
use crate::{buckets, keys, limits};

/// A page of an upload's parts.
struct Parts {
    upload: UploadRow,
    parts: Vec<(i32, PartRow)>,
    truncated: bool,
}

impl S3 {
    pub(crate) async fn list_parts(
        &self,
        call: &Call,
        input: ListPartsRequest,
    ) -> Result<ListPartsOutput, S3Error> {
        let max = max_entries(input.max_parts, "max-parts")?;
        let marker = input.part_number_marker.unwrap_or(0);
        if marker < 0 {
            let message =
                format!("Argument part-number-marker must be an integer between 0 and {}", i32::MAX);
            return Err(errors::invalid_argument(message, "part-number-marker", marker.to_string()).into());
        }
        let named = named!(input);
        let page =
            self.db(call).read(|txn| async move { parts(&txn, call, named, marker, max).await }).await?;
        let (owner, plan) = (buckets::owner(&page.upload.owner), page.upload.checksum);
        let last = page.parts.last().map_or(0, |(number, _)| *number);
        let parts: Vec<Part> =
            page.parts.into_iter().map(|(number, row)| part(number, row, plan.is_some())).collect();
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            checksum_algorithm: plan.map(|plan| shown_algorithm(plan.algorithm)),
            checksum_type: plan.map(|plan| shown_type(plan.checksum_type)),
            initiator: Some(initiator(&page.upload)),
            is_truncated: Some(page.truncated),
            key: Some(input.key),
            max_parts: i32::try_from(max).ok(),
            next_part_number_marker: Some(last),
            owner: Some(owner),
            part_number_marker: Some(marker),
            parts: Some(parts).filter(|parts| !parts.is_empty()),
            storage_class: Some(class(&page.upload)),
            upload_id: Some(input.upload_id),
            ..ListPartsOutput::default()
        })
    }

    pub(crate) async fn list_multipart_uploads(
        &self,
        call: &Call,
        input: ListMultipartUploadsRequest,
    ) -> Result<ListMultipartUploadsOutput, S3Error> {
        let encoding = Encoding::new(input.encoding_type.as_ref())?;
        let after = input.key_marker.as_deref().filter(|marker| !marker.is_empty());
        // An upload's marker means nothing without its key's.
        let after_upload = input.upload_id_marker.as_deref().filter(|id| after.is_some() && !id.is_empty());
        check_upload_marker(&input.bucket, after, after_upload)?;
        let max = max_entries(input.max_uploads, "max-uploads")?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let query =
            Query { prefix, delimiter: delimiter(input.delimiter.as_deref()), after, after_upload, max };
        let (name, expected) = (input.bucket.as_str(), input.expected_bucket_owner.as_deref());
        let listed = self
            .db(call)
            .read(|txn| async move {
                buckets::bucket(&txn, call, name, expected).await?;
                walk(&txn, Table::Uploads(name), query, shown).await
            })
            .await?;
        let truncated = listed.truncated;
        let page = Uploads::new(listed, encoding);
        Ok(ListMultipartUploadsOutput {
            common_prefixes: common_prefixes(page.prefixes),
            delimiter: query.delimiter.map(|delimiter| encoding.apply(delimiter)),
            encoding_type: input.encoding_type,
            is_truncated: Some(truncated),
            key_marker: Some(encoding.apply(after.unwrap_or_default())),
            max_uploads: i32::try_from(max).ok(),
            next_key_marker: Some(page.next.0),
            next_upload_id_marker: Some(page.next.1),
            prefix: input.prefix.as_deref().map(|prefix| encoding.apply(prefix)),
            upload_id_marker: Some(after_upload.unwrap_or_default().to_owned()),
            uploads: Some(page.uploads).filter(|uploads| !uploads.is_empty()),
            bucket: Some(input.bucket),
            request_charged: None,
        })
    }
}

/// The lines of a page, parted, and the markers of the last.
struct Uploads {
    uploads: Vec<MultipartUpload>,
    prefixes: Vec<String>,
    next: (String, String),
}

impl Uploads {
    fn new(listed: Listed<MultipartUpload>, encoding: Encoding) -> Self {
        let mut page =
            Self { uploads: Vec::new(), prefixes: Vec::new(), next: (String::new(), String::new()) };
        for entry in listed.entries {
            let name = encoding.apply(entry.name());
            match entry {
                Entry::CommonPrefix(_) => {
                    // S3 itself gives no marker here, and a client cannot go on; only then this differs.
                    page.next = if listed.truncated { (name.clone(), String::new()) } else { page.next };
                    page.prefixes.push(name);
                }
                Entry::Row { shown, .. } => {
                    page.next = (name.clone(), shown.upload_id.clone().unwrap_or_default());
                    page.uploads.push(MultipartUpload { key: Some(name), ..shown });
                }
            }
        }
        page
    }
}

async fn parts(txn: &Txn, call: &Call, named: Named<'_>, marker: i32, max: usize) -> Result<Parts, S3Error> {
    let upload = upload(txn, call, named).await?;
    let mut parts = Vec::new();
    if marker >= limits::PART_NUMBER_MAX || max == 0 {
        return Ok(Parts { upload, parts, truncated: false });
    }
    let range = keys::parts(named.id).range().after(&keys::part(named.id, marker));
    let page = txn.scan(&range, ScanOptions::rows(max)).await?;
    for (key, row) in &page.rows {
        parts.push((keys::number_of_part(key)?, rows::decode(key, row)?));
    }
    Ok(Parts { upload, parts, truncated: page.more.is_some() })
}

fn part(number: i32, row: PartRow, with_checksum: bool) -> Part {
    let mut part = Part {
        e_tag: Some(quoted(&row.etag)),
        last_modified: Some(Timestamp::from_s(row.modified_unix_s)),
        part_number: Some(number),
        size: i64::try_from(row.size).ok(),
        ..Part::default()
    };
    if with_checksum {
        checksums::show!(part, &row.checksum);
    }
    part
}

/// All but the object's key.
fn shown(key: &[u8], row: &Bytes) -> Result<MultipartUpload, S3Error> {
    let (_, id) = keys::object_and_upload(key)?;
    let row: UploadRow = rows::decode(key, row)?;
    Ok(MultipartUpload {
        checksum_algorithm: row.checksum.map(|plan| shown_algorithm(plan.algorithm)),
        checksum_type: row.checksum.map(|plan| shown_type(plan.checksum_type)),
        initiated: Some(Timestamp::from_s(row.initiated_unix_ms.div_euclid(1000))),
        initiator: Some(initiator(&row)),
        key: None,
        owner: Some(buckets::owner(&row.owner)),
        storage_class: Some(class(&row)),
        upload_id: Some(id),
        version_id: None,
    })
}

fn initiator(row: &UploadRow) -> Initiator {
    Initiator { display_name: Some(row.initiator_name.clone()), id: Some(row.initiator_id.clone()) }
}

fn class(row: &UploadRow) -> StorageClass {
    StorageClass::from(row.metadata.storage_class.as_deref().unwrap_or("STANDARD"))
}

fn check_upload_marker(bucket: &str, key: Option<&str>, id: Option<&str>) -> Result<(), ApiError> {
    match (key, id) {
        (Some(key), Some(id)) if !is_id_of(id, bucket, key) => {
            Err(errors::invalid_argument("Invalid uploadId marker", "upload-id-marker", id))
        }
        _ => Ok(()),
    }
}
