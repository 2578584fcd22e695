//! What the sweeper takes, what it leaves, and what stops it.

use std::cell::Cell;
use std::time::Duration;

use lambent_model_s3::{DeleteObjectRequest, HeadObjectRequest};

use super::multipart::{PART, object_of};
use super::{BUCKET, Fixture, get_request, pattern};
use crate::limits;
use crate::readers::OpenReaders;
use crate::rows::{Data, ObjectRow};

async fn delete(fixture: &Fixture, key: &str) {
    let doomed = DeleteObjectRequest {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        ..DeleteObjectRequest::default()
    };
    fixture.s3.delete_object(&fixture.call().await, doomed).await.unwrap();
}

fn grace() -> Duration {
    Duration::from_millis(limits::GC_GRACE_MS.unsigned_abs() + 1)
}

#[tokio::test]
async fn what_is_read_for_hours_is_not_swept_before() {
    let fixture = Fixture::with_bucket().await;
    // More parts than are looked up at once: the last ones must be found after the sweep.
    let (bytes, _) = object_of(&fixture, "big", &[PART, PART, PART, PART, 1]).await;
    let (_, mut reading) = fixture.s3.get_object(&fixture.call().await, get_request("big")).await.unwrap();
    let mut got = reading.next().await.unwrap().unwrap().to_vec();
    delete(&fixture, "big").await;
    for _ in 0..8 {
        fixture.hand.advance(grace());
        let later = fixture.clock.unix_ms() + limits::GC_READ_PAUSE_MS;
        assert_eq!(fixture.sweeper.sweep().await.unwrap(), Some(later));
    }
    // Others' garbage does not wait for the reader.
    fixture.put("other", &pattern(100_000)).await;
    delete(&fixture, "other").await;
    assert_eq!(fixture.blob_files(), 6);
    fixture.hand.advance(grace());
    assert!(fixture.sweeper.sweep().await.unwrap().is_some());
    assert_eq!(fixture.blob_files(), 5);
    got.extend(reading.collect(usize::MAX, || unreachable!()).await.unwrap());
    assert!(got == bytes);
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
}

#[tokio::test]
async fn a_reader_that_goes_away_holds_nothing() {
    let fixture = Fixture::with_bucket().await;
    object_of(&fixture, "big", &[PART, PART, 1]).await;
    let (_, first) = fixture.s3.get_object(&fixture.call().await, get_request("big")).await.unwrap();
    let (_, second) = fixture.s3.get_object(&fixture.call().await, get_request("big")).await.unwrap();
    let head = HeadObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "big".to_owned(),
        ..HeadObjectRequest::default()
    };
    fixture.s3.head_object(&fixture.call().await, head).await.unwrap();
    delete(&fixture, "big").await;
    drop(first);
    fixture.hand.advance(grace());
    assert!(fixture.sweeper.sweep().await.unwrap().is_some(), "the second still reads");
    assert_eq!(fixture.blob_files(), 3);
    drop(second);
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
}

fn row(upload: &str) -> ObjectRow {
    ObjectRow {
        owner: String::new(),
        size: 1,
        etag: upload.to_owned(),
        modified_unix_s: 0,
        sequencer: 1,
        checksum: None,
        metadata: crate::rows::Metadata::default(),
        data: Data::Spans { upload: upload.to_owned(), count: 1 },
        inline: bytes::Bytes::new(),
    }
}

/// Between the look at an object and the hold on its parts, it is replaced and swept: nobody holds them yet.
#[tokio::test]
async fn a_reader_holds_what_still_stands_and_not_what_it_saw_first() {
    let readers = OpenReaders::default();
    let looks = Cell::new(0);
    let look = || {
        looks.set(looks.get() + 1);
        let found = if looks.get() == 1 {
            assert!(!readers.reads("old"));
            row("old")
        } else {
            row("new")
        };
        std::future::ready(Ok(Some(found)))
    };
    let held = readers.hold(look).await.unwrap().unwrap();
    assert_eq!((held.row.etag.as_str(), looks.get()), ("new", 3));
    assert!(readers.reads("new") && !readers.reads("old"));
    let copied = held.hold.clone();
    drop(held);
    assert!(readers.reads("new"));
    drop(copied);
    assert!(!readers.reads("new"));
}

#[tokio::test]
async fn an_object_that_goes_before_it_is_held_is_not_found() {
    let readers = OpenReaders::default();
    let looks = Cell::new(0);
    let look = || {
        looks.set(looks.get() + 1);
        std::future::ready(Ok(Some(row("old")).filter(|_| looks.get() == 1)))
    };
    assert!(readers.hold(look).await.unwrap().is_none());
    assert!(!readers.reads("old"));
    let looks = Cell::new(0);
    let restless = || {
        looks.set(looks.get() + 1);
        std::future::ready(Ok(Some(row(&looks.get().to_string()))))
    };
    assert!(readers.hold(restless).await.unwrap_err().to_string().contains("reduce"));
}
