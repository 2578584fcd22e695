//! What CreateFunction, GetFunction, ListFunctions and the updates say, against AWS's recorded answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cloud::{ROLE, arn, host};
use super::{Cloud, zips};

/// A copy without the members that differ from run to run.
fn settled_members(json: &Value) -> Value {
    let mut json = json.clone();
    for member in ["RevisionId", "RuntimeVersionConfig"] {
        assert!(json.as_object_mut().unwrap().remove(member).is_some(), "{member} in {json}");
    }
    json
}

fn expected(zip: &[u8]) -> Value {
    json!({
        "Architectures": ["x86_64"],
        "CodeSha256": BASE64.encode(Sha256::digest(zip)),
        "CodeSize": zip.len(),
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": arn("thumb"),
        "FunctionName": "thumb",
        "Handler": "index.handler",
        "LastModified": "2026-11-21T16:00:00.000+0000",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/thumb"},
        "MemorySize": 128,
        "PackageType": "Zip",
        "Role": ROLE,
        "Runtime": "python3.11",
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": "$LATEST",
    })
}

fn with(mut json: Value, changes: Value) -> Value {
    for (member, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(json.as_object_mut().unwrap().remove(member)),
            value => json[member] = value.clone(),
        }
    }
    json
}

const ACTIVE: &str =
    r#"{"State": "Active", "StateReason": null, "StateReasonCode": null, "LastUpdateStatus": "Successful"}"#;

#[tokio::test]
async fn a_function_is_pending_then_active() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    let created = cloud.create("thumb", &zip, json!({})).await;
    assert_eq!(created.status, 201);
    assert_eq!(settled_members(&created.json), expected(&zip));
    let active = with(expected(&zip), serde_json::from_str(ACTIVE).unwrap());
    let settled = cloud.settled("thumb").await;
    assert_eq!(settled_members(&settled.json), active);
    assert_ne!(settled.json["RevisionId"], created.json["RevisionId"]);

    let got = cloud.get("/2015-03-31/functions/thumb").await;
    assert_eq!(got.json["Configuration"], settled.json);
    assert_eq!(got.json["Code"]["RepositoryType"], "S3");
    assert_eq!(got.json.get("Tags"), None);
    // By its ARN and with a qualifier, the answer carries the qualified ARN.
    let qualified = cloud.get(&format!("/2015-03-31/functions/{}?Qualifier=$LATEST", arn("thumb"))).await;
    assert_eq!(qualified.json["Configuration"]["FunctionArn"], format!("{}:$LATEST", arn("thumb")));
}

#[tokio::test]
async fn code_location_gives_the_zip_until_it_expires() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    cloud.create_active("thumb", &zip).await;
    let got = cloud.get("/2015-03-31/functions/thumb").await;
    let location = got.json["Code"]["Location"].as_str().unwrap();
    let (sha256, query) = location
        .strip_prefix("http://127.0.0.1:4566/_lambent/code/")
        .and_then(|rest| rest.split_once('?'))
        .unwrap();
    let (mut body, length) = cloud.engine.code_download(sha256, query).await.unwrap();
    assert_eq!(length, zip.len() as u64);
    let limit = zip.len();
    assert_eq!(body.collect(limit, || unreachable!()).await.unwrap(), zip);

    let refused =
        async |sha256: &str, query: &str| cloud.engine.code_download(sha256, query).await.unwrap_err();
    assert_eq!(refused(sha256, "").await.status, 403);
    assert_eq!(refused(sha256, &query.replace("Expires=1", "Expires=2")).await.status, 403);
    assert_eq!(refused(&"0".repeat(64), query).await.status, 403);
    cloud.hand.advance(std::time::Duration::from_secs(600));
    assert_eq!(refused(sha256, query).await.message, "Request has expired");
}

