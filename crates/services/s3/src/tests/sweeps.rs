//! What the sweeper takes, what it leaves, and what stops it.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use lambent_api::Guarded;
use lambent_base::Clock;
use lambent_bus::pins;
use lambent_identity::Wanted;
use lambent_model_s3::{DeleteObjectRequest, HeadObjectRequest};
use lambent_store::{KeyRange, ScanOptions, StoreError};

use super::multipart::{PART, object_of};
use super::{BUCKET, Fixture, get_request, pattern};
use crate::ObjectReader;
use crate::conditions::ReadConditions;
use crate::objects::CopySource;
use crate::ranges::Span;
use crate::readers::OpenReaders;
use crate::rows::{Data, DeadRow, ObjectRow};
use crate::{gc, keys, limits};

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

/// A copy looks at its source, checks conditions, and only then begins to read.
#[tokio::test]
async fn a_copy_holds_its_source_from_its_first_look() {
    let fixture = Fixture::with_bucket().await;
    let (bytes, _) = object_of(&fixture, "big", &[PART, PART, 1]).await;
    let source = CopySource { bucket: BUCKET.to_owned(), key: "big".to_owned(), version: None };
    let call = fixture.call().await;
    let found = fixture.s3.copied(&call, &source, None, ReadConditions::default()).await.unwrap();
    delete(&fixture, "big").await;
    fixture.hand.advance(grace());
    assert!(fixture.sweeper.sweep().await.unwrap().is_some());
    let mut body = fixture.s3.read(&call, &found, Span { start: 0, end: found.row.size }).await.unwrap();
    drop(found);
    fixture.hand.advance(grace());
    assert!(fixture.sweeper.sweep().await.unwrap().is_some());
    assert!(body.collect(usize::MAX, || unreachable!()).await.unwrap() == bytes);
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
}

#[tokio::test]
async fn other_services_hold_what_they_read() {
    let fixture = Fixture::with_bucket().await;
    let (bytes, _) = object_of(&fixture, "package", &[PART, PART, PART, 1]).await;
    let (rows, blobs) = (Guarded::new(fixture.db.clone()), Guarded::new(fixture.blobs.clone()));
    let reader = ObjectReader::new(rows, blobs, fixture.s3.readers().clone());
    let call = fixture.call().await;
    let proof = call.authorize(Wanted::new("s3:GetObject", "arn:aws:s3:::photos/package")).await.unwrap();
    let mut package = reader.fetch(&proof, BUCKET, "package").await.unwrap();
    delete(&fixture, "package").await;
    fixture.hand.advance(grace());
    assert!(fixture.sweeper.sweep().await.unwrap().is_some());
    assert!(package.collect(usize::MAX, || unreachable!()).await.unwrap() == bytes);
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
}

#[tokio::test]
async fn an_object_in_one_blob_is_not_swept_before_it_is_read() {
    let fixture = Fixture::with_bucket().await;
    let bytes = pattern(5 * lambent_blobs::limits::READ_BYTES);
    fixture.put("k", &bytes).await;
    let (_, mut reading) = fixture.s3.get_object(&fixture.call().await, get_request("k")).await.unwrap();
    let first = reading.next().await.unwrap().unwrap();
    delete(&fixture, "k").await;
    for _ in 0..3 {
        fixture.hand.advance(grace());
        let later = fixture.clock.unix_ms() + limits::GC_READ_PAUSE_MS;
        assert_eq!(fixture.sweeper.sweep().await.unwrap(), Some(later));
    }
    assert_eq!(fixture.blob_files(), 1);
    let rest = reading.collect(usize::MAX, || unreachable!()).await.unwrap();
    assert!([first, rest].concat() == bytes);
    drop(reading);
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
}

#[tokio::test]
async fn a_backup_keeps_what_is_dead() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("k", &pattern(100_000)).await;
    delete(&fixture, "k").await;
    fixture.hand.advance(grace());
    let id = [7; 16];
    pins::set(&fixture.db, &id, fixture.clock.unix_ms()).await.unwrap();
    let falls = fixture.clock.unix_ms() + i64::try_from(pins::STANDS_FOR.as_millis()).unwrap();
    assert_eq!(fixture.sweeper.sweep().await.unwrap(), Some(falls));
    assert_eq!(fixture.blob_files(), 1);
    pins::remove(&fixture.db, &id).await.unwrap();
    assert_eq!(fixture.sweeper.sweep().await.unwrap(), None);
    assert_eq!(fixture.blob_files(), 0);
}

