//! CompleteMultipartUpload.

use std::collections::BTreeMap;

use bytes::Bytes;
use lambent_api::{ApiError, Call};
use lambent_checksums::{Algorithm, Checksum, ChecksumType, Part, multipart_etag};
use lambent_model_s3::{CompleteMultipartUploadOutput, CompleteMultipartUploadRequest, CompletedPart};
use lambent_store::{ScanOptions, Txn};

use super::{Named, named, upload};
use crate::checksums::{self, StoredChecksum, lower_name};
use crate::conditions::{WriteCondition, quoted, unquoted};
use crate::errors::{self, S3Error};
use crate::metadata::refuse_customer_key;
use crate::notifications::EventName;
use crate::objects::NewObject;
use crate::rows::{self, Data, DeadRow, ObjectRow, PartRow, SpanRow, UploadRow};
use crate::service::S3;
use crate::{gc, keys, limits, names};

/// What the client lists of one part.
struct Wanted {
    number: i32,
    /// Without quotes.
    etag: String,
    checksum: Option<(Algorithm, String)>,
}

/// The parts of the object to be, in their order.
struct Chosen {
    parts: Vec<PartRow>,
    size: u64,
    /// Those that completion leaves out.
    left_out: Vec<PartRow>,
}

impl S3 {
    pub(crate) async fn complete_multipart_upload(
        &self,
        call: &Call,
        input: CompleteMultipartUploadRequest,
    ) -> Result<CompleteMultipartUploadOutput, S3Error> {
        refuse_customer_key!(input)?;
        let condition = &WriteCondition::new(input.if_match.as_deref(), input.if_none_match.as_deref())?;
        condition.authorize(call, &input.bucket, &input.key).await?;
        // Values are compared as text: composite ones end with the number of parts.
        if let Some((header, _)) =
            checksums::given!(input).unsupported.iter().find(|(_, value)| value.is_some())
        {
            return Err(errors::header_not_implemented(header).into());
        }
        let wanted = &wanted(&input)?;
        let (named, request) = (named!(input), &input);
        let row = self
            .db(call)
            .run(|txn| async move { self.complete(&txn, call, named, request, wanted, condition).await })
            .await?;
        let path = names::url_encoded(&input.key).replace('+', "%20");
        let mut output = CompleteMultipartUploadOutput {
            location: Some(format!("{}/{}/{path}", call.context.endpoint, input.bucket)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(quoted(&row.etag)),
            ..CompleteMultipartUploadOutput::default()
        };
        if let Some(checksum) = &row.checksum {
            checksums::show_with_type!(output, checksum);
        }
        Ok(output)
    }

    async fn complete(
        &self,
        txn: &Txn,
        call: &Call,
        named: Named<'_>,
        input: &CompleteMultipartUploadRequest,
        wanted: &[Wanted],
        condition: &WriteCondition,
    ) -> Result<ObjectRow, S3Error> {
        let upload = match upload(txn, call, named).await {
            Err(S3Error::Api(error)) if error.code == "NoSuchUpload" => {
                return completed_before(txn, named, wanted).await?.ok_or(S3Error::Api(error));
            }
            other => other?,
        };
        check_type(input, &upload)?;
        if wanted.is_empty() {
            return Err(errors::invalid_request("You must specify at least one part").into());
        }
        let stored = stored_parts(txn, named.id).await?;
        let chosen = choose(named.id, &upload, wanted, stored)?;
        check_size(input, chosen.size)?;
        let row = object(call, named.id, &upload, &chosen)?;
        check_whole(input, &upload, &row)?;
        for left_out in &chosen.left_out {
            let dead = DeadRow::Blob(left_out.blob.clone());
            gc::bury(txn, call.time_ms(), &left_out.blob, &dead)?;
        }
        write_spans(txn, named.id, chosen.parts)?;
        txn.delete_range(&keys::parts(named.id).range());
        txn.delete(&keys::upload(named.bucket, named.key, named.id));
        let new = NewObject {
            bucket: named.bucket,
            key: named.key,
            expected_owner: named.expected_owner,
            condition,
            since: Some(upload.replaces),
            row: &row,
            event: EventName::CreatedByCompletion,
        };
        self.publish(txn, call, &new).await?;
        Ok(row)
    }
}

/// The object that this very completion made already, if it still stands: a client that lost the answer asks again.
async fn completed_before(
    txn: &Txn,
    named: Named<'_>,
    wanted: &[Wanted],
) -> Result<Option<ObjectRow>, S3Error> {
    let key = keys::object(named.bucket, named.key);
    let Some(row) = txn.get(&key).await? else { return Ok(None) };
    let row = ObjectRow::decode(&key, &row)?;
    let ours = matches!(&row.data, Data::Spans { upload, .. } if upload == named.id);
    let md5s: Option<Vec<Checksum>> = wanted.iter().map(|part| md5_of(&part.etag)).collect();
    let same_parts = md5s.and_then(|md5s| multipart_etag(&md5s).ok()).is_some_and(|etag| etag == row.etag);
    Ok(Some(row).filter(|_| ours && same_parts))
}

fn md5_of(etag: &str) -> Option<Checksum> {
    Checksum::from_bytes(Algorithm::Md5, &lambent_base::text::unhex(etag)?)
}

/// The parts that the client lists.
///
/// Errors: `MalformedXML`, `InvalidPartOrder`.
fn wanted(input: &CompleteMultipartUploadRequest) -> Result<Vec<Wanted>, ApiError> {
    let parts =
        input.multipart_upload.as_ref().and_then(|upload| upload.parts.as_deref()).unwrap_or_default();
    if parts.len() > lambent_checksums::MAX_PARTS {
        return Err(errors::malformed_xml());
    }
    let wanted: Vec<Wanted> = parts.iter().map(one_wanted).collect::<Result<_, _>>()?;
    if wanted.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return Err(errors::invalid_part_order(&input.upload_id));
    }
    Ok(wanted)
}

