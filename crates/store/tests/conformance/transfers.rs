use bytes::Bytes;
use lambent_store::{
    Db, Export, KeyRange, ScanOptions, StoreError, Version, expect_whole, get_large, limits, put_large,
};

use crate::harness::{self, get, rows, write};

conformance!(
    an_export_stays_what_it_was,
    what_is_exported_can_be_imported,
    an_import_needs_an_empty_store,
    a_cut_off_import_is_refused_and_begun_anew,
    of_two_imports_the_later_one_goes_on_alone,
    a_chunk_goes_only_if_no_value_has_it,
);

/// How many rows an export is held over.
const ROWS: u32 = 3_000;

async fn read_all(export: &Export) -> Vec<(Bytes, Bytes)> {
    let (mut all, mut left) = (Vec::new(), Some(Export::all()));
    while let Some(range) = left {
        let page = export.page(&range, ScanOptions::rows(97)).await.unwrap();
        left = range.rest(&page, false);
        all.extend(page.rows);
    }
    all
}

async fn fill(db: &Db) {
    for start in (0..ROWS).step_by(1000) {
        write(db, |txn| {
            for number in start..(start + 1000).min(ROWS) {
                txn.put(format!("row/{number:06}").as_bytes(), &number.to_le_bytes());
            }
            txn.add(b"counter", 5);
            txn.put_stamped(b"stamped/", b"", b"x");
        })
        .await;
    }
    // Longer than an index of PostgreSQL takes.
    write(db, |txn| txn.put(&[b"long/", &[b'k'; 3000][..]].concat(), b"v")).await;
    let large = vec![7; 3 * limits::MAX_VALUE_BYTES + 1];
    let large = &large[..];
    db.run(|txn| async move { put_large(&txn, b"large", large).await }).await.unwrap();
}

async fn an_export_stays_what_it_was(db: Db) {
    fill(&db).await;
    let export = db.export().await.unwrap();
    let before = read_all(&export).await;
    assert_eq!(before.len(), ROWS as usize + 1 + 3 + 1 + 1 + 4);
    assert!(before.is_sorted());
    // Every kind of change, to every row, in as many commits as make an engine forget.
    for round in 0..5 {
        write(&db, |txn| {
            for number in (round..ROWS).step_by(5) {
                let key = format!("row/{number:06}");
                if number % 2 == 0 { txn.delete(key.as_bytes()) } else { txn.put(key.as_bytes(), b"new") }
            }
            txn.add(b"counter", 1);
            txn.put(format!("added/{round}").as_bytes(), b"");
        })
        .await;
    }
    db.run(|txn| async move { put_large(&txn, b"large", b"short").await }).await.unwrap();
    assert!(read_all(&export).await == before, "the view moved");
    assert_eq!(export.get(b"counter").await.unwrap().as_deref(), Some(&15_i64.to_le_bytes()[..]));
    assert_eq!(export.get(b"added/0").await.unwrap(), None);
    let later = db.export().await.unwrap();
    assert!(later.version() > export.version());
    assert_eq!(later.get(b"counter").await.unwrap().as_deref(), Some(&20_i64.to_le_bytes()[..]));
}

async fn what_is_exported_can_be_imported(db: Db) {
    let source = harness::memory().db;
    fill(&source).await;
    // Its version is far ahead.
    for _ in 0..50 {
        write(&source, |txn| txn.add(b"counter", 1)).await;
    }
    let export = source.export().await.unwrap();
    let content = read_all(&export).await;
    let mut import = db.import().await.unwrap();
    for (key, value) in content.clone() {
        import.put(key, value).await.unwrap();
    }
    import.finish(export.version()).await.unwrap();
    let imported = db.export().await.unwrap();
    assert!(imported.version() >= export.version());
    assert!(read_all(&imported).await == content);
    let large = db.read(|txn| async move { get_large(&txn, b"large").await }).await.unwrap().unwrap();
    assert_eq!(large.len(), 3 * limits::MAX_VALUE_BYTES + 1);
    // What is stamped now sorts after what was stamped there.
    write(&db, |txn| txn.put_stamped(b"stamped/", b"", b"later")).await;
    let stamped = rows(&db, &KeyRange::prefix(b"stamped/")).await;
    assert_eq!(stamped.last().map(|(_, value)| value.as_str()), Some("later"));
    assert_eq!(stamped.len(), 4);
    write(&db, |txn| txn.add(b"counter", 1)).await;
    assert_eq!(get(&db, b"counter").await, Some(66_i64.to_le_bytes().to_vec()));
}

