use lambent_store::{Db, KeyRange, StoreError};

use crate::harness::{expect, get, rows, write};

conformance!(
    committed_rows_are_read,
    own_writes_are_read,
    failed_closures_write_nothing,
    a_snapshot_does_not_move,
    a_snapshot_shows_its_time_whoever_reads_since,
    range_deletes_hit_rows_and_own_writes,
    cleared_ranges_are_empty,
    read_transactions_cannot_write,
    ended_transactions_are_dead,
);

async fn committed_rows_are_read(db: Db) {
    assert_eq!(get(&db, b"k").await, None);
    write(&db, |txn| txn.put(b"k", b"1")).await;
    assert_eq!(get(&db, b"k").await.as_deref(), Some(&b"1"[..]));
    write(&db, |txn| txn.put(b"k", b"")).await;
    assert_eq!(get(&db, b"k").await.as_deref(), Some(&b""[..]));
    write(&db, |txn| txn.delete(b"k")).await;
    assert_eq!(get(&db, b"k").await, None);
}

async fn own_writes_are_read(db: Db) {
    write(&db, |txn| txn.put(b"a", b"old")).await;
    db.run(|txn| async move {
        txn.put(b"a", b"new");
        assert_eq!(txn.get(b"a").await?.as_deref(), Some(&b"new"[..]));
        txn.delete(b"a");
        assert_eq!(txn.get(b"a").await?, None);
        assert_eq!(txn.get_snapshot(b"a").await?, None);
        txn.put(b"b", b"1");
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
    assert_eq!(rows(&db, &KeyRange::new(&b"a"[..], &b"z"[..])).await, expect(&[("b", "1")]));
}

async fn failed_closures_write_nothing(db: Db) {
    let refused = db
        .run(|txn| async move {
            txn.put(b"k", b"1");
            Err::<(), _>(StoreError::Unavailable("the service says no".to_owned()))
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Unavailable(reason)) if reason == "the service says no"));
    assert_eq!(get(&db, b"k").await, None);
}

async fn a_snapshot_does_not_move(db: Db) {
    write(&db, |txn| txn.put(b"k", b"1")).await;
    let writer = &db;
    db.read(|txn| async move {
        assert_eq!(txn.get(b"k").await?.as_deref(), Some(&b"1"[..]));
        write(writer, |txn| {
            txn.put(b"k", b"2");
            txn.put(b"l", b"2");
        })
        .await;
        assert_eq!(txn.get(b"k").await?.as_deref(), Some(&b"1"[..]));
        assert_eq!(txn.get(b"l").await?, None);
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
}

async fn a_snapshot_shows_its_time_whoever_reads_since(db: Db) {
    write(&db, |txn| txn.put(b"k", b"1")).await;
    assert_eq!(get(&db, b"later").await, None);
    let others = &db;
    db.read(|txn| async move {
        assert_eq!(txn.get(b"open").await?, None);
        for value in [b"2", b"3"] {
            write(others, |txn| {
                txn.put(b"k", value);
                txn.put(b"later", value);
            })
            .await;
            for key in [&b"k"[..], b"later", b"k"] {
                assert_eq!(get(others, key).await.as_deref(), Some(&value[..]));
            }
        }
        assert_eq!(txn.get(b"k").await?.as_deref(), Some(&b"1"[..]));
        assert_eq!(txn.get(b"later").await?, None);
        assert_eq!(get(others, b"k").await.as_deref(), Some(&b"3"[..]));
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
}

async fn range_deletes_hit_rows_and_own_writes(db: Db) {
    write(&db, |txn| {
        for key in ["a", "b1", "b2", "c"] {
            txn.put(key.as_bytes(), b"old");
        }
    })
    .await;
    db.run(|txn| async move {
        txn.put(b"b3", b"own");
        txn.delete_range(&KeyRange::prefix(b"b"));
        assert_eq!(txn.get(b"b1").await?, None);
        assert_eq!(txn.get(b"b3").await?, None);
        txn.put(b"b2", b"after");
        txn.add(b"b4", 2);
        assert_eq!(txn.get(b"b2").await?.as_deref(), Some(&b"after"[..]));
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
    let left = rows(&db, &KeyRange::new(&b"a"[..], &b"z"[..])).await;
    let counter = "\u{2}\0\0\0\0\0\0\0";
    assert_eq!(left, expect(&[("a", "old"), ("b2", "after"), ("b4", counter), ("c", "old")]));
}

async fn cleared_ranges_are_empty(db: Db) {
    for block in 0..3 {
        write(&db, |txn| {
            for row in 0..4_000_u64 {
                txn.put(format!("k{block}{row:05}").as_bytes(), b"v");
            }
        })
        .await;
    }
    write(&db, |txn| txn.put(b"l", b"stays")).await;
    let refused = db
        .run(|txn| async move {
            txn.delete_range(&KeyRange::prefix(b"k"));
            Ok::<_, StoreError>(())
        })
        .await;
    assert!(matches!(refused, Err(StoreError::RangeTooLarge)));
    assert_eq!(db.clear(&KeyRange::prefix(b"k")).await.unwrap(), 12_000);
    assert_eq!(rows(&db, &KeyRange::new(&b"a"[..], &b"z"[..])).await, expect(&[("l", "stays")]));
}

async fn read_transactions_cannot_write(db: Db) {
    let refused = db
        .read(|txn| async move {
            txn.put(b"k", b"1");
            Ok::<_, StoreError>(())
        })
        .await;
    assert!(matches!(refused, Err(StoreError::ReadOnly)));
    assert_eq!(get(&db, b"k").await, None);
}

async fn ended_transactions_are_dead(db: Db) {
    let leaked = db
        .run(|txn| async move {
            txn.put(b"k", b"1");
            Ok::<_, StoreError>(txn)
        })
        .await
        .unwrap();
    leaked.put(b"k", b"2");
    assert!(matches!(leaked.get(b"k").await, Err(StoreError::TransactionEnded)));
    assert_eq!(get(&db, b"k").await.as_deref(), Some(&b"1"[..]));
}
