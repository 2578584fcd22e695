//! Operations against the Service Authorization Reference: "Actions, resources, and condition keys for Amazon CloudWatch
//! Logs".

use lambent_api::testing::{Action, Reference};

use super::{Bench, place};
use crate::service;

/// A log group; policies name what is in it, too, with `:*`.
const GROUP: &[&str] = &["arn:aws:logs:us-east-1:000000000000:log-group:*:log-stream:"];
const STREAM: &[&str] = &["arn:aws:logs:us-east-1:000000000000:log-group:*:log-stream:*"];
const ALL: &[&str] = &["arn:aws:logs:us-east-1:000000000000:log-group::log-stream:"];

const ACTIONS: &[Action<'_>] = &[
    ("logs:CreateLogGroup", GROUP),
    ("logs:CreateLogStream", GROUP),
    ("logs:DeleteLogGroup", GROUP),
    ("logs:DescribeLogGroups", ALL),
    ("logs:DescribeLogStreams", GROUP),
    ("logs:FilterLogEvents", GROUP),
    ("logs:GetLogEvents", STREAM),
    ("logs:PutLogEvents", STREAM),
    ("logs:PutRetentionPolicy", GROUP),
];

#[tokio::test]
async fn operations_want_what_the_reference_says() {
    let bench = Bench::new().await;
    let reference = Reference {
        service: &service(&bench.logs),
        identity: bench.identity.clone(),
        place: place("us-east-1"),
        samples: &[],
        query: "",
        body: r#"{"logGroupName":"g","logStreamName":"s","retentionInDays":1,
            "logEvents":[{"timestamp":1,"message":"m"}]}"#,
        apart: &[],
        renamed: &[],
        actions: ACTIONS,
    };
    assert_eq!(reference.findings().await, Vec::<String>::new());
}
