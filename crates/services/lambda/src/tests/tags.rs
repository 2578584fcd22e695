use bytes::Bytes;
use serde_json::{Value, json};

use super::cloud::{ACCOUNT, Answer, Cloud, arn};
use super::zips;

const INVALID: &str = "InvalidParameterValueException";

fn uri(resource: &str) -> String {
    format!("/2017-03-31/tags/{}", resource.replace(':', "%3A").replace('$', "%24"))
}

async fn tag(cloud: &Cloud, resource: &str, tags: Value) -> Answer {
    cloud.json("POST", &uri(resource), json!({"Tags": tags})).await
}

async fn untag(cloud: &Cloud, resource: &str, keys: &str) -> Answer {
    cloud.send("DELETE", &format!("{}?{keys}", uri(resource)), &[], Bytes::new()).await
}

#[tokio::test]
async fn tags_come_and_go() {
    let cloud = Cloud::new().await;
    let created = cloud.create("f", &zips::handler("1"), json!({"Tags": {"a": "1"}})).await;
    cloud.settled("f").await;
    let f = &arn("f");
    let listed = async || cloud.get(&uri(f)).await.json["Tags"].clone();
    assert_eq!(listed().await, json!({"a": "1"}));
    assert_eq!(tag(&cloud, f, json!({"a": "2", "b": ""})).await.status, 204);
    assert_eq!(listed().await, json!({"a": "2", "b": ""}));
    let shown = cloud.get("/2015-03-31/functions/f").await;
    assert_eq!(shown.json["Tags"], json!({"a": "2", "b": ""}));
    assert_ne!(shown.json["Configuration"]["RevisionId"], created.json["RevisionId"]);
    assert_eq!(untag(&cloud, f, "tagKeys=a&tagKeys=nobody").await.status, 204);
    assert_eq!(untag(&cloud, f, "tagKeys=b").await.status, 204);
    assert_eq!(listed().await, json!({}));
    assert_eq!(cloud.get("/2015-03-31/functions/f").await.json.get("Tags"), None);
}

#[tokio::test]
async fn tags_have_bounds_and_only_functions_and_configurations_have_them() {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    let f = &arn("f");
    let many =
        |count: usize| (0..count).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>();
    let limit = "Number of tags exceeds resource tag limit.";
    tag(&cloud, f, many(51).into()).await.expect_error(400, INVALID, limit);
    assert_eq!(tag(&cloud, f, many(50).into()).await.status, 204);
    tag(&cloud, f, json!({"one": "more"})).await.expect_error(400, INVALID, limit);
    tag(&cloud, f, json!({})).await.expect_error(
        400,
        INVALID,
        "An error occurred and the request cannot be processed.",
    );
    let qualified = "Tags on function aliases and versions are not supported. Please specify a function ARN.";
    for qualifier in ["$LATEST", "1", "live"] {
        tag(&cloud, &format!("{f}:{qualifier}"), json!({"a": "1"}))
            .await
            .expect_error(400, INVALID, qualified);
    }
    let missing = format!("Function not found: {}", arn("ghost"));
    cloud.get(&uri(&arn("ghost"))).await.expect_error(404, "ResourceNotFoundException", &missing);
    let mapping = format!(
        "arn:aws:lambda:us-east-1:{ACCOUNT}:event-source-mapping:00000000-0000-0000-0000-000000000000"
    );
    let text = format!("Event source mapping not found: {mapping}");
    cloud.get(&uri(&mapping)).await.expect_error(404, "ResourceNotFoundException", &text);
    let elsewhere = cloud.get(&uri(&f.replace("arn:aws:", "arn:aws-cn:"))).await;
    assert_eq!((elsewhere.status, elsewhere.json["code"].as_str()), (400, Some("ValidationException")));
    let strange = cloud.get(&uri(&format!("arn:aws:lambda:us-east-1:{ACCOUNT}:foobar:x"))).await;
    assert_eq!((strange.status, strange.json["code"].as_str()), (400, Some("ValidationException")));
}

