//! UploadPartCopy.

use lambent_api::Call;
use lambent_model_s3::{CopyPartResult, UploadPartCopyOutput, UploadPartCopyRequest};
use lambent_wire::Timestamp;

use super::{check_part_number, named, upload};
use crate::checksums::{self, Claims};
use crate::conditions::{ReadConditions, quoted};
use crate::errors::S3Error;
use crate::ingest::Intake;
use crate::metadata::{refuse, refuse_customer_key};
use crate::objects::{CopySource, check_copied_size};
use crate::ranges::{self, Span};
use crate::service::S3;

impl S3 {
    pub(crate) async fn upload_part_copy(
        &self,
        call: &Call,
        input: UploadPartCopyRequest,
    ) -> Result<UploadPartCopyOutput, S3Error> {
        check_part_number(input.part_number)?;
        refuse_customer_key!(input)?;
        refuse(&[(
            "x-amz-copy-source-server-side-encryption-customer-key",
            input.copy_source_sse_customer_key.is_some(),
        )])?;
        let named = named!(input);
        let row = self.db(call).read(|txn| async move { upload(&txn, call, named).await }).await?;
        let source = CopySource::parse(&input.copy_source)?;
        let conditions = ReadConditions {
            if_match: input.copy_source_if_match.as_deref(),
            if_none_match: input.copy_source_if_none_match.as_deref(),
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        let source_owner = input.expected_source_bucket_owner.as_deref();
        let found = self.copied(call, &source, source_owner, conditions).await?;
        let span = match input.copy_source_range.as_deref() {
            None => Span { start: 0, end: found.row.size },
            Some(range) => ranges::copied(range, found.row.size)?,
        };
        check_copied_size(span.length())?;
        let mut body = self.read(call, &found, span).await?;
        let claims = &Claims::default();
        let intake = Intake { claims, also: Some(row.algorithm()), whole_object: false };
        let taken = self.take(call, &mut body, intake).await?;
        let part = self.store_taken_part(call, named, input.part_number, &row, &taken).await?;
        let mut result = CopyPartResult {
            e_tag: Some(quoted(&part.etag)),
            last_modified: Some(Timestamp::from_s(part.modified_unix_s)),
            ..CopyPartResult::default()
        };
        if row.checksum.is_some() {
            checksums::show!(result, &part.checksum);
        }
        Ok(UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() })
    }
}
