//! Transactions of who delivers that were applied, and whose answers were lost.

use std::collections::BTreeMap;

use super::*;
use crate::settle::{Head, Owner};
use crate::{keys, queues};

async fn owner() -> Owner {
    let db = Db::memory(Clock::manual(NOW_MS).0, Random::seeded(1));
    let nodes = Nodes::join(db.clone(), Random::seeded(2)).await.unwrap();
    let claim = queues::claim(&nodes).await.unwrap();
    let clock = Clock::manual(NOW_MS).0;
    Owner { db, clock, random: Random::seeded(3), queue: claim.queue, lease: claim.lease }
}

#[tokio::test]
async fn what_was_moved_unnoticed_is_not_passed_by_what_is_moved_later() {
    let owner = owner().await;
    let event = |version| (keys::ready_from(0, version).into_bytes(), Bytes::new(), "target".to_owned());
    let head = |head| BTreeMap::from([("target".to_owned(), head)]);
    let first = owner.park(&[event(5)], &head(Head::New(5))).await.unwrap();
    assert_eq!(first["target"], 5);
    // As by one who never heard of the first.
    let second = owner.park(&[event(900)], &head(Head::New(900))).await.unwrap();
    assert_eq!(second["target"], 5);
    let third = owner.park(&[event(901)], &head(Head::Known(7))).await.unwrap();
    assert_eq!(third["target"], 7);
}

#[tokio::test]
async fn what_is_settled_is_not_settled_again() {
    let owner = owner().await;
    let outbox = Outbox::new(owner.db.clone(), owner.clock.clone(), Random::seeded(4));
    let put = owner.db.run(|txn| {
        let outbox = outbox.clone();
        async move { outbox.put(&txn, event(b"{}")).await }
    });
    put.await.unwrap();
    let ready = keys::all_ready();
    let options = lambent_store::ScanOptions::rows(9);
    let page = owner.db.read(|txn| {
        let ready = ready.clone();
        async move { txn.scan(&ready, options).await }
    });
    let (key, row) = page.await.unwrap().rows.remove(0);
    let failed = Delivery::Failed("boom".to_owned()).into();
    owner.settle_again(&key, &row, &failed).await.unwrap();
    for _ in 0..2 {
        owner.settle_again(&key, &row, &failed).await.unwrap();
        assert_eq!(outbox.backlog().await.unwrap(), Backlog { ready: 0, later: 1 });
    }
}
