//! Random transactions at once, checked against a model that runs them one after the other.
//!
//! Each transaction leaves its name at its place in the one order to which a serializable store must be equivalent:
//! either under a sequence number that it reads and raises, or in a stamped row, so that transactions with nothing
//! else in common run side by side. The model replays them in that order: each must have read what it reads then.
//!
//! Readers look at everything meanwhile. What each saw must be what the model holds after as many transactions as it
//! saw names, of which those acknowledged before it began are the least.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lambent_base::Random;
use lambent_base::text::hex;
use lambent_store::{Db, Faults, KeyRange, ScanOptions, StoreError, Txn};

use crate::harness::rows;

conformance!(histories_with_a_common_row, histories_in_stamp_order, histories_of_long_keys);

const KEYS: u64 = 12;
const TRANSACTIONS: u64 = 60;
/// How often one more task looks at everything.
const LOOKS: usize = 40;

#[derive(Clone, Debug)]
enum Step {
    Get(String),
    Scan { from: String, to: String, limit: usize, reverse: bool },
    Put(String, String),
    Delete(String),
    DeleteRange(String, String),
    Add(String, i64),
    Max(String, u64),
}

/// What one run is like.
#[derive(Clone, Copy)]
struct Kind {
    seed: u64,
    /// All transactions change one row.
    common_row: bool,
    /// How many run transactions at once.
    tasks: u64,
    /// Some keys have thousands of bytes.
    long_keys: bool,
}

/// What a reader saw: how many names, everything else, and how many transactions were acknowledged before.
struct Look {
    acknowledged: usize,
    names: usize,
    rows: Seen,
}

/// What one read returned: keys, and values in hexadecimal.
type Seen = Vec<(String, String)>;
/// What the transactions did, and what the reads of their last attempts returned, by name.
type Done = Arc<Mutex<HashMap<String, (Vec<Step>, Vec<Seen>)>>>;
/// Values by key, as a store without transactions would have them.
type Model = BTreeMap<String, Vec<u8>>;

async fn histories_with_a_common_row(db: Db) {
    check(&[db], Kind { seed: 11, common_row: true, tasks: 8, long_keys: false }).await;
}

async fn histories_in_stamp_order(db: Db) {
    check(&[db], Kind { seed: 12, common_row: false, tasks: 8, long_keys: false }).await;
}

async fn histories_of_long_keys(db: Db) {
    check(&[db], Kind { seed: 13, common_row: false, tasks: 3, long_keys: true }).await;
}

#[tokio::test]
async fn histories_of_a_faulty_store() {
    let faults = Faults { conflicts: 100, unknown_applied: 100, unknown_lost: 100, slow_reads: 300 };
    for (seed, common_row) in [(21, true), (22, false), (23, false)] {
        let store = crate::harness::faulty(faults);
        check(&[store.db], Kind { seed, common_row, tasks: 8, long_keys: false }).await;
    }
}

/// Runs a history on all nodes of one store.
pub(crate) async fn histories_of_nodes(nodes: &[Db], seed: u64) {
    check(nodes, Kind { seed, common_row: false, tasks: 6, long_keys: false }).await;
}

async fn check(nodes: &[Db], kind: Kind) {
    let done = Done::default();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let tasks = (0..kind.tasks).map(|task| {
        let random = Random::seeded(kind.seed * 1000 + task);
        let db = nodes[usize::try_from(task).unwrap() % nodes.len()].clone();
        let (done, acknowledged) = (done.clone(), acknowledged.clone());
        tokio::spawn(async move {
            for number in 0..TRANSACTIONS {
                let name = format!("{task}/{number}");
                transact(&db, &random, &name, &done, kind).await;
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut looks = Vec::new();
    for number in 0..LOOKS {
        looks.push(look(&nodes[number % nodes.len()], &acknowledged).await);
    }
    for task in tasks {
        task.await.unwrap();
    }
    let last = look(&nodes[0], &acknowledged).await;
    let all = done.lock().unwrap().len();
    assert_eq!((last.acknowledged, last.names), (all, all));
    looks.push(last);
    replay_all(&nodes[0], &done, looks).await;
}

/// Everything, in one snapshot.
async fn look(db: &Db, acknowledged: &AtomicUsize) -> Look {
    let acknowledged = acknowledged.load(Ordering::SeqCst);
    let everything = db.read(|txn| async move {
        let names = txn.scan(&KeyRange::prefix(b"history/"), ScanOptions::rows(10_000)).await?;
        let rows = txn.scan(&KeyRange::prefix(b"row/"), ScanOptions::rows(10_000)).await?;
        Ok::<_, StoreError>((names.rows.len(), rows.rows))
    });
    let (names, rows) = everything.await.unwrap();
    Look { acknowledged, names, rows: rows.iter().map(seen).collect() }
}

async fn replay_all(db: &Db, done: &Done, mut looks: Vec<Look>) {
    let history = rows(db, &KeyRange::prefix(b"history/")).await;
    assert_eq!(history.len(), done.lock().unwrap().len());
    looks.sort_by_key(|look| look.names);
    let mut looks = looks.into_iter().peekable();
    let mut model = Model::new();
    for (number, name) in (0..).zip(history.iter().map(|(_, name)| Some(name)).chain([None])) {
        while let Some(look) = looks.next_if(|look| look.names == number) {
            assert!(look.names >= look.acknowledged, "{} of {} are missing", look.names, look.acknowledged);
            let rows = model.iter().map(|(key, value)| (key.clone(), hex(value)));
            assert_eq!(look.rows, rows.collect::<Seen>(), "a reader after {number} transactions");
        }
        let Some(name) = name else { break };
        let (steps, reads) = done.lock().unwrap()[name].clone();
        assert_eq!(replay(&mut model, &steps), reads, "{name} is not serializable: {steps:?}");
    }
    assert!(looks.next().is_none());
}

fn seen((key, value): &(bytes::Bytes, bytes::Bytes)) -> (String, String) {
    (String::from_utf8(key.to_vec()).unwrap(), hex(value))
}

async fn transact(db: &Db, random: &Random, name: &str, done: &Done, kind: Kind) {
    let steps: Vec<Step> = (0..1 + random.u64() % 5).map(|_| step(random, name, kind)).collect();
    let steps = &steps;
    db.run(|txn| async move {
        let mut reads = Vec::new();
        for step in steps {
            perform(&txn, step, &mut reads).await?;
        }
        done.lock().unwrap().insert(name.to_owned(), (steps.clone(), reads));
        if kind.common_row {
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

fn key(random: &Random, kind: Kind) -> String {
    let number = random.u64() % KEYS;
    // Of two keys that begin alike for long, the ends decide; what is random cannot be compressed.
    let long = kind.long_keys && !number.is_multiple_of(3);
    let tail = if long { hex(&Random::seeded(number / 3).bytes::<1300>()) } else { String::new() };
    format!("row/{:02}{tail}{number}", number / 3)
}

fn step(random: &Random, name: &str, kind: Kind) -> Step {
    let key = |random: &Random| key(random, kind);
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
        6 if random.u64().is_multiple_of(3) => {
            Step::Max(format!("row/n{}", random.u64() % 2), random.u64() % 900)
        }
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
        Step::Max(key, floor) => txn.max(key.as_bytes(), *floor),
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
            Step::Max(key, floor) => {
                let old = model.get(key).map_or(0, |row| u64::from_le_bytes(row[..].try_into().unwrap()));
                model.insert(key.clone(), old.max(*floor).to_le_bytes().to_vec());
            }
        }
    }
    reads
}
