//! Resource policies, against AWS's recorded answers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use lambent_bus::Delivery;
use lambent_bus::ports::{Caller, MayInvoke, Outgoing};
use serde_json::{Value, json};

use super::cloud::arn;
use super::{Answer, Cloud, zips};

const POLICY: &str = "/2015-03-31/functions/thumb/policy";

async fn cloud() -> Cloud {
    let cloud = Cloud::new().await;
    cloud.create_active("thumb", &zips::handler("1")).await;
    cloud
}

async fn add(cloud: &Cloud, sid: &str, more: Value) -> Answer {
    let mut body =
        json!({"StatementId": sid, "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"});
    for (member, value) in more.as_object().unwrap() {
        body[member] = value.clone();
    }
    cloud.json("POST", POLICY, body).await
}

async fn remove(cloud: &Cloud, path: &str) -> Answer {
    cloud.send("DELETE", &format!("/2015-03-31/functions/{path}"), &[], Bytes::new()).await
}

#[tokio::test]
async fn policies_are_written_as_aws_writes_them() {
    let cloud = cloud().await;
    let one = add(&cloud, "s3", json!({"SourceArn": "arn:aws:s3:::photos"})).await;
    assert_eq!(one.status, 201, "{one:?}");
    let statement = format!(
        "{{\"Sid\":\"s3\",\"Effect\":\"Allow\",\"Principal\":{{\"Service\":\"s3.amazonaws.com\"}},\
         \"Action\":\"lambda:InvokeFunction\",\"Resource\":\"{}\",\
         \"Condition\":{{\"ArnLike\":{{\"AWS:SourceArn\":\"arn:aws:s3:::photos\"}}}}}}",
        arn("thumb")
    );
    assert_eq!(one.json["Statement"], statement);
    let two = add(&cloud, "all", json!({"Principal": "*", "SourceAccount": "000000000000"})).await;
    let all: Value = serde_json::from_str(two.json["Statement"].as_str().unwrap()).unwrap();
    assert_eq!(all["Principal"], "*");
    assert_eq!(all["Condition"], json!({"StringEquals": {"AWS:SourceAccount": "000000000000"}}));
    let three = add(&cloud, "account", json!({"Principal": "000000000000"})).await;
    let account: Value = serde_json::from_str(three.json["Statement"].as_str().unwrap()).unwrap();
    assert_eq!(account["Principal"], json!({"AWS": "arn:aws:iam::000000000000:root"}));
    assert_eq!(account.get("Condition"), None);

    let got = cloud.get(POLICY).await;
    let text = got.json["Policy"].as_str().unwrap();
    assert!(
        text.starts_with("{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[{\"Sid\":\"s3\""),
        "{text}"
    );
    let policy: Value = serde_json::from_str(text).unwrap();
    assert_eq!(policy["Statement"].as_array().unwrap().len(), 3);
    assert_eq!(remove(&cloud, "thumb/policy/all").await.status, 204);
    let again = cloud.get(POLICY).await;
    assert_ne!(again.json["RevisionId"], got.json["RevisionId"]);
}

