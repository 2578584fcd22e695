//! Buckets as targets of what functions hand on: records of invocations that failed, and dead letters.
//! Source: AWS Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations".

use std::sync::Arc;

use lambent_api::{ACCESS_DENIED, ApiError, Body, Call, CallContext, Client, PlatformWork};
use lambent_base::{Arn, BoxFuture, Place};
use lambent_bus::Delivery;
use lambent_bus::ports::{DeliverTo, Outgoing, PortError};
use lambent_identity::{IdentityError, Wanted};
use lambent_model_s3::PutObjectRequest;
use lambent_wire::Timestamp;

use crate::errors::S3Error;
use crate::names::object_arn;
use crate::service::{S3, S3Parts};
use crate::{keys, names};

const ACTION: &str = "s3:PutObject";
/// The principal that a function's role trusts.
const SERVICE_PRINCIPAL: &str = "lambda.amazonaws.com";
const SESSION: &str = "destinations";
/// Below it every function has its objects.
const PREFIX: &str = "aws/lambda/async/";
/// Where those of event source mappings lie.
const MAPPED_PREFIX: &str = "aws/lambda/";
/// From this status on a later attempt may succeed.
const SERVER_ERRORS: u16 = 500;

/// Writes an object for each thing that a function hands on, in the name of the function's role.
struct BucketTarget {
    s3: S3,
    parts: S3Parts,
    work: PlatformWork,
}

/// Buckets, for [`lambent_bus::ports::Targets`].
pub fn bucket_target(parts: S3Parts, work: PlatformWork) -> Arc<dyn DeliverTo> {
    Arc::new(BucketTarget { s3: S3::new(parts.clone()), parts, work })
}

impl BucketTarget {
    async fn put(&self, outgoing: Outgoing) -> Result<(), ApiError> {
        let Outgoing { target, role_arn, source, body, attributes, id, created_ms, trace } = outgoing;
        let bucket = target.resource;
        let key = object_key(&source, created_ms, &id);
        let caller = self.s3.identity().role_as_service(SERVICE_PRINCIPAL, &role_arn, SESSION).await;
        let caller = caller.map_err(|error| match error {
            IdentityError::Denied(_) | IdentityError::NoSuchRole(_) => {
                ApiError::new(ACCESS_DENIED, 403, error.to_string())
            }
            // It is not known whether it may: that is no refusal.
            other => ApiError::internal(&other),
        })?;
        let context = CallContext {
            request_id: id,
            place: Place { account: source.account, region: source.region },
            time_ms: self.s3.clock().unix_ms(),
            source_ip: SERVICE_PRINCIPAL.to_owned(),
            endpoint: String::new(),
            trace,
            // Lambda calls within the platform: nothing of it is on a wire that others read.
            client: Client { is_secure: true, ..Client::default() },
        };
        let wanted = Wanted::new(ACTION, object_arn(&bucket, &key));
        let call = Call::decide(context, self.parts.identity.clone(), &caller, wanted).await?;
        let input = PutObjectRequest {
            bucket,
            key,
            content_type: Some("application/json".to_owned()),
            metadata: (!attributes.is_empty()).then_some(attributes),
            ..PutObjectRequest::default()
        };
        self.s3.put_object(&call, input, Body::from(body)).await?;
        Ok(())
    }
}

impl DeliverTo for BucketTarget {
    fn permission(&self, target: &Arn) -> (&'static str, String) {
        (ACTION, object_arn(&target.resource, &format!("{PREFIX}*")))
    }

    fn exists<'a>(&'a self, target: &'a Arn) -> BoxFuture<'a, Result<bool, PortError>> {
        Box::pin(async move {
            if names::check_bucket(&target.resource).is_err() {
                return Ok(false);
            }
            let key = &keys::bucket(&target.resource);
            let db = self.parts.rows.of_platform(&self.work);
            let found = db.read(|txn| async move { Ok::<_, S3Error>(txn.get(key).await?.is_some()) });
            found.await.map_err(|error| PortError(error.to_string()))
        })
    }

    fn deliver(&self, outgoing: Outgoing) -> BoxFuture<'_, Delivery> {
        Box::pin(async move {
            match self.put(outgoing).await {
                Ok(()) => Delivery::Done,
                Err(error) if error.status >= SERVER_ERRORS => {
                    Delivery::Busy(format!("{}: {}", error.code, error.message))
                }
                Err(error) => Delivery::Refused(format!("{}: {}", error.code, error.message)),
            }
        })
    }
}

/// `aws/lambda/async/FUNCTION/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-ID`, and for what an event source mapping gave up
/// `aws/lambda/MAPPING/SHARD/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-ID`; the same for each attempt.
fn object_key(source: &Arn, created_ms: i64, id: &str) -> String {
    let folder = match source.resource.strip_prefix("event-source-mapping:") {
        Some(shard) => format!("{MAPPED_PREFIX}{shard}"),
        None => {
            let name = source.resource.strip_prefix("function:").unwrap_or(&source.resource);
            format!("{PREFIX}{}", name.split(':').next().unwrap_or(name))
        }
    };
    let time = Timestamp::from_ms(created_ms).iso8601_ms();
    let second = time.split('.').next().unwrap_or(&time).replace(':', ".");
    let day = second.split('T').next().unwrap_or(&second).replace('-', "/");
    format!("{folder}/{day}/{second}-{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_lie_by_function_and_day() {
        let function = "arn:aws:lambda:us-east-1:000000000000:function:thumb".parse().unwrap();
        assert_eq!(
            object_key(&function, 1_795_276_805_123, "id"),
            "aws/lambda/async/thumb/2026/11/21/2026-11-21T16.00.05-id"
        );
        let mapping =
            "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:uuid/shardId-1".parse().unwrap();
        assert_eq!(
            object_key(&mapping, 1_795_276_805_123, "id"),
            "aws/lambda/uuid/shardId-1/2026/11/21/2026-11-21T16.00.05-id"
        );
    }
}
