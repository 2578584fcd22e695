use lambent_api::ApiError;
use lambent_bus::ports::Caller;
use lambent_model_s3::{
    DeleteObjectRequest, Event, EventBridgeConfiguration, FilterRule, FilterRuleName,
    GetBucketNotificationConfigurationRequest, LambdaFunctionConfiguration, NotificationConfiguration,
    NotificationConfigurationFilter, PutBucketNotificationConfigurationRequest, PutObjectRequest,
    S3KeyFilter,
};
use lambent_store::{KeyRange, ScanOptions, StoreError};
use serde_json::{Value, json};

use super::{BUCKET, Fixture, code, member, put_request};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:thumbnail";

pub(super) fn rule(id: &str, events: &[&str], prefix: Option<&str>) -> LambdaFunctionConfiguration {
    let filter = prefix.map(|prefix| NotificationConfigurationFilter {
        key: Some(S3KeyFilter {
            filter_rules: Some(vec![FilterRule {
                name: Some(FilterRuleName::Prefix),
                value: Some(prefix.to_owned()),
            }]),
        }),
    });
    LambdaFunctionConfiguration {
        id: Some(id.to_owned()),
        lambda_function_arn: FUNCTION.to_owned(),
        events: events.iter().map(|event| Event::from(*event)).collect(),
        filter,
    }
}

pub(super) fn rules(rules: Vec<LambdaFunctionConfiguration>) -> NotificationConfiguration {
    NotificationConfiguration {
        lambda_function_configurations: Some(rules),
        ..NotificationConfiguration::default()
    }
}

pub(super) async fn set(
    fixture: &Fixture,
    configuration: NotificationConfiguration,
    skip: bool,
) -> Result<(), ApiError> {
    let input = PutBucketNotificationConfigurationRequest {
        bucket: BUCKET.to_owned(),
        expected_bucket_owner: None,
        notification_configuration: configuration,
        skip_destination_validation: Some(skip),
    };
    fixture.s3.put_bucket_notification_configuration(&fixture.call().await, input).await?;
    Ok(())
}

async fn get(fixture: &Fixture) -> NotificationConfiguration {
    let input =
        GetBucketNotificationConfigurationRequest { bucket: BUCKET.to_owned(), expected_bucket_owner: None };
    fixture.s3.get_bucket_notification_configuration(&fixture.call().await, input).await.unwrap()
}

/// The payloads that wait in the outbox, in their order.
async fn recorded(fixture: &Fixture) -> Vec<Value> {
    let page = fixture
        .db
        .read(|txn| async move { txn.scan(&KeyRange::prefix(b"bus/ready/"), ScanOptions::rows(100)).await })
        .await
        .map_err(|error: StoreError| error.to_string())
        .unwrap();
    // A row is the length of its header, the header, the payload.
    let payload = |row: &[u8]| {
        let header = usize::try_from(u32::from_be_bytes(row[..4].try_into().unwrap())).unwrap();
        serde_json::from_slice(&row[4 + header..]).unwrap()
    };
    page.rows.iter().map(|(_, row)| payload(row)).collect()
}

#[tokio::test]
async fn rules_come_back_as_they_were_given() {
    let fixture = Fixture::with_bucket().await;
    fixture.functions.allowed.lock().push(FUNCTION.to_owned());
    set(&fixture, rules(vec![rule("one", &["s3:ObjectCreated:*"], Some("in/"))]), false).await.unwrap();
    let asked = fixture.functions.asked.lock()[0].clone();
    let expected = Caller::Service {
        principal: "s3.amazonaws.com".to_owned(),
        source: "arn:aws:s3:::photos".parse().unwrap(),
        source_account: "000000000000".to_owned(),
    };
    assert_eq!(asked, expected);
    let got = get(&fixture).await.lambda_function_configurations.unwrap();
    assert_eq!(got[0].id.as_deref(), Some("one"));
    assert_eq!(got[0].lambda_function_arn, FUNCTION);
    let shown = got[0].filter.clone().unwrap().key.unwrap().filter_rules.unwrap();
    assert_eq!(shown[0].name.as_ref().unwrap().as_str(), "Prefix");
    set(&fixture, NotificationConfiguration::default(), false).await.unwrap();
    assert_eq!(get(&fixture).await, NotificationConfiguration::default());
}

