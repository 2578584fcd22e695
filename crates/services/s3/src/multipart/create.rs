//! CreateMultipartUpload.

use lambent_api::{ApiError, Call};
use lambent_checksums::ChecksumType;
use lambent_identity::{Caller, CallerKind};
use lambent_model_s3::{CreateMultipartUploadOutput, CreateMultipartUploadRequest};
use lambent_store::Txn;

use super::{RANDOM_ALPHABET, RANDOM_CHARS, TIME_DIGITS, place_digits};
use crate::checksums::{self, Plan, lower_name, shown_algorithm, shown_type};
use crate::errors::{self, S3Error};
use crate::metadata::described;
use crate::rows::{self, ObjectRow, UploadRow};
use crate::service::S3;
use crate::{buckets, keys, names};

impl S3 {
    pub(crate) async fn create_multipart_upload(
        &self,
        call: &Call,
        input: CreateMultipartUploadRequest,
    ) -> Result<CreateMultipartUploadOutput, S3Error> {
        names::check_key(&input.key)?;
        let metadata = described!(input)?;
        let plan = plan(&input)?;
        let (initiator_id, initiator_name) = initiator(call.caller());
        let row = &UploadRow {
            initiated_unix_ms: call.time_ms(),
            owner: String::new(),
            initiator_id,
            initiator_name,
            checksum: plan,
            metadata,
            replaces: None,
        };
        let id = &self.new_upload_id(call.time_ms(), &input.bucket, &input.key);
        let begin = &input;
        self.db(call).run(|txn| async move { store(&txn, call, begin, id, row).await }).await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id.clone()),
            checksum_algorithm: plan.map(|plan| shown_algorithm(plan.algorithm)),
            checksum_type: plan.map(|plan| shown_type(plan.checksum_type)),
            ..CreateMultipartUploadOutput::default()
        })
    }

    fn new_upload_id(&self, now_unix_ms: i64, bucket: &str, key: &str) -> String {
        let place = place_digits(bucket, key);
        let random = self.random().string(RANDOM_ALPHABET, RANDOM_CHARS);
        format!("{now_unix_ms:0TIME_DIGITS$x}{place}{random}")
    }
}

async fn store(
    txn: &Txn,
    call: &Call,
    input: &CreateMultipartUploadRequest,
    id: &str,
    row: &UploadRow,
) -> Result<(), S3Error> {
    let expected = input.expected_bucket_owner.as_deref();
    let bucket = buckets::bucket(txn, call, &input.bucket, expected).await?;
    let object_key = keys::object(&input.bucket, &input.key);
    let object = txn.get_snapshot(&object_key).await?;
    let object = object.map(|object| ObjectRow::decode(&object_key, &object)).transpose()?;
    let row =
        UploadRow { owner: bucket.owner, replaces: object.map(|object| object.sequencer), ..row.clone() };
    txn.put(&keys::upload(&input.bucket, &input.key, id), &rows::encode(&row)?);
    Ok(())
}

/// What the client wants of the upload's checksums.
///
/// Errors: `InvalidRequest`.
fn plan(input: &CreateMultipartUploadRequest) -> Result<Option<Plan>, ApiError> {
    let Some(named) = &input.checksum_algorithm else {
        if input.checksum_type.is_none() {
            return Ok(None);
        }
        return Err(errors::invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        ));
    };
    let algorithm = checksums::named(named)?;
    let checksum_type = match &input.checksum_type {
        None => algorithm.default_type(),
        Some(given) => ChecksumType::from_name(given.as_str())
            .ok_or_else(|| errors::invalid_request("Value for x-amz-checksum-type header is invalid."))?,
    };
    if !algorithm.supports(checksum_type) {
        return Err(errors::invalid_request(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            checksum_type.name(),
            lower_name(algorithm)
        )));
    }
    Ok(Some(Plan { algorithm, checksum_type }))
}

/// Id and name of who began an upload.
fn initiator(caller: &Caller) -> (String, String) {
    match &caller.kind {
        CallerKind::Root => (names::canonical_id(&caller.account), "root".to_owned()),
        CallerKind::RoleSession { role_name, .. } => (caller.arn.clone(), role_name.clone()),
        CallerKind::User { name } | CallerKind::FederatedUser { name, .. } | CallerKind::Service { name } => {
            (caller.arn.clone(), name.clone())
        }
        CallerKind::Anonymous => (caller.arn.clone(), caller.arn.clone()),
    }
}