async fn an_import_needs_an_empty_store(db: Db) {
    write(&db, |txn| txn.put(b"here", b"")).await;
    assert!(matches!(db.import().await.err(), Some(StoreError::NotEmpty)));
    assert!(!db.is_empty().await.unwrap());
    write(&db, |txn| txn.delete(b"here")).await;
    assert!(db.is_empty().await.unwrap());
    let mut import = db.import().await.unwrap();
    for key in [&b""[..], &[limits::FIRST_ENGINE_BYTE, b'v']] {
        let refused = import.put(Bytes::copy_from_slice(key), Bytes::new()).await;
        assert!(matches!(refused, Err(StoreError::KeyReserved)), "{key:?}");
    }
    import.finish(Version(7)).await.unwrap();
    assert!(db.export().await.unwrap().version() >= Version(7));
    assert!(db.is_empty().await.unwrap());
}

async fn a_cut_off_import_is_refused_and_begun_anew(db: Db) {
    let mut import = db.import().await.unwrap();
    for number in 0..10_000_u32 {
        let key = Bytes::from(format!("row/{number:06}"));
        import.put(key, Bytes::from_static(b"value")).await.unwrap();
    }
    drop(import);
    assert!(matches!(db.check_whole().await, Err(StoreError::HalfImported)));
    assert!(matches!(db.export().await.err(), Some(StoreError::HalfImported)));
    let mut import = db.import().await.unwrap();
    import.put(Bytes::from_static(b"only"), Bytes::from_static(b"this")).await.unwrap();
    import.finish(Version(3)).await.unwrap();
    db.check_whole().await.unwrap();
    let content = read_all(&db.export().await.unwrap()).await;
    assert_eq!(content, [(Bytes::from_static(b"only"), Bytes::from_static(b"this"))]);
}

async fn of_two_imports_the_later_one_goes_on_alone(db: Db) {
    let row = |key: &'static str| (Bytes::from_static(key.as_bytes()), Bytes::from_static(b"value"));
    let mut first = db.import().await.unwrap();
    let big = Bytes::from(vec![0; limits::MAX_VALUE_BYTES]);
    // More than one step takes, so that some of it is in the store.
    for number in 0..limits::MAX_TXN_BYTES / big.len() {
        first.put(Bytes::from(format!("first/{number:03}")), big.clone()).await.unwrap();
    }
    let mut second = db.import().await.unwrap();
    let (key, value) = row("late");
    first.put(key, value).await.unwrap();
    assert!(matches!(first.finish(Version(3)).await, Err(StoreError::ImportReplaced)));
    assert!(matches!(db.check_whole().await, Err(StoreError::HalfImported)));
    let begun = db.run(|txn| async move {
        expect_whole(&txn).await?;
        txn.put(b"node", b"");
        Ok::<_, StoreError>(())
    });
    assert!(matches!(begun.await, Err(StoreError::HalfImported)));
    let (key, value) = row("only");
    second.put(key, value).await.unwrap();
    second.finish(Version(3)).await.unwrap();
    db.check_whole().await.unwrap();
    assert_eq!(read_all(&db.export().await.unwrap()).await, [row("only")]);
}

async fn a_chunk_goes_only_if_no_value_has_it(db: Db) {
    let value = vec![7; 2 * limits::MAX_VALUE_BYTES];
    let value = &value[..];
    db.run(|txn| async move { put_large(&txn, b"large", value).await }).await.unwrap();
    let chunk = |index: u8| [&[limits::FIRST_RESERVED_BYTE][..], b"large", &[0, 0, 0, index]].concat();
    assert!(!db.remove_chunk(&chunk(1)).await.unwrap());
    write(&db, |txn| txn.put(b"large", b"damaged")).await;
    assert!(!db.remove_chunk(&chunk(1)).await.unwrap());
    write(&db, |txn| txn.delete(b"large")).await;
    assert!(db.remove_chunk(&chunk(0)).await.unwrap() && db.remove_chunk(&chunk(1)).await.unwrap());
    assert!(db.is_empty().await.unwrap());
}
