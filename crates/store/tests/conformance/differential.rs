//! The same random work on every engine has the same results, errors and leftovers as on the memory engine.

use std::fmt::Write;

use bytes::Bytes;
use lambent_base::{Clock, Random};
use lambent_store::engine::STAMP_BYTES;
use lambent_store::{Db, KeyRange, ScanOptions, StoreError, Txn, delete_large, get_large, put_large};

conformance!(work_has_the_same_results_everywhere);

const SEEDS: u64 = 4;
const TRANSACTIONS: u64 = 80;
const STAMPED: &[u8] = b"stamped/";

async fn work_has_the_same_results_everywhere(db: Db) {
    for seed in 0..SEEDS {
        let memory = Db::memory(Clock::system(), Random::seeded(1));
        let (expected, found) = (transcript(&memory, seed).await, transcript(&db, seed).await);
        for (number, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
            assert_eq!(expected, found, "seed {seed}, line {number}");
        }
        assert_eq!(expected.len(), found.len());
        let everything = KeyRange::new(&b"a"[..], &b"z"[..]);
        db.clear(&everything).await.unwrap();
    }
}

/// One line for each result.
async fn transcript(db: &Db, seed: u64) -> String {
    let random = Random::seeded(seed);
    let mut lines = String::new();
    for number in 0..TRANSACTIONS {
        // A seed for each transaction, so that an attempt more would do the same.
        let own = random.u64();
        let done = db.run(|txn| async move {
            let (random, mut lines) = (Random::seeded(own), String::new());
            for _ in 0..1 + random.u64() % 6 {
                step(&txn, &random, &mut lines).await?;
            }
            Ok::<_, StoreError>(lines)
        });
        match done.await {
            Ok(done) => lines.push_str(&done),
            Err(error) => writeln!(lines, "transaction {number}: {error}").unwrap(),
        }
    }
    let everything = &KeyRange::new(&b"a"[..], &b"z"[..]);
    let left = db.read(|txn| async move { pages(&txn, everything, ScanOptions::rows(7), true).await });
    lines + &left.await.unwrap()
}

async fn step(txn: &Txn, random: &Random, lines: &mut String) -> Result<(), StoreError> {
    let below = |end: u64| random.u64() % end;
    let any = |random: &Random| format!("k{:02}", random.u64() % 40).into_bytes();
    let (key, other) = (any(random), any(random));
    match below(13) {
        0 | 1 => txn.put(&key, &vec![b'v'; usize::try_from(below(200)).unwrap()]),
        2 => txn.delete(&key),
        3 if below(3) == 0 => txn.delete_range(&KeyRange::new(key, other)),
        3 | 4 => txn.add(format!("n{}", below(3)).as_bytes(), random.u64().cast_signed()),
        5 => txn.max(format!("n{}", below(3)).as_bytes(), below(1 << 40)),
        // Seldom a counter.
        6 if below(4) == 0 => txn.add(&key, 1),
        6 | 7 => txn.put_stamped(STAMPED, &key, &other),
        8 => put_large(txn, b"large", &vec![7; usize::try_from(below(300_000)).unwrap()]).await?,
        9 if below(3) == 0 => delete_large(txn, b"large").await?,
        9 => writeln!(lines, "large {:?}", get_large(txn, b"large").await?.map(|value| value.len())).unwrap(),
        10 => writeln!(lines, "get {:?}", txn.get(&key).await?).unwrap(),
        11 => writeln!(lines, "snapshot {:?}", txn.get_snapshot(&key).await?).unwrap(),
        _ => {
            let mut options = ScanOptions::rows(usize::try_from(1 + below(60)).unwrap());
            options.max_bytes = usize::try_from(1 + below(3000)).unwrap();
            options.reverse = below(2) == 0;
            options.keys_only = below(2) == 0;
            let range = if below(2) == 0 { KeyRange::new(key, other) } else { KeyRange::prefix(b"k") };
            lines.push_str(&pages(txn, &range, options, below(2) == 0).await?);
        }
    }
    Ok(())
}

/// A page, or all.
async fn pages(txn: &Txn, range: &KeyRange, options: ScanOptions, all: bool) -> Result<String, StoreError> {
    let mut lines = String::new();
    let mut left = Some(range.clone());
    while let Some(range) = left {
        let page = txn.scan(&range, options).await?;
        for (key, value) in &page.rows {
            writeln!(lines, "row {:?} {value:?}", comparable(key)).unwrap();
        }
        writeln!(lines, "page {:?}", page.more.as_ref().map(comparable)).unwrap();
        left = range.rest(&page, options.reverse).filter(|_| all);
    }
    Ok(lines)
}

/// The key without its stamp: the contract promises the order of versions, not their numbers.
fn comparable(key: &Bytes) -> Bytes {
    match key.strip_prefix(STAMPED) {
        Some(rest) if rest.len() >= STAMP_BYTES => Bytes::copy_from_slice(&rest[STAMP_BYTES..]),
        _ => key.clone(),
    }
}
