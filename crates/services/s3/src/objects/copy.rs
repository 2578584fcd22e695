//! CopyObject, and finding the source of a copy.

use lambent_api::{ApiError, Call};
use lambent_checksums::{Algorithm, ChecksumType};
use lambent_model_s3::{CopyObjectOutput, CopyObjectRequest, CopyObjectResult, MetadataDirective};
use lambent_wire::Timestamp;

use super::access::reading;
use super::put::new_row;
use super::{NewObject, check_version};
use crate::checksums::{self, Claims, DEFAULT};
use crate::conditions::{ReadConditions, WriteCondition, quoted};
use crate::errors::{self, S3Error};
use crate::ingest::Intake;
use crate::metadata::{described, refuse};
use crate::notifications::EventName;
use crate::ranges::Span;
use crate::readers::Held;
use crate::rows::{Data, Metadata, ObjectRow};
use crate::service::S3;
use crate::{keys, limits, names};

/// How often a copy looks again at a source that changes under it.
const COPY_TRIES: u32 = 8;

/// What `x-amz-copy-source` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopySource {
    pub bucket: String,
    pub key: String,
    /// `null`, if one is named: there is no other.
    pub version: Option<String>,
}

impl CopySource {
    /// Reads `/BUCKET/KEY`, percent-encoded, the first slash and a version left out or not.
    ///
    /// Errors: `InvalidArgument`.
    pub(crate) fn parse(header: &str) -> Result<Self, ApiError> {
        const NAME: &str = "x-amz-copy-source";
        let malformed = || errors::invalid_argument("Invalid copy source object key", NAME, NAME);
        let (path, version) = match header.split_once("?versionId=") {
            Some((path, version)) => (path, Some(version)),
            None => (header, None),
        };
        check_version(version)?;
        let path = percent_decoded(path).ok_or_else(malformed)?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        match path.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => Ok(Self {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                version: version.map(str::to_owned),
            }),
            _ => Err(malformed()),
        }
    }
}

impl S3 {
    pub(crate) async fn copy_object(
        &self,
        call: &Call,
        input: CopyObjectRequest,
    ) -> Result<CopyObjectOutput, S3Error> {
        names::check_key(&input.key)?;
        refuse(&[
            (
                "x-amz-copy-source-server-side-encryption-customer-key",
                input.copy_source_sse_customer_key.is_some(),
            ),
            ("x-amz-annotation-directive", input.annotation_directive.is_some()),
        ])?;
        let condition = &WriteCondition::new(input.if_match.as_deref(), input.if_none_match.as_deref())?;
        condition.authorize(call, &input.bucket, &input.key).await?;
        let given = described!(input)?;
        let wanted = input.checksum_algorithm.as_ref().map(checksums::named).transpose()?;
        let source = CopySource::parse(&input.copy_source)?;
        let conditions = ReadConditions {
            if_match: input.copy_source_if_match.as_deref(),
            if_none_match: input.copy_source_if_none_match.as_deref(),
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        let source_owner = input.expected_source_bucket_owner.as_deref();
        for _ in 0..COPY_TRIES {
            let found = self.copied(call, &source, source_owner, conditions).await?;
            check_in_place(&input, &source)?;
            let metadata = metadata_of_copy(&input, &given, &found.row)?;
            let copy = &Copy { input: &input, source: &source, found: &found, condition, wanted };
            if let Some(row) = self.copy(call, copy, metadata).await? {
                return Ok(output(&row));
            }
        }
        Err(errors::slow_down().into())
    }

    /// The source of a copy, if the caller may read it and the conditions hold.
    pub(crate) async fn copied(
        &self,
        call: &Call,
        source: &CopySource,
        expected_owner: Option<&str>,
        conditions: ReadConditions<'_>,
    ) -> Result<Held, S3Error> {
        let read = reading(&source.bucket, &source.key, source.version.as_deref());
        let call = &call.allowed(call.authorize(read).await?);
        let found = self.find(call, &source.bucket, &source.key, expected_owner).await?;
        conditions.check_source(&found.row, call.time_ms().div_euclid(1000))?;
        Ok(found)
    }

    /// Copies; `None` when the source changed meanwhile.
    async fn copy(
        &self,
        call: &Call,
        copy: &Copy<'_>,
        metadata: Metadata,
    ) -> Result<Option<ObjectRow>, S3Error> {
        check_copied_size(copy.found.row.size)?;
        if copy.can_share() {
            self.share(call, copy, metadata).await
        } else {
            self.copy_bytes(call, copy, metadata).await
        }
    }

    /// A copy that names the same bytes: no byte is moved.
    async fn share(
        &self,
        call: &Call,
        copy: &Copy<'_>,
        metadata: Metadata,
    ) -> Result<Option<ObjectRow>, S3Error> {
        let mut row = copy.found.row.clone();
        row.metadata = metadata;
        row.modified_unix_s = call.time_ms().div_euclid(1000);
        let row = &row;
        let source_key = &keys::object(&copy.source.bucket, &copy.source.key);
        let shared = self
            .db(call)
            .run(|txn| async move {
                // The source's reference keeps the blob alive until this one is counted.
                let now = txn.get(source_key).await?;
                let now = now.map(|now| ObjectRow::decode(source_key, &now)).transpose()?;
                if now.map(|now| now.sequencer) != Some(copy.found.row.sequencer) {
                    return Ok(false);
                }
                self.publish(&txn, call, &copy.new_object(row)).await?;
                Ok::<_, S3Error>(true)
            })
            .await?;
        Ok(shared.then(|| row.clone()))
    }

    /// A copy that reads the source's bytes and writes them anew.
    async fn copy_bytes(
        &self,
        call: &Call,
        copy: &Copy<'_>,
        metadata: Metadata,
    ) -> Result<Option<ObjectRow>, S3Error> {
        let whole = Span { start: 0, end: copy.found.row.size };
        let mut body = self.read(call, copy.found, whole).await?;
        let algorithm = copy.algorithm();
        let intake = Intake { claims: &Claims::default(), also: Some(algorithm), whole_object: true };
        let taken = self.take(call, &mut body, intake).await?;
        let row = new_row(&taken, taken.checksum(algorithm), metadata, call.time_ms());
        self.publish_taken(call, &copy.new_object(&row), &taken.place).await?;
        Ok(Some(row))
    }
}

/// One attempt at a copy.
struct Copy<'a> {
    input: &'a CopyObjectRequest,
    source: &'a CopySource,
    found: &'a Held,
    condition: &'a WriteCondition,
    wanted: Option<Algorithm>,
}

