//! Reserved and provisioned concurrency, and what is left of the account's.

use bytes::Bytes;
use lambent_pool::{ProvisionFailure, Provisioned};
use serde_json::{Value, json};

use super::cloud::place;
use super::{Answer, Cloud, zips};
use crate::errors::LambdaError;
use crate::rows::Phase;
use crate::{keys, rows};

const INVALID: &str = "InvalidParameterValueException";
const MISSING: &str = "ResourceNotFoundException";
const CONFLICT: &str = "ResourceConflictException";

async fn cloud() -> Cloud {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    publish(&cloud).await;
    cloud
}

async fn publish(cloud: &Cloud) {
    let version = cloud.json("POST", "/2015-03-31/functions/f/versions", json!({})).await;
    assert_eq!(version.status, 201, "{version:?}");
}

async fn reserve(cloud: &Cloud, name: &str, reserved: i32) -> Answer {
    let body = json!({"ReservedConcurrentExecutions": reserved});
    cloud.json("PUT", &format!("/2017-10-31/functions/{name}/concurrency"), body).await
}

async fn reserved(cloud: &Cloud) -> Value {
    let got = cloud.get("/2019-09-30/functions/f/concurrency").await;
    assert_eq!(got.status, 200, "{got:?}");
    got.json["ReservedConcurrentExecutions"].clone()
}

async fn provision(cloud: &Cloud, qualifier: &str, count: i32) -> Answer {
    let uri = format!("/2019-09-30/functions/f/provisioned-concurrency?Qualifier={qualifier}");
    cloud.json("PUT", &uri, json!({"ProvisionedConcurrentExecutions": count})).await
}

async fn provisioned(cloud: &Cloud, qualifier: &str) -> Answer {
    cloud.get(&format!("/2019-09-30/functions/f/provisioned-concurrency?Qualifier={qualifier}")).await
}

async fn unprovision(cloud: &Cloud, qualifier: &str) -> Answer {
    let uri = format!("/2019-09-30/functions/f/provisioned-concurrency?Qualifier={qualifier}");
    cloud.send("DELETE", &uri, &[], Bytes::new()).await
}

/// What the pool was told to keep.
async fn kept(cloud: &Cloud) -> Vec<(String, u32)> {
    cloud.engine.provision_all().await.unwrap();
    let known = cloud.runner.provisioned.lock();
    known.iter().map(|(version, there)| (version.clone(), there.wanted)).collect()
}

#[tokio::test]
async fn reservations_reach_every_version_and_leave_the_rest_to_others() {
    let cloud = cloud().await;
    assert_eq!(reserved(&cloud).await, Value::Null);
    let put = reserve(&cloud, "f", 7).await;
    assert_eq!((put.status, &put.json), (200, &json!({"ReservedConcurrentExecutions": 7})));
    assert_eq!((reserved(&cloud).await, *cloud.runner.unreserved.lock()), (json!(7), Some(993)));
    cloud.invoke("f", &[], b"{}").await;
    cloud.invoke("f:1", &[], b"{}").await;
    let asked: Vec<_> =
        cloud.runner.asked.lock().iter().map(|asked| asked.function.reserved_concurrency).collect();
    assert_eq!(asked, [Some(7), Some(7)]);
    let got = cloud.get("/2015-03-31/functions/f").await;
    assert_eq!(got.json["Concurrency"], json!({"ReservedConcurrentExecutions": 7}));
    let settings = cloud.get("/2016-08-19/account-settings").await.json;
    let limit = &settings["AccountLimit"];
    assert_eq!(limit["ConcurrentExecutions"], 1_000);
    assert_eq!(limit["UnreservedConcurrentExecutions"], 993);
    assert_eq!(settings["AccountUsage"]["FunctionCount"], 1);
    assert!(settings["AccountUsage"]["TotalCodeSize"].as_i64().unwrap() > 0);

    let deleted = cloud.send("DELETE", "/2017-10-31/functions/f/concurrency", &[], Bytes::new()).await;
    assert_eq!((deleted.status, reserved(&cloud).await), (204, Value::Null));
    assert_eq!(*cloud.runner.unreserved.lock(), Some(1_000));
    reserve(&cloud, "f", 0).await;
    cloud.send("DELETE", "/2015-03-31/functions/f", &[], Bytes::new()).await;
    cloud.create_active("f", &zips::handler("1")).await;
    assert_eq!(reserved(&cloud).await, Value::Null, "it went with its function");
}

