//! Published versions.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use lambent_care::Findings;
use lambent_store::StoreError;
use serde_json::{Value, json};

use super::cloud::{arn, host, place};
use super::{Answer, Cloud, zips};
use crate::errors::LambdaError;
use crate::keys;
use crate::limits::VERSIONS_DELETED_AT_ONCE;
use crate::rows::{self, AliasRow, Phase};

const INVALID: &str = "InvalidParameterValueException";
const CONFLICT: &str = "ResourceConflictException";
const MISSING: &str = "ResourceNotFoundException";

async fn publish(cloud: &Cloud, name: &str, input: Value) -> Answer {
    cloud.json("POST", &format!("/2015-03-31/functions/{name}/versions"), input).await
}

/// Publishes what must be a version, and gives its number.
async fn published(cloud: &Cloud, name: &str) -> String {
    let version = publish(cloud, name, json!({})).await;
    assert_eq!(version.status, 201, "{version:?}");
    version.json["Version"].as_str().unwrap().to_owned()
}

async fn configure(cloud: &Cloud, name: &str, input: Value) {
    let uri = format!("/2015-03-31/functions/{name}/configuration");
    let changed = cloud.json("PUT", &uri, input).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    cloud.settled(name).await;
}

async fn delete(cloud: &Cloud, name: &str) -> Answer {
    cloud.send("DELETE", &format!("/2015-03-31/functions/{name}"), &[], Bytes::new()).await
}

async fn config(cloud: &Cloud, name: &str) -> Answer {
    cloud.get(&format!("/2015-03-31/functions/{name}/configuration")).await
}

/// The versions that a list gives, page by page.
async fn listed(cloud: &Cloud, uri: &str, member: &str, max_items: usize) -> Vec<String> {
    let (mut arns, mut marker) = (Vec::new(), String::new());
    loop {
        let page = cloud.get(&format!("{uri}MaxItems={max_items}{marker}")).await;
        let items = page.json[member].as_array().unwrap_or_else(|| panic!("{page:?}"));
        assert!(items.len() <= max_items && items.iter().all(|item| item.get("State").is_none()));
        arns.extend(items.iter().map(|item| {
            let arn = item["FunctionArn"].as_str().unwrap();
            arn.split_once(":function:").unwrap().1.to_owned()
        }));
        match page.json["NextMarker"].as_str() {
            Some(next) => marker = format!("&Marker={next}"),
            None => return arns,
        }
    }
}

async fn versions(cloud: &Cloud, name: &str) -> Vec<String> {
    listed(cloud, &format!("/2015-03-31/functions/{name}/versions?"), "Versions", 2).await
}

#[tokio::test]
async fn a_version_is_what_the_function_was() {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    let before = config(&cloud, "f").await.json;
    let first = publish(&cloud, "f", json!({"Description": "the first"})).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.json["FunctionArn"], arn("f:1"));
    assert_eq!(first.json["Description"], "the first");
    assert_eq!(
        (&first.json["State"], &first.json["LastUpdateStatus"]),
        (&json!("Active"), &json!("Successful"))
    );
    assert_ne!(first.json["RevisionId"], before["RevisionId"]);
    assert_eq!(config(&cloud, "f:1").await.json, first.json);
    let latest = config(&cloud, "f").await.json;
    assert_eq!((&latest["Version"], &latest["Description"]), (&json!("$LATEST"), &json!("")));
    assert_ne!(latest["RevisionId"], before["RevisionId"]);

    // Nothing has changed, so it is the same again.
    let again = publish(&cloud, "f", json!({"Description": "another"})).await;
    assert_eq!((again.status, &again.json), (201, &first.json));
    configure(&cloud, "f", json!({"MemorySize": 512})).await;
    assert_eq!(published(&cloud, "f").await, "2");
    assert_eq!(config(&cloud, "f:1").await.json, first.json);
    assert_eq!(config(&cloud, "f:2").await.json["MemorySize"], 512);
    let whole = cloud.get(&format!("/2015-03-31/functions/{}?Qualifier=2", arn("f"))).await;
    assert_eq!(whole.json["Configuration"]["FunctionArn"], arn("f:2"));
    assert!(whole.json["Code"]["Location"].as_str().unwrap().starts_with("http://"));
    assert_eq!(versions(&cloud, "f").await, ["f:$LATEST", "f:1", "f:2"]);
}

