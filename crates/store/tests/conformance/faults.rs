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

/// A store dies at every point, and the next process finds what was acknowledged, whole, and nothing twice.
#[tokio::test]
async fn crashes_at_any_point_lose_nothing_acknowledged() {
    let faults = Faults { conflicts: 50, unknown_applied: 100, unknown_lost: 100, slow_reads: 300 };
    let mut engine = MemoryEngine::with_faults(9, faults);
    let mut acknowledged = Vec::new();
    for life in 0..150_u64 {
        engine.crash_after(1 + life);
        let db = Db::new(Arc::new(engine.clone()), Clock::system(), Random::seeded(life));
        let tasks =
            (0..4).map(|task| tokio::spawn(append_until_it_dies(db.clone(), format!("{life}/{task}"))));
        for task in tasks.collect::<Vec<_>>() {
            acknowledged.extend(task.await.unwrap());
        }
        assert!(db.health().is_err());
        engine = engine.restart();
        let db = Db::new(Arc::new(engine.clone()), Clock::system(), Random::seeded(life));
        let log = rows(&db, &KeyRange::prefix(b"log/")).await;
        let mut names: Vec<String> = log.into_iter().map(|(_, name)| name).collect();
        let count = get(&db, b"count").await.map_or(0, |row| u64::from_le_bytes(row.try_into().unwrap()));
        assert_eq!(count, names.len() as u64, "life {life}");
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "life {life}: applied twice");
        for name in &acknowledged {
            assert!(names.binary_search(name).is_ok(), "life {life}: {name} was acknowledged and is lost");
        }
    }
    assert!(acknowledged.len() > 1_000, "{}", acknowledged.len());
}

/// Returns the names whose commits were acknowledged.
async fn append_until_it_dies(db: Db, prefix: String) -> Vec<String> {
    let mut acknowledged = Vec::new();
    loop {
        let name = format!("{prefix}/{}", acknowledged.len());
        let appended = {
            let name = name.as_bytes();
            db.run(|txn| async move {
                txn.get(b"read").await?;
                txn.put_stamped(b"log/", b"", name);
                txn.add(b"count", 1);
                Ok::<_, StoreError>(())
            })
            .await
        };
        match appended {
            Ok(()) => acknowledged.push(name),
            Err(_) => return acknowledged,
        }
    }
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
