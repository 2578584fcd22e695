//! What every place must do, done to each of them.

use std::collections::HashSet;
use std::time::Duration;

use lambent_blobs::{BlobError, BlobId, SweepReport, limits};
use proptest::prelude::*;

use crate::support::{Kind, Site, bytes, put, read};

const ALL: [Kind; 3] = [Kind::Directory, Kind::SharedDirectory, Kind::Objects];

#[tokio::test]
async fn blobs_of_all_sizes_come_back_after_a_restart() {
    for kind in ALL {
        let site = Site::new(kind);
        let (block, part) = (limits::BLOCK_BYTES, limits::PART_BYTES);
        let mut written = Vec::new();
        let tail = usize::try_from(limits::TAIL_BYTES).unwrap();
        for length in [
            0,
            1,
            1000,
            tail - 30,
            tail,
            block,
            block + 1,
            2 * block,
            part - 1,
            part,
            part + 1,
            2 * part + 17,
        ] {
            let content = bytes(length);
            written.push((put(&site.store, &content, 100_000).await, content));
        }
        let again = site.reopened();
        for (blob, content) in &written {
            assert!(
                read(&again, blob.id, 0..blob.length).await.unwrap() == content,
                "{kind:?} {}",
                content.len()
            );
        }
        let swept =
            again.sweep(|_| async { Ok::<_, String>(HashSet::new()) }, limits::ORPHAN_AGE).await.unwrap();
        assert_eq!((swept.seen, swept.removed), (written.len() as u64, 0), "{kind:?}");
        assert_eq!(site.drafts().await, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn one_large_write_becomes_parts_of_one_size() {
    let site = Site::new(Kind::Objects);
    let content = bytes(3 * limits::PART_BYTES + 5);
    let blob = put(&site.store, &content, content.len()).await;
    assert_eq!(site.faults().part_sizes()[..3], [limits::PART_BYTES; 3]);
    assert!(read(&site.store, blob.id, 0..blob.length).await.unwrap() == content);
}

#[tokio::test]
async fn ranges_beyond_a_blob_are_refused() {
    for kind in ALL {
        let site = Site::new(kind);
        for length in [10, 3 * limits::BLOCK_BYTES + 5] {
            let blob = put(&site.store, &bytes(length), 65_536).await;
            for (start, end) in [(0, blob.length + 1), (blob.length + 1, blob.length + 2), (1 << 40, 1 << 41)]
            {
                let refused = read(&site.store, blob.id, start..end).await.unwrap_err();
                let named =
                    matches!(refused, BlobError::RangeOutOfBounds { length, .. } if length == blob.length);
                assert!(named, "{kind:?} {start}..{end} of {length}: {refused}");
            }
        }
    }
}

#[tokio::test]
async fn damage_is_found_where_it_is_read() {
    for kind in ALL {
        let site = Site::new(kind);
        let block = limits::BLOCK_BYTES;
        let content = bytes(3 * block);
        let blob = put(&site.store, &content, 65_536).await;
        let whole = site.file(blob.id).await;
        let flipped = |at: usize| {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            damaged
        };
        site.overwrite(blob.id, flipped(block + 5)).await;
        let damaged = read(&site.store, blob.id, 0..blob.length).await.unwrap_err();
        assert!(damaged.to_string().contains("block 1"), "{kind:?}: {damaged}");
        // Other blocks are still good.
        assert_eq!(read(&site.store, blob.id, 0..9).await.unwrap(), content.slice(..9));
        for at in 3 * block..whole.len() {
            site.overwrite(blob.id, flipped(at)).await;
            let damaged = read(&site.store, blob.id, 0..blob.length).await;
            assert!(matches!(damaged, Err(BlobError::Damaged { .. })), "{kind:?}: trailer byte {at}");
        }
        for length in [0, 10, block, whole.len() - 1] {
            site.overwrite(blob.id, whole[..length].to_vec()).await;
            let damaged = read(&site.store, blob.id, 0..9).await;
            let named = matches!(damaged, Err(BlobError::Damaged { .. }));
            assert!(named, "{kind:?}: cut to {length}: {:?}", damaged.err());
        }
    }
}

#[tokio::test]
async fn deleted_blobs_are_gone() {
    for kind in ALL {
        let site = Site::new(kind);
        let blob = put(&site.store, &bytes(10), 10).await;
        site.store.delete(blob.id).await.unwrap();
        site.store.delete(blob.id).await.unwrap();
        let gone = read(&site.store, blob.id, 0..10).await;
        assert!(matches!(gone, Err(BlobError::NotFound(id)) if id == blob.id), "{kind:?}");
    }
}

#[tokio::test]
async fn abandoned_writers_leave_nothing() {
    for kind in ALL {
        let site = Site::new(kind);
        let mut writer = site.store.create();
        for _ in 0..3 {
            writer.write(bytes(limits::PART_BYTES)).await.unwrap();
        }
        drop(writer);
        site.until_no_drafts().await;
        assert_eq!(site.count().await, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn only_old_orphans_are_swept() {
    for kind in ALL {
        let site = Site::new(kind);
        let kept = put(&site.store, &bytes(10), 10).await;
        let orphan = put(&site.store, &bytes(20), 20).await;
        let sweep = || {
            let referenced = |asked: Vec<BlobId>| async move {
                Ok::<_, String>(asked.into_iter().filter(|id| *id == kept.id).collect())
            };
            site.store.sweep(referenced, limits::ORPHAN_AGE)
        };
        assert_eq!(sweep().await.unwrap(), SweepReport { seen: 2, removed: 0, freed_bytes: 0 }, "{kind:?}");
        site.hand.advance(limits::ORPHAN_AGE + Duration::from_mins(1));
        let report = sweep().await.unwrap();
        assert_eq!((report.seen, report.removed), (2, 1), "{kind:?}");
        assert!(report.freed_bytes > 20);
        assert!(matches!(read(&site.store, orphan.id, 0..1).await, Err(BlobError::NotFound(_))));
        read(&site.store, kept.id, 0..10).await.unwrap();
    }
}

#[tokio::test]
async fn a_long_upload_is_as_old_as_its_end() {
    // The id is made when the first part goes; the store says when the last came.
    let site = Site::ago(Kind::Objects, limits::ORPHAN_AGE * 2);
    let mut writer = site.store.create();
    writer.write(bytes(limits::PART_BYTES)).await.unwrap();
    site.hand.advance(limits::ORPHAN_AGE * 2);
    let blob = writer.finish().await.unwrap();
    assert!(blob.id.created_ms() + 1000 < site.now_ms(), "its id is old");
    let none = |_| async { Ok::<_, String>(HashSet::new()) };
    assert_eq!(site.store.sweep(none, limits::ORPHAN_AGE).await.unwrap().removed, 0);
}

#[tokio::test]
async fn a_place_is_marked_once() {
    for kind in ALL {
        let site = Site::new(kind);
        assert_eq!(site.store.mark().await.unwrap(), None, "{kind:?}");
        assert!(site.store.set_mark("mine").await.unwrap());
        assert!(!site.store.set_mark("yours").await.unwrap());
        assert_eq!(site.reopened().mark().await.unwrap().as_deref(), Some("mine"), "{kind:?}");
        assert_eq!((site.count().await, site.drafts().await), (0, 0), "{kind:?}");
    }
}

#[tokio::test]
async fn files_go_from_any_place_to_any_other_as_they_are() {
    for from in ALL {
        for to in ALL {
            let (from, to) = (Site::new(from), Site::new(to));
            for length in [0, 1000, limits::PART_BYTES + 7] {
                let blob = put(&from.store, &bytes(length), 65_536).await;
                let file = from.store.read_raw(blob.id).await.unwrap();
                let file_bytes = file.file_bytes();
                assert_eq!(to.store.write_raw(file).await.unwrap(), file_bytes);
                let copy = to.file(blob.id).await;
                assert_eq!(copy.len() as u64, file_bytes);
                assert!(copy == from.file(blob.id).await);
                let mut pieces = Vec::new();
                let mut raw = to.store.read_raw(blob.id).await.unwrap();
                while let Some(piece) = raw.next().await.unwrap() {
                    pieces.extend_from_slice(&piece);
                }
                assert!(pieces == copy);
                assert!(to.store.ids(blob.id.directory()).await.unwrap().contains(&blob.id));
            }
            assert_eq!(to.count().await, 3);
        }
    }
}

#[tokio::test]
async fn a_damaged_file_is_not_copied() {
    for kind in ALL {
        let (from, to) = (Site::new(kind), Site::new(kind));
        let blob = put(&from.store, &bytes(5 * limits::FAR_READ_BYTES), 65_536).await;
        let mut damaged = from.file(blob.id).await;
        damaged[4 * limits::FAR_READ_BYTES + 1] ^= 1;
        from.overwrite(blob.id, damaged).await;
        let file = from.store.read_raw(blob.id).await.unwrap();
        let refused = to.store.write_raw(file).await;
        assert!(matches!(refused, Err(BlobError::Damaged { id, .. }) if id == blob.id), "{kind:?}");
        to.until_no_drafts().await;
        assert_eq!(to.count().await, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_shared_directory_keeps_what_others_write() {
    let site = Site::new(Kind::SharedDirectory);
    let mut writer = site.store.create();
    for _ in 0..3 {
        writer.write(bytes(limits::WRITE_BYTES)).await.unwrap();
    }
    let other = site.reopened();
    assert_eq!(site.drafts().await, 1);
    let blob = writer.finish().await.unwrap();
    read(&other, blob.id, 0..blob.length).await.unwrap();

    // What a process left that died is removed once it is old.
    site.leave_draft();
    let sweep =
        || other.sweep(|asked| async { Ok::<_, String>(asked.into_iter().collect()) }, limits::ORPHAN_AGE);
    sweep().await.unwrap();
    assert_eq!(site.drafts().await, 1);
    site.hand.advance(limits::ORPHAN_AGE + Duration::from_mins(1));
    sweep().await.unwrap();
    assert_eq!(site.drafts().await, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_writes_and_any_ranges_give_the_same_bytes(
        writes in prop::collection::vec(0..3 * limits::READ_BYTES, 0..14),
        ranges in prop::collection::vec((0.0..1.0, 0.0..1.0), 1..6),
        kind in prop::sample::select(ALL.to_vec()),
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let site = Site::new(kind);
            let content = bytes(writes.iter().sum());
            let mut writer = site.store.create();
            let mut at = 0;
            for length in writes {
                writer.write(content.slice(at..at + length)).await.unwrap();
                at += length;
            }
            let blob = writer.finish().await.unwrap();
            assert_eq!(blob.length, content.len() as u64);
            for (one, other) in ranges {
                let at = |share: f64| (share * (content.len() + 1) as f64) as usize;
                let (start, end) = (at(one).min(at(other)), at(one).max(at(other)));
                let part = read(&site.store, blob.id, start as u64..end as u64).await.unwrap();
                assert!(part == content.slice(start..end), "{start}..{end}");
            }
        });
    }
}