#[tokio::test]
async fn numbers_are_never_given_again() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    cloud.create_active("f", &zip).await;
    assert_eq!(published(&cloud, "f").await, "1");
    assert_eq!(delete(&cloud, "f:1").await.status, 204);
    config(&cloud, "f:1").await.expect_error(404, MISSING, &format!("Function not found: {}", arn("f:1")));
    tokio::task::yield_now().await;
    assert_eq!(*cloud.runner.retired.lock(), ["f:1"], "its environments go, and no others");
    assert_eq!(published(&cloud, "f").await, "2");
    assert_eq!(delete(&cloud, "f?Qualifier=1").await.status, 204, "no harm is done");
    assert_eq!(delete(&cloud, "f").await.status, 204);
    cloud.create_active("f", &zip).await;
    config(&cloud, "f:2").await.expect_error(404, MISSING, &format!("Function not found: {}", arn("f:2")));
    assert_eq!(published(&cloud, "f").await, "3");
    delete(&cloud, "f:$LATEST").await.expect_error(
        400,
        INVALID,
        "$LATEST version cannot be deleted without deleting the function.",
    );
}

#[tokio::test]
async fn who_expects_something_else_publishes_nothing() {
    let cloud = Cloud::new().await;
    publish(&cloud, "f", json!({})).await.expect_error(
        404,
        MISSING,
        &format!("Function not found: {}", arn("f")),
    );
    let created = cloud.create("f", &zips::handler("1"), json!({"Architectures": [host()]})).await;
    publish(&cloud, "f", json!({})).await.expect_error(
        409,
        CONFLICT,
        "The operation cannot be performed at this time. The function is currently in the following state: Pending",
    );
    cloud.settled("f").await;
    let digest = created.json["CodeSha256"].as_str().unwrap();
    publish(&cloud, "f", json!({"RevisionId": created.json["RevisionId"]})).await.expect_error(
        412,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
         retrieve the latest Revision Id",
    );
    publish(&cloud, "f", json!({"CodeSha256": "other"})).await.expect_error(
        400,
        INVALID,
        &format!(
            "CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({digest}). Please try again with \
             the CodeSHA256 in $LATEST."
        ),
    );
    assert_eq!(publish(&cloud, "f:1", json!({})).await.status, 400);
    publish(&cloud, "f", json!({"PublishTo": "LATEST_PUBLISHED"})).await.expect_error(
        400,
        INVALID,
        "PublishTo is supported for functions with a CapacityProviderConfig only: publish a numbered version with Publish \
         or PublishVersion.",
    );
    assert_eq!(versions(&cloud, "f").await, ["f:$LATEST"]);
    let latest = config(&cloud, "f").await.json;
    let expected = json!({"RevisionId": latest["RevisionId"], "CodeSha256": digest});
    assert_eq!(publish(&cloud, "f", expected).await.status, 201);
}