#[tokio::test]
async fn updates_are_in_progress_then_successful() {
    let cloud = Cloud::new().await;
    let (one, two) = (zips::handler("1"), zips::handler("2"));
    let active = cloud.create_active("thumb", &one).await;
    let changes = json!({"Description": "d", "MemorySize": 512, "Timeout": 10, "Runtime": "python3.12",
        "Environment": {"Variables": {"ENV_A": "a"}}, "LoggingConfig": {"LogGroup": "cool_lambda"}});
    let updated = cloud.json("PUT", "/2015-03-31/functions/thumb/configuration", changes).await;
    assert_eq!(updated.status, 200, "{updated:?}");
    let note = "python3.12 is not installed on this host: the function runs on python3.11, the nearest version that is.";
    let in_progress = with(
        active.json.clone(),
        json!({
            "Description": "d", "MemorySize": 512, "Timeout": 10, "Runtime": "python3.12", "StateReason": note,
            "Environment": {"Variables": {"ENV_A": "a"}},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": "cool_lambda"},
            "LastUpdateStatus": "InProgress", "LastUpdateStatusReason": "The function is being created.",
            "LastUpdateStatusReasonCode": "Creating",
        }),
    );
    assert_eq!(settled_members(&updated.json), settled_members(&in_progress));
    let settled = cloud.settled("thumb").await;
    assert_eq!(settled.json["LastUpdateStatus"], "Successful");
    assert_eq!(settled.json.get("LastUpdateStatusReason"), None);
    assert_ne!(settled.json["RevisionId"], updated.json["RevisionId"]);

    cloud.hand.advance(std::time::Duration::from_millis(1_500));
    let body = json!({"ZipFile": BASE64.encode(&two), "RevisionId": settled.json["RevisionId"]});
    let updated = cloud.json("PUT", "/2015-03-31/functions/thumb/code", body.clone()).await;
    assert_eq!(updated.json["CodeSha256"], BASE64.encode(Sha256::digest(&two)), "{updated:?}");
    assert_eq!(updated.json["LastModified"], "2026-11-21T16:00:01.500+0000");
    cloud.settled("thumb").await;
    cloud.json("PUT", "/2015-03-31/functions/thumb/code", body).await.expect_error(
        412,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
         retrieve the latest Revision Id",
    );
}

#[tokio::test]
async fn dry_runs_change_nothing() {
    let cloud = Cloud::new().await;
    let active = cloud.create_active("thumb", &zips::handler("1")).await;
    let two = zips::handler("2");
    let body = json!({"ZipFile": BASE64.encode(&two), "DryRun": true});
    let shown = cloud.json("PUT", "/2015-03-31/functions/thumb/code", body).await;
    assert_eq!(shown.json["CodeSha256"], BASE64.encode(Sha256::digest(&two)));
    assert_eq!(cloud.settled("thumb").await.json, active.json);
    let body = json!({"ZipFile": BASE64.encode(b"no zip"), "DryRun": true});
    assert_eq!(cloud.json("PUT", "/2015-03-31/functions/thumb/code", body).await.status, 400);
}

#[tokio::test]
async fn one_change_at_a_time() {
    let cloud = Cloud::new().await;
    cloud.create("thumb", &zips::handler("1"), json!({})).await;
    // Nothing yields to the background between the two.
    let body = json!({"ZipFile": BASE64.encode(zips::handler("2"))});
    cloud.json("PUT", "/2015-03-31/functions/thumb/code", body).await.expect_error(
        409,
        "ResourceConflictException",
        &format!(
            "The operation cannot be performed at this time. An update is in progress for resource: {}",
            arn("thumb")
        ),
    );
    cloud.create("thumb", &zips::handler("1"), json!({})).await.expect_error(
        409,
        "ResourceConflictException",
        "Function already exist: thumb",
    );
}

