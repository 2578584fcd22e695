//! The PostgreSQL engine against lost connections, crashes, other nodes and lost history.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

#[path = "support/cable.rs"]
mod cable;
#[path = "support/cluster.rs"]
mod cluster;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cable::{Cable, Traffic};
use cluster::{Cluster, PORT, Sync};
use lambent_base::{Clock, Random};
use lambent_store::engine::{Commit, Engine, Op, TxnId, Version};
use lambent_store::{Db, Export, KeyRange, ScanOptions, StoreError};
use lambent_store_postgres::{Commits, PostgresEngine, PostgresOptions};

const BOTH: [Commits; 2] = [Commits::Batched, Commits::OneEach];

async fn engine(url: &str, commits: Commits) -> Arc<PostgresEngine> {
    let options = PostgresOptions { commits, ..PostgresOptions::default() };
    Arc::new(PostgresEngine::open(url, options).await.unwrap())
}

fn db(engine: &Arc<PostgresEngine>) -> Db {
    Db::new(engine.clone(), Clock::system(), Random::system())
}

/// A commit of one row.
fn put(id: TxnId, key: &'static [u8]) -> Commit {
    Commit {
        id,
        snapshot: None,
        read_keys: vec![],
        read_ranges: vec![],
        ops: vec![Op::Put(key.into(), b"v".as_slice().into())],
        topics: vec![],
        frees_space: false,
        at_least: Version(0),
    }
}

/// Writes the name once into a log and counts it.
async fn append(db: &Db, name: &str) -> Result<(), StoreError> {
    db.run(|txn| async move {
        // Depends on what others do, now and then.
        txn.get(b"count").await?;
        txn.put_stamped(b"log/", b"", name.as_bytes());
        txn.add(b"count", 1);
        Ok(())
    })
    .await
}

/// How often each name is in the log; the count agrees.
async fn log(db: &Db) -> BTreeMap<String, usize> {
    let (rows, count) = db
        .read(|txn| async move {
            let page = txn.scan(&KeyRange::prefix(b"log/"), ScanOptions::rows(10_000)).await?;
            Ok::<_, StoreError>((page.rows, txn.get(b"count").await?))
        })
        .await
        .unwrap();
    let count = count.map_or(0, |row| u64::from_le_bytes(row[..].try_into().unwrap()));
    assert_eq!(count, rows.len() as u64, "rows and counter are written together");
    let mut log = BTreeMap::new();
    for (_, name) in rows {
        *log.entry(String::from_utf8(name.to_vec()).unwrap()).or_default() += 1;
    }
    log
}

