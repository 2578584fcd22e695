use lambent_store::{Db, KeyRange, ScanOptions};

use crate::harness::write;

conformance!(stamped_rows_sort_by_commit, stamped_rows_of_many_tasks_all_arrive);

async fn values(db: &Db) -> Vec<u16> {
    let range = &KeyRange::prefix(b"log/");
    let page = db.read(|txn| async move { txn.scan(range, ScanOptions::rows(10_000)).await }).await.unwrap();
    page.rows.iter().map(|(_, value)| u16::from_be_bytes([value[0], value[1]])).collect()
}

async fn stamped_rows_sort_by_commit(db: Db) {
    for commit in 0..20_u16 {
        write(&db, |txn| {
            for row in 0..10 {
                // The suffix would sort the other way round.
                let value = commit * 10 + row;
                txn.put_stamped(b"log/", &[u8::try_from(200 - value).unwrap_or(0)], &value.to_be_bytes());
            }
        })
        .await;
    }
    assert_eq!(values(&db).await, (0..200).collect::<Vec<_>>());
}

async fn stamped_rows_of_many_tasks_all_arrive(db: Db) {
    let tasks = (0..100_u16).map(|task| {
        let db = db.clone();
        tokio::spawn(
            async move { write(&db, |txn| txn.put_stamped(b"log/", b"", &task.to_be_bytes())).await },
        )
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut values = values(&db).await;
    values.sort_unstable();
    assert_eq!(values, (0..100).collect::<Vec<_>>());
}
