use std::sync::Arc;
use std::time::Duration;

use lambent_base::{Clock, Random};
use lambent_store::{Db, Faults, KeyRange, MemoryEngine, StoreError, limits};

use crate::harness::{faulty, get, rows};

#[tokio::test]
async fn unknown_outcomes_are_never_applied_twice() {
    let store = faulty(Faults { unknown_applied: 300, unknown_lost: 300, ..Faults::default() });
    for number in 0..200_u32 {
        let db = &store.db;
        db.run(|txn| async move {
            txn.put_stamped(b"log/", b"", &number.to_be_bytes());
            txn.add(b"count", 1);
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    }
    assert_eq!(get(&store.db, b"count").await.as_deref(), Some(&200_u64.to_le_bytes()[..]));
    let log = rows(&store.db, &KeyRange::prefix(b"log/")).await;
    let expected: Vec<_> =
        (0..200_u32).map(|number| String::from_utf8_lossy(&number.to_be_bytes()).into_owned()).collect();
    assert_eq!(log.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn conflicts_without_end_are_given_up() {
    let (clock, hand) = Clock::manual(0);
    let engine = MemoryEngine::with_faults(1, Faults { conflicts: 1000, ..Faults::default() });
    let db = Db::new(Arc::new(engine), clock, Random::seeded(1));
    let hand = &hand;
    let contended = db.run(|txn| async move {
        hand.advance(limits::MAX_TXN_AGE / 4);
        txn.put(b"k", b"v");
        Ok::<_, StoreError>(())
    });
    assert!(matches!(contended.await, Err(StoreError::Contended { attempts: 5 })));
    assert_eq!(get(&db, b"k").await, None);
}

#[tokio::test]
async fn slow_transactions_are_refused() {
    let (clock, hand) = Clock::manual(0);
    let db = Db::new(Arc::new(MemoryEngine::new()), clock, Random::seeded(1));
    let hand = &hand;
    let refused = db.run(|txn| async move {
        txn.get(b"k").await?;
        hand.advance(limits::MAX_TXN_AGE + Duration::from_millis(1));
        txn.put(b"k", b"v");
        Ok::<_, StoreError>(())
    });
    assert!(matches!(refused.await, Err(StoreError::TransactionTooSlow)));
    assert_eq!(get(&db, b"k").await, None);
}