#[tokio::test]
async fn a_change_can_be_published_at_once() {
    let cloud = Cloud::new().await;
    let more = json!({"Architectures": [host()], "Publish": true});
    let created = cloud.create("f", &zips::handler("1"), more).await;
    let told = |answer: &Answer| {
        let text = |member: &str| answer.json[member].as_str().unwrap_or("none").to_owned();
        [text("FunctionArn"), text("Version"), text("State"), text("LastUpdateStatus")]
    };
    assert_eq!(told(&created), [&arn("f"), "1", "Pending", "none"]);
    cloud.invoke("f:1", &[], b"").await.expect_error(
        409,
        CONFLICT,
        "The operation cannot be performed at this time. The function is currently in the following state: Pending",
    );
    cloud.settled("f").await;
    assert_eq!(told(&config(&cloud, "f:1").await), [&arn("f:1"), "1", "Active", "Successful"]);
    assert_eq!(cloud.invoke("f:1", &[], b"1").await.status, 200);

    let two = zips::handler("2");
    let update = json!({"ZipFile": BASE64.encode(&two), "Publish": true});
    let updated = cloud.json("PUT", "/2015-03-31/functions/f/code", update.clone()).await;
    assert_eq!(told(&updated), [&arn("f:2"), "2", "Pending", "none"]);
    cloud.settled("f").await;
    let active = config(&cloud, "f:2").await;
    assert_eq!(told(&active), [&arn("f:2"), "2", "Active", "Successful"]);
    assert_eq!(active.json["RevisionId"], updated.json["RevisionId"]);
    assert_ne!(active.json["CodeSha256"], config(&cloud, "f:1").await.json["CodeSha256"]);
    // The same code again is no change.
    let again = cloud.json("PUT", "/2015-03-31/functions/f/code", update).await;
    assert_eq!(told(&again), [&arn("f:2"), "2", "Active", "Successful"]);
    cloud.settled("f").await;
    assert_eq!(versions(&cloud, "f").await, ["f:$LATEST", "f:1", "f:2"]);
}

#[tokio::test]
async fn a_version_whose_change_came_to_nothing_failed_with_it() {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    assert_eq!(published(&cloud, "f").await, "1");
    let lambda = &cloud.lambda;
    let begun = cloud.db.run(|txn| async move {
        let mut row = rows::get_function(&txn, &place(), "f").await?.unwrap();
        row.previous = Some(row.settings.clone());
        row.phase = Phase::Updating;
        row.settings.memory_mib = 256;
        row.settings.run_revision = "next".to_owned();
        lambda.publish(&txn, &place(), &mut row, None).await?;
        rows::put_function(&txn, &place(), &row).await?;
        Ok::<_, LambdaError>(row)
    });
    let begun = begun.await.unwrap();
    assert_eq!(config(&cloud, "f:2").await.json["State"], "Pending");
    cloud.engine.settle(&place(), &begun, Some("no room")).await.unwrap();
    let failed = config(&cloud, "f:2").await.json;
    assert_eq!((&failed["State"], &failed["StateReason"]), (&json!("Failed"), &json!("no room")));
    cloud.invoke("f:2", &[], b"").await.expect_error(
        409,
        CONFLICT,
        "The operation cannot be performed at this time. The function is currently in the following state: Failed",
    );
    assert_eq!(publish(&cloud, "f", json!({})).await.status, 409);
    configure(&cloud, "f", json!({"MemorySize": 256})).await;
    assert_eq!(published(&cloud, "f").await, "3", "one that failed is not published again");
}

#[tokio::test]
async fn versions_are_invoked_as_they_were() {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    published(&cloud, "f").await;
    configure(&cloud, "f", json!({"MemorySize": 256, "Runtime": "python3.13"})).await;
    configure(&cloud, "f", json!({"SnapStart": {"ApplyOn": "PublishedVersions"}})).await;
    published(&cloud, "f").await;
    for (name, version) in
        [("f:1", "1"), ("f:2", "2"), ("f", "$LATEST"), ("f:$LATEST", "$LATEST"), (&arn("f:2"), "2")]
    {
        let answer = cloud.invoke(name, &[], b"{}").await;
        assert_eq!((answer.status, answer.header("x-amz-executed-version")), (200, Some(version)));
    }
    let asked: Vec<_> = std::mem::take(&mut *cloud.runner.asked.lock());
    let seen = asked.iter().take(4).map(|request| {
        let spec = &request.function;
        (spec.key.version.clone(), spec.memory_mib, spec.snap_start, request.invoked_arn.clone())
    });
    let expected = [
        ("1".to_owned(), 128, false, arn("f:1")),
        ("2".to_owned(), 256, true, arn("f:2")),
        ("$LATEST".to_owned(), 256, false, arn("f")),
        ("$LATEST".to_owned(), 256, false, arn("f:$LATEST")),
    ];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    let uri = "/2015-03-31/functions/f/invocations?Qualifier=1";
    let by_query = cloud.send("POST", uri, &[], Bytes::from_static(b"1")).await;
    assert_eq!(by_query.header("x-amz-executed-version"), Some("1"));
    // What is deleted is gone from memory, too.
    delete(&cloud, "f:1").await;
    for name in ["f:1", "f:3", "f:01", "f:live"] {
        let missing = format!("Function not found: {}", arn(name));
        cloud.invoke(name, &[], b"{}").await.expect_error(404, MISSING, &missing);
    }
    delete(&cloud, "f").await;
    assert_eq!(cloud.invoke("f:2", &[], b"{}").await.status, 404);
}

