use lambent_store::{Db, KeyRange, ScanOptions, StoreError};

use crate::harness::{expect, texts, write};

conformance!(
    pages_go_forward,
    pages_go_backward,
    pages_are_bounded_in_bytes,
    keys_only_leaves_values_out,
    own_writes_lie_over_pages,
    own_deletes_do_not_shorten_a_page,
    odd_ranges_are_empty,
);

fn all() -> KeyRange {
    KeyRange::prefix(b"k")
}

async fn fill(db: &Db, count: usize) {
    write(db, |txn| {
        txn.put(b"j", b"before");
        txn.put(b"l", b"after");
        for row in 0..count {
            txn.put(format!("k{row:03}").as_bytes(), row.to_string().as_bytes());
        }
    })
    .await;
}

/// Every page of a scan.
async fn pages(db: &Db, range: KeyRange, options: ScanOptions) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut left = Some(range);
    while let Some(range) = left {
        let range = &range;
        let page = db.read(|txn| async move { txn.scan(range, options).await }).await.unwrap();
        pages.push(texts(&page.rows).into_iter().map(|(key, _)| key).collect());
        left = range.rest(&page, options.reverse);
    }
    pages
}

async fn pages_go_forward(db: Db) {
    fill(&db, 7).await;
    let pages = pages(&db, all(), ScanOptions::rows(3)).await;
    assert_eq!(pages, [vec!["k000", "k001", "k002"], vec!["k003", "k004", "k005"], vec!["k006"]]);
}

async fn pages_go_backward(db: Db) {
    fill(&db, 7).await;
    let pages = pages(&db, all(), ScanOptions::rows(3).reverse()).await;
    assert_eq!(pages, [vec!["k006", "k005", "k004"], vec!["k003", "k002", "k001"], vec!["k000"]]);
}

async fn pages_are_bounded_in_bytes(db: Db) {
    fill(&db, 4).await;
    // A row has five bytes: the second reaches the bound.
    let pages = pages(&db, all(), ScanOptions::rows(100).max_bytes(6)).await;
    assert_eq!(pages, [vec!["k000", "k001"], vec!["k002", "k003"]]);
}

async fn keys_only_leaves_values_out(db: Db) {
    fill(&db, 2).await;
    let options = ScanOptions::rows(10).keys_only();
    let page = db.read(|txn| async move { txn.scan(&all(), options).await }).await.unwrap();
    assert_eq!(texts(&page.rows), expect(&[("k000", ""), ("k001", "")]));
}

async fn own_writes_lie_over_pages(db: Db) {
    fill(&db, 3).await;
    db.run(|txn| async move {
        txn.put(b"k0005", b"own");
        txn.put(b"k001", b"changed");
        txn.delete(b"k002");
        txn.put(b"k9", b"last");
        let rows = [("k000", "0"), ("k0005", "own"), ("k001", "changed"), ("k9", "last")];
        let page = txn.scan(&all(), ScanOptions::rows(10)).await?;
        assert_eq!(texts(&page.rows), expect(&rows));
        let page = txn.scan(&all(), ScanOptions::rows(10).reverse()).await?;
        let backward: Vec<_> = rows.iter().rev().copied().collect();
        assert_eq!(texts(&page.rows), expect(&backward));
        let mut left = Some(all());
        let mut single = Vec::new();
        while let Some(range) = left {
            let page = txn.scan_snapshot(&range, ScanOptions::rows(1)).await?;
            single.extend(texts(&page.rows));
            left = range.rest(&page, false);
        }
        assert_eq!(single, expect(&rows));
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
}

async fn own_deletes_do_not_shorten_a_page(db: Db) {
    fill(&db, 20).await;
    db.run(|txn| async move {
        txn.delete_range(&KeyRange::new(&b"k000"[..], &b"k018"[..]));
        let page = txn.scan(&all(), ScanOptions::rows(2)).await?;
        assert_eq!(texts(&page.rows), expect(&[("k018", "18"), ("k019", "19")]));
        let page = txn.scan(&all().before(b"k018"), ScanOptions::rows(2).reverse()).await?;
        assert!(page.rows.is_empty() && page.more.is_none());
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
}

async fn odd_ranges_are_empty(db: Db) {
    fill(&db, 3).await;
    db.run(|txn| async move {
        txn.put(b"k", b"own");
        for range in [KeyRange::new(&b"k2"[..], &b"k1"[..]), KeyRange::new(&b"k"[..], &b"k"[..])] {
            for options in [ScanOptions::rows(5), ScanOptions::rows(5).reverse()] {
                assert_eq!(txn.scan(&range, options).await?, lambent_store::Page::default());
            }
            txn.delete_range(&range);
        }
        assert_eq!(txn.scan(&all(), ScanOptions::rows(9)).await?.rows.len(), 4);
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
}
