//! Records as clients and functions get them.

use lambent_base::Place;
use lambent_expressions::{Item, Number, Value};
use lambent_model_dynamodbstreams as model;
use lambent_wire::Timestamp;
use serde_json::json;

use super::StreamName;
use super::read::FoundStream;
use super::record::{ChangeRecord, EventName};
use crate::json::item_to_json;
use crate::table::StreamView;

const EVENT_VERSION: &str = "1.1";
const EVENT_SOURCE: &str = "aws:dynamodb";
/// Who deletes what has expired. Source: Developer Guide, "DynamoDB Streams and Time to Live".
const TTL_PRINCIPAL: &str = "dynamodb.amazonaws.com";
const TTL_KIND: &str = "Service";

impl EventName {
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Modify => "MODIFY",
            Self::Remove => "REMOVE",
        }
    }
}

impl StreamView {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KeysOnly => "KEYS_ONLY",
            Self::NewImage => "NEW_IMAGE",
            Self::OldImage => "OLD_IMAGE",
            Self::NewAndOldImages => "NEW_AND_OLD_IMAGES",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let all = [Self::KeysOnly, Self::NewImage, Self::OldImage, Self::NewAndOldImages];
        all.into_iter().find(|view| view.name() == name)
    }
}

/// A record as GetRecords gives it.
pub(crate) fn to_model(record: ChangeRecord, stream: &FoundStream) -> model::Record {
    let identity = record.by_ttl.then(|| model::Identity {
        principal_id: Some(TTL_PRINCIPAL.to_owned()),
        type_: Some(TTL_KIND.to_owned()),
    });
    model::Record {
        aws_region: Some(stream.place.region.clone()),
        event_id: Some(event_id(stream, &record)),
        event_name: Some(record.event.name().into()),
        event_source: Some(EVENT_SOURCE.to_owned()),
        event_version: Some(EVENT_VERSION.to_owned()),
        user_identity: identity,
        dynamodb: Some(model::StreamRecord {
            approximate_creation_date_time: Some(Timestamp::from_ms(seconds(&record) * 1000)),
            sequence_number: Some(record.at.sequence_number()),
            size_bytes: Some(record.size_bytes.into()),
            stream_view_type: Some(stream.row.view.name().into()),
            keys: Some(to_item(record.keys)),
            new_image: record.new.map(to_item),
            old_image: record.old.map(to_item),
        }),
    }
}

/// A record as a function finds it among the `Records` of its event.
pub fn to_event(record: &ChangeRecord, stream: &FoundStream) -> serde_json::Value {
    let mut change = json!({
        "ApproximateCreationDateTime": seconds(record),
        "Keys": item_to_json(&record.keys),
        "SequenceNumber": record.at.sequence_number(),
        "SizeBytes": record.size_bytes,
        "StreamViewType": stream.row.view.name(),
    });
    for (name, image) in [("NewImage", &record.new), ("OldImage", &record.old)] {
        if let Some(image) = image {
            change[name] = item_to_json(image);
        }
    }
    let mut event = json!({
        "eventID": event_id(stream, record),
        "eventName": record.event.name(),
        "eventVersion": EVENT_VERSION,
        "eventSource": EVENT_SOURCE,
        "awsRegion": stream.place.region,
        "dynamodb": change,
        "eventSourceARN": stream.arn(),
    });
    if record.by_ttl {
        event["userIdentity"] = json!({ "type": TTL_KIND, "principalId": TTL_PRINCIPAL });
    }
    event
}

impl FoundStream {
    pub fn arn(&self) -> String {
        let Self { place: Place { account, region }, table, label, .. } = self;
        let place = Place { account: account.clone(), region: region.clone() };
        StreamName { place, table: table.clone(), label: label.clone() }.arn()
    }
}

/// The same whenever the record is read; 32 digits, as AWS's.
fn event_id(stream: &FoundStream, record: &ChangeRecord) -> String {
    let [_, _, _, _, id @ ..] = stream.row.id.to_be_bytes();
    lambent_base::text::hex(&[&id[..], &record.at.stamp()].concat())
}

/// Rounded down. Source: API reference, StreamRecord.
fn seconds(record: &ChangeRecord) -> i64 {
    record.at_ms.div_euclid(1000)
}

fn to_item(item: Item) -> std::collections::BTreeMap<String, model::AttributeValue> {
    item.into_iter().map(|(name, value)| (name, to_value(value))).collect()
}

fn to_value(value: Value) -> model::AttributeValue {
    let mut out = model::AttributeValue::default();
    match value {
        Value::S(text) => out.s = Some(text),
        Value::N(number) => out.n = Some(number.to_string()),
        Value::B(bytes) => out.b = Some(bytes),
        Value::Bool(truth) => out.bool = Some(truth),
        Value::Null => out.null = Some(true),
        Value::L(values) => out.l = Some(values.into_iter().map(to_value).collect()),
        Value::M(item) => out.m = Some(to_item(item)),
        Value::Ss(texts) => out.ss = Some(texts.into_iter().collect()),
        Value::Ns(numbers) => out.ns = Some(numbers.iter().map(Number::to_string).collect()),
        Value::Bs(all) => out.bs = Some(all.into_iter().collect()),
    }
    out
}
