use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use lambent_base::Place;
use lambent_care::Findings;
use serde_json::{Value, json};

use super::cloud::{ACCOUNT, Answer, Cloud, place};
use super::zips;
use crate::keys;
use crate::rows::{self, LayerPolicyRow, LayerStatementRow, LayerVersionRow};

fn layer_arn(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:{ACCOUNT}:layer:{name}")
}

fn packed(files: &[(&str, &str)]) -> Vec<u8> {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    zips::packed(&files)
}

async fn publish(cloud: &Cloud, name: &str, files: &[(&str, &str)], more: Value) -> Answer {
    let mut body = json!({"Content": {"ZipFile": BASE64.encode(packed(files))}});
    for (member, value) in more.as_object().unwrap() {
        body[member] = value.clone();
    }
    cloud.json("POST", &format!("/2018-10-31/layers/{name}/versions"), body).await
}

async fn published(cloud: &Cloud, name: &str, files: &[(&str, &str)]) -> String {
    let answer = publish(cloud, name, files, json!({})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json["LayerVersionArn"].as_str().unwrap().to_owned()
}

async fn create_with(cloud: &Cloud, name: &str, layers: &[String]) -> Answer {
    let created =
        cloud.create(name, &zips::handler("def handler(e, c): return e"), json!({"Layers": layers})).await;
    if created.status == 201 { cloud.settled(name).await } else { created }
}

fn opt_files(cloud: &Cloud, folder: &str) -> Vec<String> {
    let listed = std::fs::read_dir(cloud.code_path(folder)).unwrap();
    let mut names: Vec<String> =
        listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn merged(cloud: &Cloud) -> Vec<String> {
    cloud.unpacked().into_iter().filter(|name| name.ends_with(".opt")).collect()
}

async fn problems(cloud: &Cloud) -> Vec<String> {
    let view = cloud.db.export().await.unwrap();
    let mut findings = Findings::default();
    crate::check(&view, &mut findings).await.unwrap();
    findings.problems.iter().map(|problem| problem.what.clone()).collect()
}

#[tokio::test]
async fn versions_of_a_layer_are_numbered_shown_listed_and_deleted() {
    let cloud = Cloud::new().await;
    let more = json!({"Description": "tools", "LicenseInfo": "MIT", "CompatibleRuntimes": ["python3.12"],
                      "CompatibleArchitectures": ["x86_64"]});
    let first = publish(&cloud, "tools", &[("bin/tool", "1")], more).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.json["LayerVersionArn"], format!("{}:1", layer_arn("tools")));
    assert_eq!(first.json["LayerArn"], layer_arn("tools"));
    assert_eq!(first.json["Version"], 1);
    assert_eq!(first.json["CreatedDate"], "2026-11-21T16:00:00.000+0000");
    assert!(first.json["Content"]["Location"].as_str().unwrap().contains("/_lambent/code/"));
    published(&cloud, "tools", &[("bin/tool", "2")]).await;

    let got = cloud.get("/2018-10-31/layers/tools/versions/1").await;
    assert_eq!((got.status, &got.json["Description"]), (200, &json!("tools")));
    let arn = format!("{}:1", layer_arn("tools"));
    let by_arn = cloud.get(&format!("/2018-10-31/layers?find=LayerVersion&Arn={arn}")).await;
    assert_eq!(by_arn.json["Content"]["CodeSha256"], got.json["Content"]["CodeSha256"]);

    let numbers = async |query: &str| {
        let listed = cloud.get(&format!("/2018-10-31/layers/tools/versions{query}")).await;
        let numbers: Vec<u64> = listed.json["LayerVersions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["Version"].as_u64().unwrap())
            .collect();
        (numbers, listed.json["NextMarker"].as_str().map(str::to_owned))
    };
    assert_eq!(numbers("").await, (vec![2, 1], None));
    assert_eq!(numbers("?CompatibleRuntime=python3.12").await.0, [1]);
    let (page, marker) = numbers("?MaxItems=1").await;
    assert_eq!(page, [2]);
    assert_eq!(numbers(&format!("?MaxItems=1&Marker={}", marker.unwrap())).await, (vec![1], None));

    for _ in 0..2 {
        let deleted = cloud.send("DELETE", "/2018-10-31/layers/tools/versions/2", &[], Bytes::new()).await;
        assert_eq!(deleted.status, 204, "{deleted:?}");
    }
    let missing = "The resource you requested does not exist.";
    cloud.get("/2018-10-31/layers/tools/versions/2").await.expect_error(
        404,
        "ResourceNotFoundException",
        missing,
    );
    let low = "Layer Version Cannot be less than 1";
    cloud.get("/2018-10-31/layers/tools/versions/0").await.expect_error(
        400,
        "InvalidParameterValueException",
        low,
    );
    assert!(
        published(&cloud, "tools", &[("bin/tool", "3")]).await.ends_with(":3"),
        "numbers are not used again"
    );
    assert_eq!(problems(&cloud).await, [""; 0]);
}

#[tokio::test]
async fn layers_are_listed_with_their_newest_matching_version() {
    let cloud = Cloud::new().await;
    publish(&cloud, "a", &[("f", "1")], json!({"CompatibleRuntimes": ["python3.12"]})).await;
    publish(&cloud, "a", &[("f", "2")], json!({"CompatibleRuntimes": ["nodejs20.x"]})).await;
    published(&cloud, "b", &[("f", "1")]).await;
    published(&cloud, "gone", &[("f", "1")]).await;
    cloud.send("DELETE", "/2018-10-31/layers/gone/versions/1", &[], Bytes::new()).await;
    let list = async |query: &str| {
        let listed = cloud.get(&format!("/2018-10-31/layers{query}")).await;
        let layers = listed.json["Layers"].as_array().unwrap().iter();
        let shown = |one: &Value| {
            format!("{}:{}", one["LayerName"].as_str().unwrap(), one["LatestMatchingVersion"]["Version"])
        };
        (layers.map(shown).collect::<Vec<_>>(), listed.json["NextMarker"].as_str().map(str::to_owned))
    };
    assert_eq!(list("").await.0, ["a:2", "b:1"]);
    assert_eq!(list("?CompatibleRuntime=python3.12").await.0, ["a:1"]);
    let (page, marker) = list("?MaxItems=1").await;
    assert_eq!(page, ["a:2"]);
    assert_eq!(
        list(&format!("?MaxItems=1&Marker={}", marker.unwrap())).await,
        (vec!["b:1".to_owned()], None)
    );
}

#[tokio::test]
async fn several_layers_become_one_folder_as_long_as_a_function_has_them() {
    let cloud = Cloud::new().await;
    let base = published(&cloud, "base", &[("python/a.py", "1"), ("only", "base")]).await;
    let over = published(&cloud, "over", &[("python/a.py", "2")]).await;
    let shown = create_with(&cloud, "f", &[base.clone(), over.clone()]).await;
    assert_eq!(shown.json["Layers"][1]["Arn"], over, "{shown:?}");
    assert!(shown.json["Layers"][0]["CodeSize"].as_u64().unwrap() > 0);
    cloud.invoke("f", &[], b"{}").await;
    let folder = cloud.runner.asked.lock()[0].function.opt_dir.clone().unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("python/a.py")).unwrap(), "2");
    assert_eq!(opt_files(&cloud, &merged(&cloud)[0]), ["only", "python"]);
    assert_eq!(problems(&cloud).await, [""; 0]);

    // Its layers go, and it goes on.
    for layer in ["base", "over"] {
        let uri = format!("/2018-10-31/layers/{layer}/versions/1");
        assert_eq!(cloud.send("DELETE", &uri, &[], Bytes::new()).await.status, 204);
    }
    cloud.sweep().await;
    let again = cloud.restarted().await;
    assert_eq!(again.invoke("f", &[], b"{}").await.status, 200);
    assert_eq!(merged(&cloud).len(), 1);

    // Other settings keep them, an empty list lets them go.
    let uri = "/2015-03-31/functions/f/configuration";
    let kept = cloud.json("PUT", uri, json!({"Description": "the same layers"})).await;
    assert_eq!(kept.json["Layers"].as_array().unwrap().len(), 2, "{kept:?}");
    cloud.settled("f").await;
    cloud.json("PUT", uri, json!({"Layers": []})).await;
    assert_eq!(cloud.settled("f").await.json.get("Layers"), None);
    cloud.runner.asked.lock().clear();
    drop(again);
    cloud.sweep().await;
    assert_eq!((merged(&cloud).len(), cloud.unpacked().len()), (0, 1));
    assert_eq!(problems(&cloud).await, [""; 0]);
    let gone = cloud.json("PUT", uri, json!({"Layers": [base]})).await;
    gone.expect_error(
        400,
        "InvalidParameterValueException",
        &format!("Layer version {base} does not exist."),
    );
}