/// A node whose clock lags puts what it deletes before what others have swept, and dies.
#[tokio::test]
async fn it_is_looked_once_for_what_was_buried_in_the_past() {
    let fixture = Fixture::with_bucket().await;
    assert_eq!(fixture.sweeper.looks_back_in(), None, "nothing was swept, so everything is seen");
    fixture.put("k", &pattern(100_000)).await;
    delete(&fixture, "k").await;
    fixture.sweep().await;
    let row = crate::rows::encode(&DeadRow::Parts("upload".to_owned())).unwrap();
    spoil(&fixture, &keys::dead(0, "late"), Some(&row)).await;
    assert_eq!(fixture.sweeper.sweep().await.unwrap(), None);
    assert_eq!(rows_of(&fixture, &keys::all_dead()).await.len(), 1);
    fixture.hand.advance(fixture.sweeper.looks_back_in().expect("something was swept"));
    assert_eq!(fixture.sweeper.sweep().await.unwrap(), None);
    assert_eq!(rows_of(&fixture, &keys::all_dead()).await, []);
    fixture.hand.advance(fixture.sweeper.looks_back_in().expect("something was swept"));
    assert_eq!(fixture.sweeper.sweep().await.unwrap(), None);
    assert_eq!(fixture.sweeper.looks_back_in(), None, "an idle cloud is left alone from then on");
}

/// An upload that takes longer than the grace: what it replaces was still read from a moment before it ended.
#[tokio::test]
async fn the_grace_begins_when_the_data_is_let_go_of() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("k", &pattern(100_000)).await;
    let call = fixture.call().await;
    fixture.hand.advance(2 * grace());
    let doomed = DeleteObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "k".to_owned(),
        ..DeleteObjectRequest::default()
    };
    fixture.s3.delete_object(&call, doomed).await.unwrap();
    let due = fixture.clock.unix_ms() + limits::GC_GRACE_MS;
    assert_eq!(fixture.sweeper.sweep().await.unwrap(), Some(due));
    assert_eq!(fixture.blob_files(), 1);
}

#[tokio::test]
async fn a_file_that_never_comes_back_is_an_error() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("k", &pattern(200_000)).await;
    std::fs::remove_file(fixture.only_blob()).unwrap();
    let error = fixture.get_as(get_request("k")).await.unwrap_err();
    assert_eq!((super::code(&error), error.status), ("InternalError", 500));
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

/// Between the look at an object and the hold on its data, the process sleeps; it is replaced and swept meanwhile.
#[tokio::test]
async fn a_reader_that_slept_holds_what_still_stands_and_not_what_it_saw_first() {
    let (clock, hand) = Clock::manual(0);
    let readers = OpenReaders::alone(clock);
    let looks = Cell::new(0);
    let look = || {
        looks.set(looks.get() + 1);
        let found = if looks.get() == 1 {
            hand.advance(grace());
            row("old")
        } else {
            row("new")
        };
        std::future::ready(Ok(Some(found)))
    };
    let held = readers.hold(look).await.unwrap().unwrap();
    assert_eq!((held.row.etag.as_str(), looks.get()), ("new", 2));
    assert!(readers.reads_here("new") && !readers.reads_here("old"));
    let copied = held.hold.clone();
    drop(held);
    assert!(readers.reads_here("new"));
    drop(copied);
    assert!(!readers.reads_here("new"));
}

#[tokio::test]
async fn an_object_that_is_still_there_after_a_slow_look_is_held() {
    let (clock, hand) = Clock::manual(0);
    let readers = OpenReaders::alone(clock);
    let looks = Cell::new(0);
    let slow = || {
        looks.set(looks.get() + 1);
        hand.advance(grace());
        std::future::ready(Ok(Some(row("same"))))
    };
    assert!(readers.hold(slow).await.unwrap().is_some());
    assert_eq!(looks.get(), 2);
}

#[tokio::test]
async fn an_object_that_goes_before_it_is_held_is_not_found() {
    let (clock, hand) = Clock::manual(0);
    let readers = OpenReaders::alone(clock);
    let looks = Cell::new(0);
    let look = || {
        looks.set(looks.get() + 1);
        hand.advance(grace());
        std::future::ready(Ok(Some(row("old")).filter(|_| looks.get() == 1)))
    };
    assert!(readers.hold(look).await.unwrap().is_none());
    assert!(!readers.reads_here("old"));
    let looks = Cell::new(0);
    let restless = || {
        looks.set(looks.get() + 1);
        hand.advance(grace());
        std::future::ready(Ok(Some(row(&looks.get().to_string()))))
    };
    assert!(readers.hold(restless).await.unwrap_err().to_string().contains("reduce"));
}

