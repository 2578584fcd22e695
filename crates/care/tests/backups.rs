//! Backups hold what they should and no more, two at once do each other no harm, and a restore is all or nothing.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use lambent_base::{BoxFuture, Clock, ManualClock, Random};
use lambent_blobs::{BlobId, BlobOptions, BlobStore};
use lambent_care::{
    BackedUp, Backups, CareError, DirectoryShelf, DumpStream, Manifest, Mark, NewFile, Pruned, Restored,
    STANDS_FOR, Shelf, Slot, Turn, write_dump,
};
use lambent_store::{Db, StoreError};
use tempfile::TempDir;

const PREFIX: &[u8] = b"blob/";

/// A cloud whose rows name blobs by their keys, and the place of its backups.
struct World {
    folder: TempDir,
    db: Db,
    blobs: BlobStore,
    clock: Clock,
    hand: ManualClock,
    slot: Arc<MemorySlot>,
}

/// A day, and a little.
const LATER: std::time::Duration = std::time::Duration::from_secs(25 * 3600);

/// A slot as of a bucket.
#[derive(Default)]
struct MemorySlot {
    content: Mutex<Option<(Bytes, Mark)>>,
    /// Whether the next write is done and said not to be, as when its answer is lost and it is sent again.
    loses_an_answer: AtomicBool,
}

impl Slot for MemorySlot {
    fn read(&self) -> BoxFuture<'_, Result<Option<(Bytes, Mark)>, CareError>> {
        Box::pin(std::future::ready(Ok(self.content.lock().unwrap().clone())))
    }

    fn write(&self, bytes: Bytes, over: Option<Mark>) -> BoxFuture<'_, Result<Option<Mark>, CareError>> {
        let mut content = self.content.lock().unwrap();
        if content.as_ref().map(|(_, mark)| mark) != over.as_ref() {
            return Box::pin(std::future::ready(Ok(None)));
        }
        let count = over.map_or(0, |mark| mark.0.parse::<u32>().unwrap());
        let mark = Mark((count + 1).to_string());
        *content = Some((bytes, mark.clone()));
        let is_told = !self.loses_an_answer.swap(false, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(is_told.then_some(mark))))
    }
}

/// Files in a directory that is used as a bucket is.
struct FarShelf(DirectoryShelf, Arc<MemorySlot>);

impl Shelf for FarShelf {
    fn name(&self) -> String {
        "s3://backups".to_owned()
    }

    fn scratch(&self) -> Result<PathBuf, CareError> {
        self.0.scratch()
    }

    fn put<'a>(&'a self, name: &'a str, file: &'a Path) -> BoxFuture<'a, Result<(), CareError>> {
        self.0.put(name, file)
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<PathBuf>, CareError>> {
        self.0.get(name)
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), CareError>> {
        self.0.remove(name)
    }

    fn slot(&self) -> Option<Arc<dyn Slot>> {
        Some(self.1.clone())
    }
}

fn named(key: &[u8]) -> Option<BlobId> {
    key.strip_prefix(PREFIX)?.try_into().ok().map(BlobId::from_bytes)
}

fn blob_store(folder: &Path, clock: &Clock) -> BlobStore {
    let options = BlobOptions { reserve_bytes: 0 };
    BlobStore::open_shared(folder, options, clock.clone(), Random::system()).unwrap()
}

fn new_store() -> Db {
    Db::memory(Clock::system(), Random::system())
}

