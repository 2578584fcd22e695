use lambent_store::engine::{Commit, Op, TxnId, Version};
use lambent_store::{KeyRange, StoreError};

use crate::harness::{Store, get, write};

conformance!(stores: outcomes_are_told, refused_commits_have_no_outcome, versions_rise);

fn commit(id: u128, ops: Vec<Op>) -> Commit {
    Commit {
        id: TxnId(id),
        snapshot: None,
        read_keys: vec![],
        read_ranges: vec![],
        ops,
        topics: vec![],
        frees_space: false,
        at_least: Version(0),
    }
}

fn put(key: &'static [u8]) -> Op {
    Op::Put(key.into(), b"v".as_slice().into())
}

async fn outcomes_are_told(store: Store) {
    let mut versions = Vec::new();
    for id in 1..=20 {
        versions.push(store.engine.commit(commit(id, vec![put(b"k")])).await.unwrap());
    }
    for (id, version) in (1..=20).zip(versions) {
        assert_eq!(store.engine.outcome(TxnId(id)).await.unwrap(), Some(version));
    }
    assert_eq!(store.engine.outcome(TxnId(21)).await.unwrap(), None);
    // Being asked for what was never committed does not disturb it.
    write(&store.db, |txn| txn.put(b"l", b"1")).await;
    assert_eq!(get(&store.db, b"l").await.as_deref(), Some(&b"1"[..]));
}

async fn refused_commits_have_no_outcome(store: Store) {
    write(&store.db, |txn| txn.put(b"text", b"not a number")).await;
    let refused =
        store.engine.commit(commit(7, vec![put(b"k"), Op::Add(b"text".as_slice().into(), 1)])).await;
    assert!(matches!(refused, Err(StoreError::NotACounter { .. })));
    let snapshot = store.engine.snapshot().await.unwrap();
    snapshot.get(b"text").await.unwrap();
    write(&store.db, |txn| txn.put(b"text", b"changed")).await;
    let conflict = Commit {
        snapshot: Some(snapshot),
        read_ranges: vec![KeyRange::prefix(b"t")],
        ..commit(8, vec![put(b"k")])
    };
    assert!(matches!(store.engine.commit(conflict).await, Err(StoreError::Conflict)));
    for id in [7, 8] {
        assert_eq!(store.engine.outcome(TxnId(id)).await.unwrap(), None);
    }
    assert_eq!(get(&store.db, b"k").await, None);
}

async fn versions_rise(store: Store) {
    let commits = (1..=50).map(|id| {
        let engine = store.engine.clone();
        tokio::spawn(async move { engine.commit(commit(id, vec![put(b"k")])).await.unwrap() })
    });
    let mut versions = Vec::new();
    for commit in commits.collect::<Vec<_>>() {
        versions.push(commit.await.unwrap());
    }
    let later = store.engine.commit(commit(51, vec![put(b"k")])).await.unwrap();
    assert!(versions.iter().all(|version| *version < later));
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 50, "each commit has a version of its own");
}