#[tokio::test]
async fn lists_come_in_pages_by_name() {
    let cloud = Cloud::new().await;
    for name in ["b", "a", "c"] {
        cloud.create_active(name, &zips::handler("same")).await;
    }
    let names = |json: &Value| -> Vec<String> {
        json["Functions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["FunctionName"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = cloud.get("/2015-03-31/functions?MaxItems=2").await;
    assert_eq!(names(&first.json), ["a", "b"]);
    for absent in ["State", "LastUpdateStatus", "RuntimeVersionConfig"] {
        assert_eq!(first.json["Functions"][0].get(absent), None);
    }
    let marker = first.json["NextMarker"].as_str().unwrap();
    let second = cloud.get(&format!("/2015-03-31/functions?MaxItems=2&Marker={marker}")).await;
    assert_eq!(names(&second.json), ["c"]);
    assert_eq!(second.json.get("NextMarker"), None);
    let all = cloud.get("/2015-03-31/functions?FunctionVersion=ALL").await;
    assert_eq!(all.json["Functions"][0]["FunctionArn"], format!("{}:$LATEST", arn("a")));
    assert_eq!(cloud.get("/2015-03-31/functions?Marker=!").await.status, 400);
}

#[tokio::test]
async fn requests_that_aws_refuses_are_refused_in_its_words() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    let invalid = "InvalidParameterValueException";
    let unable = "Lambda was unable to configure your environment variables because the environment variables you \
                  have provided";
    let long = "x".repeat(4_096);
    let cases = [
        (json!({"Handler": null}), invalid, "Runtime and Handler are mandatory parameters for functions created with deployment packages.".to_owned()),
        (json!({"Runtime": "non-existent-runtime"}), invalid, "Value non-existent-runtime at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2] or be a valid ARN".to_owned()),
        (json!({"Runtime": "nodejs14.x"}), invalid, "The runtime parameter of nodejs14.x is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.".to_owned()),
        (json!({"Code": {}}), invalid, "Please provide a source for function code.".to_owned()),
        (json!({"Code": {"ZipFile": BASE64.encode("no zip")}}), invalid, "Could not unzip uploaded file. Please check your file, then try to upload again.".to_owned()),
        (json!({"Code": {"ZipFile": BASE64.encode(zips::raw(&[]))}}), invalid, "Uploaded file must be a non-empty zip".to_owned()),
        (json!({"Role": "arn:aws:iam::000000000000:role/absent"}), invalid, "The role defined for the function cannot be assumed by Lambda.".to_owned()),
        (json!({"Environment": {"Variables": {"LARGE_VAR": long}}}), invalid, format!("{unable} exceeded the 4KB limit. String measured: {{\"LARGE_VAR\":\"{long}\"}}")),
        (json!({"Environment": {"Variables": {"AWS_REGION": "x"}}}), invalid, format!("{unable} contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION")),
        (json!({"Timeout": 901}), "ValidationException", "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900".to_owned()),
        (json!({"MemorySize": 10_241}), "ValidationException", "1 validation error detected: Value '10241' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to 10240".to_owned()),
        (json!({"Role": "r1"}), "ValidationException", "1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+".to_owned()),
    ];
    for (change, code, message) in cases {
        cloud.create("thumb", &zip, change).await.expect_error(400, code, &message);
    }
    let name = "a".repeat(65);
    cloud.create(&name, &zip, json!({})).await.expect_error(400, invalid, &format!("1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"));
    let tags: serde_json::Map<String, Value> = (0..51).map(|n| (format!("k{n}"), json!("v"))).collect();
    cloud.create("thumb", &zip, json!({"Tags": tags})).await.expect_error(
        400,
        invalid,
        "Number of tags exceeds resource tag limit.",
    );
    cloud.get("/2015-03-31/functions").await.json["Functions"]
        .as_array()
        .map(|list| assert!(list.is_empty()))
        .unwrap();
}

#[tokio::test]
async fn what_would_not_act_is_refused_by_name() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    let refused = [
        (json!({"DurableConfig": {"ExecutionTimeout": 60}}), "Lambent does not support DurableConfig"),
        (
            json!({"PublishTo": "LATEST_PUBLISHED"}),
            "PublishTo is supported for functions with a CapacityProvider",
        ),
        (json!({"PublishTo": "LATEST"}), "1 validation error detected: Value 'LATEST' at 'publishTo' failed"),
    ];
    for (change, begin) in refused {
        let answer = cloud.create("thumb", &zip, change.clone()).await;
        let message = answer.json["message"].as_str().unwrap();
        assert!(answer.status == 400 && message.starts_with(begin), "{change}: {answer:?}");
    }
    // The same members where they ask for nothing.
    let accepted = json!({"Publish": false, "Layers": [], "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
        "TracingConfig": {"Mode": "PassThrough"}, "SnapStart": {"ApplyOn": "None"}, "Tags": {"team": "photos"},
        "PackageType": "Zip", "LoggingConfig": {"LogFormat": "Text"}, "Environment": {}});
    let created = cloud.create("thumb", &zip, accepted).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.json["Environment"], json!({"Variables": {}}));
    assert_eq!(cloud.get("/2015-03-31/functions/thumb").await.json["Tags"], json!({"team": "photos"}));
}

