//! Reads that last, on a store that several nodes share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{Clock, Random};
use lambent_bus::{NodeId, Nodes};
use lambent_care::{Findings, Mend};
use lambent_store::{Db, MemoryEngine, ScanOptions, StoreError};

use crate::keys;
use crate::readers::{Held, OpenReaders};
use crate::reading::Reading;
use crate::rows::{Data, ObjectRow};

const BLOB: &str = "00112233445566778899aabbccddeeff";
/// More than the scheduler needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of the nodes on a store.
struct Node {
    db: Db,
    nodes: Nodes,
    readers: OpenReaders,
}

async fn node(engine: &MemoryEngine, told_after: Duration) -> Node {
    let (clock, random) = (Clock::system(), Random::system());
    let db = Db::new(Arc::new(engine.clone()), clock.clone(), random.clone());
    let nodes = Nodes::join(db.clone(), random).await.unwrap();
    let readers = OpenReaders::telling(Reading::after(db.clone(), nodes.clone(), told_after), clock);
    Node { db, nodes, readers }
}

impl Node {
    async fn hold(&self) -> Held {
        let row = ObjectRow {
            owner: String::new(),
            size: 1,
            etag: String::new(),
            modified_unix_s: 0,
            sequencer: 1,
            checksum: None,
            metadata: crate::rows::Metadata::default(),
            data: Data::Blob(BLOB.to_owned()),
            inline: Bytes::new(),
        };
        self.readers.hold(|| std::future::ready(Ok(Some(row.clone())))).await.unwrap().unwrap()
    }

    /// What this node's sweeper is told.
    async fn sees_a_reader(&self) -> bool {
        self.db.run(|txn| async move { self.readers.reads(&txn, BLOB).await }).await.unwrap()
    }

    /// Beats, and finds that it was taken for dead.
    async fn join_anew(&self) {
        let mut renamed = self.nodes.renamed();
        let joined = async {
            tokio::select! {
                () = self.nodes.run() => {}
                changed = renamed.changed() => changed.unwrap(),
            }
        };
        tokio::time::timeout(PATIENCE, joined).await.expect("the node does not join anew");
    }

    /// Waits until so many rows speak of readers.
    async fn until_rows(&self, count: usize) {
        let reached = async {
            while self.rows().await.len() != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the rows of readers do not come or go");
    }

    /// Whose reads the rows speak of.
    async fn rows(&self) -> Vec<NodeId> {
        let all = &keys::all_reading(BLOB);
        let page = self.db.read(|txn| async move { txn.scan_snapshot(all, ScanOptions::default()).await });
        page.await.unwrap().rows.iter().map(|(key, _)| keys::node_of_reading(key).unwrap()).collect()
    }
}

#[tokio::test]
async fn a_read_that_lasts_is_seen_by_other_nodes_until_it_ends() {
    let engine = MemoryEngine::new().shared();
    let (one, other) = (node(&engine, Duration::ZERO).await, node(&engine, Duration::ZERO).await);
    assert!(!other.sees_a_reader().await);
    let held = one.hold().await;
    other.until_rows(1).await;
    assert!(other.sees_a_reader().await && one.sees_a_reader().await);
    let second = one.hold().await;
    drop(held);
    assert!(other.sees_a_reader().await, "the second still reads");
    drop(second);
    assert!(!one.sees_a_reader().await, "it knows its own without rows");
    other.until_rows(0).await;
    assert!(!other.sees_a_reader().await);
}

#[tokio::test]
async fn a_short_read_writes_nothing() {
    let engine = MemoryEngine::new().shared();
    let (one, other) = (node(&engine, PATIENCE).await, node(&engine, PATIENCE).await);
    let held = one.hold().await;
    tokio::task::yield_now().await;
    assert!(one.sees_a_reader().await);
    drop(held);
    tokio::task::yield_now().await;
    assert!(other.rows().await.is_empty());
}

#[tokio::test]
async fn what_a_dead_node_read_waits_once_more_and_then_no_longer() {
    let engine = MemoryEngine::new().shared();
    let (dying, other) = (node(&engine, Duration::ZERO).await, node(&engine, Duration::ZERO).await);
    let _held = dying.hold().await;
    other.until_rows(1).await;
    dying.nodes.leave().await.unwrap();
    assert!(other.sees_a_reader().await, "it may only be cut off");
    assert!(other.rows().await.is_empty(), "whoever finds such a row removes it");
    assert!(!other.sees_a_reader().await);
}

/// The row of a node that could not reach the store for a while is gone; its reads go on.
#[tokio::test]
async fn a_node_that_was_taken_for_dead_tells_its_reads_again() {
    let engine = MemoryEngine::new().shared();
    let (cut_off, other) = (node(&engine, Duration::ZERO).await, node(&engine, Duration::ZERO).await);
    let held = cut_off.hold().await;
    other.until_rows(1).await;
    cut_off.nodes.leave().await.unwrap();
    assert!(other.sees_a_reader().await, "the sweeper waits until the node can tell again");
    cut_off.join_anew().await;
    other.until_rows(1).await;
    assert_eq!(other.rows().await, [cut_off.nodes.id()]);
    assert!(other.sees_a_reader().await && other.sees_a_reader().await);
    drop(held);
    other.until_rows(0).await;
}

/// Nobody looked for the row that it had before.
#[tokio::test]
async fn a_node_that_joins_anew_leaves_no_row_under_its_old_name() {
    let engine = MemoryEngine::new().shared();
    let (cut_off, other) = (node(&engine, Duration::ZERO).await, node(&engine, Duration::ZERO).await);
    let held = cut_off.hold().await;
    other.until_rows(1).await;
    cut_off.nodes.leave().await.unwrap();
    cut_off.join_anew().await;
    let renamed = async {
        while other.rows().await != [cut_off.nodes.id()] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, renamed).await.expect("the old row stays, or the new one does not come");
    drop(held);
    other.until_rows(0).await;
}

#[tokio::test]
async fn rows_of_reads_are_in_no_dump_and_are_checked() {
    let engine = MemoryEngine::new().shared();
    let one = node(&engine, Duration::ZERO).await;
    let _held = one.hold().await;
    one.until_rows(1).await;
    let key = keys::reading(BLOB, one.nodes.id(), 0);
    assert!(crate::process_rows().iter().any(|range| range.contains(&key)));
    let found = || async {
        let mut findings = Findings::default();
        crate::check(&one.db.export().await.unwrap(), &mut findings).await.unwrap();
        findings.problems
    };
    assert_eq!(found().await, []);
    let odd = b"s3/reading/no name";
    let spoil = one.db.run(|txn| async move {
        txn.put(odd, b"");
        Ok::<_, StoreError>(())
    });
    spoil.await.unwrap();
    let problems = found().await;
    let mend = Mend::Row { key: Bytes::from_static(odd), seen: Some(Bytes::new()), to: None };
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].mends, [mend]);
}

#[tokio::test]
async fn nothing_is_told_where_nobody_else_can_be() {
    let (clock, random) = (Clock::system(), Random::system());
    let db = Db::memory(clock.clone(), random.clone());
    let nodes = Nodes::join(db.clone(), random).await.unwrap();
    let readers = OpenReaders::new(&db, &nodes, clock);
    let node = Node { db, nodes, readers };
    let held = node.hold().await;
    assert!(node.sees_a_reader().await);
    drop(held);
    assert!(!node.sees_a_reader().await && node.rows().await.is_empty());
}
