//! Random transactions at once, checked against a model that runs them one after the other.
//!
//! Each transaction leaves its name at its place in the one order to which a serializable store must be equivalent:
//! either under a sequence number that it reads and raises, or in a stamped row, so that transactions with nothing
//! else in common run side by side. The model replays them in that order: each must have read what it reads then.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use lambent_base::Random;
use lambent_base::text::hex;
use lambent_store::{Db, Faults, KeyRange, ScanOptions, StoreError, Txn};

use crate::harness::rows;

conformance!(histories_with_a_common_row, histories_in_stamp_order);

const KEYS: u64 = 12;
const TASKS: u64 = 8;
const TRANSACTIONS: u64 = 60;

#[derive(Clone, Debug)]
enum Step {
    Get(String),
    Scan { from: String, to: String, limit: usize, reverse: bool },
    Put(String, String),
    Delete(String),
    DeleteRange(String, String),
    Add(String, i64),
}

/// What one read returned: keys, and values in hexadecimal.
type Seen = Vec<(String, String)>;
/// What the transactions did, and what the reads of their last attempts returned, by name.
type Done = Arc<Mutex<HashMap<String, (Vec<Step>, Vec<Seen>)>>>;
/// Values by key, as a store without transactions would have them.
type Model = BTreeMap<String, Vec<u8>>;

async fn histories_with_a_common_row(db: Db) {
    check(&db, true, 11).await;
}

async fn histories_in_stamp_order(db: Db) {
    check(&db, false, 12).await;
}

#[tokio::test]
async fn histories_of_a_faulty_store() {
    let faults = Faults { conflicts: 100, unknown_applied: 100, unknown_lost: 100, slow_reads: 300 };
    for (seed, common_row) in [(21, true), (22, false), (23, false)] {
        let store = crate::harness::faulty(faults);
        check(&store.db, common_row, seed).await;
    }
}

async fn check(db: &Db, common_row: bool, seed: u64) {
    let done = Done::default();
    let tasks = (0..TASKS).map(|task| {
        let (db, random, done) = (db.clone(), Random::seeded(seed * 1000 + task), done.clone());
        tokio::spawn(async move {
            for number in 0..TRANSACTIONS {
                let name = format!("{task}/{number}");
                transact(&db, &random, &name, &done, common_row).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut model = Model::new();
    let history = rows(db, &KeyRange::prefix(b"history/")).await;
    assert_eq!(history.len() as u64, TASKS * TRANSACTIONS);
    for (_, name) in history {
        let (steps, reads) = done.lock().unwrap()[&name].clone();
        assert_eq!(replay(&mut model, &steps), reads, "{name} is not serializable: {steps:?}");
    }
    let range = KeyRange::prefix(b"row/");
    let left = db.read(|txn| {
        let range = range.clone();
        async move { txn.scan(&range, ScanOptions::default()).await }
    });
    let left: Seen = left.await.unwrap().rows.iter().map(seen).collect();
    assert_eq!(left, model.iter().map(|(key, value)| (key.clone(), hex(value))).collect::<Seen>());
}

fn seen((key, value): &(bytes::Bytes, bytes::Bytes)) -> (String, String) {
    (String::from_utf8(key.to_vec()).unwrap(), hex(value))
}

async fn transact(db: &Db, random: &Random, name: &str, done: &Done, common_row: bool) {
    let steps: Vec<Step> = (0..1 + random.u64() % 5).map(|_| step(random, name)).collect();
    let steps = &steps;
    db.run(|txn| async move {
        let mut reads = Vec::new();
        for step in steps {
            perform(&txn, step, &mut reads).await?;
        }
        done.lock().unwrap().insert(name.to_owned(), (steps.clone(), reads));
        if common_row {
            let next =
                txn.get(b"next").await?.map_or(0, |row| u32::from_le_bytes(row[..].try_into().unwrap()));
            txn.put(b"next", &(next + 1).to_le_bytes());
            txn.put(format!("history/{next:08}").as_bytes(), name.as_bytes());
        } else {
            txn.put_stamped(b"history/", b"", name.as_bytes());
        }
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
}

fn key(random: &Random) -> String {
    format!("row/{:02}", random.u64() % KEYS)
}

fn step(random: &Random, name: &str) -> Step {
    match random.u64() % 8 {
        0 | 1 => Step::Get(key(random)),
        2 | 3 => Step::Scan {
            from: key(random),
            to: key(random),
            limit: usize::try_from(1 + random.u64() % 4).unwrap(),
            reverse: random.u64().is_multiple_of(2),
        },
        4 => Step::Delete(key(random)),
        5 if random.u64().is_multiple_of(4) => Step::DeleteRange(key(random), key(random)),
        6 => Step::Add(format!("row/n{}", random.u64() % 2), i64::try_from(random.u64() % 100).unwrap()),
        _ => Step::Put(key(random), name.to_owned()),
    }
}

async fn perform(txn: &Txn, step: &Step, reads: &mut Vec<Seen>) -> Result<(), StoreError> {
    match step {
        Step::Get(key) => {
            let row = txn.get(key.as_bytes()).await?;
            reads.push(row.map(|row| (key.clone(), hex(&row))).into_iter().collect());
        }
        Step::Scan { from, to, limit, reverse } => {
            let range = KeyRange::new(from.clone().into_bytes(), to.clone().into_bytes());
            let options = ScanOptions::rows(*limit);
            let page = txn.scan(&range, if *reverse { options.reverse() } else { options }).await?;
            reads.push(page.rows.iter().map(seen).collect());
        }
        Step::Put(key, value) => txn.put(key.as_bytes(), value.as_bytes()),
        Step::Delete(key) => txn.delete(key.as_bytes()),
        Step::DeleteRange(from, to) => {
            txn.delete_range(&KeyRange::new(from.clone().into_bytes(), to.clone().into_bytes()));
        }
        Step::Add(key, delta) => txn.add(key.as_bytes(), *delta),
    }
    Ok(())
}

fn replay(model: &mut Model, steps: &[Step]) -> Vec<Seen> {
    let mut reads = Vec::new();
    for step in steps {
        match step {
            Step::Get(key) => {
                reads.push(model.get(key).map(|value| (key.clone(), hex(value))).into_iter().collect());
            }
            Step::Scan { from, to, limit, reverse } => {
                let mut rows: Vec<_> = model.iter().filter(|(key, _)| *key >= from && *key < to).collect();
                if *reverse {
                    rows.reverse();
                }
                let rows = rows.into_iter().take(*limit);
                reads.push(rows.map(|(key, value)| (key.clone(), hex(value))).collect());
            }
            Step::Put(key, value) => drop(model.insert(key.clone(), value.clone().into_bytes())),
            Step::Delete(key) => drop(model.remove(key)),
            Step::DeleteRange(from, to) => model.retain(|key, _| key < from || key >= to),
            Step::Add(key, delta) => {
                let old = model.get(key).map_or(0, |row| i64::from_le_bytes(row[..].try_into().unwrap()));
                model.insert(key.clone(), (old + delta).to_le_bytes().to_vec());
            }
        }
    }
    reads
}
