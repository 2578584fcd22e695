//! Environment variables at rest.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lambent_identity::MasterKey;
use lambent_store::KeyRange;
use serde_json::{Value, json};

use super::cloud::{arn, host, place};
use super::{Cloud, zips};
use crate::configuration::environment_seal::Variables;
use crate::errors::LambdaError;
use crate::keys;
use crate::rows::{self, FunctionRow, Phase};

const SECRET: &str = "correct-horse-battery-staple";

/// Whether any row of the store has the secret in it: a dump is these rows.
async fn is_in_the_store(cloud: &Cloud) -> bool {
    let view = cloud.db.export().await.unwrap();
    let mut found = false;
    view.for_each(KeyRange::prefix(b""), |key, row| {
        let has = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        found |= has(key) || has(row);
    })
    .await
    .unwrap();
    found
}

fn with_secret() -> Value {
    json!({"Architectures": [host()], "Environment": {"Variables": {"DB_PASSWORD": SECRET}}})
}

async fn row(cloud: &Cloud, name: &str) -> FunctionRow {
    let read = cloud
        .db
        .read(|txn| async move { rows::get_function(&txn, &place(), name).await.map(Option::unwrap) });
    read.await.unwrap()
}

#[tokio::test]
async fn the_store_never_holds_variables_in_the_clear() {
    let cloud = Cloud::new().await;
    let created = cloud.create("thumb", &zips::handler("1"), with_secret()).await;
    let variables = json!({"Variables": {"DB_PASSWORD": SECRET}});
    assert_eq!(created.json["Environment"], variables);
    assert!(!is_in_the_store(&cloud).await);
    assert_eq!(cloud.settled("thumb").await.json["Environment"], variables);
    let published = cloud.json("POST", "/2015-03-31/functions/thumb/versions", json!({})).await;
    assert_eq!(published.json["Environment"], variables);
    assert!(!is_in_the_store(&cloud).await);
    let listed = cloud.get("/2015-03-31/functions").await;
    assert_eq!(listed.json["Functions"][0]["Environment"], variables);

    assert_eq!(cloud.invoke("thumb", &[], b"{}").await.status, 200);
    let told = cloud.runner.asked.lock()[0].function.environment.clone();
    assert_eq!(told, [("DB_PASSWORD".to_owned(), SECRET.to_owned())]);
}

#[tokio::test]
async fn the_same_variables_sealed_again_make_no_new_version() {
    let cloud = Cloud::new().await;
    cloud.create("thumb", &zips::handler("1"), with_secret()).await;
    cloud.settled("thumb").await;
    let publish = async || {
        let published = cloud.json("POST", "/2015-03-31/functions/thumb/versions", json!({})).await;
        published.json["Version"].as_str().unwrap().to_owned()
    };
    assert_eq!(publish().await, "1");
    let before = row(&cloud, "thumb").await.settings.environment;
    let change = async |value: &str| {
        let body = json!({"Environment": {"Variables": {"DB_PASSWORD": value}}});
        cloud.json("PUT", "/2015-03-31/functions/thumb/configuration", body).await;
        cloud.settled("thumb").await;
    };
    change(SECRET).await;
    assert_ne!(row(&cloud, "thumb").await.settings.environment, before, "it is another text");
    assert_eq!(publish().await, "1");
    change("other").await;
    assert_eq!(publish().await, "2");
}

#[tokio::test]
async fn variables_of_an_older_release_open_and_are_sealed_by_the_next_change() {
    let cloud = Cloud::new().await;
    cloud.create_active("thumb", &zips::handler("1")).await;
    let clear = BTreeMap::from([("DB_PASSWORD".to_owned(), SECRET.to_owned())]);
    let written = cloud.db.run(|txn| {
        let clear = clear.clone();
        async move {
            let mut row = rows::get_function(&txn, &place(), "thumb").await?.unwrap();
            row.settings.environment = Some(Variables::Clear(clear));
            rows::put_function(&txn, &place(), &row).await?;
            Ok::<_, LambdaError>(serde_json::to_value(&row).unwrap())
        }
    });
    let written = written.await.unwrap();
    assert_eq!(written["settings"]["environment"], json!({"DB_PASSWORD": SECRET}), "as rows were");
    assert!(is_in_the_store(&cloud).await);

    let cloud = cloud.restarted().await;
    let shown = cloud.get("/2015-03-31/functions/thumb/configuration").await;
    assert_eq!(shown.json["Environment"], json!({"Variables": {"DB_PASSWORD": SECRET}}));
    assert_eq!(cloud.invoke("thumb", &[], b"{}").await.status, 200);
    let changed = json!({"Description": "d"});
    let updated = cloud.json("PUT", "/2015-03-31/functions/thumb/configuration", changed).await;
    assert_eq!(updated.json["Environment"], json!({"Variables": {"DB_PASSWORD": SECRET}}));
    cloud.settled("thumb").await;
    assert!(!is_in_the_store(&cloud).await);
}

