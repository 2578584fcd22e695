use lambent_store::{Db, KeyRange, StoreError, delete_large, get_large, limits, put_large};

use crate::harness::rows;

conformance!(values_of_all_sizes_come_back, replaced_and_deleted_values_leave_nothing);

fn value(length: usize) -> Vec<u8> {
    (0_u32..).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).take(length).collect()
}

async fn put(db: &Db, key: &[u8], value: &[u8]) {
    db.run(|txn| async move { put_large(&txn, key, value).await }).await.unwrap();
}

async fn values_of_all_sizes_come_back(db: Db) {
    let limit = limits::MAX_VALUE_BYTES;
    for length in [0, 1, limit - 1, limit, limit + 1, 5 * limit, 20 * limit + 17] {
        let value = value(length);
        put(&db, b"k", &value).await;
        let read = db.read(|txn| async move { get_large(&txn, b"k").await }).await.unwrap();
        assert!(read.as_deref() == Some(&value[..]), "{length}");
    }
    let too_large = vec![0; limits::MAX_TXN_BYTES + 1];
    let too_large = &too_large[..];
    let refused = db.run(|txn| async move { put_large(&txn, b"k", too_large).await }).await;
    assert!(matches!(refused, Err(StoreError::TransactionTooLarge { .. })));
}

async fn replaced_and_deleted_values_leave_nothing(db: Db) {
    let chunks = KeyRange::prefix(&[limits::FIRST_RESERVED_BYTE]);
    put(&db, b"k", &value(5 * limits::MAX_VALUE_BYTES)).await;
    // Neighbours whose keys begin alike keep their chunks.
    put(&db, b"k\0\0\0\x01", &value(2 * limits::MAX_VALUE_BYTES)).await;
    assert_eq!(rows(&db, &chunks).await.len(), 7);
    put(&db, b"k", &value(2 * limits::MAX_VALUE_BYTES)).await;
    assert_eq!(rows(&db, &chunks).await.len(), 4);
    put(&db, b"k", b"short").await;
    assert_eq!(rows(&db, &chunks).await.len(), 2);
    put(&db, b"k", &value(2 * limits::MAX_VALUE_BYTES)).await;
    db.run(|txn| async move { delete_large(&txn, b"k").await }).await.unwrap();
    assert_eq!(rows(&db, &chunks).await.len(), 2);
    assert_eq!(rows(&db, &KeyRange::prefix(b"k")).await.len(), 1);
}