#[tokio::test]
async fn statements_that_cannot_be_added_or_removed_say_why() {
    let cloud = cloud().await;
    let (missing, invalid) = ("ResourceNotFoundException", "InvalidParameterValueException");
    cloud.get(POLICY).await.expect_error(404, missing, "The resource you requested does not exist.");
    remove(&cloud, "thumb/policy/s3").await.expect_error(
        404,
        missing,
        "No policy is associated with the given resource.",
    );
    remove(&cloud, "absent/policy/s3").await.expect_error(
        404,
        missing,
        &format!("No policy found for: {}", arn("absent")),
    );
    add(&cloud, "s3", json!({})).await;
    add(&cloud, "s3", json!({})).await.expect_error(
        409,
        "ResourceConflictException",
        "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing \
         statement.",
    );
    remove(&cloud, "thumb/policy/other").await.expect_error(
        404,
        missing,
        "Statement other is not found in resource policy.",
    );
    add(&cloud, "x", json!({"Principal": "invalid.nonaws.com"})).await.expect_error(
        400,
        invalid,
        "The provided principal was invalid. Please check the principal and try again.",
    );
    add(&cloud, "x", json!({"RevisionId": "other"})).await.expect_error(
        412,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the \
         latest Revision Id",
    );
    let qualified = async |qualifier: &str| {
        let body =
            json!({"StatementId": "q", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"});
        cloud.json("POST", &format!("{POLICY}?Qualifier={qualifier}"), body).await
    };
    qualified("$LATEST").await.expect_error(
        400,
        invalid,
        "We currently do not support adding policies for $LATEST.",
    );
    qualified("42").await.expect_error(404, missing, &format!("Function not found: {}", arn("thumb:42")));
    qualified("live").await.expect_error(
        404,
        missing,
        &format!("Cannot find alias arn: {}", arn("thumb:live")),
    );
}

#[tokio::test]
async fn policies_have_a_size() {
    let cloud = cloud().await;
    let long = format!("arn:aws:s3:::{}", "x".repeat(1_000));
    let mut added = 0;
    let refused = loop {
        let answer = add(&cloud, &format!("s{added}"), json!({"SourceArn": long})).await;
        if answer.status != 201 {
            break answer;
        }
        added += 1;
    };
    assert_eq!(refused.json["code"], "PolicyLengthExceededException");
    assert!((10..20).contains(&added), "{added}");
}

/// A whole policy of one thing, by its ARN.
fn whole(name: &str) -> String {
    format!("/2026-07-09/resource-policy/{}", arn(name).replace(':', "%3A"))
}

fn written(effect: &str, action: &str) -> Value {
    json!({"Sid": effect, "Effect": effect, "Principal": {"Service": "s3.amazonaws.com"}, "Action": action})
}

async fn put(cloud: &Cloud, name: &str, statements: Value) -> Answer {
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    cloud.json("PUT", &whole(name), json!({"Policy": policy})).await
}

#[tokio::test]
async fn a_whole_policy_replaces_what_was_there() {
    let cloud = cloud().await;
    add(&cloud, "old", json!({})).await;
    let made = put(&cloud, "thumb", json!([written("Allow", "lambda:InvokeFunction")])).await;
    assert_eq!(made.status, 200, "{made:?}");
    let got = cloud.get(&whole("thumb")).await;
    assert_eq!(got.json, made.json);
    let policy: Value = serde_json::from_str(got.json["Policy"].as_str().unwrap()).unwrap();
    let mut expected = written("Allow", "lambda:InvokeFunction");
    expected["Resource"] = json!(arn("thumb"));
    assert_eq!(policy["Statement"], json!([expected]));
    assert_eq!(add(&cloud, "new", json!({})).await.status, 201);
    assert_eq!(add(&cloud, "Allow", json!({})).await.status, 409, "that Sid is taken");
    let both = cloud.get(POLICY).await;
    assert!(both.json["Policy"].as_str().unwrap().contains("\"Sid\":\"Allow\",\"Effect\":\"Allow\""));
    assert_eq!(remove(&cloud, "thumb/policy/Allow").await.status, 204);
    let gone = async |revision: &str| {
        let uri = format!("{}{revision}", whole("thumb"));
        cloud.send("DELETE", &uri, &[], Bytes::new()).await
    };
    let other = "?RevisionId=00000000-0000-0000-0000-000000000000";
    assert_eq!(gone(other).await.status, 412);
    assert_eq!(gone("").await.status, 204);
    gone("").await.expect_error(
        404,
        "ResourceNotFoundException",
        "No policy is associated with the given resource.",
    );
    assert_eq!(cloud.get(&whole("thumb")).await.status, 404);
}

#[tokio::test]
async fn a_policys_deny_is_stronger_than_its_callers_own() {
    let cloud = cloud().await;
    let actions = ["lambda:InvokeFunction", "lambda:InvokeAsync"];
    let deny = json!({"Effect": "Deny", "Principal": "*", "Action": actions});
    assert_eq!(put(&cloud, "thumb", json!([deny])).await.status, 200);
    for (path, action) in [
        ("/2015-03-31/functions/thumb/invocations", actions[0]),
        ("/2014-11-13/functions/thumb/invoke-async", actions[1]),
        ("/2021-11-15/functions/thumb/response-streaming-invocations", actions[0]),
    ] {
        let refused = cloud.send("POST", path, &[], Bytes::from_static(b"{}")).await;
        let told = format!(
            "User: arn:aws:iam::000000000000:root is not authorized to perform: {action} on resource: {} with an \
             explicit deny in a resource-based policy",
            arn("thumb")
        );
        // The gateway words the code as each service has it.
        refused.expect_error(403, "AccessDenied", &told);
    }
    assert!(cloud.runner.asked.lock().is_empty());
    let elsewhere = json!({"Effect": "Deny", "Principal": {"AWS": "111111111111"}, "Action": "lambda:*"});
    assert_eq!(put(&cloud, "thumb", json!([elsewhere])).await.status, 200);
    assert_eq!(cloud.invoke("thumb", &[], b"{}").await.status, 200);
}

/// What a function hands on to another in its role's name.
fn outgoing() -> Outgoing {
    Outgoing {
        target: arn("thumb").parse().unwrap(),
        role_arn: "arn:aws:iam::000000000000:role/thumbnailer".to_owned(),
        source: arn("source").parse().unwrap(),
        body: Bytes::from_static(b"{}"),
        attributes: BTreeMap::new(),
        id: "an-id".to_owned(),
        created_ms: 0,
        trace: None,
    }
}

/// What policies may ask of all that the platform does in the name of others: that it is over TLS, and in which region.
fn conditions(region: &str) -> Value {
    json!({"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"aws:RequestedRegion": region}})
}

#[tokio::test]
async fn a_role_hands_on_where_its_policy_asks_for_tls_and_a_region() {
    let cloud = cloud().await;
    let target = cloud.engine.as_target();
    for (region, is_allowed) in [("eu-west-1", false), ("us-east-1", true)] {
        let statement = json!({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn("thumb"),
            "Condition": conditions(region)});
        cloud.allow_by("thumbnailer", &statement).await;
        let delivered = target.deliver(outgoing()).await;
        assert_eq!(matches!(delivered, Delivery::Done), is_allowed, "{region}: {delivered:?}");
    }
}

#[tokio::test]
async fn a_function_lets_a_service_in_that_asks_over_tls_in_a_region() {
    let cloud = cloud().await;
    let bucket = Caller::Service {
        principal: "s3.amazonaws.com".to_owned(),
        source: "arn:aws:s3:::photos".parse().unwrap(),
        source_account: "000000000000".to_owned(),
    };
    for (region, is_allowed) in [("eu-west-1", false), ("us-east-1", true)] {
        let statement = json!({"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "lambda:InvokeFunction", "Condition": conditions(region)});
        assert_eq!(put(&cloud, "thumb", json!([statement])).await.status, 200);
        let may = MayInvoke::may_invoke(&cloud.engine, &arn("thumb").parse().unwrap(), &bucket).await;
        assert_eq!(may.unwrap(), is_allowed, "{region}");
    }
}

#[tokio::test]
async fn a_destinations_own_policy_may_deny_the_role() {
    let cloud = cloud().await;
    cloud.allow("thumbnailer", "lambda:InvokeFunction", &arn("thumb")).await;
    let target = cloud.engine.as_target();
    assert!(matches!(target.deliver(outgoing()).await, Delivery::Done));
    let deny = json!({"Effect": "Deny", "Principal": {"AWS": "000000000000"}, "Action": "lambda:*"});
    assert_eq!(put(&cloud, "thumb", json!([deny])).await.status, 200);
    let refused = target.deliver(outgoing()).await;
    assert!(matches!(refused, Delivery::Refused(why) if why.contains("may not lambda:InvokeFunction")));
}

#[tokio::test]
async fn a_whole_policy_must_be_about_its_resource() {
    let cloud = cloud().await;
    let refused = async |statements: Value, problem: &str| {
        let answer = put(&cloud, "thumb", statements).await;
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (400, Some("InvalidParameterValueException"))
        );
        assert!(answer.json["message"].as_str().unwrap().contains(problem), "{answer:?}");
    };
    let with = |member: &str, value: Value| {
        let mut statement = written("Allow", "lambda:InvokeFunction");
        statement[member] = value;
        json!([statement])
    };
    refused(json!([]), "no Statement").await;
    refused(with("Action", json!("s3:GetObject")), "no action of Lambda's").await;
    refused(with("Resource", json!(arn("other"))), "is not the resource").await;
    refused(with("Effect", json!("Maybe")), "Maybe").await;
    refused(with("NotAction", json!("lambda:*")), "unknown field `NotAction`").await;
    refused(with("Principal", json!({"Robot": "r"})), "no kind of principal").await;
    refused(with("Principal", json!("me")), "neither * nor an object").await;
    let one = written("Allow", "lambda:InvokeFunction");
    refused(json!([one, one]), "the same Sid").await;
    let absent = put(&cloud, "absent", json!([one])).await;
    absent.expect_error(404, "ResourceNotFoundException", &format!("Function not found: {}", arn("absent")));
    let text = cloud.json("PUT", &whole("thumb"), json!({"Policy": "{"})).await;
    assert_eq!(text.status, 400);
    assert_eq!(cloud.get(&whole("thumb")).await.status, 404);
}

#[tokio::test]
async fn a_role_made_anew_is_not_the_one_that_a_function_lets_in() {
    let cloud = cloud().await;
    cloud.make_role("caller", "lambda.amazonaws.com").await;
    let role = "arn:aws:iam::000000000000:role/caller";
    let leave = lambent_api::testing::root(&cloud.identity).await;
    let (principals, names) = (cloud.identity.principals(&leave), cloud.identity.names(&leave));
    let id = names.id_of(role).await.unwrap().unwrap();
    let added = add(&cloud, "role", json!({"Principal": role})).await;
    assert_eq!(added.status, 201, "{added:?}");
    let guard = cloud.engine.as_guard();
    let who = async || {
        let facts = guard.of(&arn("thumb")).await.unwrap();
        let decided: Value = serde_json::from_str(facts.policy.unwrap().text()).unwrap();
        let shown: Value =
            serde_json::from_str(cloud.get(POLICY).await.json["Policy"].as_str().unwrap()).unwrap();
        let of = |policy: &Value| policy["Statement"][0]["Principal"]["AWS"].as_str().unwrap().to_owned();
        (of(&decided), of(&shown))
    };
    assert_eq!(who().await, (id.clone(), role.to_owned()));
    principals.delete_role("caller").await.unwrap();
    cloud.make_role("caller", "lambda.amazonaws.com").await;
    assert_eq!(who().await, (id.clone(), id), "the name is another's now");
    let statement = json!({
        "Effect": "Allow", "Principal": {"AWS": [role]}, "Action": "lambda:InvokeFunction", "Resource": arn("thumb"),
    });
    let put = put(&cloud, "thumb", json!([statement])).await;
    assert_eq!(put.status, 200, "{put:?}");
    let facts = guard.of(&arn("thumb")).await.unwrap();
    let new = names.id_of(role).await.unwrap().unwrap();
    assert!(facts.policy.unwrap().text().contains(&new));
}

#[tokio::test]
async fn a_node_that_hears_of_no_change_decides_by_no_old_policy() {
    let cloud = cloud().await;
    assert_eq!(add(&cloud, "s3", json!({})).await.status, 201);
    let deaf = cloud.restarted().await;
    let guard = deaf.engine.as_guard();
    let has_policy = async || guard.of(&arn("thumb")).await.unwrap().policy.is_some();
    assert!(has_policy().await);
    assert_eq!(remove(&cloud, "thumb/policy/s3").await.status, 204);
    cloud.hand.advance(Duration::from_millis(4_999));
    assert!(has_policy().await, "it is not read at each decision");
    cloud.hand.advance(Duration::from_millis(1));
    assert!(!has_policy().await);
}