#[tokio::test]
async fn code_signing_configurations_are_kept_and_shown() {
    let cloud = Cloud::new().await;
    let profile = format!("arn:aws:signer:us-east-1:{ACCOUNT}:/signing-profiles/test");
    let body = json!({
        "Description": "mine", "AllowedPublishers": {"SigningProfileVersionArns": [profile]},
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Enforce"}, "Tags": {"a": "1"},
    });
    let made = cloud.json("POST", "/2020-04-22/code-signing-configs", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let config = made.json["CodeSigningConfig"]["CodeSigningConfigArn"].as_str().unwrap().to_owned();
    let at = format!("/2020-04-22/code-signing-configs/{}", config.replace(':', "%3A"));
    let change = json!({"CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"}});
    let changed = cloud.json("PUT", &at, change).await;
    let policy = &changed.json["CodeSigningConfig"]["CodeSigningPolicies"]["UntrustedArtifactOnDeployment"];
    assert_eq!((policy, &changed.json["CodeSigningConfig"]["Description"]), (&json!("Warn"), &json!("mine")));
    assert_eq!(cloud.get(&uri(&config)).await.json["Tags"], json!({"a": "1"}));
    let listed = cloud.get("/2020-04-22/code-signing-configs").await;
    assert_eq!(listed.json["CodeSigningConfigs"][0]["CodeSigningConfigArn"], config);

    let created = cloud.create("f", &zips::handler("1"), json!({"CodeSigningConfigArn": config})).await;
    assert_eq!(created.status, 201, "{created:?}");
    cloud.settled("f").await;
    let elsewhere = cloud.get(&at.replace("arn%3Aaws%3A", "arn%3Aaws-cn%3A")).await;
    assert_eq!(elsewhere.status, 404);
    let of_function = "/2020-06-30/functions/f/code-signing-config";
    assert_eq!(cloud.get(of_function).await.json["CodeSigningConfigArn"], config);
    assert_eq!(cloud.get(&format!("{at}/functions")).await.json["FunctionArns"], json!([arn("f")]));
    let refused = cloud.send("DELETE", &at, &[], Bytes::new()).await;
    assert_eq!((refused.status, refused.json["code"].as_str()), (409, Some("ResourceConflictException")));
    assert_eq!(cloud.send("DELETE", of_function, &[], Bytes::new()).await.status, 204);
    let again = cloud.json("PUT", of_function, json!({"CodeSigningConfigArn": config})).await;
    assert_eq!((again.status, &again.json["FunctionName"]), (200, &json!("f")));
    cloud.send("DELETE", "/2015-03-31/functions/f", &[], Bytes::new()).await;
    assert_eq!(cloud.get(&format!("{at}/functions")).await.json["FunctionArns"], json!([]));
    assert_eq!(cloud.send("DELETE", &at, &[], Bytes::new()).await.status, 204);
    let gone = format!("The Lambda code signing configuration {config} can not be found.");
    cloud.get(&at).await.expect_error(404, "ResourceNotFoundException", &gone);
    cloud.create_active("g", &zips::handler("1")).await;
    let refused = cloud
        .json("PUT", "/2020-06-30/functions/g/code-signing-config", json!({"CodeSigningConfigArn": config}))
        .await;
    let text = format!(
        "The code signing configuration cannot be found. Check that the provided configuration is not deleted: {config}."
    );
    refused.expect_error(404, "CodeSigningConfigNotFoundException", &text);
}

#[tokio::test]
async fn runtime_management_is_kept_for_each_version() {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    let at = "/2021-07-20/functions/f/runtime-management-config";
    let none = cloud.get(at).await;
    assert_eq!(none.json, json!({"FunctionArn": format!("{}:$LATEST", arn("f")), "UpdateRuntimeOn": "Auto"}));
    let put = cloud.json("PUT", at, json!({"UpdateRuntimeOn": "FunctionUpdate"})).await;
    assert_eq!(put.json["UpdateRuntimeOn"], "FunctionUpdate");
    assert_eq!(cloud.json("POST", "/2015-03-31/functions/f/versions", json!({})).await.status, 201);
    assert_eq!(cloud.get(&format!("{at}?Qualifier=1")).await.json["UpdateRuntimeOn"], "FunctionUpdate");
    let manual = cloud.json("PUT", at, json!({"UpdateRuntimeOn": "Manual"})).await;
    assert_eq!((manual.status, manual.json["code"].as_str()), (400, Some(INVALID)));
    let shown = cloud.get("/2015-03-31/functions/f/configuration").await;
    let version = &shown.json["RuntimeVersionConfig"]["RuntimeVersionArn"];
    let manual =
        cloud.json("PUT", at, json!({"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": version})).await;
    assert_eq!((manual.status, &manual.json["RuntimeVersionArn"]), (200, version));
    assert_eq!(cloud.get(at).await.json["RuntimeVersionArn"], *version);
    assert_eq!(cloud.get(&format!("{at}?Qualifier=9")).await.status, 404);
}
