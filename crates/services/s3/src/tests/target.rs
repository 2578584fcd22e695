//! What functions hand on to buckets, in their roles' names.

use std::collections::BTreeMap;

use bytes::Bytes;
use lambent_api::PlatformWork;
use lambent_bus::Delivery;
use lambent_bus::ports::Outgoing;
use lambent_identity::Role;
use serde_json::json;

use super::{ACCOUNT, Fixture};
use crate::target::bucket_target;

#[tokio::test]
async fn a_role_writes_where_its_policy_asks_for_tls_and_a_region() {
    let fixture = Fixture::with_bucket().await;
    let leave = lambent_api::testing::root(&fixture.parts.identity).await;
    let principals = fixture.parts.identity.principals(&leave);
    let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": "lambda.amazonaws.com"}, "Condition": {"Bool": {"aws:SecureTransport": "true"}}}});
    let role = Role {
        account: ACCOUNT.to_owned(),
        name: "letters".to_owned(),
        path: "/".to_owned(),
        trust_policy: trust.to_string(),
        ..Role::default()
    };
    principals.create_role(role).await.unwrap();
    let target = bucket_target(fixture.parts.clone(), PlatformWork::for_the("tests"));
    for (region, is_allowed) in [("eu-west-1", false), ("us-east-1", true)] {
        let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:PutObject",
            "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"},
                "StringEquals": {"aws:RequestedRegion": region}}}});
        principals.put_role_policy("letters", "only", &policy.to_string()).await.unwrap();
        let outgoing = Outgoing {
            target: "arn:aws:s3:::photos".parse().unwrap(),
            role_arn: format!("arn:aws:iam::{ACCOUNT}:role/letters"),
            source: format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:thumb").parse().unwrap(),
            body: Bytes::from_static(b"{}"),
            attributes: BTreeMap::new(),
            id: "an-id".to_owned(),
            created_ms: 0,
            trace: None,
        };
        let delivered = target.deliver(outgoing).await;
        assert_eq!(matches!(delivered, Delivery::Done), is_allowed, "{region}: {delivered:?}");
    }
}
