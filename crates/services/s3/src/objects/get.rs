//! GetObject and HeadObject.

use lambent_api::{ApiError, Body, Call};
use lambent_checksums::ChecksumType;
use lambent_model_s3::{
    ChecksumMode, GetObjectOutput, GetObjectRequest, HeadObjectOutput, HeadObjectRequest,
};
use lambent_store::ScanOptions;
use lambent_wire::{Timestamp, TimestampFormat};

use super::check_version;
use crate::checksums::{self, StoredChecksum};
use crate::conditions::{ReadConditions, quoted};
use crate::errors::{self, S3Error};
use crate::metadata::{self, refuse_customer_key};
use crate::ranges::{self, Span};
use crate::rows::{self, Data, ObjectRow, SpanRow};
use crate::service::S3;
use crate::{keys, limits};

/// What a read answers with.
struct Selection {
    span: Span,
    /// Whether the answer is a part of the object: status 206.
    partial: bool,
    /// Of objects that were uploaded in parts, when one of them is asked for.
    parts_count: Option<i32>,
    /// The checksum of the selected bytes, if there is one.
    checksum: Option<StoredChecksum>,
}

/// Finds an object, and decides what of it to answer.
macro_rules! select {
    ($self:expr, $call:expr, $input:expr) => {{
        refuse_customer_key!($input)?;
        check_version($input.version_id.as_deref())?;
        let expected_owner = $input.expected_bucket_owner.as_deref();
        let found = $self.find($call, &$input.bucket, &$input.key, expected_owner).await?;
        let conditions = ReadConditions {
            if_match: $input.if_match.as_deref(),
            if_none_match: $input.if_none_match.as_deref(),
            if_modified_since: $input.if_modified_since,
            if_unmodified_since: $input.if_unmodified_since,
        };
        conditions.check(&found.row, $call.time_ms().div_euclid(1000))?;
        let selection = $self.select($call, &found.row, $input.range.as_deref(), $input.part_number).await?;
        (found, selection)
    }};
}

/// Fills what the answers of GetObject and HeadObject have in common.
macro_rules! fill {
    ($output:ident, $input:expr, $object:expr, $selection:expr) => {{
        let (object, selection): (ObjectRow, Selection) = ($object, $selection);
        let wants_checksum = matches!($input.checksum_mode, Some(ChecksumMode::Enabled));
        let mut output = $output {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(selection.span.length()).ok(),
            content_range: selection.partial.then(|| selection.span.content_range(object.size)),
            e_tag: Some(quoted(&object.etag)),
            last_modified: Some(Timestamp::from_s(object.modified_unix_s)),
            parts_count: selection.parts_count,
            storage_class: metadata::shown_class(&object.metadata),
            ..$output::default()
        };
        if let Some(checksum) = selection.checksum.filter(|_| wants_checksum) {
            checksums::show_with_type!(output, &checksum);
        }
        let stored = object.metadata;
        let stored_type = stored.content_type.unwrap_or_else(|| metadata::DEFAULT_CONTENT_TYPE.to_owned());
        output.content_type = $input.response_content_type.or(Some(stored_type));
        output.cache_control = $input.response_cache_control.or(stored.cache_control);
        output.content_disposition = $input.response_content_disposition.or(stored.content_disposition);
        output.content_encoding = $input.response_content_encoding.or(stored.content_encoding);
        output.content_language = $input.response_content_language.or(stored.content_language);
        let expires = $input.response_expires.map(|expires| expires.format(TimestampFormat::Rfc822));
        output.expires = expires.or(stored.expires);
        output.website_redirect_location = stored.website_redirect_location;
        output.metadata = Some(stored.user).filter(|user| !user.is_empty());
        output
    }};
}

impl S3 {
    pub(crate) async fn get_object(
        &self,
        call: &Call,
        input: GetObjectRequest,
    ) -> Result<(GetObjectOutput, Body), S3Error> {
        let (found, selection) = select!(self, call, input);
        let body = self.read(call, &found, selection.span).await?;
        Ok((fill!(GetObjectOutput, input, found.row, selection), body))
    }

    pub(crate) async fn head_object(
        &self,
        call: &Call,
        input: HeadObjectRequest,
    ) -> Result<HeadObjectOutput, S3Error> {
        let (found, selection) = select!(self, call, input);
        Ok(fill!(HeadObjectOutput, input, found.row, selection))
    }

    async fn select(
        &self,
        call: &Call,
        object: &ObjectRow,
        range: Option<&str>,
        part_number: Option<i32>,
    ) -> Result<Selection, S3Error> {
        let whole = Span { start: 0, end: object.size };
        let span = match (range, part_number) {
            (Some(_), Some(_)) => {
                let message = "Cannot specify both Range header and partNumber query parameter";
                return Err(errors::invalid_request(message).into());
            }
            (None, Some(number)) => return self.select_part(call, object, number).await,
            (Some(range), None) => ranges::requested(range, object.size)?,
            (None, None) => None,
        };
        let checksum = object.checksum.clone().filter(|_| span.is_none_or(|span| span == whole));
        Ok(Selection { span: span.unwrap_or(whole), partial: span.is_some(), parts_count: None, checksum })
    }

    async fn select_part(&self, call: &Call, object: &ObjectRow, number: i32) -> Result<Selection, S3Error> {
        let place = part_place(number)?;
        let Data::Spans { upload, count } = &object.data else {
            if place != 1 {
                return Err(errors::invalid_part_number(number, 1).into());
            }
            let span = Span { start: 0, end: object.size };
            let partial = object.size > 0;
            return Ok(Selection { span, partial, parts_count: None, checksum: object.checksum.clone() });
        };
        if place > *count {
            return Err(errors::invalid_part_number(number, *count).into());
        }
        let (offset, part) = self.part_at(call, upload, place).await?;
        let span = Span { start: offset, end: offset + part.size };
        let composite = |checksum: &StoredChecksum| checksum.checksum_type == ChecksumType::Composite;
        let checksum = match &object.checksum {
            Some(whole) if composite(whole) => {
                Some(StoredChecksum { checksum_type: ChecksumType::Composite, ..part.checksum })
            }
            whole => whole.clone().filter(|_| span.length() == object.size),
        };
        Ok(Selection { span, partial: span.length() > 0, parts_count: i32::try_from(*count).ok(), checksum })
    }

    /// The part at this place (from 1) of a completed upload, with its offset.
    async fn part_at(&self, call: &Call, upload: &str, place: u32) -> Result<(u64, SpanRow), S3Error> {
        let range = &keys::spans(upload).range();
        let rows = usize::try_from(place).unwrap_or(usize::MAX);
        self.db(call)
            .read(|txn| async move {
                let page = txn.scan(range, ScanOptions::rows(rows).keys_only()).await?;
                let key = page.rows.get(rows - 1).map(|(key, _)| key.clone());
                let row = match &key {
                    Some(key) => txn.get(key).await?,
                    None => None,
                };
                match (key, row) {
                    (Some(key), Some(row)) => Ok((keys::offset_of_span(&key)?, rows::decode(&key, &row)?)),
                    _ => Err(S3Error::PartMissing { upload: upload.to_owned(), place }),
                }
            })
            .await
    }
}

fn part_place(number: i32) -> Result<u32, ApiError> {
    match u32::try_from(number) {
        Ok(place) if (1..=limits::PART_NUMBER_MAX).contains(&number) => Ok(place),
        _ => Err(errors::part_number_out_of_bounds(number)),
    }
}
