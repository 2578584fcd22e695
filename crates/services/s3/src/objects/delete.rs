//! DeleteObject and DeleteObjects.

use lambent_api::{ApiError, Asked, Call, Decisions, not_implemented};
use lambent_identity::Wanted;
use lambent_model_s3::{
    DeleteObjectOutput, DeleteObjectRequest, DeleteObjectsOutput, DeleteObjectsRequest, DeletedObject, Error,
    ObjectIdentifier,
};
use lambent_store::Txn;

use super::access::{Permitted, reading};
use super::{Change, check_version};
use crate::conditions::unquoted;
use crate::errors::{self, S3Error};
use crate::notifications::EventName;
use crate::rows::{BucketRow, ObjectRow};
use crate::service::S3;
use crate::{buckets, gc, keys, names};

/// How many objects of one DeleteObjects go in one transaction.
const OBJECTS_A_STEP: usize = 50;

/// One object to delete.
struct Doomed<'a> {
    bucket: &'a str,
    key: &'a str,
    if_match: Option<&'a str>,
}

impl S3 {
    pub(crate) async fn delete_object(
        &self,
        call: &Call,
        input: DeleteObjectRequest,
    ) -> Result<DeleteObjectOutput, S3Error> {
        names::check_key(&input.key)?;
        check_bypass(input.bypass_governance_retention)?;
        check_version(input.version_id.as_deref())?;
        if input.if_match_last_modified_time.is_some() {
            return Err(errors::header_not_implemented("x-amz-if-match-last-modified-time").into());
        }
        if input.if_match_size.is_some() {
            return Err(errors::header_not_implemented("x-amz-if-match-size").into());
        }
        let version = input.version_id.as_deref();
        if let Some(read) = compared(reading(&input.bucket, &input.key, version), input.if_match.as_deref()) {
            call.authorize(read).await?;
        }
        let expected_owner = input.expected_bucket_owner.as_deref();
        let doomed = &Doomed { bucket: &input.bucket, key: &input.key, if_match: input.if_match.as_deref() };
        self.db(call)
            .run(|txn| async move {
                let bucket = buckets::bucket(&txn, call, doomed.bucket, expected_owner).await?;
                self.delete_one(&txn, call, &bucket, doomed).await
            })
            .await?;
        Ok(DeleteObjectOutput::default())
    }

    pub(crate) async fn delete_objects(
        &self,
        asked: &Asked,
        input: DeleteObjectsRequest,
        decisions: Decisions,
    ) -> Result<DeleteObjectsOutput, S3Error> {
        check_bypass(input.bypass_governance_retention)?;
        let expected_owner = input.expected_bucket_owner.as_deref();
        let mut refused = Vec::new();
        let mut allowed = Vec::with_capacity(input.delete.objects.len());
        let mut decisions = decisions.into_iter();
        for object in &input.delete.objects {
            let decision = decisions.next().unwrap_or_else(|| Err(errors::access_denied()));
            let permitted = Permitted::new(&input.bucket, object, decision);
            match can_delete(asked, permitted).await {
                Ok(permitted) => allowed.push(permitted),
                Err(error) => refused.push(failed(object, error)),
            }
        }
        let call = allowed.first().map(|first| asked.allowed(first.authorized().clone()));
        if let Some(call) = &call {
            // Also when none of the objects is there, a bucket must be.
            self.read_bucket(call, &input.bucket, expected_owner).await?;
        }
        let mut deleted = Vec::new();
        for (step, call) in allowed.chunks(OBJECTS_A_STEP).zip(call.iter().cycle()) {
            let outcomes = self
                .db(call)
                .run(|txn| async move { self.delete_some(&txn, call, step, expected_owner).await })
                .await?;
            for (permitted, outcome) in step.iter().zip(outcomes) {
                let key = Some(permitted.object().key.clone());
                match outcome {
                    Ok(()) => deleted.push(DeletedObject { key, ..DeletedObject::default() }),
                    Err(error) => refused.push(failed(permitted.object(), error)),
                }
            }
        }
        let quiet = input.delete.quiet == Some(true);
        Ok(DeleteObjectsOutput {
            deleted: Some(deleted).filter(|deleted| !quiet && !deleted.is_empty()),
            errors: Some(refused).filter(|refused| !refused.is_empty()),
            request_charged: None,
        })
    }

