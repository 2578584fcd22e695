//! The records that tell functions what happened to an object.
//! Source: Amazon S3 User Guide, "Event message structure".

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use lambent_api::Call;
use lambent_bus::ports::PortError;
use lambent_bus::{NewEvent, RetryPolicy};
use lambent_store::Txn;
use lambent_wire::Timestamp;
use serde::Serialize;

use crate::errors::S3Error;
use crate::names;
use crate::notifications::{self, Rule};
use crate::objects::Change;
use crate::rows::BucketRow;
use crate::service::S3;

impl S3 {
    /// Puts a record of the change into the outbox for each rule that wants it, in the transaction of the change.
    pub(crate) async fn record_event(
        &self,
        txn: &Txn,
        call: &Call,
        bucket: &BucketRow,
        change: &Change<'_>,
    ) -> Result<(), S3Error> {
        let rules = notifications::rules_of(txn, bucket, change.bucket_name).await?;
        for rule in rules.iter().filter(|rule| rule.wants(change.event, change.key)) {
            self.outbox().put(txn, event(call, bucket, change, rule)?).await?;
        }
        Ok(())
    }
}

fn event(call: &Call, bucket: &BucketRow, change: &Change<'_>, rule: &Rule) -> Result<NewEvent, S3Error> {
    let unreadable = |source: lambent_base::ArnError| PortError(source.to_string());
    let message = Message { records: [record(call, bucket, change, &rule.id)] };
    let payload = serde_json::to_vec(&message).map_err(|source| PortError(source.to_string()))?;
    Ok(NewEvent {
        kind: lambent_bus::FUNCTION.to_owned(),
        target: rule.target.parse().map_err(unreadable)?,
        caller: notifications::caller(change.bucket_name, bucket).map_err(unreadable)?,
        payload: Bytes::from(payload),
        request_id: None,
        not_before_ms: None,
        trace: call.context.trace.clone(),
        attributes: Default::default(),
        retry: RetryPolicy::LAMBDA,
    })
}

fn record<'a>(call: &'a Call, bucket: &'a BucketRow, change: &'a Change<'_>, rule_id: &'a str) -> Record<'a> {
    Record {
        event_version: "2.1",
        event_source: "aws:s3",
        aws_region: &bucket.region,
        event_time: Timestamp::from_ms(call.time_ms()).iso8601_ms(),
        event_name: change.event.as_str(),
        user_identity: Identity { principal_id: format!("AWS:{}", call.caller().user_id) },
        request_parameters: RequestParameters { source_ip_address: &call.context.source_ip },
        response_elements: ResponseElements {
            request_id: call.request_id(),
            // As the answer's header says it.
            id_2: BASE64_STANDARD.encode(call.request_id()),
        },
        s3: Subject {
            schema_version: "1.0",
            configuration_id: rule_id,
            bucket: Bucket {
                name: change.bucket_name,
                owner_identity: Identity { principal_id: names::canonical_id(&bucket.owner) },
                arn: names::bucket_arn(change.bucket_name),
            },
            object: Object {
                key: names::url_encoded(change.key),
                size: change.row.map(|row| row.size),
                e_tag: change.row.map(|row| row.etag.as_str()),
                sequencer: format!("{:018X}", change.sequencer),
            },
        },
    }
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "Records")]
    records: [Record<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    event_version: &'static str,
    event_source: &'static str,
    aws_region: &'a str,
    event_time: String,
    event_name: &'static str,
    user_identity: Identity,
    request_parameters: RequestParameters<'a>,
    response_elements: ResponseElements<'a>,
    s3: Subject<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    principal_id: String,
}

#[derive(Serialize)]
struct RequestParameters<'a> {
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: &'a str,
}

#[derive(Serialize)]
struct ResponseElements<'a> {
    #[serde(rename = "x-amz-request-id")]
    request_id: &'a str,
    #[serde(rename = "x-amz-id-2")]
    id_2: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subject<'a> {
    #[serde(rename = "s3SchemaVersion")]
    schema_version: &'static str,
    configuration_id: &'a str,
    bucket: Bucket<'a>,
    object: Object<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bucket<'a> {
    name: &'a str,
    owner_identity: Identity,
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e_tag: Option<&'a str>,
    sequencer: String,
}
