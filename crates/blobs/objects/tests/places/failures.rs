//! What goes wrong with an object store, and what is said of it.

use std::time::Duration;

use lambent_blobs::{BlobError, limits};

use crate::faulty::Fault;
use crate::support::{Kind, Site, bytes, put, read};

/// Little enough to be waited for, since nothing answers.
const SHORT: Duration = Duration::from_millis(20);

/// What every kind of call ends with under a fault.
async fn outcomes(fault: Fault, patience: Duration) -> Vec<BlobError> {
    let site = Site::with_patience(Kind::Objects, patience);
    let blob = put(&site.store, &bytes(100), 100).await;
    site.faults().set(Some(fault));
    let small = async {
        let mut writer = site.store.create();
        writer.write(bytes(10)).await?;
        writer.finish().await
    };
    let large = async {
        let mut writer = site.store.create();
        for _ in 0..3 {
            writer.write(bytes(limits::PART_BYTES)).await?;
        }
        writer.finish().await
    };
    vec![
        small.await.unwrap_err(),
        large.await.unwrap_err(),
        read(&site.store, blob.id, 0..100).await.unwrap_err(),
        site.store.delete(blob.id).await.unwrap_err(),
        site.store.ids(0).await.unwrap_err(),
        site.store.mark().await.unwrap_err(),
        site.store.set_mark("mine").await.unwrap_err(),
    ]
}

#[tokio::test]
async fn a_store_that_fails_is_named() {
    for error in outcomes(Fault::Fails("connection refused"), Duration::from_secs(60)).await {
        assert!(matches!(error, BlobError::Unreachable { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with("cannot reach the blob store at memory: "), "{text}");
        assert!(text.contains("connection refused") && text.contains("check that it runs"), "{text}");
        assert!(error.is_unavailable());
    }
}

#[tokio::test]
async fn a_store_that_never_answers_is_not_waited_for() {
    for error in outcomes(Fault::Hangs, SHORT).await {
        assert!(
            matches!(&error, BlobError::Unreachable { why, .. } if why.contains("no answer")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_store_that_forbids_is_told_from_one_that_is_away() {
    for error in outcomes(Fault::Forbidden, Duration::from_secs(60)).await {
        assert!(matches!(error, BlobError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("AccessDenied"), "{error}");
    }
}

#[tokio::test]
async fn a_full_store_is_told_from_one_that_is_away() {
    for error in outcomes(Fault::Fails("<Code>QuotaExceeded</Code>"), Duration::from_secs(60)).await {
        assert!(matches!(error, BlobError::Full { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_upload_whose_part_failed_is_removed() {
    let site = Site::new(Kind::Objects);
    site.faults().set(Some(Fault::PartsFail("broken")));
    let written = async {
        let mut writer = site.store.create();
        for _ in 0..3 {
            writer.write(bytes(limits::PART_BYTES)).await?;
        }
        writer.finish().await
    };
    let failed = written.await.unwrap_err();
    assert!(failed.to_string().contains("broken"), "{failed}");
    assert!(!site.faults().part_sizes().is_empty(), "an upload was begun");
    site.until_no_drafts().await;
    assert_eq!(site.count().await, 0);
}

#[tokio::test]
async fn a_failed_read_hands_out_nothing_more() {
    let site = Site::new(Kind::Objects);
    let blob = put(&site.store, &bytes(4 * limits::FAR_READ_BYTES), 65_536).await;
    let mut reader = site.store.open_range(blob.id, 0..blob.length).await.unwrap();
    // The first piece is here, and the second is asked for at once.
    site.faults().set(Some(Fault::Fails("away")));
    let mut failure = None;
    while failure.is_none() {
        failure = reader.next().await.map(|piece| assert!(piece.is_some(), "the failure is not told")).err();
    }
    assert!(matches!(failure, Some(BlobError::Unreachable { .. })));
    assert!(reader.next().await.unwrap().is_none());
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_named() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("s3://photos/a?endpoint=http://127.0.0.1:{port}").parse().unwrap();
    let credentials = lambent_blobs_objects::S3Credentials {
        access_key_id: "AKIAEXAMPLE".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
    };
    let place = lambent_blobs_objects::s3(&address, credentials).unwrap();
    let error = place.mark().await.unwrap_err();
    assert!(matches!(error, BlobError::Unreachable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("s3://photos/a at http://127.0.0.1:{port}")), "{text}");
    assert!(text.to_lowercase().contains("refused"), "{text}");
}
