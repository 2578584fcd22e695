//! Places to test, and what lies in them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{Clock, ManualClock, Random};
use lambent_blobs::{Blob, BlobError, BlobId, BlobOptions, BlobStore};
use lambent_blobs_objects::Objects;
use lambent_blobs_objects::object_store::path::Path;
use lambent_blobs_objects::object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::faulty::Faulty;

const PREFIX: &str = "some/where";
/// Far more than anything in memory takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    SharedDirectory,
    Objects,
}

/// A place and its blobs; its clock begins with the time of the system, which object stores and files have.
pub(crate) struct Site {
    pub(crate) kind: Kind,
    pub(crate) store: BlobStore,
    pub(crate) hand: ManualClock,
    clock: Clock,
    directory: tempfile::TempDir,
    objects: Arc<Faulty>,
}

impl Site {
    pub(crate) fn new(kind: Kind) -> Self {
        Self::with_patience(kind, PATIENCE)
    }

    pub(crate) fn with_patience(kind: Kind, patience: Duration) -> Self {
        Self::make(kind, patience, Duration::ZERO)
    }

    /// A place whose clock is late by so much.
    pub(crate) fn ago(kind: Kind, late: Duration) -> Self {
        Self::make(kind, PATIENCE, late)
    }

    fn make(kind: Kind, patience: Duration, late: Duration) -> Self {
        let late_ms = i64::try_from(late.as_millis()).unwrap();
        let (clock, hand) = Clock::manual(Clock::system().unix_ms() - late_ms);
        let (directory, objects) = (tempfile::tempdir().unwrap(), Arc::new(Faulty::default()));
        let store = open(kind, directory.path().join("blobs"), &objects, &clock, patience);
        Self { kind, store, hand, clock, directory, objects }
    }

    /// The same place, as another process sees it.
    pub(crate) fn reopened(&self) -> BlobStore {
        open(self.kind, self.root(), &self.objects, &self.clock, PATIENCE)
    }

    pub(crate) fn faults(&self) -> &Faulty {
        &self.objects
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.unix_ms()
    }

    /// How many blobs there are.
    pub(crate) async fn count(&self) -> usize {
        let mut count = 0;
        for number in 0..=u8::MAX {
            count += self.store.ids(number).await.unwrap().len();
        }
        count
    }

    /// How many files are being written, or were left by somebody who wrote.
    pub(crate) async fn drafts(&self) -> usize {
        match self.kind {
            Kind::Objects => self.objects.open_uploads(),
            _ => std::fs::read_dir(self.root().join("tmp")).unwrap().count(),
        }
    }

    pub(crate) fn leave_draft(&self) {
        std::fs::write(self.root().join("tmp/0123"), b"half a blob").unwrap();
    }

    /// Work of others that is under way ends by itself.
    pub(crate) async fn until_no_drafts(&self) {
        let gone = async {
            while self.drafts().await > 0 {
                tokio::task::yield_now().await;
                std::thread::yield_now();
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("what an abandoned writer wrote stays");
    }

    /// The whole file of a blob.
    pub(crate) async fn file(&self, id: BlobId) -> Vec<u8> {
        match self.kind {
            Kind::Objects => self.objects.get(&object_path(id)).await.unwrap().bytes().await.unwrap().into(),
            _ => std::fs::read(self.path(id)).unwrap(),
        }
    }

    pub(crate) async fn overwrite(&self, id: BlobId, file: Vec<u8>) {
        match self.kind {
            Kind::Objects => drop(self.objects.put(&object_path(id), PutPayload::from(file)).await.unwrap()),
            _ => std::fs::write(self.path(id), file).unwrap(),
        }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("blobs")
    }

    fn path(&self, id: BlobId) -> PathBuf {
        self.root().join(format!("{:02x}", id.directory())).join(id.to_string())
    }
}

fn open(kind: Kind, root: PathBuf, objects: &Arc<Faulty>, clock: &Clock, patience: Duration) -> BlobStore {
    let (clock, random) = (clock.clone(), Random::system());
    match kind {
        Kind::Directory => BlobStore::open(&root, BlobOptions::default(), clock, random).unwrap(),
        Kind::SharedDirectory => {
            BlobStore::open_shared(&root, BlobOptions::default(), clock, random).unwrap()
        }
        Kind::Objects => {
            let objects: Arc<dyn ObjectStore> = objects.clone();
            let place = Objects::new(objects, "memory".to_owned(), PREFIX, patience);
            BlobStore::at(Arc::new(place), clock, random)
        }
    }
}

fn object_path(id: BlobId) -> Path {
    Path::from(format!("{PREFIX}/{:02x}/{id}", id.directory()))
}

pub(crate) fn bytes(length: usize) -> Bytes {
    let random = Random::seeded(length as u64);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes.into()
}

pub(crate) async fn put(store: &BlobStore, content: &Bytes, piece: usize) -> Blob {
    let mut writer = store.create();
    for start in (0..content.len()).step_by(piece) {
        writer.write(content.slice(start..content.len().min(start + piece))).await.unwrap();
    }
    let blob = writer.finish().await.unwrap();
    assert_eq!(blob.length, content.len() as u64);
    blob
}

pub(crate) async fn read(
    store: &BlobStore,
    id: BlobId,
    range: std::ops::Range<u64>,
) -> Result<Bytes, BlobError> {
    store.open_range(id, range).await?.read_to_end().await
}
