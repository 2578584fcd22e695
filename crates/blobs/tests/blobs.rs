//! Blobs on local disk, as services use them.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{Clock, ManualClock, Random};
use lambent_blobs::{Blob, BlobError, BlobId, BlobOptions, BlobStore, SweepReport, limits};

const NOW_MS: i64 = 1_790_000_000_000;

struct Fixture {
    store: BlobStore,
    hand: ManualClock,
    directory: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual(NOW_MS);
    let store = open(directory.path(), clock);
    Fixture { store, hand, directory }
}

fn open(directory: &Path, clock: Clock) -> BlobStore {
    BlobStore::open(&directory.join("blobs"), BlobOptions::default(), clock, Random::system()).unwrap()
}

fn bytes(length: usize) -> Bytes {
    let random = Random::seeded(length as u64);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes.into()
}

async fn put(store: &BlobStore, content: &Bytes, piece: usize) -> Blob {
    let mut writer = store.create();
    for start in (0..content.len()).step_by(piece) {
        writer.write(content.slice(start..content.len().min(start + piece))).await.unwrap();
    }
    let blob = writer.finish().await.unwrap();
    assert_eq!(blob.length, content.len() as u64);
    blob
}

async fn read(store: &BlobStore, id: BlobId, range: std::ops::Range<u64>) -> Result<Bytes, BlobError> {
    store.open_range(id, range).await?.read_to_end().await
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn blobs_of_all_sizes_come_back() {
    let Fixture { store, directory, .. } = fixture();
    let block = limits::BLOCK_BYTES;
    for length in [0, 1, 1000, block - 1, block, block + 1, 2 * block, 9 * block + 17] {
        let content = bytes(length);
        let blob = put(&store, &content, 100_000).await;
        assert!(read(&store, blob.id, 0..blob.length).await.unwrap() == content, "{length}");
    }
    let (clock, _) = Clock::manual(NOW_MS);
    let count = files(directory.path()).len();
    let again = open(directory.path(), clock);
    assert_eq!(count, 8);
    let sweep = again.sweep(|_| async { Ok::<_, String>(HashSet::new()) }, Duration::ZERO).await.unwrap();
    assert_eq!(sweep.seen, 8);
}

#[tokio::test]
async fn ranges_give_exactly_their_bytes() {
    let Fixture { store, directory: _kept, .. } = fixture();
    let block = limits::BLOCK_BYTES as u64;
    let content = bytes(5 * limits::BLOCK_BYTES + 100);
    let blob = put(&store, &content, 65_536).await;
    let end = blob.length;
    let edges = [0, 1, block - 1, block, block + 1, 2 * block, 3 * block + 7, 5 * block, end - 1, end];
    for (index, &start) in edges.iter().enumerate() {
        for &stop in &edges[index..] {
            let part = read(&store, blob.id, start..stop).await.unwrap();
            let expected = content.slice(usize::try_from(start).unwrap()..usize::try_from(stop).unwrap());
            assert!(part == expected, "{start}..{stop}");
        }
    }
    let beyond = read(&store, blob.id, 5..end + 1).await;
    assert!(matches!(beyond, Err(BlobError::RangeOutOfBounds { length, .. }) if length == end));
}

#[tokio::test]
async fn pieces_are_bounded() {
    let Fixture { store, directory: _kept, .. } = fixture();
    let content = bytes(7 * limits::BLOCK_BYTES + 3);
    let blob = put(&store, &content, content.len()).await;
    let mut reader = store.open_range(blob.id, 0..blob.length).await.unwrap();
    let mut pieces = Vec::new();
    while let Some(piece) = reader.next().await.unwrap() {
        pieces.push(piece.len());
    }
    let two = limits::READ_BYTES;
    assert_eq!(pieces, [two, two, two, limits::BLOCK_BYTES + 3]);
}

#[tokio::test]
async fn flipped_bits_are_found_where_they_are_read() {
    let Fixture { store, directory, .. } = fixture();
    let content = bytes(3 * limits::BLOCK_BYTES);
    let blob = put(&store, &content, 65_536).await;
    let path = files(directory.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    let block = limits::BLOCK_BYTES;
    let flip = |at: usize| {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, damaged).unwrap();
    };
    flip(block + 5);
    let damaged = read(&store, blob.id, 0..blob.length).await.unwrap_err();
    assert!(damaged.to_string().contains("block 1"), "{damaged}");
    // Other blocks are still good.
    assert_eq!(read(&store, blob.id, 0..9).await.unwrap(), content.slice(..9));
    for at in 3 * block..whole.len() {
        flip(at);
        let damaged = read(&store, blob.id, 0..blob.length).await;
        assert!(matches!(damaged, Err(BlobError::Damaged { .. })), "trailer byte {at}");
    }
    for length in [0, 10, block, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let damaged = read(&store, blob.id, 0..9).await;
        assert!(matches!(damaged, Err(BlobError::Damaged { .. })), "cut to {length}");
    }
}

#[tokio::test]
async fn deleted_blobs_are_gone() {
    let Fixture { store, directory: _kept, .. } = fixture();
    let blob = put(&store, &bytes(10), 10).await;
    store.delete(blob.id).await.unwrap();
    store.delete(blob.id).await.unwrap();
    assert!(matches!(read(&store, blob.id, 0..10).await, Err(BlobError::NotFound(id)) if id == blob.id));
}

#[tokio::test]
async fn who_has_begun_to_read_can_finish() {
    let Fixture { store, directory, .. } = fixture();
    let content = bytes(5 * limits::READ_BYTES + 7);
    let blob = put(&store, &content, limits::READ_BYTES).await;
    let reader = store.open_range(blob.id, 0..blob.length).await.unwrap();
    store.delete(blob.id).await.unwrap();
    assert_eq!(files(directory.path()).len(), 0);
    assert!(reader.read_to_end().await.unwrap() == content);
}

#[tokio::test]
async fn abandoned_writers_leave_nothing() {
    let Fixture { store, directory, .. } = fixture();
    let mut writer = store.create();
    for _ in 0..5 {
        writer.write(bytes(limits::WRITE_BYTES)).await.unwrap();
    }
    assert_eq!(files(directory.path()).len(), 1);
    drop(writer);
    // A write that was under way ends by itself; a later blob's disk work comes after it only by chance.
    for _ in 0..10_000 {
        if files(directory.path()).is_empty() {
            return;
        }
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
    panic!("the temporary file stayed: {:?}", files(directory.path()));
}

#[tokio::test]
async fn left_overs_of_a_crash_are_removed_at_start() {
    let Fixture { store, directory, .. } = fixture();
    let blob = put(&store, &bytes(10), 10).await;
    let left_over = directory.path().join("blobs/tmp/0123");
    fs::write(&left_over, b"half a blob").unwrap();
    let (clock, _) = Clock::manual(NOW_MS);
    let store = open(directory.path(), clock);
    assert!(!left_over.exists());
    assert_eq!(read(&store, blob.id, 0..10).await.unwrap(), bytes(10));
}

#[tokio::test]
async fn only_old_orphans_are_swept() {
    let Fixture { store, hand, directory: _kept } = fixture();
    let (kept, orphan) = (put(&store, &bytes(10), 10).await, put(&store, &bytes(20), 20).await);
    let sweep = || {
        let referenced = |asked: Vec<BlobId>| async move {
            Ok::<_, String>(asked.into_iter().filter(|id| *id == kept.id).collect())
        };
        store.sweep(referenced, limits::ORPHAN_AGE)
    };
    hand.advance(limits::ORPHAN_AGE);
    assert_eq!(sweep().await.unwrap(), SweepReport { seen: 2, removed: 0, freed_bytes: 0 });
    hand.advance(Duration::from_millis(1));
    let young = put(&store, &bytes(30), 30).await;
    let report = sweep().await.unwrap();
    assert_eq!((report.seen, report.removed), (3, 1));
    assert!(report.freed_bytes > 20);
    assert!(matches!(read(&store, orphan.id, 0..1).await, Err(BlobError::NotFound(_))));
    read(&store, kept.id, 0..10).await.unwrap();
    read(&store, young.id, 0..30).await.unwrap();

    let failed = store.sweep(|_| async { Err::<HashSet<_>, _>("the store is closed") }, Duration::ZERO).await;
    assert!(matches!(failed, Err(BlobError::References(why)) if why == "the store is closed"));
}

#[tokio::test]
async fn a_full_disk_has_a_name() {
    let directory = tempfile::tempdir().unwrap();
    let options = BlobOptions { reserve_bytes: u64::MAX };
    let store = BlobStore::open(directory.path(), options, Clock::system(), Random::system()).unwrap();
    let mut writer = store.create();
    writer.write(bytes(10)).await.unwrap();
    assert!(matches!(writer.finish().await, Err(BlobError::DiskFull { .. })));
    assert!(files(directory.path()).is_empty());

    let mut writer = store.create();
    writer.write(bytes(limits::WRITE_BYTES)).await.unwrap();
    assert!(matches!(writer.write(bytes(limits::WRITE_BYTES)).await, Err(BlobError::DiskFull { .. })));
    assert!(writer.finish().await.is_err());
}

#[tokio::test]
async fn nobody_else_may_look() {
    let Fixture { store, directory, .. } = fixture();
    put(&store, &bytes(10), 10).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = files(directory.path()).remove(0);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(mode(&directory.path().join("blobs")), 0o700);
}