impl World {
    async fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(1_790_000_000_000);
        let blobs = blob_store(&folder.path().join("own"), &clock);
        let world = Self { folder, db: new_store(), blobs, clock, hand, slot: Arc::default() };
        world.put(b"cloud/id", name.as_bytes()).await;
        world
    }

    async fn put(&self, key: &[u8], value: &[u8]) {
        let write = self.db.run(|txn| async move {
            txn.put(key, value);
            Ok::<_, StoreError>(())
        });
        write.await.unwrap();
    }

    /// A blob that a row names.
    async fn add(&self, byte: u8) -> BlobId {
        let mut writer = self.blobs.create();
        writer.write(Bytes::from(vec![byte; 300_000])).await.unwrap();
        let id = writer.finish().await.unwrap().id;
        self.put(&[PREFIX, &id.to_bytes()].concat(), b"").await;
        id
    }

    async fn forget(&self, id: BlobId) {
        let key = [PREFIX, &id.to_bytes()].concat();
        self.db.clear(&lambent_store::KeyRange::prefix(&key)).await.unwrap();
    }

    fn place(&self) -> PathBuf {
        self.folder.path().join("backups")
    }

    fn backups(&self) -> Backups {
        let blobs = blob_store(&self.place().join("blobs"), &self.clock);
        let shelf = FarShelf(DirectoryShelf::new(self.place()), self.slot.clone());
        Backups { shelf: Box::new(shelf), blobs, named: &[named] }
    }

    async fn begin(&self, holder: &str) -> Result<Turn, CareError> {
        self.backups().begin(holder, &self.clock, &Random::system()).await
    }

    async fn back_up(&self) -> Result<BackedUp, CareError> {
        let turn = self.begin("test").await.unwrap();
        let done = self.back_up_in(&turn).await;
        turn.end().await.unwrap();
        done
    }

    async fn prune(&self, keep: usize) -> Result<Pruned, CareError> {
        let turn = self.begin("test").await.unwrap();
        let done = self.backups().prune(&turn, keep).await;
        turn.end().await.unwrap();
        done
    }

    async fn back_up_in(&self, turn: &Turn) -> Result<BackedUp, CareError> {
        self.hand.advance(std::time::Duration::from_secs(60));
        let backups = self.backups();
        let path = backups.scratch().unwrap();
        let mut file = NewFile::create(&path).unwrap();
        let dump = DumpStream::new(self.db.export().await.unwrap(), vec![]).await.unwrap();
        write_dump(dump, file.file(), &path, |_| {}).await.unwrap();
        file.finish().unwrap();
        backups.add(turn, &path, &self.blobs, &self.clock, |_, _| {}, || true).await
    }

    async fn restore(&self, dump: Option<&str>, db: &Db, blobs: &BlobStore) -> Result<Restored, CareError> {
        self.backups().restore(dump, db, blobs, |_| {}, async || Ok(())).await
    }

    fn files(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(self.place().join("blobs")).unwrap();
        let folders =
            folders.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir() && !path.ends_with("tmp"));
        folders
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|entry| entry.unwrap().path())
            .collect()
    }
}

async fn holds(blobs: &BlobStore, id: BlobId) -> bool {
    match blobs.open_range(id, 0..300_000).await {
        Ok(reader) => reader.read_to_end().await.unwrap().len() == 300_000,
        Err(_) => false,
    }
}

#[tokio::test]
async fn blobs_are_copied_once_and_go_with_the_last_dump_that_names_them() {
    let world = World::new("one").await;
    let (first, second) = (world.add(1).await, world.add(2).await);
    let done = world.back_up().await.unwrap();
    assert_eq!((done.copied.blobs, done.copied.present), (2, 0));
    world.forget(first).await;
    let third = world.add(3).await;
    let done = world.back_up().await.unwrap();
    assert_eq!((done.copied.blobs, done.copied.present), (1, 1));
    assert_eq!(world.files().len(), 3);
    let manifest = Manifest::read(&*world.backups().shelf).await.unwrap().unwrap();
    assert_eq!(manifest.dumps.iter().map(|dump| dump.blobs).collect::<Vec<_>>(), [2, 2]);

    // The older dump is whole still.
    let (db, blobs) = (new_store(), blob_store(&world.folder.path().join("older"), &world.clock));
    let restored = world.restore(Some(&manifest.dumps[0].name), &db, &blobs).await.unwrap();
    assert_eq!(restored.copied.blobs, 2);
    assert!(holds(&blobs, first).await && holds(&blobs, second).await && !holds(&blobs, third).await);
    assert_eq!(blobs.mark().await.unwrap().as_deref(), Some("one"));

    let pruned = world.prune(1).await.unwrap();
    assert_eq!(
        (pruned.dumps, pruned.blobs),
        (1, 0),
        "what is younger than a day may be of a backup in the making"
    );
    assert_eq!(world.files().len(), 3);
    world.hand.advance(LATER);
    let pruned = world.prune(1).await.unwrap();
    assert_eq!((pruned.dumps, pruned.blobs), (0, 1));
    assert_eq!(world.files().len(), 2);
    let gone = world.restore(Some(&manifest.dumps[0].name), &new_store(), &blobs).await;
    assert!(matches!(gone, Err(CareError::NoDump { .. })));
    let blobs = blob_store(&world.folder.path().join("newer"), &world.clock);
    world.restore(None, &new_store(), &blobs).await.unwrap();
    assert!(holds(&blobs, second).await && holds(&blobs, third).await);
}

