//! The engines under test.

use std::sync::Arc;

use lambent_base::{Clock, Random};
use lambent_store::{
    Db, Faults, FjallEngine, FjallOptions, KeyRange, MemoryEngine, ScanOptions, StoreError, Txn,
};
use tempfile::TempDir;

/// An empty store, and what must live as long.
pub(crate) struct Store {
    pub(crate) db: Db,
    _directory: Option<TempDir>,
}

/// Reads give way to other tasks, so that transactions really run at once.
pub(crate) fn memory() -> Store {
    faulty(Faults { slow_reads: 300, ..Faults::default() })
}

/// Everything that the contract allows goes wrong, often.
pub(crate) fn faulty(faults: Faults) -> Store {
    let engine = Arc::new(MemoryEngine::with_faults(3, faults));
    Store { db: Db::new(engine, Clock::system(), Random::seeded(1)), _directory: None }
}

pub(crate) fn fjall() -> Store {
    let directory = tempfile::tempdir().unwrap();
    let engine = FjallEngine::open(directory.path(), FjallOptions::default(), Clock::system()).unwrap();
    let db = Db::new(Arc::new(engine), Clock::system(), Random::seeded(1));
    Store { db, _directory: Some(directory) }
}

/// Makes a test of each function, for each engine.
macro_rules! conformance {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                let store = crate::harness::memory();
                super::$name(store.db.clone()).await;
            })+
        }
        mod fjall {
            $(#[tokio::test]
            async fn $name() {
                let store = crate::harness::fjall();
                super::$name(store.db.clone()).await;
            })+
        }
    };
}

/// Runs writes that cannot fail by themselves.
pub(crate) async fn write(db: &Db, change: impl Fn(&Txn)) {
    let change = &change;
    db.run(|txn| async move {
        change(&txn);
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
}

pub(crate) async fn get(db: &Db, key: &[u8]) -> Option<Vec<u8>> {
    let row = db.read(|txn| async move { txn.get(key).await }).await.unwrap();
    row.map(|row| row.to_vec())
}

/// All rows of a range, in one page.
pub(crate) async fn rows(db: &Db, range: &KeyRange) -> Vec<(String, String)> {
    let page = db.read(|txn| async move { txn.scan(range, ScanOptions::rows(10_000)).await }).await.unwrap();
    assert!(page.more.is_none());
    texts(&page.rows)
}

pub(crate) fn texts(rows: &[(bytes::Bytes, bytes::Bytes)]) -> Vec<(String, String)> {
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    rows.iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// Rows as a test writes them down.
pub(crate) fn expect(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