#[tokio::test]
async fn a_hundred_are_left_for_functions_without_a_reservation() {
    let cloud = cloud().await;
    let told = "Specified ReservedConcurrentExecutions for function decreases account's \
                UnreservedConcurrentExecution below its minimum value of [100].";
    for reserved in [901, 1_001, i32::MAX] {
        reserve(&cloud, "f", reserved).await.expect_error(400, INVALID, told);
    }
    assert_eq!(reserve(&cloud, "f", 900).await.status, 200);
    assert_eq!(reserve(&cloud, "f", 900).await.status, 200, "its own does not count twice");
    cloud.create_active("g", &zips::handler("2")).await;
    reserve(&cloud, "g", 1).await.expect_error(400, INVALID, told);
    assert_eq!(reserve(&cloud, "g", 0).await.status, 200);
    let missing = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:none:$LATEST";
    reserve(&cloud, "none", 1).await.expect_error(404, MISSING, missing);
}

#[tokio::test]
async fn what_is_provisioned_is_kept_and_told() {
    let cloud = cloud().await;
    let put = provision(&cloud, "1", 3).await;
    assert_eq!((put.status, &put.json["Status"]), (202, &json!("IN_PROGRESS")));
    assert_eq!(put.json["AllocatedProvisionedConcurrentExecutions"], 0);
    assert_eq!(kept(&cloud).await, [("f:1".to_owned(), 3)]);
    assert_eq!(*cloud.runner.unreserved.lock(), Some(997));
    let says = |allocated, failure| {
        let there = Provisioned { wanted: 3, allocated, failure };
        cloud.runner.provisioned.lock().insert("f:1".to_owned(), there);
    };
    for (allocated, failure, status, reason) in [
        (2, None, "IN_PROGRESS", Value::Null),
        (3, None, "READY", Value::Null),
        (0, Some(ProvisionFailure::Function), "FAILED", json!("FUNCTION_ERROR_INIT_FAILURE")),
        (1, Some(ProvisionFailure::Platform("no room".to_owned())), "FAILED", json!("no room")),
    ] {
        says(allocated, failure);
        let got = provisioned(&cloud, "1").await;
        assert_eq!((&got.json["Status"], &got.json["StatusReason"]), (&json!(status), &reason));
        assert_eq!(got.json["AvailableProvisionedConcurrentExecutions"], allocated);
        assert_eq!(got.json["RequestedProvisionedConcurrentExecutions"], 3);
    }
    let listed = cloud.get("/2019-09-30/functions/f/provisioned-concurrency?List=ALL").await;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:f:1";
    assert_eq!(listed.json["ProvisionedConcurrencyConfigs"][0]["FunctionArn"], arn);

    // Another process keeps it as well.
    let cloud = cloud.restarted().await;
    assert_eq!(kept(&cloud).await, [("f:1".to_owned(), 3)]);
    for _ in 0..2 {
        assert_eq!(unprovision(&cloud, "1").await.status, 204);
    }
    assert_eq!(kept(&cloud).await, []);
    let told = "No Provisioned Concurrency Config found for this function";
    let code = "ProvisionedConcurrencyConfigNotFoundException";
    provisioned(&cloud, "1").await.expect_error(404, code, told);
}

#[tokio::test]
async fn a_function_that_cannot_be_loaded_keeps_no_other_from_being_provisioned() {
    let cloud = cloud().await;
    cloud.create_active("g", &zips::handler("2")).await;
    assert_eq!(cloud.json("POST", "/2015-03-31/functions/g/versions", json!({})).await.status, 201);
    assert_eq!(provision(&cloud, "1", 3).await.status, 202);
    let uri = "/2019-09-30/functions/g/provisioned-concurrency?Qualifier=1";
    assert_eq!(cloud.json("PUT", uri, json!({"ProvisionedConcurrentExecutions": 2})).await.status, 202);
    // Its code is nowhere, as after a disk lost it.
    let written = cloud.db.run(|txn| async move {
        let mut version = rows::get_version(&txn, &place(), "f", 1).await?.unwrap();
        version.settings.code.sha256 = "0".repeat(64);
        rows::put(&txn, &keys::version(&place(), "f", 1), &version);
        Ok::<_, LambdaError>(())
    });
    written.await.unwrap();
    let cloud = cloud.restarted().await;
    let error = cloud.engine.provision_all().await.unwrap_err();
    assert!(matches!(error, LambdaError::Package { .. }), "{error}");
    let known = cloud.runner.provisioned.lock();
    assert_eq!(
        known.iter().map(|(name, there)| (name.as_str(), there.wanted)).collect::<Vec<_>>(),
        [("g:1", 2)]
    );
}

