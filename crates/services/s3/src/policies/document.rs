//! Bucket policies: PutBucketPolicy, GetBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus.
//! Source: Amazon S3 API Reference; Amazon S3 User Guide, "Policies and permissions in Amazon S3".

use lambent_api::{ACCESS_DENIED, ApiError, Call};
use lambent_identity::{IdentityError, MalformedPolicy, Pins, Policy};
use lambent_model_s3::{
    DeleteBucketPolicyRequest, GetBucketPolicyOutput, GetBucketPolicyRequest, GetBucketPolicyStatusOutput,
    GetBucketPolicyStatusRequest, PolicyStatus, PutBucketPolicyRequest,
};
use lambent_wire::Empty;
use serde_json::Value;

use crate::errors::S3Error;
use crate::rows::AccessRow;
use crate::service::S3;
use crate::{limits, names};

const MALFORMED: &str = "MalformedPolicy";
/// Every action of S3 that a bucket's policy may name begins so.
const ACTION_PREFIX: &str = "s3:";

impl S3 {
    pub(crate) async fn put_bucket_policy(
        &self,
        call: &Call,
        input: PutBucketPolicyRequest,
    ) -> Result<Empty, S3Error> {
        let (bucket, expected) = (input.bucket.as_str(), input.expected_bucket_owner.as_deref());
        owners_own(call)?;
        // What is wrong with the bucket is told before what is wrong with the policy.
        self.access_of(call, bucket, expected).await?;
        let (policy, pins) = &self.checked_policy(call, bucket, &input.policy).await?;
        let (is_public, text) = (policy.is_public(), &input.policy);
        self.change_access(call, bucket, expected, |access| {
            if access.block.block_public_policy && is_public {
                return Err(blocked(call));
            }
            Ok(AccessRow { policy: Some(text.clone()), pins: pins.clone(), ..access })
        })
        .await
    }

    pub(crate) async fn get_bucket_policy(
        &self,
        call: &Call,
        input: GetBucketPolicyRequest,
    ) -> Result<GetBucketPolicyOutput, S3Error> {
        owners_own(call)?;
        let access = self.access_of(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
        let policy = access.policy.ok_or_else(|| no_policy(&input.bucket))?;
        let names = self.identity().names(call.authorized());
        let shown = names.shown(&policy, &access.pins).await.map_err(unread)?;
        Ok(GetBucketPolicyOutput { policy: Some(shown) })
    }

    pub(crate) async fn delete_bucket_policy(
        &self,
        call: &Call,
        input: DeleteBucketPolicyRequest,
    ) -> Result<Empty, S3Error> {
        owners_own(call)?;
        let expected = input.expected_bucket_owner.as_deref();
        self.change_access(call, &input.bucket, expected, |access| {
            Ok(AccessRow { policy: None, pins: Pins::default(), ..access })
        })
        .await
    }

    pub(crate) async fn get_bucket_policy_status(
        &self,
        call: &Call,
        input: GetBucketPolicyStatusRequest,
    ) -> Result<GetBucketPolicyStatusOutput, S3Error> {
        let access = self.access_of(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
        let text = access.policy.ok_or_else(|| no_policy(&input.bucket))?;
        let policy = Policy::resource(&text, "s3").map_err(|error| refused(error.to_string()))?;
        let is_public = policy.is_public() && !access.block.restrict_public_buckets;
        Ok(GetBucketPolicyStatusOutput { policy_status: Some(PolicyStatus { is_public: Some(is_public) }) })
    }

    /// A policy that can hang on this bucket, and whom it means. AWS stores none that names somebody it cannot find.
    async fn checked_policy(&self, call: &Call, bucket: &str, text: &str) -> Result<(Policy, Pins), S3Error> {
        let bytes = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).count();
        if bytes > limits::POLICY_MAX_BYTES || text.len() > limits::POLICY_TEXT_MAX_BYTES {
            return Err(refused("Policy exceeds the maximum allowed document size.").into());
        }
        let policy = Policy::resource(text, "s3").map_err(|error| refused(error.to_string()))?;
        let value: Value = serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
        for statement in each(&value["Statement"]) {
            check_statement(bucket, statement)?;
        }
        match self.identity().names(call.authorized()).pin(&policy).await {
            Ok(pins) => Ok((policy, pins)),
            Err(IdentityError::MalformedPolicy(MalformedPolicy::Principal { kind, name })) => {
                let detail = format!("\"{kind}\" : \"{name}\"");
                Err(refused("Invalid principal in policy").with("Detail", detail).into())
            }
            Err(error) => Err(unread(error)),
        }
    }
}

/// Errors: `MethodNotAllowed` for principals of another account than the bucket's, even those that its policy allows this.
/// Source: Amazon S3 API Reference, "PutBucketPolicy", "GetBucketPolicy", "DeleteBucketPolicy".
fn owners_own(call: &Call) -> Result<(), ApiError> {
    if call.caller().account == call.owner() {
        return Ok(());
    }
    let message = "The specified method is not allowed against this resource.";
    Err(ApiError::new("MethodNotAllowed", 405, message))
}

/// Errors: `MalformedPolicy` for what only S3 knows to be wrong.
fn check_statement(bucket: &str, statement: &Value) -> Result<(), ApiError> {
    let mut named = each(&statement["Action"]).chain(each(&statement["NotAction"])).filter_map(Value::as_str);
    if named.any(|action| action != "*" && !action.to_ascii_lowercase().starts_with(ACTION_PREFIX)) {
        return Err(refused("Policy has invalid action"));
    }
    let named = each(&statement["Resource"]).chain(each(&statement["NotResource"])).filter_map(Value::as_str);
    for resource in named {
        if names::bucket_of_arn(resource) != Some(bucket) {
            return Err(refused("Policy has invalid resource"));
        }
    }
    Ok(())
}

/// One, several, or none.
fn each(value: &Value) -> std::slice::Iter<'_, Value> {
    match value {
        Value::Array(several) => several.iter(),
        Value::Null => [].iter(),
        one => std::slice::from_ref(one).iter(),
    }
}

fn unread(error: IdentityError) -> S3Error {
    S3Error::Api(Box::new(ApiError::internal(&error)))
}

fn refused(message: impl Into<String>) -> ApiError {
    ApiError::client(MALFORMED, message.into())
}

fn blocked(call: &Call) -> ApiError {
    let message = format!(
        "User: {} is not authorized to perform: s3:PutBucketPolicy on resource: \"{}\" because public policies are \
         prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
        call.caller().arn,
        call.authorized().resource()
    );
    ApiError::new(ACCESS_DENIED, 403, message)
}

fn no_policy(bucket: &str) -> ApiError {
    ApiError::new("NoSuchBucketPolicy", 404, "The bucket policy does not exist").with("BucketName", bucket)
}