#[tokio::test]
async fn what_cannot_be_delivered_is_refused() {
    let fixture = Fixture::with_bucket().await;
    let created = &["s3:ObjectCreated:*"][..];
    let one = || rule("one", created, None);
    let error = set(&fixture, rules(vec![one()]), false).await.unwrap_err();
    assert_eq!(error.message, "Unable to validate the following destination configurations");
    assert_eq!(member(&error, "ArgumentName1"), Some(format!("{FUNCTION}, null").as_str()));
    assert_eq!(
        member(&error, "ArgumentValue1"),
        Some(format!("Not authorized to invoke function [{FUNCTION}]").as_str())
    );
    set(&fixture, rules(vec![one()]), true).await.unwrap();
    let unparsable = LambdaFunctionConfiguration { lambda_function_arn: "invalid-queue".to_owned(), ..one() };
    let error = set(&fixture, rules(vec![unparsable]), true).await.unwrap_err();
    assert_eq!(
        (error.message.as_str(), member(&error, "ArgumentName")),
        ("The ARN could not be parsed", Some("CloudFunction"))
    );
    let overlapping = rules(vec![one(), rule("two", &["s3:ObjectCreated:Put"], Some("in/"))]);
    assert!(
        set(&fixture, overlapping, true).await.unwrap_err().message.starts_with("Configurations overlap.")
    );
    let twins = rules(vec![one(), rule("one", &["s3:ObjectRemoved:*"], None)]);
    assert!(set(&fixture, twins, true).await.unwrap_err().message.starts_with("Same ID"));
    let unknown = rules(vec![rule("one", &["s3:ObjectPainted:Red"], None)]);
    assert_eq!(member(&set(&fixture, unknown, true).await.unwrap_err(), "ArgumentName"), Some("Event"));
    let bridge = NotificationConfiguration {
        event_bridge_configuration: Some(EventBridgeConfiguration {}),
        ..NotificationConfiguration::default()
    };
    let error = set(&fixture, bridge, true).await.unwrap_err();
    assert_eq!(code(&error), "NotImplemented");
    assert!(error.message.contains("EventBridge"), "{error}");
}

#[tokio::test]
async fn a_record_is_committed_with_the_object() {
    let fixture = Fixture::with_bucket().await;
    let wanted = rules(vec![
        rule("created", &["s3:ObjectCreated:*"], Some("in/")),
        rule("removed", &["s3:ObjectRemoved:Delete"], None),
    ]);
    set(&fixture, wanted, true).await.unwrap();
    fixture.put("out/of sight", b"1").await;
    assert_eq!(recorded(&fixture).await.len(), 0);
    fixture.put("in/ä b.jpg", b"something").await;
    // A write that fails tells nobody.
    let refused = PutObjectRequest { if_none_match: Some("*".to_owned()), ..put_request("in/ä b.jpg") };
    fixture.put_as(refused, b"2").await.unwrap_err();
    let created = recorded(&fixture).await;
    assert_eq!(created.len(), 1);
    let record = &created[0]["Records"][0];
    let sequencer = record["s3"]["object"]["sequencer"].as_str().unwrap().to_owned();
    assert_eq!(sequencer.len(), 18);
    let expected = json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-09-21T14:13:20.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": { "principalId": "AWS:000000000000" },
        "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": {
            "x-amz-request-id": "0A49CE4060975EAC",
            "x-amz-id-2": record["responseElements"]["x-amz-id-2"],
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "created",
            "bucket": {
                "name": "photos",
                "ownerIdentity": { "principalId": crate::names::canonical_id("000000000000") },
                "arn": "arn:aws:s3:::photos",
            },
            "object": {
                "key": "in/%C3%A4+b.jpg",
                "size": 9,
                "eTag": "437b930db84b8079c2dd804a71936b5f",
                "sequencer": sequencer,
            },
        },
    });
    assert_eq!(*record, expected);
    let doomed = DeleteObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "in/ä b.jpg".to_owned(),
        ..DeleteObjectRequest::default()
    };
    fixture.s3.delete_object(&fixture.call().await, doomed.clone()).await.unwrap();
    // What was not there is not removed.
    fixture.s3.delete_object(&fixture.call().await, doomed).await.unwrap();
    let all = recorded(&fixture).await;
    assert_eq!(all.len(), 2);
    let removed = &all[1]["Records"][0];
    assert_eq!(removed["eventName"], "ObjectRemoved:Delete");
    assert_eq!(removed["s3"]["configurationId"], "removed");
    let object = removed["s3"]["object"].as_object().unwrap();
    assert_eq!(object.keys().collect::<Vec<_>>(), ["key", "sequencer"]);
    assert!(object["sequencer"].as_str().unwrap() > sequencer.as_str());
    assert_eq!(fixture.outbox.backlog().await.unwrap().ready, 2);
}