#[tokio::test]
async fn what_nobody_changes_any_more_is_sealed_too() {
    let cloud = Cloud::new().await;
    cloud.create_active("thumb", &zips::handler("1")).await;
    let published = cloud.json("POST", "/2015-03-31/functions/thumb/versions", json!({})).await;
    assert_eq!(published.json["Version"], "1");
    let clear = Variables::Clear(BTreeMap::from([("DB_PASSWORD".to_owned(), SECRET.to_owned())]));
    let written = cloud.db.run(|txn| {
        let clear = clear.clone();
        async move {
            let mut function = rows::get_function(&txn, &place(), "thumb").await?.unwrap();
            function.settings.environment = Some(clear.clone());
            rows::put_function(&txn, &place(), &function).await?;
            let mut version = rows::get_version(&txn, &place(), "thumb", 1).await?.unwrap();
            version.settings.environment = Some(clear);
            rows::put(&txn, &keys::version(&place(), "thumb", 1), &version);
            Ok::<_, LambdaError>(())
        }
    });
    written.await.unwrap();
    assert!(is_in_the_store(&cloud).await);
    let cloud = cloud.restarted().await;
    cloud.engine.seal_all().await.unwrap();
    assert!(!is_in_the_store(&cloud).await);
    for name in ["thumb", "thumb:1"] {
        let shown = cloud.get(&format!("/2015-03-31/functions/{name}/configuration")).await;
        assert_eq!(shown.json["Environment"], json!({"Variables": {"DB_PASSWORD": SECRET}}));
        assert_eq!(cloud.invoke(name, &[], b"{}").await.status, 200);
    }
}

#[tokio::test]
async fn variables_that_do_not_open_are_said_and_never_replaced_by_none() {
    let cloud = Cloud::new().await;
    cloud.create("thumb", &zips::handler("1"), with_secret()).await;
    cloud.settled("thumb").await;
    let written = cloud.db.run(|txn| async move {
        let mut row = rows::get_function(&txn, &place(), "thumb").await?.unwrap();
        row.settings.environment = Some(Variables::Sealed("AAAA".to_owned()));
        rows::put_function(&txn, &place(), &row).await
    });
    written.await.unwrap();
    let cloud = cloud.restarted().await;
    let message = "Lambda was unable to decrypt the environment variables because KMS access was denied. Please check \
                   the function's KMS key settings.";
    let shown = cloud.get("/2015-03-31/functions/thumb/configuration").await;
    assert_eq!(shown.json["FunctionArn"], arn("thumb"));
    assert_eq!(
        shown.json["Environment"],
        json!({"Error": {"ErrorCode": "AccessDeniedException", "Message": message}})
    );
    cloud.invoke("thumb", &[], b"{}").await.expect_error(502, "KMSAccessDeniedException", message);
    assert!(cloud.runner.asked.lock().is_empty());

    // Other changes leave them as they are; new variables take their place.
    let change = async |body: Value| {
        let changed = cloud.json("PUT", "/2015-03-31/functions/thumb/configuration", body).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        cloud.settled("thumb").await.json
    };
    assert_eq!(change(json!({"Description": "d"})).await["Environment"]["Error"]["Message"], message);
    let set = json!({"Variables": {"DB_PASSWORD": "another"}});
    assert_eq!(change(json!({"Environment": set})).await["Environment"], set);
    assert_eq!(cloud.invoke("thumb", &[], b"{}").await.status, 200);
}

#[tokio::test]
async fn a_component_whose_variables_do_not_open_is_a_change_that_failed() {
    let cloud = Cloud::new().await;
    cloud.create_active("thumb", &zips::handler("1")).await;
    let written = cloud.db.run(|txn| async move {
        let mut row = rows::get_function(&txn, &place(), "thumb").await?.unwrap();
        row.previous = Some(row.settings.clone());
        row.phase = Phase::Updating;
        row.settings.runtime = lambent_runtimes::WASI_HTTP.to_owned();
        row.settings.environment = Some(Variables::Sealed("AAAA".to_owned()));
        rows::put_function(&txn, &place(), &row).await
    });
    written.await.unwrap();
    let cloud = cloud.restarted().await;
    cloud.engine.finish_soon(place(), "thumb".to_owned());
    let settled = cloud.settled("thumb").await.json;
    assert_eq!(settled["LastUpdateStatus"], "Failed");
    let reason = settled["LastUpdateStatusReason"].as_str().unwrap();
    assert!(reason.contains("do not open under this installation's master key"), "{reason}");
}

#[tokio::test]
async fn variables_under_a_key_that_was_replaced_are_sealed_anew() {
    let cloud = Cloud::new().await;
    cloud.create("thumb", &zips::handler("1"), with_secret()).await;
    cloud.settled("thumb").await;
    cloud.json("POST", "/2015-03-31/functions/thumb/versions", json!({})).await;
    // The cloud's own key is of sevens.
    let foreign = MasterKey::new([8; 32]);
    let plain = serde_json::to_vec(&json!({"DB_PASSWORD": SECRET})).unwrap();
    let sealed = foreign.seal(&cloud.random, b"lambda environment variables", &plain);
    let foreign_row = Variables::Sealed(BASE64.encode(sealed));
    let written = cloud.db.run(|txn| {
        let sealed = foreign_row.clone();
        async move {
            let mut version = rows::get_version(&txn, &place(), "thumb", 1).await?.unwrap();
            version.settings.environment = Some(sealed);
            rows::put(&txn, &keys::version(&place(), "thumb", 1), &version);
            Ok::<_, LambdaError>(())
        }
    });
    written.await.unwrap();
    let shown =
        async || cloud.get("/2015-03-31/functions/thumb:1/configuration").await.json["Environment"].clone();
    assert!(shown().await["Error"].is_object());
    let before = row(&cloud, "thumb").await;
    let identity = &cloud.lambda.parts.identity;
    crate::reseal(&cloud.db, identity, &[MasterKey::new([9; 32])]).await.unwrap();
    assert!(shown().await["Error"].is_object(), "not under that key");
    crate::reseal(&cloud.db, identity, &[MasterKey::new([9; 32]), foreign]).await.unwrap();
    assert_eq!(shown().await, json!({"Variables": {"DB_PASSWORD": SECRET}}));
    assert_eq!(row(&cloud, "thumb").await, before, "what opens stays as it is");
    assert!(!is_in_the_store(&cloud).await);
}
