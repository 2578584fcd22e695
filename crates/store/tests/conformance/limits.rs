use lambent_store::{Db, StoreError, Txn, limits};

use crate::harness::{Store, write};

conformance!(
    stores:
    rows_at_the_limits_fit,
    rows_beyond_the_limits_are_refused,
    transactions_at_the_limit_fit,
    transactions_are_bounded,
    large_transactions_are_bounded_too
);

/// So many of the longest values are just too many for one transaction.
const TOO_MANY_VALUES: usize = limits::MAX_TXN_BYTES / limits::MAX_VALUE_BYTES;

async fn refusal(db: &Db, change: impl Fn(&Txn)) -> StoreError {
    let change = &change;
    let refused = db.run(|txn| async move {
        change(&txn);
        Ok::<_, StoreError>(())
    });
    refused.await.unwrap_err()
}

async fn rows_at_the_limits_fit(Store { db, .. }: Store) {
    let key = vec![b'k'; limits::MAX_KEY_BYTES];
    let value = vec![7; limits::MAX_VALUE_BYTES];
    write(&db, |txn| txn.put(&key, &value)).await;
    assert_eq!(crate::harness::get(&db, &key).await, Some(value));
}

async fn rows_beyond_the_limits_are_refused(Store { db, .. }: Store) {
    let long_key = vec![b'k'; limits::MAX_KEY_BYTES + 1];
    let long_value = vec![7; limits::MAX_VALUE_BYTES + 1];
    assert!(matches!(
        refusal(&db, |txn| txn.put(&long_key, b"")).await,
        StoreError::KeyTooLong { length: 4097 }
    ));
    assert!(matches!(
        refusal(&db, |txn| txn.put_stamped(&long_key[12..], b"", b"")).await,
        StoreError::KeyTooLong { length: 4097 }
    ));
    assert!(matches!(
        refusal(&db, |txn| txn.put(b"k", &long_value)).await,
        StoreError::ValueTooLong { length: 65537 }
    ));
    assert!(matches!(refusal(&db, |txn| txn.put(b"", b"")).await, StoreError::KeyReserved));
    assert!(matches!(refusal(&db, |txn| txn.delete(b"\xfev")).await, StoreError::KeyReserved));
}

async fn transactions_at_the_limit_fit(Store { db, .. }: Store) {
    let value = vec![7; limits::MAX_VALUE_BYTES];
    write(&db, |txn| {
        for row in 1..TOO_MANY_VALUES {
            txn.put(&row.to_be_bytes(), &value);
        }
    })
    .await;
    let last = (TOO_MANY_VALUES - 1).to_be_bytes();
    assert_eq!(crate::harness::get(&db, &last).await, Some(value));
}

async fn transactions_are_bounded(Store { db, .. }: Store) {
    let value = vec![7; limits::MAX_VALUE_BYTES];
    let too_large = refusal(&db, |txn| {
        for row in 0..TOO_MANY_VALUES {
            txn.put(&row.to_be_bytes(), &value);
        }
    });
    assert!(matches!(too_large.await, StoreError::TransactionTooLarge { .. }));
    let too_many = refusal(&db, |txn| {
        for row in 0..=limits::MAX_TXN_OPS as u64 {
            txn.delete(&row.to_be_bytes());
        }
    });
    assert!(matches!(too_many.await, StoreError::TransactionTooComplex));
}

async fn large_transactions_are_bounded_too(Store { db, engine, .. }: Store) {
    let at_most = engine.max_large_txn_bytes();
    assert!((limits::MAX_TXN_BYTES..=limits::MAX_LARGE_TXN_BYTES).contains(&at_most), "{at_most}");
    let value = &vec![7; limits::MAX_VALUE_BYTES];
    let too_many = at_most / limits::MAX_VALUE_BYTES;
    let write = |rows: usize| {
        db.run_large(move |txn| async move {
            for row in 0..rows {
                txn.put(&row.to_be_bytes(), value);
            }
            Ok::<_, StoreError>(())
        })
    };
    let refused = write(too_many).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::TransactionTooLarge { at_most: told, .. } if told == at_most),
        "{refused}"
    );
    assert_eq!(crate::harness::get(&db, &0_usize.to_be_bytes()).await, None);
    write(too_many - 1).await.unwrap();
    assert_eq!(crate::harness::get(&db, &(too_many - 2).to_be_bytes()).await.as_ref(), Some(value));
}