impl Copy<'_> {
    /// The algorithm that is asked for, else the source's.
    fn algorithm(&self) -> Algorithm {
        let sources = self.found.row.checksum.as_ref().map(|checksum| checksum.algorithm);
        self.wanted.or(sources).unwrap_or(DEFAULT)
    }

    /// Whether the source's bytes, ETag and checksum are just what the copy has.
    fn can_share(&self) -> bool {
        let checksum_fits = self.found.row.checksum.as_ref().is_some_and(|checksum| {
            checksum.checksum_type == ChecksumType::FullObject && checksum.algorithm == self.algorithm()
        });
        checksum_fits && !matches!(self.found.row.data, Data::Spans { .. })
    }

    fn new_object<'b>(&'b self, row: &'b ObjectRow) -> NewObject<'b> {
        NewObject {
            bucket: &self.input.bucket,
            key: &self.input.key,
            expected_owner: self.input.expected_bucket_owner.as_deref(),
            condition: self.condition,
            since: None,
            row,
            event: EventName::CreatedByCopy,
        }
    }
}

/// Errors: `InvalidRequest` for more bytes than one copy may move.
pub(crate) fn check_copied_size(size: u64) -> Result<(), ApiError> {
    if size <= limits::SINGLE_PUT_MAX_BYTES {
        return Ok(());
    }
    Err(errors::invalid_request(format!(
        "The specified copy source is larger than the maximum allowable size for a copy source: {}",
        limits::SINGLE_PUT_MAX_BYTES
    )))
}

/// Errors: `InvalidRequest` for a copy of an object to itself that changes nothing.
fn check_in_place(input: &CopyObjectRequest, source: &CopySource) -> Result<(), ApiError> {
    let in_place = source.bucket == input.bucket && source.key == input.key;
    let changes = matches!(input.metadata_directive, Some(MetadataDirective::Replace))
        || input.storage_class.is_some()
        || input.website_redirect_location.is_some();
    if in_place && !changes {
        return Err(errors::invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the \
             object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    Ok(())
}

/// Storage class and redirect are never the source's.
fn metadata_of_copy(
    input: &CopyObjectRequest,
    given: &Metadata,
    source: &ObjectRow,
) -> Result<Metadata, ApiError> {
    match &input.metadata_directive {
        None | Some(MetadataDirective::Copy) => Ok(Metadata {
            storage_class: given.storage_class.clone(),
            website_redirect_location: given.website_redirect_location.clone(),
            ..source.metadata.clone()
        }),
        Some(MetadataDirective::Replace) => Ok(given.clone()),
        Some(MetadataDirective::Unknown(other)) => {
            Err(errors::invalid_argument("Unknown metadata directive.", "x-amz-metadata-directive", other))
        }
    }
}

fn output(row: &ObjectRow) -> CopyObjectOutput {
    let mut result = CopyObjectResult {
        e_tag: Some(quoted(&row.etag)),
        last_modified: Some(Timestamp::from_s(row.modified_unix_s)),
        ..CopyObjectResult::default()
    };
    if let Some(checksum) = &row.checksum {
        checksums::show_with_type!(result, checksum);
    }
    CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() }
}

/// `None` when an escape or the UTF-8 within is wrong.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.extend(lambent_base::text::unhex(digits)?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read() {
        let source = |header: &str| CopySource::parse(header).map(|source| (source.bucket, source.key));
        let ok = |bucket: &str, key: &str| Ok((bucket.to_owned(), key.to_owned()));
        assert_eq!(source("b/k"), ok("b", "k"));
        assert_eq!(source("/b/dir/k"), ok("b", "dir/k"));
        assert_eq!(source("b/a%20b%2Fc%C3%A9+d"), ok("b", "a b/cé+d"));
        assert_eq!(source("b%2Fk?versionId=null"), ok("b", "k"));
        for wrong in ["", "b", "b/", "/b", "/b/", "b/%zz", "b/%F", "b/%ff"] {
            assert_eq!(source(wrong).unwrap_err().message, "Invalid copy source object key", "{wrong}");
        }
        assert_eq!(source("b/k?versionId=abc").unwrap_err().message, "Invalid version id specified");
    }
}