    /// Deletes objects of one bucket: each that can go; the others keep their reason.
    async fn delete_some(
        &self,
        txn: &Txn,
        call: &Call,
        step: &[Permitted<'_>],
        expected_owner: Option<&str>,
    ) -> Result<Vec<Result<(), ApiError>>, S3Error> {
        let Some(first) = step.first() else { return Ok(Vec::new()) };
        let bucket_name = first.bucket();
        let bucket = buckets::bucket(txn, call, bucket_name, expected_owner).await?;
        let mut outcomes = Vec::with_capacity(step.len());
        for permitted in step {
            let object = permitted.object();
            let doomed =
                Doomed { bucket: permitted.bucket(), key: &object.key, if_match: object.e_tag.as_deref() };
            outcomes.push(match self.delete_one(txn, call, &bucket, &doomed).await {
                Ok(()) => Ok(()),
                Err(S3Error::Api(error)) => Err(*error),
                Err(other) => return Err(other),
            });
        }
        Ok(outcomes)
    }

    async fn delete_one(
        &self,
        txn: &Txn,
        call: &Call,
        bucket: &BucketRow,
        doomed: &Doomed<'_>,
    ) -> Result<(), S3Error> {
        let key = keys::object(doomed.bucket, doomed.key);
        let found = txn.get(&key).await?.map(|row| ObjectRow::decode(&key, &row)).transpose()?;
        if let Some(tag) = doomed.if_match.map(unquoted) {
            let holds = found.as_ref().is_some_and(|object| tag == "*" || tag == object.etag);
            if !holds {
                return Err(errors::precondition_failed("If-Match").into());
            }
        }
        let Some(object) = found else { return Ok(()) };
        txn.frees_space();
        gc::bury_object(txn, self.clock().unix_ms(), &object)?;
        txn.delete(&key);
        let change = Change {
            bucket_name: doomed.bucket,
            key: doomed.key,
            event: EventName::Removed,
            sequencer: self.next_sequencer(Some(&object)),
            row: None,
        };
        self.record_event(txn, call, bucket, &change).await
    }
}

/// Whether an object of the list may go, and can.
async fn can_delete<'a>(
    asked: &Asked,
    permitted: Result<Permitted<'a>, ApiError>,
) -> Result<Permitted<'a>, ApiError> {
    let permitted = permitted?;
    let object = permitted.object();
    names::check_key(&object.key)?;
    if object.key.is_empty() {
        return Err(ApiError::client(
            "UserKeyMustBeSpecified",
            "The bucket POST must contain the specified field name. If it is specified, check the order of the fields.",
        ));
    }
    if object.version_id.as_deref().is_some_and(|id| id != "null") {
        let message = "The specified version does not exist.";
        return Err(ApiError::new("NoSuchVersion", 404, message));
    }
    if object.last_modified_time.is_some() || object.size.is_some() {
        return Err(not_implemented("deletion by time or size"));
    }
    let read = reading(permitted.bucket(), &object.key, object.version_id.as_deref());
    if let Some(read) = compared(read, object.e_tag.as_deref()) {
        asked.authorize(read).await?;
    }
    Ok(permitted)
}

/// A condition on an ETag tells something of the object, so it needs leave to read it; `*` does not.
fn compared(read: Wanted, if_match: Option<&str>) -> Option<Wanted> {
    if_match.is_some_and(|tag| unquoted(tag) != "*").then_some(read)
}

fn check_bypass(given: Option<bool>) -> Result<(), ApiError> {
    const HEADER: &str = "x-amz-bypass-governance-retention";
    if given.is_none() {
        return Ok(());
    }
    let message = format!("{HEADER} is only applicable to Object Lock enabled buckets.");
    Err(ApiError::client("InvalidArgument", message).with("ArgumentName", HEADER))
}

fn failed(object: &ObjectIdentifier, error: ApiError) -> Error {
    Error {
        code: Some(error.code.into_owned()),
        key: Some(object.key.clone()),
        message: Some(error.message),
        version_id: object.version_id.clone(),
    }
}