/// Tasks on all nodes append until `disturb` has ended; then every acknowledged name is there once, and none twice.
async fn append_during(nodes: &[Db], disturb: impl Future<Output = ()>) {
    const TASKS: usize = 8;
    let stop = Arc::new(tokio::sync::watch::Sender::new(false));
    let acknowledged_so_far = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (db, stop) = (nodes[task % nodes.len()].clone(), stop.clone());
            let so_far = acknowledged_so_far.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    if *stop.borrow() {
                        break;
                    }
                    let name = format!("{task}/{number}");
                    match append(&db, &name).await {
                        Ok(()) => {
                            so_far.fetch_add(1, Ordering::Relaxed);
                            acknowledged.push(name);
                        }
                        Err(StoreError::Unavailable(_) | StoreError::Contended { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                acknowledged
            })
        })
        .collect();
    disturb.await;
    let before = acknowledged_so_far.load(Ordering::Relaxed);
    // Whatever happened, it goes on.
    while acknowledged_so_far.load(Ordering::Relaxed) < before + TASKS {
        tokio::task::yield_now().await;
    }
    stop.send_replace(true);
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    let log = log(&nodes[0]).await;
    assert!(log.values().all(|times| *times == 1), "applied twice: {log:?}");
    let lost: Vec<_> = acknowledged.iter().filter(|name| !log.contains_key(*name)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

/// A moment of random length, in which commits go on.
async fn moment(random: &Random) {
    tokio::time::sleep(Duration::from_millis(1 + random.u64() % 25)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_and_answers_lose_nothing_and_apply_nothing_twice() {
    let cluster = Cluster::start(None, Sync::Off);
    for (seed, commits) in BOTH.into_iter().enumerate() {
        let name = format!("cables_{seed}");
        cluster.database(&name);
        let cables = [Cable::new(cluster.socket_folder()), Cable::new(cluster.socket_folder())];
        let mut nodes = Vec::new();
        for cable in &cables {
            nodes.push(db(&engine(&Cluster::url_through(cable.folder(), &name), commits).await));
        }
        let random = Random::seeded(seed as u64);
        append_during(&nodes, async {
            for _ in 0..40 {
                let cable = &cables[usize::from(random.u64().is_multiple_of(2))];
                let first = [Traffic::LosesAnswers, Traffic::Frozen, Traffic::Cut]
                    [usize::try_from(random.u64() % 3).unwrap()];
                cable.set(first);
                moment(&random).await;
                if first != Traffic::Frozen {
                    cable.set(Traffic::Cut);
                    moment(&random).await;
                }
                cable.set(Traffic::Flows);
                moment(&random).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_commits_survive_a_crash_of_the_server() {
    let mut cluster = Cluster::start(None, Sync::Off);
    let url = cluster.database("crashes");
    let nodes = [db(&engine(&url, Commits::Batched).await), db(&engine(&url, Commits::OneEach).await)];
    let random = Random::seeded(5);
    append_during(&nodes, async {
        for _ in 0..3 {
            for _ in 0..8 {
                moment(&random).await;
            }
            tokio::task::block_in_place(|| cluster.crash_and_restart());
        }
    })
    .await;
    nodes[0].health().unwrap();
}

/// A commit that the database was never asked for is not applied, and neither is it later.
#[tokio::test]
async fn the_outcome_of_a_commit_is_final() {
    let cluster = Cluster::start(None, Sync::Off);
    for (number, commits) in BOTH.into_iter().enumerate() {
        let engine = engine(&cluster.database(&format!("outcomes_{number}")), commits).await;
        let first = engine.commit(put(TxnId(1), b"a")).await.unwrap();
        assert_eq!(engine.outcome(TxnId(2)).await.unwrap(), None);
        let third = engine.commit(put(TxnId(3), b"b")).await.unwrap();
        assert_eq!(engine.outcome(TxnId(1)).await.unwrap(), Some(first));
        assert_eq!(engine.outcome(TxnId(3)).await.unwrap(), Some(third));
        assert!(third > first);
    }
}

/// A node dies while its swap is on its way, and another one finds out that it was not applied.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_arrives_after_its_outcome_was_told_does_nothing() {
    let cluster = Cluster::start(None, Sync::Off);
    let url = cluster.database("late");
    let cable = Cable::new(cluster.socket_folder());
    let cabled = Cluster::url_through(cable.folder(), "late");
    let node = tokio::runtime::Runtime::new().unwrap();
    let lost = node.spawn(async move { engine(&cabled, Commits::Batched).await }).await.unwrap();
    let other = engine(&url, Commits::Batched).await;
    let first = lost.clone();
    node.spawn(async move { first.commit(put(TxnId(1), b"a")).await }).await.unwrap().unwrap();
    cable.set(Traffic::ArrivesLate);
    let late = lost.clone();
    let late = node.spawn(async move { late.commit(put(TxnId(2), b"b")).await });
    // It looks for another connection once it has lost the one that its commit is on.
    while lost.health().is_ok() {
        tokio::task::yield_now().await;
    }
    drop(lost);
    late.abort();
    node.shutdown_background();
    assert_eq!(other.outcome(TxnId(2)).await.unwrap(), None);
    cable.set(Traffic::Flows);
    cable.has_delivered().await;
    assert_eq!(other.outcome(TxnId(2)).await.unwrap(), None);
    let row = db(&other).read(|txn| async move { txn.get(b"b").await }).await.unwrap();
    assert_eq!(row, None);
}

/// A node stands still while it has its turn: the others wait for seconds, and what it sends later does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stands_still_in_its_turn_stops_nobody() {
    let cluster = Cluster::start(None, Sync::Off);
    let url = cluster.database("still");
    let cable = Cable::new(cluster.socket_folder());
    let still = db(&engine(&Cluster::url_through(cable.folder(), "still"), Commits::Batched).await);
    let other = db(&engine(&url, Commits::Batched).await);
    append(&other, "makes the first late").await.unwrap();
    // It takes its turn once it finds itself late, and asks what it has missed with the lock in its hands.
    cable.freeze_at("LEFT JOIN lambent_batches b ON b.last > greatest");
    let stopped = tokio::spawn({
        let still = still.clone();
        async move {
            still
                .run(|txn| async move {
                    txn.put_stamped(b"log/", b"", b"stood still");
                    txn.add(b"count", 1);
                    Ok::<_, StoreError>(())
                })
                .await
        }
    });
    cable.is(Traffic::Frozen).await;
    let held =
        cluster.psql("still", "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'");
    assert_eq!(held, "1");
    append(&other, "was not stopped").await.unwrap();
    cable.set(Traffic::Flows);
    stopped.await.unwrap().unwrap();
    let log = log(&other).await;
    assert_eq!(log.len(), 3);
    assert!(log.values().all(|times| *times == 1), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded() {
    const TASKS: usize = 300;
    let cluster = Cluster::start(None, Sync::Off);
    let options = PostgresOptions { read_connections: 3, ..PostgresOptions::default() };
    let engine = PostgresEngine::open(&cluster.database("bounded"), options).await.unwrap();
    let node = db(&Arc::new(engine));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let node = node.clone();
            tokio::spawn(async move {
                node.run(|txn| async move {
                    txn.get(b"read").await?;
                    txn.put(format!("k{task}").as_bytes(), b"v");
                    Ok::<_, StoreError>(())
                })
                .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let open =
        cluster.psql("bounded", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lambent'");
    // Three for reads, and one each for commits, sweeping and listening; the first look may not have ended.
    assert!((3..=7).contains(&open.parse::<u32>().unwrap()), "{open}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_are_woken_by_other_nodes() {
    let cluster = Cluster::start(None, Sync::Off);
    for (number, commits) in BOTH.into_iter().enumerate() {
        for notifications in [true, false] {
            let url = cluster.database(&format!("wakes_{number}_{notifications}"));
            let options = PostgresOptions { commits, notifications, ..PostgresOptions::default() };
            let open = || async { Arc::new(PostgresEngine::open(&url, options).await.unwrap()) };
            let (here, there) = (db(&open().await), db(&open().await));
            let mut watch = here.watch(b"topic");
            for round in 0..5_u8 {
                let wrote = there.run(|txn| async move {
                    txn.put(b"k", &[round]);
                    txn.on_commit(b"topic");
                    Ok::<_, StoreError>(())
                });
                wrote.await.unwrap();
                // A hint may come twice: whoever waits looks again.
                loop {
                    watch.changed().await;
                    let seen = here.read(|txn| async move { txn.get(b"k").await }).await.unwrap();
                    if seen.as_deref() == Some(&[round][..]) {
                        break;
                    }
                }
            }
        }
    }
}

/// A page costs what it holds, whatever lies beside it: the server is asked how many entries of the index it read.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_does_not_read_the_whole_range() {
    const ROWS: u64 = 6_000;
    const READ_MAX: u64 = 900;
    let cluster = Cluster::start(None, Sync::Off);
    let url = cluster.database("pages");
    let read = || -> u64 {
        // A session tells what it did when it ends, at the latest.
        while cluster
            .psql("pages", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lambent'")
            != "0"
        {
            std::thread::yield_now();
        }
        let sum = "SELECT sum(idx_tup_read) + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname LIKE '%rows')
                   FROM pg_stat_user_indexes WHERE relname LIKE '%rows'";
        cluster.psql("pages", sum).parse().unwrap()
    };
    let fill = db(&engine(&url, Commits::Batched).await);
    for _ in 0..3 {
        fill.run(|txn| async move {
            for row in 0..ROWS {
                txn.put(format!("k{row:06}").as_bytes(), b"v");
            }
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    }
    fill.close().await;
    drop(fill);
    for (rows, reverse, keys_only) in
        [(10, false, false), (10, true, false), (100, false, true), (100, true, false)]
    {
        let before = read();
        let node = db(&engine(&url, Commits::Batched).await);
        let options = ScanOptions { reverse, keys_only, ..ScanOptions::rows(rows) };
        let range = &KeyRange::prefix(b"k");
        let page = node.read(|txn| async move { txn.scan(range, options).await }).await.unwrap();
        assert_eq!(page.rows.len(), rows);
        let first = if reverse { format!("k{:06}", ROWS - 1) } else { "k000000".to_owned() };
        assert_eq!(page.rows[0].0, first.as_bytes());
        node.close().await;
        drop(node);
        let cost = read() - before;
        assert!(cost >= rows as u64 && cost < READ_MAX, "{cost} entries for {rows} rows, reverse: {reverse}");
    }
}

/// Of several hosts the one that answers is used, also when it changes.
#[tokio::test(flavor = "multi_thread")]
async fn another_host_takes_over() {
    let cluster = Cluster::start(None, Sync::Off);
    cluster.database("hosts");
    let cables = [Cable::new(cluster.socket_folder()), Cable::new(cluster.socket_folder())];
    let [first, second] = [0, 1].map(|at: usize| cables[at].folder().to_str().unwrap().replace('/', "%2F"));
    let url = format!("postgres://lambent@{first}:{PORT},{second}:{PORT}/hosts");
    for commits in BOTH {
        let node = db(&engine(&url, commits).await);
        append_during(&[node], async {
            for (cut, flows) in [(0, 1), (1, 0), (0, 1)] {
                cables[flows].set(Traffic::Flows);
                cables[cut].set(Traffic::Cut);
                moment(&Random::seeded(1)).await;
            }
            cables[0].set(Traffic::Flows);
        })
        .await;
        cluster.psql("hosts", "TRUNCATE lambent_rows");
    }
}

/// A standby that took over without the last commits, as this node sees it.
#[tokio::test]
async fn a_node_does_not_continue_another_history() {
    let cluster = Cluster::start(None, Sync::Off);
    let url = cluster.database("histories");
    let old = db(&engine(&url, Commits::Batched).await);
    for name in ["1", "2", "3"] {
        append(&old, name).await.unwrap();
    }
    cluster.psql(
        "histories",
        "DELETE FROM lambent_batches WHERE last = 3; DELETE FROM lambent_rows WHERE ver = 3;
         UPDATE lambent_head SET version = 2, token = (SELECT token FROM lambent_batches WHERE last = 2)",
    );
    let new = db(&engine(&url, Commits::Batched).await);
    append(&new, "other 3").await.unwrap();
    let refused = append(&old, "4").await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
    append(&new, "other 4").await.unwrap();
    let names: Vec<String> = log(&new).await.into_keys().collect();
    assert_eq!(names, ["1", "2", "other 3", "other 4"]);
}

#[tokio::test]
async fn superseded_rows_are_swept_and_old_snapshots_refused() {
    let cluster = Cluster::start(None, Sync::Off);
    let url = cluster.database("sweeps");
    let engine = engine(&url, Commits::Batched).await;
    let db = db(&engine);
    let long = [b"l".as_slice(), &Random::seeded(1).bytes::<3000>()].concat();
    let long = &long[..];
    let write = async |value: &[u8]| {
        db.run(|txn| async move {
            txn.put(b"changed", value);
            txn.put(long, value);
            if value == b"0" {
                txn.put(b"deleted", value);
            } else {
                txn.delete(b"deleted");
            }
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    };
    write(b"0").await;
    let (snapshot, export) = (engine.snapshot().await.unwrap(), db.export().await.unwrap());
    assert_eq!(snapshot.get(b"changed").await.unwrap().as_deref(), Some(&b"0"[..]));
    for value in [b"1", b"2", b"3"] {
        write(value).await;
    }
    assert_eq!(snapshot.get(b"deleted").await.unwrap().as_deref(), Some(&b"0"[..]));
    assert_eq!(snapshot.get(long).await.unwrap().as_deref(), Some(&b"0"[..]));
    cluster.psql("sweeps", "UPDATE lambent_batches SET at = at - interval '30 seconds'");
    let counts = "SELECT (SELECT count(*) FROM lambent_rows), (SELECT count(*) FROM lambent_long_rows)";
    // The sweeper looks by itself, every few seconds.
    while cluster.psql("sweeps", counts) != "1|1" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = snapshot.get(b"changed").await.unwrap_err();
    assert!(matches!(refused, StoreError::SnapshotTooOld), "{refused}");
    let range = KeyRange::prefix(b"changed");
    assert!(matches!(snapshot.scan(&range, ScanOptions::rows(9)).await, Err(StoreError::SnapshotTooOld)));
    // An export is held for as long as it takes.
    for key in [b"changed", b"deleted", long] {
        assert_eq!(export.get(key).await.unwrap().as_deref(), Some(&b"0"[..]));
    }
    assert_eq!(export.page(&Export::all(), ScanOptions::rows(9)).await.unwrap().rows.len(), 3);
    let newest = db.read(|txn| async move { txn.get(b"changed").await }).await.unwrap();
    assert_eq!(newest.as_deref(), Some(&b"3"[..]));
    let newest = db.read(|txn| async move { txn.get(long).await }).await.unwrap();
    assert_eq!(newest.as_deref(), Some(&b"3"[..]));
    // Ids are remembered for longer, so that outcomes can be told.
    assert_eq!(cluster.psql("sweeps", "SELECT count(*) FROM lambent_batches"), "4");
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_a_reason() {
    let cluster = Cluster::start(None, Sync::Off);
    let url = cluster.database("refusals");
    let refusal =
        async |url: &str| PostgresEngine::open(url, PostgresOptions::default()).await.err().unwrap();
    drop(engine(&url, Commits::Batched).await);
    cluster.psql("refusals", "UPDATE lambent_head SET format = 99");
    assert!(matches!(refusal(&url).await, StoreError::Format { found: 99, known: 1 }));
    let encrypted = refusal(&format!("{url}?sslmode=require")).await;
    assert!(matches!(encrypted, StoreError::InvalidUrl { .. }), "{encrypted}");
    let secret = refusal("postgres://user:hunter2@host:port/x").await.to_string();
    assert!(secret.contains("postgres://USER") && !secret.contains("hunter2"), "{secret}");
    let absent = refusal(&Cluster::url_through(Path::new("/nowhere"), "x")).await.to_string();
    assert!(absent.contains("cannot be reached"), "{absent}");
}
