//! DeleteObject and DeleteObjects.

use lambent_api::{ApiError, Call, not_implemented};
use lambent_base::Place;
use lambent_identity::{Authorized, Wanted};
use lambent_model_s3::{
    DeleteObjectOutput, DeleteObjectRequest, DeleteObjectsOutput, DeleteObjectsRequest, DeletedObject, Error,
    ObjectIdentifier,
};
use lambent_store::Txn;

use super::{Change, check_version};
use crate::conditions::unquoted;
use crate::errors::{self, S3Error};
use crate::notifications::EventName;
use crate::rows::{BucketRow, ObjectRow};
use crate::service::S3;
use crate::{buckets, gc, keys, limits, names};

/// How many objects of one DeleteObjects go in one transaction.
const OBJECTS_A_STEP: usize = 50;

/// An object of a list that the caller may delete; only [`may_delete`] makes it.
struct Permitted<'a>(&'a ObjectIdentifier);

/// What DeleteObjects wants: each object is decided on by itself.
///
/// Errors: `MalformedXML` for a list that is empty or too long.
pub(crate) fn wanted_deletions(
    input: &DeleteObjectsRequest,
    _place: &Place,
) -> Result<Vec<Wanted>, ApiError> {
    let objects = &input.delete.objects;
    if objects.is_empty() || objects.len() > limits::DELETE_MAX_OBJECTS {
        return Err(errors::malformed_xml());
    }
    let wanted = |object: &ObjectIdentifier| Wanted {
        action: if object.version_id.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" },
        resource: names::object_arn(&input.bucket, &object.key),
    };
    Ok(objects.iter().map(wanted).collect())
}

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
        may_compare(call, &input.bucket, &input.key, input.if_match.as_deref()).await?;
        let expected_owner = input.expected_bucket_owner.as_deref();
        let doomed = &Doomed { bucket: &input.bucket, key: &input.key, if_match: input.if_match.as_deref() };
        self.db()
            .run(|txn| async move {
                let bucket = buckets::bucket(&txn, call, doomed.bucket, expected_owner).await?;
                self.delete_one(&txn, call, &bucket, doomed).await
            })
            .await?;
        Ok(DeleteObjectOutput::default())
    }

    pub(crate) async fn delete_objects(
        &self,
        call: &Call,
        input: DeleteObjectsRequest,
    ) -> Result<DeleteObjectsOutput, S3Error> {
        check_bypass(input.bypass_governance_retention)?;
        let expected_owner = input.expected_bucket_owner.as_deref();
        // Also when no object is left to delete after the checks, a bucket must be there.
        self.read_bucket(call, &input.bucket, expected_owner).await?;
        let mut refused = Vec::new();
        let mut allowed = Vec::with_capacity(input.delete.objects.len());
        let undecided = &Err(errors::access_denied());
        for (index, object) in input.delete.objects.iter().enumerate() {
            let decision = call.decisions().get(index).unwrap_or(undecided);
            match may_delete(call, &input.bucket, object, decision).await {
                Ok(permitted) => allowed.push(permitted),
                Err(error) => refused.push(failed(object, error)),
            }
        }
        let mut deleted = Vec::new();
        for step in allowed.chunks(OBJECTS_A_STEP) {
            let step_of = (input.bucket.as_str(), step);
            let outcomes = self
                .db()
                .run(|txn| async move { self.delete_some(&txn, call, step_of, expected_owner).await })
                .await?;
            for (Permitted(object), outcome) in step.iter().zip(outcomes) {
                match outcome {
                    Ok(()) => {
                        deleted.push(DeletedObject {
                            key: Some(object.key.clone()),
                            ..DeletedObject::default()
                        });
                    }
                    Err(error) => refused.push(failed(object, error)),
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

    /// Deletes each of the objects that may go; the others keep their reason.
    async fn delete_some(
        &self,
        txn: &Txn,
        call: &Call,
        (bucket_name, objects): (&str, &[Permitted<'_>]),
        expected_owner: Option<&str>,
    ) -> Result<Vec<Result<(), ApiError>>, S3Error> {
        let bucket = buckets::bucket(txn, call, bucket_name, expected_owner).await?;
        let mut outcomes = Vec::with_capacity(objects.len());
        for Permitted(object) in objects {
            let doomed = Doomed { bucket: bucket_name, key: &object.key, if_match: object.e_tag.as_deref() };
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
        gc::bury_object(txn, call.time_ms(), &object)?;
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

/// Whether an object of the list may go, as was decided before the handler ran.
async fn may_delete<'a>(
    call: &Call,
    bucket: &str,
    object: &'a ObjectIdentifier,
    decision: &Result<Authorized, ApiError>,
) -> Result<Permitted<'a>, ApiError> {
    let authorized = decision.as_ref().map_err(Clone::clone)?;
    // A leave to delete another object is none.
    if authorized.resource() != names::object_arn(bucket, &object.key) {
        return Err(errors::access_denied());
    }
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
    may_compare(call, bucket, &object.key, object.e_tag.as_deref()).await?;
    Ok(Permitted(object))
}

/// A condition on an ETag tells something of the object, so it needs leave to read it; `*` does not.
async fn may_compare(call: &Call, bucket: &str, key: &str, if_match: Option<&str>) -> Result<(), ApiError> {
    if if_match.is_some_and(|tag| unquoted(tag) != "*") {
        call.authorize("s3:GetObject", names::object_arn(bucket, key)).await?;
    }
    Ok(())
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