#[tokio::test]
async fn a_restore_that_breaks_off_leaves_nothing_usable_and_is_begun_anew() {
    let world = World::new("one").await;
    world.add(1).await;
    world.add(2).await;
    world.back_up().await.unwrap();
    let damaged = world.files().pop().unwrap();
    let whole = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &whole[..whole.len() - 1]).unwrap();
    let (db, blobs) = (new_store(), blob_store(&world.folder.path().join("new"), &world.clock));
    let refused = world.restore(None, &db, &blobs).await.unwrap_err();
    assert!(matches!(refused, CareError::Lacking { count: 1, .. }), "{refused}");
    assert!(matches!(db.check_whole().await, Err(StoreError::HalfImported)));
    std::fs::write(&damaged, &whole).unwrap();
    let restored = world.restore(None, &db, &blobs).await.unwrap();
    assert_eq!((restored.copied.blobs, restored.copied.present), (1, 1));
    db.check_whole().await.unwrap();
    // And never over something that is there.
    assert!(matches!(world.restore(None, &db, &blobs).await, Err(CareError::BlobsNotEmpty(_))));
    let empty = blob_store(&world.folder.path().join("empty"), &world.clock);
    let refused = world.restore(None, &db, &empty).await;
    assert!(matches!(refused, Err(CareError::Store(StoreError::NotEmpty))));
}

#[tokio::test]
async fn what_the_cloud_has_lost_is_named_and_the_rest_is_kept() {
    let world = World::new("one").await;
    let (lost, kept) = (world.add(1).await, world.add(2).await);
    world.blobs.delete(lost).await.unwrap();
    let done = world.back_up().await.unwrap();
    assert_eq!(done.dump.missing, [lost.to_string()]);
    let blobs = blob_store(&world.folder.path().join("new"), &world.clock);
    let restored = world.restore(None, &new_store(), &blobs).await.unwrap();
    assert_eq!(restored.dump.missing, [lost.to_string()]);
    assert!(holds(&blobs, kept).await && !holds(&blobs, lost).await);
}

#[tokio::test]
async fn a_place_belongs_to_one_cloud() {
    let world = World::new("one").await;
    world.back_up().await.unwrap();
    world.put(b"cloud/id", b"another").await;
    let refused = world.back_up().await.unwrap_err();
    assert!(matches!(refused, CareError::OtherCloud { .. }), "{refused}");
    // Rows lie nowhere but in whole backups.
    let left: Vec<_> =
        std::fs::read_dir(world.place()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "rows" || name == "blobs" || name == "manifest"), "{left:?}");
    let nothing = tempfile::tempdir().unwrap();
    let empty = Backups { shelf: Box::new(DirectoryShelf::new(nothing.path())), ..world.backups() };
    let refused = empty.restore(None, &new_store(), &world.blobs, |_| {}, async || Ok(())).await.unwrap_err();
    assert!(matches!(refused, CareError::NoBackup { .. }), "{refused}");
}

#[tokio::test]
async fn of_two_backups_at_once_the_second_is_refused_and_told_who_has_the_place() {
    let world = World::new("one").await;
    let turn = world.begin("`lambent backup` of process 7\u{1b}").await.unwrap();
    let refused = world.begin("another").await.err().unwrap().to_string();
    let expected =
        "s3://backups is in use by `lambent backup` of process 7, until 2026-09-21T14:18:20Z at least";
    assert!(refused.starts_with(expected), "{refused}");
    // Work under it renews it, and once it has ended the next one begins at once.
    world.hand.advance(STANDS_FOR * 2 / 3);
    world.back_up_in(&turn).await.unwrap();
    world.hand.advance(STANDS_FOR * 2 / 3);
    assert!(matches!(world.begin("another").await, Err(CareError::InUse { .. })));
    turn.end().await.unwrap();
    world.back_up().await.unwrap();
}