/// Writes rows past the service, as a damaged store would have them; `None` deletes.
async fn spoil(fixture: &Fixture, key: &[u8], row: Option<&[u8]>) {
    let put = fixture.db.run(|txn| async move {
        match row {
            Some(row) => txn.put(key, row),
            None => txn.delete(key),
        }
        Ok::<_, StoreError>(())
    });
    put.await.unwrap();
}

/// Every row under a range.
async fn rows_of(fixture: &Fixture, range: &KeyRange) -> Vec<(Bytes, Bytes)> {
    let scan = fixture.db.read(|txn| async move { txn.scan(range, ScanOptions::default()).await });
    scan.await.unwrap().rows
}

/// Rows that were set aside: where they were found, and what.
async fn set_aside(fixture: &Fixture) -> Vec<(Bytes, Bytes)> {
    let prefix = keys::damaged(b"").len();
    let rows = rows_of(fixture, &keys::all_damaged()).await;
    rows.into_iter().map(|(key, row)| (key.slice(prefix..), row)).collect()
}

/// How many of the blobs on disk the sweep of orphans would leave alone.
async fn kept_from_orphans(fixture: &Fixture) -> usize {
    fixture.hand.advance(2 * lambent_blobs::limits::ORPHAN_AGE);
    let report = fixture
        .blobs
        .sweep(
            |ids| async move { gc::referenced(&fixture.db, &ids).await },
            lambent_blobs::limits::ORPHAN_AGE,
        )
        .await
        .unwrap();
    assert_eq!(report.removed, 0);
    fixture.blob_files()
}

#[tokio::test]
async fn dead_data_that_does_not_read_back_is_set_aside() {
    let fixture = Fixture::with_bucket().await;
    let short = Bytes::from_static(b"s3/dead/no");
    let cases: [(Bytes, &[u8]); 3] = [
        (short, b"anything"),
        (keys::dead(0, "x").into_bytes(), b"no row of ours"),
        (keys::dead(1, "y").into_bytes(), b"\x01{\"Blob\":\"../../etc/passwd\"}"),
    ];
    for (key, row) in &cases {
        spoil(&fixture, key, Some(row)).await;
    }
    fixture.put("k", &pattern(100_000)).await;
    delete(&fixture, "k").await;
    fixture.sweep().await;
    assert_eq!(fixture.blob_files(), 0);
    let mut expected = cases.map(|(key, row)| (key, Bytes::from_static(row)));
    expected.sort();
    assert_eq!(set_aside(&fixture).await, expected);
}

#[tokio::test]
async fn a_damaged_part_leaves_its_blob_and_stops_nothing() {
    let fixture = Fixture::with_bucket().await;
    object_of(&fixture, "big", &[PART, PART, 1]).await;
    let spans = rows_of(&fixture, &keys::all_spans()).await;
    let damaged = spans[1].0.clone();
    spoil(&fixture, &damaged, Some(b"\x01{}")).await;
    delete(&fixture, "big").await;
    fixture.put("after", &pattern(100_000)).await;
    delete(&fixture, "after").await;
    fixture.sweep().await;
    assert_eq!(set_aside(&fixture).await, [(damaged, Bytes::from_static(b"\x01{}"))]);
    assert_eq!(rows_of(&fixture, &keys::all_spans()).await, []);
    assert_eq!(kept_from_orphans(&fixture).await, 1);
}

#[tokio::test]
async fn a_damaged_count_of_references_leaves_the_blob() {
    for row in [Some(&b"odd"[..]), Some(&[0; 8]), Some(&(-3_i64).to_le_bytes()), None] {
        let fixture = Fixture::with_bucket().await;
        fixture.put("k", &pattern(100_000)).await;
        let count = rows_of(&fixture, &keys::all_blob_references()).await.remove(0).0;
        spoil(&fixture, &count, row).await;
        delete(&fixture, "k").await;
        fixture.put("after", &pattern(100_000)).await;
        delete(&fixture, "after").await;
        fixture.sweep().await;
        let found = Bytes::copy_from_slice(row.unwrap_or_default());
        assert_eq!(set_aside(&fixture).await, [(count, found)]);
        assert_eq!(kept_from_orphans(&fixture).await, 1, "{row:?}");
    }
}

#[tokio::test]
async fn a_blob_that_cannot_be_removed_stops_nothing() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("k", &pattern(100_000)).await;
    let blob = fixture.only_blob();
    std::fs::remove_file(&blob).unwrap();
    // Not even root removes a directory as if it were a file.
    std::fs::create_dir(&blob).unwrap();
    fixture.put("after", &pattern(100_000)).await;
    delete(&fixture, "k").await;
    delete(&fixture, "after").await;
    fixture.sweep().await;
    assert_eq!(fixture.only_blob(), blob);
}