#[tokio::test]
async fn a_row_that_cannot_be_read_stops_its_own_function_only() {
    let cloud = cloud().await;
    cloud.create_active("g", &zips::handler("2")).await;
    assert_eq!(cloud.json("POST", "/2015-03-31/functions/g/versions", json!({})).await.status, 201);
    let uri = "/2019-09-30/functions/g/provisioned-concurrency?Qualifier=1";
    assert_eq!(cloud.json("PUT", uri, json!({"ProvisionedConcurrentExecutions": 2})).await.status, 202);
    let spoilt = cloud.db.run(|txn| async move {
        txn.put(&keys::concurrency(&place(), "f"), b"\"seven\"");
        txn.put(&keys::provisioned(&place(), "f", "1"), b"{}");
        Ok::<_, LambdaError>(())
    });
    spoilt.await.unwrap();
    let cloud = cloud.restarted().await;
    assert_eq!(cloud.invoke("g", &[], b"{}").await.status, 200);
    assert_eq!(kept(&cloud).await, [("g:1".to_owned(), 2)]);
    // Nobody knows whether it may run at all.
    let stopped = cloud.invoke("f", &[], b"{}").await;
    assert_eq!(
        (stopped.status, stopped.json["code"].as_str()),
        (500, Some("ServiceException")),
        "{stopped:?}"
    );
    assert_eq!(reserve(&cloud, "g", 10).await.status, 200);
    assert_eq!(reserve(&cloud, "f", 7).await.status, 200);
    assert_eq!(cloud.invoke("f", &[], b"{}").await.status, 200);
}

#[tokio::test]
async fn a_version_is_provisioned_once_it_is_ready_whatever_was_read_before() {
    let cloud = cloud().await;
    assert_eq!(provision(&cloud, "1", 3).await.status, 202);
    let set = async |cloud: &Cloud, phase: Phase| {
        let phase = &phase;
        let written = cloud.db.run(|txn| async move {
            let mut version = rows::get_version(&txn, &place(), "f", 1).await?.unwrap();
            version.phase = phase.clone();
            rows::put(&txn, &keys::version(&place(), "f", 1), &version);
            txn.on_commit(keys::CHANGED);
            Ok::<_, LambdaError>(())
        });
        written.await.unwrap();
    };
    set(&cloud, Phase::Creating).await;
    let cloud = cloud.restarted().await;
    assert_eq!(kept(&cloud).await, []);
    // Nobody else here clears what `kept` left in memory.
    cloud.engine.mind_provisioned();
    set(&cloud, Phase::Ready).await;
    let is_kept = || cloud.runner.provisioned.lock().get("f:1").is_some_and(|there| there.wanted == 3);
    while !is_kept() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn provisioned_concurrency_goes_where_its_alias_leads() {
    let cloud = cloud().await;
    cloud.json("PUT", "/2015-03-31/functions/f/configuration", json!({"MemorySize": 256})).await;
    cloud.settled("f").await;
    publish(&cloud).await;
    let alias = json!({"Name": "live", "FunctionVersion": "1"});
    cloud.json("POST", "/2015-03-31/functions/f/aliases", alias).await;
    assert_eq!(provision(&cloud, "live", 4).await.status, 202);
    let pointed = "Version is pointed by a Provisioned Concurrency alias";
    provision(&cloud, "1", 1).await.expect_error(409, CONFLICT, pointed);
    assert_eq!(kept(&cloud).await, [("f:1".to_owned(), 4)]);
    let weights = json!({"FunctionVersion": "2", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.25}}});
    cloud.json("PUT", "/2015-03-31/functions/f/aliases/live", weights).await;
    assert_eq!(kept(&cloud).await, [("f:1".to_owned(), 1), ("f:2".to_owned(), 3)]);
    let other = json!({"Name": "other", "FunctionVersion": "2"});
    cloud.json("POST", "/2015-03-31/functions/f/aliases", other).await;
    let told =
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version";
    provision(&cloud, "other", 1).await.expect_error(409, CONFLICT, told);
    cloud.send("DELETE", "/2015-03-31/functions/f/aliases/live", &[], Bytes::new()).await;
    assert_eq!(kept(&cloud).await, []);
}

#[tokio::test]
async fn what_cannot_be_provisioned_is_refused_in_awss_words() {
    let cloud = cloud().await;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
    let unpublished = "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
    provision(&cloud, "$LATEST", 1).await.expect_error(400, INVALID, unpublished);
    provision(&cloud, "10", 1).await.expect_error(404, MISSING, &format!("Function not found: {arn}:10"));
    provision(&cloud, "no", 1).await.expect_error(404, MISSING, &format!("Cannot find alias arn: {arn}:no"));
    let resource = "The function resource provided must be an alias or a published version.";
    provisioned(&cloud, "$LATEST").await.expect_error(400, INVALID, resource);
    unprovision(&cloud, "$LATEST").await.expect_error(400, INVALID, resource);
    provision(&cloud, "1", 1_001).await.expect_error(
        400,
        INVALID,
        "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [1000].",
    );
    provision(&cloud, "1", 901).await.expect_error(
        400,
        INVALID,
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its \
         minimum value of [100].",
    );
    reserve(&cloud, "f", 2).await;
    provision(&cloud, "1", 3).await.expect_error(
        400,
        INVALID,
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
    );
    assert_eq!(provision(&cloud, "1", 2).await.status, 202);
    reserve(&cloud, "f", 1).await.expect_error(
        400,
        INVALID,
        " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2].",
    );
}