#[tokio::test]
async fn code_comes_from_s3_too() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    let key = ("artifacts".to_owned(), "thumb.zip".to_owned());
    cloud.objects.0.lock().insert(key, Bytes::from(zip.clone()));
    let from = |key: &str| json!({"Code": {"S3Bucket": "artifacts", "S3Key": key}});
    let created = cloud.create("thumb", b"", from("thumb.zip")).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.json["CodeSha256"], BASE64.encode(Sha256::digest(&zip)));
    assert_eq!(cloud.settled("thumb").await.json["State"], "Active");
    assert_eq!(cloud.unpacked(), [lambent_base::text::hex(&Sha256::digest(&zip))]);
    cloud.create("other", b"", from("absent.zip")).await.expect_error(
        400,
        "InvalidParameterValueException",
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.",
    );
}

#[tokio::test]
async fn names_are_judged_as_aws_judges_them() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    cloud.create_active("thumb", &zip).await;
    let not_found = |suffix: &str| format!("Function not found: {}", arn(suffix));
    let missing = "ResourceNotFoundException";
    let get = async |path: &str| cloud.get(&format!("/2015-03-31/functions/{path}")).await;
    get("absent").await.expect_error(404, missing, &not_found("absent"));
    get("absent?Qualifier=$LATEST").await.expect_error(404, missing, &not_found("absent:$LATEST"));
    get("thumb?Qualifier=1221").await.expect_error(404, missing, &not_found("thumb:1221"));
    get("thumb:live").await.expect_error(404, missing, &not_found("thumb:live"));
    get("thumb:1?Qualifier=2").await.expect_error(
        400,
        "InvalidParameterValueException",
        "The derived qualifier from the function name does not match the specified qualifier.",
    );
    let foreign = arn("thumb").replace("us-east-1", "ap-southeast-1");
    get(&foreign).await.expect_error(
        404,
        missing,
        "Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')",
    );
    let delete = async |path: &str| {
        cloud.send("DELETE", &format!("/2015-03-31/functions/{path}"), &[], Bytes::new()).await
    };
    let invalid = "InvalidParameterValueException";
    delete("thumb?Qualifier=$LATEST").await.expect_error(
        400,
        invalid,
        "$LATEST version cannot be deleted without deleting the function.",
    );
    delete("thumb?Qualifier=live").await.expect_error(
        400,
        invalid,
        "Deletion of aliases is not currently supported.",
    );
    delete("absent?Qualifier=7").await.expect_error(404, missing, &not_found("absent"));
    assert_eq!(delete("thumb?Qualifier=7").await.status, 204);
    // Partial ARNs make functions as well as names do.
    let created = cloud.create("000000000000:function:other", &zip, json!({"Architectures": [host()]})).await;
    assert_eq!(created.json["FunctionArn"], arn("other"));
}