#[tokio::test]
async fn a_published_version_keeps_its_layers() {
    let cloud = Cloud::new().await;
    let layer = published(&cloud, "one", &[("f", "1")]).await;
    let two = published(&cloud, "two", &[("g", "1")]).await;
    create_with(&cloud, "f", &[layer, two]).await;
    let uri = "/2015-03-31/functions/f";
    assert_eq!(cloud.json("POST", &format!("{uri}/versions"), json!({})).await.status, 201);
    cloud.json("PUT", &format!("{uri}/configuration"), json!({"Layers": []})).await;
    cloud.settled("f").await;
    cloud.sweep().await;
    assert_eq!(merged(&cloud).len(), 1);
    assert_eq!(problems(&cloud).await, [""; 0]);
    assert_eq!(cloud.send("DELETE", uri, &[], Bytes::new()).await.status, 204);
    cloud.sweep().await;
    assert_eq!(merged(&cloud).len(), 0);
    assert_eq!(problems(&cloud).await, [""; 0]);
}

#[tokio::test]
async fn a_layer_of_another_account_needs_its_policy() {
    let cloud = Cloud::new().await;
    published(&cloud, "theirs", &[("f", "1")]).await;
    let other = &Place { account: "111111111111".to_owned(), region: "us-east-1".to_owned() };
    // As if it had been published there.
    let read = cloud.db.read(|txn| async move {
        rows::get::<LayerVersionRow>(&txn, &keys::layer_version(&place(), "theirs", 1)).await
    });
    let row = &read.await.unwrap().unwrap();
    let put = cloud.db.run(|txn| async move {
        rows::put(&txn, &keys::layer_version(other, "theirs", 1), row);
        Ok::<_, crate::LambdaError>(())
    });
    put.await.unwrap();
    let arn = "arn:aws:lambda:us-east-1:111111111111:layer:theirs:1".to_owned();
    let refused = format!(
        "User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: lambda:GetLayerVersion on resource: {arn} \
         because no resource-based policy allows the lambda:GetLayerVersion action"
    );
    let find = format!("/2018-10-31/layers?find=LayerVersion&Arn={arn}");
    // The gateway words the code as each service has it.
    cloud.get(&find).await.expect_error(403, "AccessDenied", &refused);
    let refuse = create_with(&cloud, "f", std::slice::from_ref(&arn)).await;
    refuse.expect_error(403, "AccessDenied", &refused);
    let policy = &LayerPolicyRow {
        revision_id: "1".to_owned(),
        statements: vec![LayerStatementRow {
            sid: "all".to_owned(),
            action: "lambda:GetLayerVersion".to_owned(),
            principal: ACCOUNT.to_owned(),
            organization_id: None,
        }],
    };
    let put = cloud.db.run(|txn| async move {
        rows::put(&txn, &keys::layer_policy(other, "theirs", 1), policy);
        Ok::<_, crate::LambdaError>(())
    });
    put.await.unwrap();
    assert_eq!(cloud.get(&find).await.status, 200);
    assert_eq!(create_with(&cloud, "f", std::slice::from_ref(&arn)).await.json["Layers"][0]["Arn"], arn);
}

