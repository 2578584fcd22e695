//! Members that are kept and shown, and not acted on: shapes and words as recorded answers have them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::cloud::host;
use super::{Cloud, zips};

const ACCESS_POINT: &str =
    "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0";

async fn updated(cloud: &Cloud, changes: Value) -> Value {
    let answer = cloud.json("PUT", "/2015-03-31/functions/thumb/configuration", changes).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    cloud.settled("thumb").await.json
}

#[tokio::test]
async fn a_vpc_is_shown_until_the_function_leaves_it() {
    let cloud = Cloud::new().await;
    let vpc = json!({"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}});
    let created = cloud.create("thumb", &zips::handler("1"), vpc).await;
    assert_eq!(created.status, 201, "{created:?}");
    let shown = &created.json["VpcConfig"];
    let id = shown["VpcId"].as_str().unwrap();
    assert!(id.starts_with("vpc-") && id.len() == 21, "{id}");
    let expected = json!({"Ipv6AllowedForDualStack": false, "SecurityGroupIds": ["sg-1"],
        "SubnetIds": ["subnet-1"], "VpcId": id});
    assert_eq!(*shown, expected);
    assert_eq!(cloud.settled("thumb").await.json["VpcConfig"], expected);

    let mount = json!([{"Arn": ACCESS_POINT, "LocalMountPath": "/mnt/data"}]);
    let json = updated(&cloud, json!({"FileSystemConfigs": mount})).await;
    assert_eq!((&json["FileSystemConfigs"], &json["VpcConfig"]), (&mount, &expected));
    let json = updated(&cloud, json!({"FileSystemConfigs": []})).await;
    assert_eq!(json.get("FileSystemConfigs"), None);

    let json = updated(&cloud, json!({"VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}})).await;
    let left =
        json!({"Ipv6AllowedForDualStack": false, "SecurityGroupIds": [], "SubnetIds": [], "VpcId": ""});
    assert_eq!(json["VpcConfig"], left);
}

#[tokio::test]
async fn what_a_network_lacks_is_said() {
    let cloud = Cloud::new().await;
    let create = async |more: Value| cloud.create("thumb", &zips::handler("1"), more).await;
    create(json!({"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []}})).await.expect_error(
        400,
        "InvalidParameterValueException",
        "SubnetIds and SecurityIds must coexist or be both empty list.",
    );
    create(json!({"FileSystemConfigs": [{"Arn": ACCESS_POINT, "LocalMountPath": "/mnt/data"}]}))
        .await
        .expect_error(
            400,
            "InvalidParameterValueException",
            &format!(
                "Function must be configured to execute in a VPC to reference access point {ACCESS_POINT}."
            ),
        );
    let elsewhere =
        create(json!({"FileSystemConfigs": [{"Arn": ACCESS_POINT, "LocalMountPath": "/data"}]})).await;
    assert_eq!(elsewhere.json["code"], "ValidationException", "{elsewhere:?}");
}

#[tokio::test]
async fn keys_and_dead_letter_targets_are_shown_and_emptied() {
    let cloud = Cloud::new().await;
    let (key, queue) = ("arn:aws:kms:us-east-1:000000000000:key/1", super::cloud::arn("dead"));
    cloud.create_active("dead", &zips::handler("2")).await;
    cloud.allow("thumbnailer", "lambda:InvokeFunction", &queue).await;
    let given = json!({"KMSKeyArn": key, "DeadLetterConfig": {"TargetArn": queue}});
    let created = cloud.create("thumb", &zips::handler("1"), given).await;
    assert_eq!(created.json["KMSKeyArn"], key);
    assert_eq!(created.json["DeadLetterConfig"], json!({"TargetArn": queue}));
    cloud.settled("thumb").await;
    let json = updated(&cloud, json!({"Description": "d"})).await;
    assert_eq!(
        (json["KMSKeyArn"].as_str(), &json["DeadLetterConfig"]["TargetArn"]),
        (Some(key), &json!(queue))
    );
    let json = updated(&cloud, json!({"KMSKeyArn": "", "DeadLetterConfig": {"TargetArn": ""}})).await;
    assert_eq!((json.get("KMSKeyArn"), json.get("DeadLetterConfig")), (None, None));
}

#[tokio::test]
async fn the_key_of_a_package_is_shown_with_it() {
    let cloud = Cloud::new().await;
    let (key, zip) = ("arn:aws:kms:us-east-1:000000000000:key/2", zips::handler("1"));
    let code = json!({"ZipFile": BASE64.encode(&zip), "SourceKMSKeyArn": key});
    let created = cloud.create("thumb", &zip, json!({"Code": code})).await;
    assert_eq!(created.status, 201, "{created:?}");
    cloud.settled("thumb").await;
    let shown = async || cloud.get("/2015-03-31/functions/thumb").await.json["Code"].clone();
    assert_eq!(shown().await["SourceKMSKeyArn"], key);
    let code = json!({"ZipFile": BASE64.encode(&zip)});
    assert_eq!(cloud.json("PUT", "/2015-03-31/functions/thumb/code", code).await.status, 200);
    assert_eq!(shown().await.get("SourceKMSKeyArn"), None);
}

#[tokio::test]
async fn another_architecture_is_kept_and_refused_when_called() {
    let cloud = Cloud::new().await;
    let foreign = if host() == "arm64" { "x86_64" } else { "arm64" };
    let zip = zips::handler("1");
    let created = cloud.create("thumb", &zip, json!({"Architectures": [foreign]})).await;
    assert_eq!(created.json["Architectures"], json!([foreign]));
    assert_eq!(cloud.settled("thumb").await.json["State"], "Active");
    let refused = cloud.invoke("thumb", &[], b"{}").await;
    assert_eq!((refused.status, refused.json["code"].as_str()), (502, Some("InvalidRuntimeException")));
    let message = refused.json["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("The function is for {foreign}, and this host has {}", host())));
}
