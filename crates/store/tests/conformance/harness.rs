//! The engines under test.

use std::sync::Arc;

use lambent_base::{BoxFuture, Clock, Random};
use lambent_store::engine::Engine;
use lambent_store::{
    Db, Faults, FjallEngine, FjallOptions, KeyRange, MemoryEngine, ScanOptions, StoreError, Txn,
};
use lambent_store_postgres::{Commits, PostgresEngine, PostgresOptions};
use tempfile::TempDir;

use crate::cluster::{Cluster, Sync};

/// An empty store, and what must live as long.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) db: Db,
    pub(crate) engine: Arc<dyn Engine>,
    _directory: Option<Arc<TempDir>>,
}

/// A test: its name, and what it does with an empty store.
pub(crate) type Case = (&'static str, fn(Store) -> BoxFuture<'static, ()>);

impl Store {
    pub(crate) fn new(engine: Arc<dyn Engine>, directory: Option<TempDir>) -> Self {
        let db = Db::new(engine.clone(), Clock::system(), Random::system());
        Self { db, engine, _directory: directory.map(Arc::new) }
    }
}

/// Reads give way to other tasks, so that transactions really run at once.
pub(crate) fn memory() -> Store {
    faulty(Faults { slow_reads: 300, ..Faults::default() })
}

/// Everything that the contract allows goes wrong, often.
pub(crate) fn faulty(faults: Faults) -> Store {
    Store::new(Arc::new(MemoryEngine::with_faults(3, faults)), None)
}

pub(crate) fn fjall() -> Store {
    let directory = tempfile::tempdir().unwrap();
    let engine = FjallEngine::open(directory.path(), FjallOptions::default(), Clock::system()).unwrap();
    Store::new(Arc::new(engine), Some(directory))
}

pub(crate) async fn postgres(url: &str, commits: Commits) -> Store {
    let options = PostgresOptions { commits, ..PostgresOptions::default() };
    Store::new(Arc::new(PostgresEngine::open(url, options).await.unwrap()), None)
}

/// Runs every case in a database of its own. One server for all: starting one takes seconds.
pub(crate) async fn run_on_postgres(cases: Vec<Case>, commits: Commits) {
    let cluster = Cluster::start(None, Sync::Off);
    let (mut failed, clock) = (Vec::new(), Clock::system());
    for (number, (name, case)) in cases.into_iter().enumerate() {
        let database = format!("case_{number}");
        let store = postgres(&cluster.database(&database), commits).await;
        let started = clock.monotonic();
        if tokio::spawn(case(store.clone())).await.is_err() {
            failed.push(name);
        }
        println!("{name}: {} ms", (clock.monotonic() - started).as_millis());
        store.db.close().await;
    }
    assert!(failed.is_empty(), "these failed, their panics are above: {failed:#?}");
}

/// Makes a test of each function, for each engine. A function takes the [`Db`], or after `stores:` the [`Store`].
macro_rules! conformance {
    (stores: $($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::harness::memory()).await;
            })+
        }
        mod fjall {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::harness::fjall()).await;
            })+
        }
        pub(crate) fn cases() -> Vec<crate::harness::Case> {
            vec![$((concat!(module_path!(), "::", stringify!($name)), |store| Box::pin($name(store)))),+]
        }
    };
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
        pub(crate) fn cases() -> Vec<crate::harness::Case> {
            vec![$((concat!(module_path!(), "::", stringify!($name)), |store| Box::pin($name(store.db)))),+]
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