#[tokio::test]
async fn a_backup_that_was_not_heard_of_loses_its_turn_and_changes_nothing_any_more() {
    let world = World::new("one").await;
    world.add(1).await;
    world.back_up().await.unwrap();
    let slept = world.begin("the sleeper").await.unwrap();
    world.hand.advance(STANDS_FOR);
    world.back_up().await.unwrap();
    let manifest = async || Manifest::read(&*world.backups().shelf).await.unwrap().unwrap();
    let before = manifest().await;
    assert_eq!(before.dumps.len(), 2);
    let refused = world.back_up_in(&slept).await.unwrap_err();
    assert!(matches!(refused, CareError::TurnLost { .. }), "{refused}");
    let refused = world.backups().prune(&slept, 1).await.unwrap_err();
    assert!(matches!(refused, CareError::TurnLost { .. }), "{refused}");
    slept.end().await.unwrap();
    assert_eq!(manifest().await, before);
    assert_eq!(std::fs::read_dir(world.place().join("rows")).unwrap().count(), 2);
}

#[tokio::test]
async fn a_turn_outlives_lost_answers_and_what_cannot_be_read() {
    let world = World::new("one").await;
    *world.slot.content.lock().unwrap() = Some((Bytes::new(), Mark("5".to_owned())));
    world.slot.loses_an_answer.store(true, Ordering::SeqCst);
    let turn = world.begin("one").await.unwrap();
    world.slot.loses_an_answer.store(true, Ordering::SeqCst);
    world.back_up_in(&turn).await.unwrap();
    assert!(
        !world.slot.loses_an_answer.load(Ordering::SeqCst),
        "the manifest is written under a turn just renewed"
    );
    assert!(matches!(world.begin("another").await, Err(CareError::InUse { .. })));
}

#[test]
fn files_of_others_in_the_place_stay() {
    let place = tempfile::tempdir().unwrap();
    for name in ["film.part", "new-rows.part"] {
        std::fs::write(place.path().join(name), b"half").unwrap();
    }
    DirectoryShelf::new(place.path()).scratch().unwrap();
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["film.part"]);
}

#[tokio::test]
async fn a_blob_that_is_there_and_not_as_it_should_be_is_copied_anew() {
    let world = World::new("one").await;
    world.add(1).await;
    world.back_up().await.unwrap();
    let file = world.files().pop().unwrap();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let done = world.back_up().await.unwrap();
    assert_eq!((done.copied.blobs, done.copied.present), (1, 0));
    assert_eq!(std::fs::read(&file).unwrap(), whole);
    assert_eq!(world.back_up().await.unwrap().copied.present, 1);
}

#[tokio::test]
async fn a_backup_whose_blobs_may_have_gone_meanwhile_is_none() {
    let world = World::new("one").await;
    world.add(1).await;
    world.back_up().await.unwrap();
    let backups = world.backups();
    let rows = world.place().join("rows");
    let dump = std::fs::read_dir(&rows).unwrap().next().unwrap().unwrap().path();
    let again = world.folder.path().join("again");
    std::fs::copy(dump, &again).unwrap();
    let turn = backups.begin("a test", &world.clock, &Random::system()).await.unwrap();
    let refused = backups.add(&turn, &again, &world.blobs, &world.clock, |_, _| {}, || false).await;
    assert!(matches!(refused, Err(CareError::NotHeld)));
    assert_eq!(std::fs::read_dir(rows).unwrap().count(), 1);
}

#[tokio::test]
async fn a_restore_is_no_more_than_begun_when_what_its_caller_does_last_fails() {
    let world = World::new("one").await;
    world.add(1).await;
    world.back_up().await.unwrap();
    let (db, blobs) = (new_store(), blob_store(&world.folder.path().join("new"), &world.clock));
    let settle = async || Err(CareError::Settle("no key".into()));
    let refused = world.backups().restore(None, &db, &blobs, |_| {}, settle).await.unwrap_err();
    assert_eq!(refused.to_string(), "no key");
    assert!(matches!(db.check_whole().await, Err(StoreError::HalfImported)));
    // It finds all rows, and what it changes stays.
    let forget = async || {
        let key = &lambent_store::KeyRange::prefix(b"cloud/id");
        assert_eq!(db.clear(key).await?, 1);
        Ok(())
    };
    world.backups().restore(None, &db, &blobs, |_| {}, forget).await.unwrap();
    db.check_whole().await.unwrap();
    assert_eq!(db.read(|txn| async move { txn.get(b"cloud/id").await }).await.unwrap(), None);
    assert_eq!(world.backups().row(None, b"cloud/id").await.unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(world.backups().row(None, b"cloud/none").await.unwrap(), None);
}