#[tokio::test]
async fn policies_of_layers_have_revisions() {
    let cloud = Cloud::new().await;
    published(&cloud, "tools", &[("f", "1")]).await;
    let uri = "/2018-10-31/layers/tools/versions/1/policy";
    let none = "No policy is associated with the given resource.";
    cloud.get(uri).await.expect_error(404, "ResourceNotFoundException", none);
    let body = |sid: &str| json!({"StatementId": sid, "Action": "lambda:GetLayerVersion", "Principal": "*"});
    let added = cloud.json("POST", uri, body("s1")).await;
    assert_eq!(added.status, 201, "{added:?}");
    let expected = format!(
        r#"{{"Sid":"s1","Effect":"Allow","Principal":"*","Action":"lambda:GetLayerVersion","Resource":"{}:1"}}"#,
        layer_arn("tools")
    );
    assert_eq!(added.json["Statement"], expected);
    let exists = "The statement id (s1) provided already exists. Please provide a new statement id, or remove the \
                  existing statement.";
    cloud.json("POST", uri, body("s1")).await.expect_error(409, "ResourceConflictException", exists);
    let stale = cloud.json("POST", &format!("{uri}?RevisionId=wrong"), body("s2")).await;
    assert_eq!((stale.status, stale.json["code"].as_str()), (412, Some("PreconditionFailedException")));
    let policy = cloud.get(uri).await;
    assert_eq!(policy.json["RevisionId"], added.json["RevisionId"]);
    let absent = cloud.send("DELETE", &format!("{uri}/other"), &[], Bytes::new()).await;
    absent.expect_error(404, "ResourceNotFoundException", "Statement other is not found in resource policy.");
    let revision = added.json["RevisionId"].as_str().unwrap();
    let removed = cloud.send("DELETE", &format!("{uri}/s1?RevisionId={revision}"), &[], Bytes::new()).await;
    assert_eq!(removed.status, 204, "{removed:?}");
    cloud.get(uri).await.expect_error(404, "ResourceNotFoundException", none);
    let missing = format!("Layer version {}:2 does not exist.", layer_arn("tools"));
    let nowhere = cloud.get("/2018-10-31/layers/tools/versions/2/policy").await;
    nowhere.expect_error(404, "ResourceNotFoundException", &missing);
}