fn one_wanted(part: &CompletedPart) -> Result<Wanted, ApiError> {
    let (Some(number), Some(etag)) = (part.part_number, &part.e_tag) else {
        return Err(errors::malformed_xml());
    };
    super::check_part_number(number)?;
    let given = checksums::given!(part);
    let checksum = given.text().map(|(algorithm, value)| (algorithm, value.to_owned()));
    Ok(Wanted { number, etag: unquoted(etag).to_owned(), checksum })
}

/// Every part of an upload, by its number; the commit depends on all of them.
async fn stored_parts(txn: &Txn, id: &str) -> Result<BTreeMap<i32, PartRow>, S3Error> {
    let mut stored = BTreeMap::new();
    let mut left = Some(keys::parts(id).range());
    while let Some(range) = left {
        let page = txn.scan(&range, ScanOptions::rows(limits::LIST_PAGE_ROWS)).await?;
        for (key, row) in &page.rows {
            stored.insert(keys::number_of_part(key)?, rows::decode(key, row)?);
        }
        left = range.rest(&page, false);
    }
    Ok(stored)
}

/// Errors: `InvalidPart`, `EntityTooSmall`, `BadDigest`, `InvalidRequest`.
fn choose(
    id: &str,
    upload: &UploadRow,
    wanted: &[Wanted],
    mut stored: BTreeMap<i32, PartRow>,
) -> Result<Chosen, ApiError> {
    let mut chosen = Chosen { parts: Vec::with_capacity(wanted.len()), size: 0, left_out: Vec::new() };
    for (index, part) in wanted.iter().enumerate() {
        let found = stored.remove(&part.number).filter(|found| found.etag == part.etag);
        let Some(found) = found else { return Err(errors::invalid_part(id, part.number, &part.etag)) };
        check_part(id, upload, part, &found)?;
        let is_last = index + 1 == wanted.len();
        if !is_last && found.size < limits::PART_MIN_BYTES {
            return Err(errors::part_too_small(part.number, found.size, &found.etag));
        }
        chosen.size += found.size;
        chosen.parts.push(found);
    }
    chosen.left_out = stored.into_values().collect();
    Ok(chosen)
}

