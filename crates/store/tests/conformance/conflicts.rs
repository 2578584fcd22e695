use std::sync::atomic::{AtomicU32, Ordering};

use lambent_store::{Db, KeyRange, ScanOptions, StoreError, Txn};

use crate::harness::{get, write};

conformance!(
    a_changed_row_conflicts,
    an_absent_row_that_appears_conflicts,
    a_deleted_row_conflicts,
    phantoms_conflict,
    a_scan_depends_only_on_its_page,
    snapshot_reads_do_not_conflict,
    blind_writes_do_not_conflict,
    write_skew_is_refused,
    no_increment_is_lost,
);

/// Runs `read` in a transaction during whose first attempt another one makes `change`; returns the attempts.
async fn attempts<F, Fut>(db: &Db, change: impl Fn(&Txn), read: F) -> u32
where
    F: Fn(Txn) -> Fut,
    Fut: Future<Output = Result<(), StoreError>>,
{
    let attempts = AtomicU32::new(0);
    let (seen, change, read) = (&attempts, &change, &read);
    db.run(|txn| async move {
        read(txn.clone()).await?;
        if seen.fetch_add(1, Ordering::SeqCst) == 0 {
            write(db, change).await;
        }
        txn.put(b"result", b"written");
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
    attempts.into_inner()
}

async fn a_changed_row_conflicts(db: Db) {
    write(&db, |txn| txn.put(b"k", b"1")).await;
    let read = |txn: Txn| async move { txn.get(b"k").await.map(drop) };
    assert_eq!(attempts(&db, |txn| txn.put(b"k", b"2"), read).await, 2);
    assert_eq!(attempts(&db, |txn| txn.add(b"n", 1), read).await, 1);
}

async fn an_absent_row_that_appears_conflicts(db: Db) {
    let read = |txn: Txn| async move { txn.get(b"k").await.map(drop) };
    assert_eq!(attempts(&db, |txn| txn.put(b"k", b"2"), read).await, 2);
}

async fn a_deleted_row_conflicts(db: Db) {
    let read = |txn: Txn| async move { txn.get(b"k").await.map(drop) };
    write(&db, |txn| txn.put(b"k", b"1")).await;
    assert_eq!(attempts(&db, |txn| txn.delete(b"k"), read).await, 2);
    write(&db, |txn| txn.put(b"k", b"1")).await;
    assert_eq!(attempts(&db, |txn| txn.delete_range(&KeyRange::prefix(b"k")), read).await, 2);
    write(&db, |txn| txn.put(b"k1", b"1")).await;
    let scan =
        |txn: Txn| async move { txn.scan(&KeyRange::prefix(b"k"), ScanOptions::default()).await.map(drop) };
    assert_eq!(attempts(&db, |txn| txn.delete_range(&KeyRange::prefix(b"k")), scan).await, 2);
}

async fn phantoms_conflict(db: Db) {
    write(&db, |txn| txn.put(b"k5", b"1")).await;
    let scan =
        |txn: Txn| async move { txn.scan(&KeyRange::prefix(b"k"), ScanOptions::default()).await.map(drop) };
    assert_eq!(attempts(&db, |txn| txn.put(b"k4", b"new"), scan).await, 2);
    assert_eq!(attempts(&db, |txn| txn.put_stamped(b"k6", b"", b"new"), scan).await, 2);
    assert_eq!(attempts(&db, |txn| txn.put(b"l", b"new"), scan).await, 1);
}

async fn a_scan_depends_only_on_its_page(db: Db) {
    write(&db, |txn| {
        for row in 0..9 {
            txn.put(format!("k{row}").as_bytes(), b"v");
        }
    })
    .await;
    let first_two =
        |txn: Txn| async move { txn.scan(&KeyRange::prefix(b"k"), ScanOptions::rows(2)).await.map(drop) };
    assert_eq!(attempts(&db, |txn| txn.put(b"k2", b"changed"), first_two).await, 1);
    assert_eq!(attempts(&db, |txn| txn.put(b"k1", b"changed"), first_two).await, 2);
    assert_eq!(attempts(&db, |txn| txn.put(b"k00", b"changed"), first_two).await, 2);
    let last_two = |txn: Txn| async move {
        txn.scan(&KeyRange::prefix(b"k"), ScanOptions::rows(2).reverse()).await.map(drop)
    };
    assert_eq!(attempts(&db, |txn| txn.put(b"k6", b"changed"), last_two).await, 1);
    assert_eq!(attempts(&db, |txn| txn.put(b"k7", b"changed"), last_two).await, 2);
    assert_eq!(attempts(&db, |txn| txn.put(b"k9", b"changed"), last_two).await, 2);
}

async fn snapshot_reads_do_not_conflict(db: Db) {
    write(&db, |txn| txn.put(b"k", b"1")).await;
    let read = |txn: Txn| async move {
        txn.get_snapshot(b"k").await?;
        txn.scan_snapshot(&KeyRange::prefix(b"k"), ScanOptions::default()).await.map(drop)
    };
    assert_eq!(attempts(&db, |txn| txn.put(b"k", b"2"), read).await, 1);
}

async fn blind_writes_do_not_conflict(db: Db) {
    let nothing = |_: Txn| async move { Ok(()) };
    assert_eq!(attempts(&db, |txn| txn.put(b"result", b"other"), nothing).await, 1);
    assert_eq!(get(&db, b"result").await.as_deref(), Some(&b"written"[..]));
}

async fn write_skew_is_refused(db: Db) {
    write(&db, |txn| {
        txn.put(b"doctor/1", b"on call");
        txn.put(b"doctor/2", b"on call");
    })
    .await;
    let (meet, tasks) = (std::sync::Arc::new(tokio::sync::Barrier::new(2)), ["doctor/1", "doctor/2"]);
    let go_home = |me: &'static str| {
        let (db, meet, met) = (db.clone(), meet.clone(), AtomicU32::new(0));
        async move {
            let (meet, met) = (&meet, &met);
            db.run(|txn| async move {
                let page = txn.scan(&KeyRange::prefix(b"doctor/"), ScanOptions::default()).await?;
                let on_call = page.rows.iter().filter(|(_, value)| &value[..] == b"on call").count();
                if met.fetch_add(1, Ordering::SeqCst) == 0 {
                    meet.wait().await;
                }
                if on_call > 1 {
                    txn.put(me.as_bytes(), b"home");
                }
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        }
    };
    tokio::join!(go_home(tasks[0]), go_home(tasks[1]));
    let states = [get(&db, b"doctor/1").await.unwrap(), get(&db, b"doctor/2").await.unwrap()];
    assert_eq!(states.iter().filter(|state| &state[..] == b"on call").count(), 1);
}

async fn no_increment_is_lost(db: Db) {
    // Reading, then writing, many times at once.
    let increments = (0..64).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            db.run(|txn| async move {
                let old = txn.get(b"n").await?.map_or(0, |row| row[0]);
                txn.put(b"n", &[old + 1]);
                Ok::<_, StoreError>(())
            })
            .await
        })
    });
    for increment in increments.collect::<Vec<_>>() {
        increment.await.unwrap().unwrap();
    }
    assert_eq!(get(&db, b"n").await, Some(vec![64]));
}
