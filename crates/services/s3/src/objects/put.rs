//! PutObject.

use bytes::Bytes;
use lambent_api::{Body, Call};
use lambent_checksums::Checksum;
use lambent_model_s3::{PutObjectOutput, PutObjectRequest};

use super::NewObject;
use crate::checksums::{self, Claims, DEFAULT, StoredChecksum};
use crate::conditions::{WriteCondition, quoted};
use crate::errors::{self, S3Error};
use crate::ingest::{Intake, Place, Taken};
use crate::metadata::described;
use crate::notifications::EventName;
use crate::rows::{Data, Metadata, ObjectRow};
use crate::service::S3;
use crate::{limits, names};

impl S3 {
    pub(crate) async fn put_object(
        &self,
        call: &Call,
        input: PutObjectRequest,
        mut body: Body,
    ) -> Result<PutObjectOutput, S3Error> {
        names::check_key(&input.key)?;
        if input.write_offset_bytes.is_some() {
            return Err(errors::header_not_implemented("x-amz-write-offset-bytes").into());
        }
        let condition = &WriteCondition::new(input.if_match.as_deref(), input.if_none_match.as_deref())?;
        condition.authorize(call, &input.bucket, &input.key).await?;
        let metadata = described!(input)?;
        let given = checksums::given!(input);
        let claims = &Claims::read(input.content_md5.as_deref(), &given, input.checksum_algorithm.as_ref())?;
        let expected_owner = input.expected_bucket_owner.as_deref();
        if body.length().is_some_and(|length| length > limits::INLINE_MAX_BYTES) {
            self.look_ahead(call, &input.bucket, &input.key, expected_owner, condition).await?;
        }
        let intake = Intake { claims, also: None, whole_object: true };
        let taken = self.take(call, &mut body, intake).await?;
        let checksum = taken.claimed.unwrap_or_else(|| taken.checksum(DEFAULT));
        let row = &new_row(&taken, checksum, metadata, call.time_ms());
        let new = &NewObject {
            bucket: &input.bucket,
            key: &input.key,
            expected_owner,
            condition,
            since: None,
            row,
            event: EventName::CreatedByPut,
        };
        self.publish_taken(call, new, &taken.place).await?;
        let mut output = PutObjectOutput { e_tag: Some(quoted(&row.etag)), ..PutObjectOutput::default() };
        if let Some(checksum) = &row.checksum {
            checksums::show_with_type!(output, checksum);
        }
        Ok(output)
    }

    /// [`S3::publish`] in a transaction of its own; data that surely is not published is removed.
    pub(crate) async fn publish_taken(
        &self,
        call: &Call,
        new: &NewObject<'_>,
        place: &Place,
    ) -> Result<(), S3Error> {
        let published = self.db(call).run(|txn| async move { self.publish(&txn, call, new).await }).await;
        if let Err(S3Error::Api(_)) = &published {
            self.forget(call, place).await;
        }
        published
    }
}

/// The row of an object that was taken in whole.
pub(super) fn new_row(taken: &Taken, checksum: Checksum, metadata: Metadata, now_unix_ms: i64) -> ObjectRow {
    let (data, inline) = match &taken.place {
        Place::Memory(bytes) => (Data::Inline, bytes.clone()),
        Place::Blob(blob) => (Data::Blob(blob.to_string()), Bytes::new()),
    };
    ObjectRow {
        owner: String::new(),
        size: taken.size,
        etag: taken.computed.etag(),
        modified_unix_s: now_unix_ms.div_euclid(1000),
        sequencer: 0,
        checksum: Some(StoredChecksum::full(&checksum)),
        metadata,
        data,
        inline,
    }
}