/// Compares the checksum that the client lists for a part with the stored one.
fn check_part(id: &str, upload: &UploadRow, wanted: &Wanted, found: &PartRow) -> Result<(), ApiError> {
    match (&wanted.checksum, upload.checksum) {
        (Some((algorithm, _)), Some(plan)) if *algorithm != plan.algorithm => {
            let message = format!(
                "The {} you specified for part {} did not match what we received.",
                lower_name(*algorithm),
                wanted.number
            );
            Err(ApiError::client("BadDigest", message))
        }
        (Some((algorithm, value)), _)
            if *algorithm != found.checksum.algorithm || *value != found.checksum.value =>
        {
            Err(errors::invalid_part(id, wanted.number, &wanted.etag))
        }
        (None, Some(plan)) if plan.checksum_type == ChecksumType::Composite => {
            Err(errors::invalid_request(format!(
                "The upload was created using a {} checksum. The complete request must include the checksum for each \
                 part. It was missing for part {} in the request.",
                lower_name(plan.algorithm),
                wanted.number
            )))
        }
        _ => Ok(()),
    }
}

fn check_type(input: &CompleteMultipartUploadRequest, upload: &UploadRow) -> Result<(), ApiError> {
    let Some(given) = &input.checksum_type else { return Ok(()) };
    let mode = upload.checksum.map_or("null", |plan| plan.checksum_type.name());
    if given.as_str() == mode {
        return Ok(());
    }
    Err(errors::invalid_request(format!(
        "The upload was created using the {mode} checksum mode. The complete request must use the same checksum mode."
    )))
}

fn check_size(input: &CompleteMultipartUploadRequest, size: u64) -> Result<(), ApiError> {
    if size > limits::OBJECT_MAX_BYTES {
        return Err(errors::entity_too_large(size, limits::OBJECT_MAX_BYTES));
    }
    match input.mpu_object_size {
        Some(given) if u64::try_from(given).ok() != Some(size) => Err(errors::invalid_request(format!(
            "The provided 'x-amz-mp-object-size' header value {given} does not match what was computed: {size}"
        ))),
        _ => Ok(()),
    }
}

/// Compares the checksum that the client gives for the object with the one of its parts.
fn check_whole(
    input: &CompleteMultipartUploadRequest,
    upload: &UploadRow,
    row: &ObjectRow,
) -> Result<(), ApiError> {
    let given = checksums::given!(input);
    let Some((algorithm, value)) = given.text() else { return Ok(()) };
    let holds = row.checksum.as_ref().is_some_and(|checksum| {
        let without_count = checksum.value.split('-').next();
        checksum.algorithm == algorithm && (checksum.value == value || without_count == Some(value))
    });
    if holds { Ok(()) } else { Err(errors::bad_checksum(&lower_name(upload.algorithm()))) }
}

fn object(call: &Call, id: &str, upload: &UploadRow, chosen: &Chosen) -> Result<ObjectRow, S3Error> {
    let mut md5s = Vec::with_capacity(chosen.parts.len());
    let mut parts = Vec::with_capacity(chosen.parts.len());
    for part in &chosen.parts {
        md5s.push(
            md5_of(&part.etag)
                .ok_or_else(|| S3Error::PartEtag { upload: id.to_owned(), etag: part.etag.clone() })?,
        );
        parts.push(Part { checksum: part.checksum.digest()?, bytes: part.size });
    }
    let count = u32::try_from(parts.len()).expect("an upload has at most 10,000 parts");
    Ok(ObjectRow {
        owner: String::new(),
        size: chosen.size,
        etag: multipart_etag(&md5s)?,
        modified_unix_s: call.time_ms().div_euclid(1000),
        sequencer: 0,
        checksum: Some(StoredChecksum::of_parts(upload.plan(), &parts)?),
        metadata: upload.metadata.clone(),
        data: Data::Spans { upload: id.to_owned(), count },
        inline: Bytes::new(),
    })
}

fn write_spans(txn: &Txn, id: &str, parts: Vec<PartRow>) -> Result<(), S3Error> {
    let mut offset = 0;
    for (number, part) in (1..).zip(parts) {
        let span = SpanRow { size: part.size, number, checksum: part.checksum, blob: part.blob };
        txn.put(&keys::span(id, offset), &rows::encode(&span)?);
        // An empty last part has no bytes to find; its own offset keeps it apart from the next object's.
        offset += span.size;
    }
    Ok(())
}