#[tokio::test]
async fn snap_start_is_for_published_versions() {
    let cloud = Cloud::new().await;
    let on = json!({"ApplyOn": "PublishedVersions"});
    let refused = cloud.create("f", &zips::handler("1"), json!({"SnapStart": on})).await;
    refused.expect_error(400, INVALID, "python3.11 is not supported for SnapStart enabled functions.");
    let unknown =
        cloud.create("f", &zips::handler("1"), json!({"SnapStart": {"ApplyOn": "invalidOption"}})).await;
    unknown.expect_error(
        400,
        "ValidationException",
        "1 validation error detected: Value 'invalidOption' at 'snapStart.applyOn' failed to satisfy constraint: \
         Member must satisfy enum value set: [PublishedVersions, None]",
    );
    let more = json!({"SnapStart": on, "Runtime": "python3.13", "Publish": true, "Architectures": [host()]});
    assert_eq!(cloud.create("f", &zips::handler("1"), more).await.status, 201);
    cloud.settled("f").await;
    let snap = async |name: &str| {
        let shown = config(&cloud, name).await.json["SnapStart"].clone();
        (
            shown["ApplyOn"].as_str().unwrap().to_owned(),
            shown["OptimizationStatus"].as_str().unwrap().to_owned(),
        )
    };
    let of = |on: &str, status: &str| (on.to_owned(), status.to_owned());
    assert_eq!(snap("f").await, of("PublishedVersions", "Off"));
    assert_eq!(snap("f:1").await, of("PublishedVersions", "On"));
    configure(&cloud, "f", json!({"SnapStart": {"ApplyOn": "None"}})).await;
    assert_eq!(published(&cloud, "f").await, "2");
    assert_eq!((snap("f").await, snap("f:2").await), (of("None", "Off"), of("None", "Off")));
    assert_eq!(snap("f:1").await, of("PublishedVersions", "On"));
    let uri = "/2015-03-31/functions/f/configuration";
    let both = cloud.json("PUT", uri, json!({"SnapStart": on, "Runtime": "nodejs22.x"})).await;
    both.expect_error(400, INVALID, "nodejs22.x is not supported for SnapStart enabled functions.");
}

