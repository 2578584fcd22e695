use lambent_store::{Db, StoreError};

use crate::harness::{get, write};

conformance!(commits_wake_their_topics, failed_transactions_wake_nobody);

async fn commits_wake_their_topics(db: Db) {
    let mut watch = db.watch(b"topic");
    let waiter = tokio::spawn({
        let db = db.clone();
        async move {
            watch.changed().await;
            get(&db, b"k").await
        }
    });
    write(&db, |txn| {
        txn.put(b"k", b"1");
        txn.on_commit(b"topic");
        txn.on_commit(b"topic");
    })
    .await;
    // Whoever is woken sees the commit.
    assert_eq!(waiter.await.unwrap().as_deref(), Some(&b"1"[..]));
}

async fn failed_transactions_wake_nobody(db: Db) {
    let mut watch = db.watch(b"topic");
    let failed = db.run(|txn| async move {
        txn.put(b"k", b"1");
        txn.on_commit(b"topic");
        Err::<(), _>(StoreError::Unavailable("no".to_owned()))
    });
    failed.await.unwrap_err();
    write(&db, |txn| {
        txn.put(b"k", b"2");
        txn.on_commit(b"other topic");
    })
    .await;
    let woken = std::pin::pin!(watch.changed());
    let waker = std::task::Waker::noop();
    assert!(woken.poll(&mut std::task::Context::from_waker(waker)).is_pending());
}
