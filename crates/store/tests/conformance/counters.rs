use lambent_store::{Db, KeyRange, ScanOptions, StoreError};

use crate::harness::{get, write};

conformance!(
    adds_from_many_tasks_sum_up,
    a_number_only_rises,
    own_counters_are_read,
    other_values_are_refused,
    sums_saturate,
);

fn signed(row: Option<Vec<u8>>) -> i64 {
    i64::from_le_bytes(row.unwrap().try_into().unwrap())
}

async fn adds_from_many_tasks_sum_up(db: Db) {
    let tasks = (0..50).map(|task: i64| {
        let db = db.clone();
        tokio::spawn(async move { write(&db, |txn| txn.add(b"n", task - 20)).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(signed(get(&db, b"n").await), (0..50).map(|task| task - 20).sum::<i64>());
}

async fn a_number_only_rises(db: Db) {
    for floor in [7, 3, 9, 8] {
        write(&db, |txn| txn.max(b"n", floor)).await;
    }
    assert_eq!(signed(get(&db, b"n").await), 9);
}

async fn own_counters_are_read(db: Db) {
    write(&db, |txn| txn.add(b"n", 10)).await;
    db.run(|txn| async move {
        txn.add(b"n", 5);
        txn.max(b"n", 12);
        txn.add(b"n", -1);
        let fourteen = 14_i64.to_le_bytes();
        assert_eq!(txn.get(b"n").await?.as_deref(), Some(&fourteen[..]));
        let page = txn.scan(&KeyRange::prefix(b"n"), ScanOptions::default()).await?;
        assert_eq!(page.rows[0].1, fourteen[..]);
        txn.add(b"m", 1);
        let page = txn.scan(&KeyRange::prefix(b"m"), ScanOptions::default()).await?;
        assert_eq!(page.rows[0].1, 1_i64.to_le_bytes()[..]);
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
    assert_eq!(signed(get(&db, b"n").await), 14);
}

async fn other_values_are_refused(db: Db) {
    write(&db, |txn| txn.put(b"text", b"not a number")).await;
    let refused = db
        .run(|txn| async move {
            txn.put(b"other", b"1");
            txn.add(b"text", 1);
            Ok::<_, StoreError>(())
        })
        .await;
    assert!(matches!(refused, Err(StoreError::NotACounter { length: 12 })));
    assert_eq!(get(&db, b"other").await, None);
    write(&db, |txn| txn.put(b"other", b"the store goes on")).await;
}

async fn sums_saturate(db: Db) {
    write(&db, |txn| txn.add(b"n", i64::MAX)).await;
    write(&db, |txn| txn.add(b"n", 1)).await;
    assert_eq!(signed(get(&db, b"n").await), i64::MAX);
}