#[tokio::test]
async fn code_stays_as_long_as_a_version_has_it() {
    let cloud = Cloud::new().await;
    let (one, two) = (zips::handler("1"), zips::handler("2"));
    cloud.create_active("f", &one).await;
    published(&cloud, "f").await;
    let update = async |zip: &[u8]| {
        let body = json!({"ZipFile": BASE64.encode(zip)});
        cloud.json("PUT", "/2015-03-31/functions/f/code", body).await;
        cloud.settled("f").await;
    };
    update(&two).await;
    assert!(!cloud.sweep().await);
    assert_eq!(cloud.unpacked().len(), 2);
    assert_eq!(cloud.invoke("f:1", &[], b"1").await.status, 200);
    cloud.runner.asked.lock().clear();
    delete(&cloud, "f:1").await;
    assert!(!cloud.sweep().await);
    assert_eq!(cloud.unpacked().len(), 1);
    // With the function its versions go, and what they had.
    published(&cloud, "f").await;
    update(&one).await;
    delete(&cloud, "f").await;
    assert!(!cloud.sweep().await);
    assert!(cloud.unpacked().is_empty());
    let left = &keys::all_versions();
    let left = cloud.db.read(|txn| async move { txn.scan(left, Default::default()).await });
    assert!(left.await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn lists_go_over_functions_and_versions() {
    let cloud = Cloud::new().await;
    for name in ["a", "b", "c"] {
        cloud.create_active(name, &zips::handler("1")).await;
    }
    for memory in [128, 129, 130] {
        configure(&cloud, "b", json!({"MemorySize": memory})).await;
        published(&cloud, "b").await;
    }
    published(&cloud, "c").await;
    let all = ["a:$LATEST", "b:$LATEST", "b:1", "b:2", "b:3", "c:$LATEST", "c:1"];
    for max_items in 1..=8 {
        let uri = "/2015-03-31/functions?FunctionVersion=ALL&";
        assert_eq!(listed(&cloud, uri, "Functions", max_items).await, all, "{max_items}");
        assert_eq!(listed(&cloud, "/2015-03-31/functions?", "Functions", max_items).await, ["a", "b", "c"]);
    }
    assert_eq!(versions(&cloud, "b").await, all[1..5]);
    let absent = cloud.get("/2015-03-31/functions/d/versions").await;
    absent.expect_error(404, MISSING, &format!("Function not found: {}", arn("d")));
    assert_eq!(cloud.get("/2015-03-31/functions/b/versions?Marker=!").await.status, 400);
}

#[tokio::test]
async fn a_function_with_many_versions_can_be_deleted() {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    published(&cloud, "f").await;
    let count = u64::try_from(2 * VERSIONS_DELETED_AT_ONCE).unwrap() + 1;
    for from in (2..=count).step_by(500) {
        let added = cloud.db.run(|txn| async move {
            let mut version = rows::get_version(&txn, &place(), "f", 1).await?.unwrap();
            for number in from..(from + 500).min(count + 1) {
                version.number = number;
                rows::put(&txn, &keys::version(&place(), "f", number), &version);
            }
            Ok::<_, LambdaError>(())
        });
        added.await.unwrap();
    }
    assert_eq!(delete(&cloud, "f").await.status, 204);
    let left = &keys::all_versions();
    let left = cloud.db.read(|txn| async move { txn.scan(left, Default::default()).await });
    assert!(left.await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn a_check_finds_versions_that_do_not_fit() {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    published(&cloud, "f").await;
    let found = async || {
        let mut findings = Findings::default();
        crate::check(&cloud.db.export().await.unwrap(), &mut findings).await.unwrap();
        let told = findings.problems.iter().map(|problem| (problem.what.clone(), problem.mends.len()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(found().await, []);
    let spoil = cloud.db.run(|txn| async move {
        let version = rows::get_version(&txn, &place(), "f", 1).await.ok().flatten().unwrap();
        txn.delete(&keys::code_version(&version.settings.code.sha256, &place(), "f", 1));
        txn.delete(&keys::last_version(&place(), "f"));
        rows::put(&txn, &keys::version(&place(), "ghost", 4), &version);
        rows::put(&txn, &keys::last_version(&place(), "ghost"), &3_u64);
        let alias = AliasRow {
            name: "live".to_owned(),
            revision_id: String::new(),
            description: String::new(),
            version: Some(4),
            additional: None,
        };
        rows::put(&txn, &keys::alias(&place(), "ghost", "live"), &alias);
        Ok::<_, StoreError>(())
    });
    spoil.await.unwrap();
    let told = found().await;
    for expected in [
        "does not know a function that needs it",
        "is missing, though version 1 exists",
        "version 4 is of a function, ghost, which does not exist",
        "says that version 3 is the last, but version 4 exists",
        "alias live is of a function, ghost, which does not exist",
    ] {
        let count = told.iter().filter(|(what, mends)| what.contains(expected) && *mends == 1).count();
        assert_eq!(count, 1, "{expected}: {told:?}");
    }
    assert_eq!(told.len(), 5, "{told:?}");
}
