//! Code that comes, stays as long as it is needed, and goes; and processes that end in the middle.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use lambent_base::text;
use lambent_bus::pins;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::cloud::place;
use super::{Cloud, zips};
use crate::errors::LambdaError;
use crate::keys;
use crate::rows::{self, CodeRow, FunctionRow, Phase};

fn digest(zip: &[u8]) -> String {
    text::hex(&Sha256::digest(zip))
}

async fn delete(cloud: &Cloud, name: &str) {
    let uri = format!("/2015-03-31/functions/{name}");
    let deleted = cloud.send("DELETE", &uri, &[], Bytes::new()).await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
}

async fn row(cloud: &Cloud, name: &str) -> Option<FunctionRow> {
    cloud.db.read(|txn| async move { rows::get_function(&txn, &place(), name).await }).await.unwrap()
}

async fn code_row(cloud: &Cloud, sha256: &str) -> Option<CodeRow> {
    let key = keys::code(sha256);
    let key = &key;
    cloud.db.read(|txn| async move { rows::get(&txn, key).await }).await.unwrap()
}

/// Puts a function back to where a change has just been committed.
async fn interrupt(cloud: &Cloud, name: &str, phase: Phase) {
    let phase = &phase;
    cloud
        .db
        .run(|txn| async move {
            let mut row = rows::get_function(&txn, &place(), name).await?.unwrap();
            row.previous = (*phase == Phase::Updating).then(|| row.settings.clone());
            row.phase = phase.clone();
            txn.put(&keys::pending(&place(), name), b"");
            rows::put_function(&txn, &place(), &row).await
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn equal_code_is_kept_once_and_goes_with_its_last_function() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    cloud.create_active("a", &zip).await;
    cloud.create_active("b", &zip).await;
    assert_eq!(cloud.unpacked(), [digest(&zip)]);
    let blob = lambent_blobs::BlobId::from_bytes(code_row(&cloud, &digest(&zip)).await.unwrap().blob);
    assert!(cloud.engine.referenced_blobs(vec![blob]).await.unwrap().contains(&blob));

    delete(&cloud, "a").await;
    assert!(!cloud.sweep().await);
    assert_eq!(cloud.unpacked(), [digest(&zip)]);
    delete(&cloud, "b").await;
    assert!(!cloud.sweep().await);
    assert!(cloud.unpacked().is_empty());
    assert_eq!(code_row(&cloud, &digest(&zip)).await, None);
    assert!(cloud.engine.referenced_blobs(vec![blob]).await.unwrap().is_empty());
    // And back again.
    assert_eq!(cloud.create_active("a", &zip).await.json["State"], "Active");
}

#[tokio::test]
async fn a_package_that_a_backup_may_still_copy_stays() {
    let cloud = Cloud::new().await;
    let readable = async |zip: &[u8]| {
        let id = lambent_blobs::BlobId::from_bytes(code_row(&cloud, &digest(zip)).await.unwrap().blob);
        delete(&cloud, "a").await;
        cloud.sweep().await;
        assert_eq!(code_row(&cloud, &digest(zip)).await, None);
        cloud.engine.blobs.open_range(id, 0..0).await.is_ok()
    };
    let zip = zips::handler("1");
    cloud.create_active("a", &zip).await;
    // Rows that name it were copied a moment ago.
    pins::set(&cloud.db, &[1; 16], cloud.lambda.parts.clock.unix_ms()).await.unwrap();
    assert!(readable(&zip).await);
    pins::remove(&cloud.db, &[1; 16]).await.unwrap();
    cloud.create_active("a", &zip).await;
    assert!(!readable(&zip).await);
}

#[tokio::test]
async fn replaced_code_goes_when_no_environment_runs_it() {
    let cloud = Cloud::new().await;
    let (one, two) = (zips::handler("1"), zips::handler("2"));
    cloud.create_active("a", &one).await;
    cloud.invoke("a", &[], b"{}").await;
    let body = json!({"ZipFile": BASE64.encode(&two)});
    cloud.json("PUT", "/2015-03-31/functions/a/code", body).await;
    cloud.settled("a").await;
    // The runner still has the old spec, as an environment would.
    assert!(cloud.sweep().await);
    assert!(cloud.unpacked().contains(&digest(&one)));
    cloud.runner.asked.lock().clear();
    assert!(!cloud.sweep().await);
    assert_eq!(cloud.unpacked(), [digest(&two)]);
}

#[tokio::test]
async fn what_will_be_called_is_announced_to_the_runner() {
    let cloud = Cloud::new().await;
    cloud.create_active("a", &zips::handler("1")).await;
    assert_eq!(cloud.runner.expected.lock().len(), 1);
    let body = json!({"ZipFile": BASE64.encode(zips::handler("2"))});
    cloud.json("PUT", "/2015-03-31/functions/a/code", body).await;
    cloud.settled("a").await;
    let expected = cloud.runner.expected.lock();
    assert_eq!(expected.len(), 2);
    assert!(expected.iter().all(|runtime| runtime.starts_with("python3.")), "{expected:?}");
}

#[tokio::test]
async fn deleted_functions_are_gone_and_their_environments_with_them() {
    let cloud = Cloud::new().await;
    cloud.create_active("a", &zips::handler("1")).await;
    assert_eq!(cloud.invoke("a", &[], b"1").await.status, 200);
    delete(&cloud, "a").await;
    assert_eq!(cloud.invoke("a", &[], b"1").await.status, 404);
    assert_eq!(cloud.get("/2015-03-31/functions/a").await.status, 404);
    tokio::task::yield_now().await;
    assert_eq!(*cloud.runner.retired.lock(), ["a"]);
}

#[tokio::test]
async fn a_process_that_died_leaves_no_function_pending() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    cloud.create_active("a", &zip).await;
    cloud.create_active("b", &zip).await;
    interrupt(&cloud, "a", Phase::Creating).await;
    interrupt(&cloud, "b", Phase::Updating).await;
    std::fs::remove_dir_all(cloud.code_path(&digest(&zip))).unwrap();
    std::fs::create_dir(cloud.code_path(".new-cut-off")).unwrap();

    let cloud = cloud.restarted().await;
    cloud.engine.start().await.unwrap();
    let (engine, gone) = (cloud.engine.clone(), cloud.db.watch(b"gone"));
    tokio::spawn(async move { engine.mind(gone).await });
    for name in ["a", "b"] {
        let settled = cloud.settled(name).await;
        assert_eq!(
            (&settled.json["State"], &settled.json["LastUpdateStatus"]),
            (&json!("Active"), &json!("Successful"))
        );
        assert_eq!(row(&cloud, name).await.unwrap().previous, None);
    }
    assert!(cloud.code_path(&digest(&zip)).join("index.py").is_file());
    let left = cloud.db.read(|txn| async move {
        Ok::<_, LambdaError>(
            txn.scan(&keys::all_pending().range(), lambent_store::ScanOptions::rows(9)).await?,
        )
    });
    assert!(left.await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn leftovers_of_a_crash_are_removed_and_packages_are_not() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    cloud.create_active("a", &zip).await;
    std::fs::create_dir(cloud.code_path(".new-cut-off")).unwrap();
    std::fs::create_dir(cloud.code_path(&"0".repeat(64))).unwrap();
    std::fs::write(cloud.code_path(".tmp123"), b"half a zip").unwrap();
    for name in cloud.unpacked() {
        cloud.engine.remove_leftover(name).await.unwrap();
    }
    assert_eq!(cloud.unpacked(), [digest(&zip)]);
}

#[tokio::test]
async fn a_change_that_cannot_be_taken_up_leaves_the_old_one_running() {
    let cloud = Cloud::new().await;
    let (one, two) = (zips::handler("1"), zips::handler("2"));
    cloud.create_active("a", &one).await;
    let key = keys::function(&place(), "a");
    let key = &key;
    // A row whose new code is nowhere, as after a disk lost it.
    cloud
        .db
        .run(|txn| async move {
            let mut row = rows::get_function(&txn, &place(), "a").await?.unwrap();
            row.previous = Some(row.settings.clone());
            row.phase = Phase::Updating;
            row.settings.code.sha256 = "0".repeat(64);
            row.settings.run_revision = "next".to_owned();
            assert!(txn.get(key).await?.is_some());
            rows::put_function(&txn, &place(), &row).await
        })
        .await
        .unwrap();
    cloud.lambda.cache.clear();
    cloud.lambda.policies.clear();
    assert_eq!(cloud.invoke("a", &[], b"7").await.status, 200);
    cloud.engine.finish_soon(place(), "a".to_owned());
    let settled = cloud.settled("a").await;
    assert_eq!(
        (&settled.json["State"], &settled.json["LastUpdateStatus"]),
        (&json!("Active"), &json!("Failed"))
    );
    assert_eq!(settled.json["LastUpdateStatusReasonCode"], "InternalError");
    assert_eq!(cloud.invoke("a", &[], b"7").await.body, "7");
    // And the way out is another update.
    let body = json!({"ZipFile": BASE64.encode(&two)});
    assert_eq!(cloud.json("PUT", "/2015-03-31/functions/a/code", body).await.status, 200);
    assert_eq!(cloud.settled("a").await.json["LastUpdateStatus"], "Successful");
}

/// How many blobs there are.
fn blobs(cloud: &Cloud) -> usize {
    let folders = std::fs::read_dir(cloud.code_path("../blobs")).unwrap().map(|entry| entry.unwrap().path());
    folders.map(|folder| std::fs::read_dir(folder).unwrap().count()).sum()
}

#[tokio::test]
async fn requests_that_bring_the_same_code_at_once_keep_one_blob() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    let made = tokio::join!(
        cloud.create("a", &zip, json!({})),
        cloud.create("b", &zip, json!({})),
        cloud.create("c", &zip, json!({})),
    );
    assert_eq!([made.0.status, made.1.status, made.2.status], [201; 3]);
    for name in ["a", "b", "c"] {
        assert_eq!(cloud.settled(name).await.json["State"], "Active");
    }
    assert_eq!((blobs(&cloud), cloud.unpacked()), (1, vec![digest(&zip)]));
    for name in ["a", "b", "c"] {
        delete(&cloud, name).await;
    }
    assert!(!cloud.sweep().await);
    assert_eq!((blobs(&cloud), cloud.unpacked().len()), (0, 0));
}

#[tokio::test]
async fn of_two_functions_with_one_name_one_is_made() {
    let cloud = Cloud::new().await;
    let (one, two) = (zips::handler("1"), zips::handler("2"));
    let made = tokio::join!(cloud.create("a", &one, json!({})), cloud.create("a", &two, json!({})));
    let mut statuses = [made.0.status, made.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    cloud.settled("a").await;
    assert_eq!((blobs(&cloud), cloud.unpacked().len()), (1, 1));
}

#[tokio::test]
async fn code_that_is_unpacked_after_its_function_is_gone_goes_too() {
    let cloud = Cloud::new().await;
    let zip = zips::handler("1");
    cloud.create("a", &zip, json!({})).await;
    let begun = row(&cloud, "a").await.unwrap();
    delete(&cloud, "a").await;
    // What the background may do between the two, at the worst moment.
    cloud.engine.ensure_unpacked(&begun.settings.code).await.unwrap();
    cloud.engine.settle(&place(), &begun, None).await.unwrap();
    assert_eq!(row(&cloud, "a").await, None);
    assert!(!cloud.sweep().await);
    assert!(cloud.unpacked().is_empty());
}

#[tokio::test]
async fn a_full_disk_takes_no_code_and_says_so() {
    const FULL: &str = "The platform's disk is full, or nearly so: free some space on it, and try again.";
    let cloud = Cloud::new().await;
    cloud.create_active("old", &zips::handler("1")).await;
    std::fs::remove_dir_all(cloud.code_path(&digest(&zips::handler("1")))).unwrap();

    let full = cloud.restarted_on_a_full_disk().await;
    full.invoke("old", &[], b"{}").await.expect_error(500, "ServiceException", FULL);
    let object = ("artifacts".to_owned(), "new.zip".to_owned());
    full.objects.0.lock().insert(object, zips::handler("2").into());
    let code = json!({"Code": {"S3Bucket": "artifacts", "S3Key": "new.zip"}});
    full.create("new", b"", code).await.expect_error(500, "ServiceException", FULL);
    full.create("new", &zips::handler("3"), json!({})).await;
    let shown = full.settled("new").await;
    assert_eq!(shown.json["State"], "Failed");
    let reason = shown.json["StateReason"].as_str().unwrap();
    assert!(reason.contains("the platform's disk is full"), "{reason}");
    assert_eq!(full.unpacked(), [""; 0]);

    let cloud = full.restarted().await;
    assert_eq!(cloud.invoke("old", &[], b"{}").await.status, 200);
}

#[tokio::test]
async fn a_check_keeps_the_blob_of_a_package_whose_row_is_lost() {
    let cloud = Cloud::new().await;
    cloud.create_active("a", &zips::handler("1")).await;
    let check = async || {
        let mut findings = lambent_care::Findings::default();
        crate::check(&cloud.db.export().await.unwrap(), &mut findings).await.unwrap();
        findings
    };
    let sound = check().await;
    assert!(sound.problems.is_empty() && sound.notes.is_empty(), "{sound:?}");
    cloud.db.clear(&keys::all_codes()).await.unwrap();
    let found = check().await;
    assert!(found.problems.iter().all(|problem| problem.mends.is_empty()), "{found:?}");
    assert_eq!((found.problems.len(), found.notes.len()), (1, 1), "{found:?}");
}