#[tokio::test]
async fn what_a_function_may_not_have_is_refused() {
    let cloud = Cloud::new().await;
    let one = published(&cloud, "one", &[("f", "1")]).await;
    let two = published(&cloud, "one", &[("f", "2")]).await;
    let refused = create_with(&cloud, "f", &[one.clone(), two.clone()]).await;
    let both = format!(
        "Two different versions of the same layer are not allowed to be referenced in the same function. {one} and \
         {two} are versions of the same layer."
    );
    refused.expect_error(400, "InvalidParameterValueException", &both);
    let missing = one.replace(":1", ":9");
    let refused = create_with(&cloud, "f", std::slice::from_ref(&missing)).await;
    let text = format!("Layer version {missing} does not exist.");
    refused.expect_error(400, "InvalidParameterValueException", &text);
    let unknown = publish(&cloud, "x", &[("f", "1")], json!({"CompatibleRuntimes": ["cobol"]})).await;
    assert_eq!(
        (unknown.status, unknown.json["code"].as_str()),
        (400, Some("ValidationException")),
        "{unknown:?}"
    );
    let empty = cloud.json("POST", "/2018-10-31/layers/x/versions", json!({"Content": {}})).await;
    assert_eq!((empty.status, empty.json["code"].as_str()), (400, Some("InvalidParameterValueException")));
}

#[tokio::test]
async fn code_and_layers_together_have_a_limit() {
    let cloud = Cloud::new().await;
    let layer = published(&cloud, "big", &[("f", "1")]).await;
    let other = published(&cloud, "other", &[("f", "2")]).await;
    // As if its files were as large as a layer's may be.
    for (arn, bytes) in [(&layer, 262_143_990_u64), (&other, 20)] {
        let name = crate::layers::names::LayerVersionName::parse(arn).unwrap().layer.name;
        let name = &name;
        let put = cloud.db.run(|txn| async move {
            let key = keys::layer_version(&place(), name, 1);
            let layer = rows::get::<LayerVersionRow>(&txn, &key).await?.unwrap();
            let key = keys::code(&layer.code.sha256);
            let mut row = rows::get::<rows::CodeRow>(&txn, &key).await?.unwrap();
            row.unpacked = Some(bytes);
            rows::put(&txn, &key, &row);
            Ok::<_, crate::LambdaError>(())
        });
        put.await.unwrap();
    }
    let layers = "Layers consume more than the available size of 262144000 bytes";
    let refused = create_with(&cloud, "f", &[layer.clone(), other.clone()]).await;
    refused.expect_error(400, "InvalidParameterValueException", layers);
    let refused = create_with(&cloud, "f", std::slice::from_ref(&layer)).await;
    let text = "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual \
                size is 262144017 bytes.";
    refused.expect_error(400, "InvalidParameterValueException", text);
    assert_eq!(create_with(&cloud, "f", &[other]).await.status, 200);
    let refused =
        cloud.json("PUT", "/2015-03-31/functions/f/configuration", json!({"Layers": [layer]})).await;
    refused.expect_error(400, "InvalidParameterValueException", text);
    assert_eq!(problems(&cloud).await, [""; 0]);
}
