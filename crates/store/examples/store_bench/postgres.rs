//! The engine of several machines, beside the bare driver on the same server.

use std::str::FromStr;
use std::sync::Arc;

use lambent_base::Random;
use lambent_store::{Db, Key, StoreError};
use lambent_store_postgres::{Commits, PostgresEngine, PostgresOptions};
use tokio_postgres::{Client, Config, NoTls};

use crate::cluster::{Cluster, Sync};
use crate::load::{Found, Run};
use crate::{CLIENTS, VALUE_BYTES};

/// Rows that are read in turn.
const READ_ROWS: u64 = 1000;
/// Connections of the bare driver when it writes: as many as a server of this size has use for.
const BARE_CONNECTIONS: usize = 64;

pub(crate) async fn measure(run: &Run) {
    let cluster = Cluster::start(Some(&run.folder), Sync::On);
    let bare = bare(run, &cluster).await;
    let each = one_each(run, &cluster).await;
    batched(run, &cluster, &bare, each).await;
}

struct Bare {
    read_us: f64,
    reads_per_second: f64,
    puts_per_second: f64,
}

async fn connect(url: &str) -> Client {
    let (client, connection) = Config::from_str(url).unwrap().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A plain table, one statement for each operation.
async fn bare(run: &Run, cluster: &Cluster) -> Bare {
    let url = cluster.database("bare");
    let client = Arc::new(connect(&url).await);
    client.batch_execute("CREATE TABLE plain (k bytea PRIMARY KEY, v bytea)").await.unwrap();
    let insert = "INSERT INTO plain VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v";
    for row in 0..READ_ROWS {
        let value: [u8; VALUE_BYTES] = Random::system().bytes();
        client.execute(insert, &[&&row_key(row)[..], &&value[..]]).await.unwrap();
    }
    client.batch_execute("VACUUM ANALYZE plain").await.unwrap();
    let pid = Some(cluster.pid());
    let read = client.prepare("SELECT v FROM plain WHERE k = $1").await.unwrap();
    let reader = client.clone();
    let reading = move |number: u64| {
        let (client, read) = (reader.clone(), read.clone());
        async move {
            let row = client.query_one(&read, &[&&row_key(number % READ_ROWS)[..]]).await.unwrap();
            assert_eq!(row.get::<_, &[u8]>(0).len(), VALUE_BYTES);
        }
    };
    let single = run.measure(1, pid, reading.clone()).await;
    single.print("bare PostgreSQL driver: point read", "", "");
    let many = run.measure(CLIENTS, pid, reading).await;
    many.print("bare PostgreSQL driver: point read, one connection", "", "");
    let mut writers = Vec::new();
    for _ in 0..BARE_CONNECTIONS {
        let client = connect(&url).await;
        let insert = client.prepare(insert).await.unwrap();
        writers.push(tokio::sync::Mutex::new((client, insert)));
    }
    let writers = Arc::new(writers);
    let writing = move |number: u64| {
        let writers = writers.clone();
        async move {
            let place = usize::try_from(number).unwrap() % BARE_CONNECTIONS;
            let (client, insert) = &*writers[place].lock().await;
            let (key, value): ([u8; 16], [u8; VALUE_BYTES]) =
                (Random::system().bytes(), Random::system().bytes());
            client.execute(insert, &[&&key[..], &&value[..]]).await.unwrap();
        }
    };
    let puts = run.measure(CLIENTS, pid, writing).await;
    puts.print("bare PostgreSQL driver: put 1 KiB, a transaction each, 64 connections", "", "");
    Bare { read_us: single.p50_us(), reads_per_second: many.per_second(), puts_per_second: puts.per_second() }
}

fn row_key(row: u64) -> [u8; 16] {
    let mut key = [0; 16];
    Random::seeded(row).fill(&mut key);
    key
}

async fn open(run: &Run, cluster: &Cluster, name: &str, commits: Commits) -> Db {
    open_at(run, &cluster.database(name), commits).await
}

async fn open_at(run: &Run, url: &str, commits: Commits) -> Db {
    let options = PostgresOptions { commits, ..PostgresOptions::default() };
    let engine = PostgresEngine::open(url, options).await.unwrap();
    Db::new(Arc::new(engine), run.clock.clone(), Random::system())
}

/// Commits per second with one `SERIALIZABLE` transaction each.
async fn one_each(run: &Run, cluster: &Cluster) -> f64 {
    let db = open(run, cluster, "one_each", Commits::OneEach).await;
    let found = run.puts(std::slice::from_ref(&db), CLIENTS, false, Some(cluster.pid())).await;
    found.print("PostgreSQL, a SERIALIZABLE transaction each: put 1 KiB", "", "");
    db.close().await;
    found.per_second()
}

async fn batched(run: &Run, cluster: &Cluster, bare: &Bare, each_per_second: f64) {
    let db = open(run, cluster, "batched", Commits::Batched).await;
    let pid = Some(cluster.pid());
    run.puts(std::slice::from_ref(&db), 1, false, pid).await.print("PostgreSQL, batched: put 1 KiB", "", "");
    let compare = |found: &Found| {
        let (each, bare) = (found.per_second() / each_per_second, found.per_second() / bare.puts_per_second);
        format!("{each:.1} times a SERIALIZABLE transaction each, {bare:.1} times the bare driver's")
    };
    let found = run.puts(std::slice::from_ref(&db), CLIENTS, false, pid).await;
    let target = "at least 10k/s, and 5 times a transaction each";
    found.print("PostgreSQL, batched: put 1 KiB", &compare(&found), target);
    let found = run.puts(std::slice::from_ref(&db), CLIENTS, true, pid).await;
    found.print("PostgreSQL, batched: read, then put 1 KiB", &compare(&found), "at least 10k/s");
    let other = open_at(run, &cluster.url("batched"), Commits::Batched).await;
    let found = run.puts(&[db.clone(), other.clone()], CLIENTS, false, pid).await;
    found.print("PostgreSQL, batched, two nodes: put 1 KiB", &compare(&found), "");
    other.close().await;
    fill(&db).await;
    for (clients, target) in [(1, "p50 at most 1.3 times the bare driver's"), (CLIENTS, "")] {
        let reader = db.clone();
        let reading = move |number: u64| {
            let db = reader.clone();
            async move { get(&db, number % READ_ROWS).await }
        };
        let found = run.measure(clients, pid, reading).await;
        let figure = match clients {
            1 => format!("{:.2} times the bare driver's p50", found.p50_us() / bare.read_us),
            _ => format!("{:.2} times the bare driver's rate", found.per_second() / bare.reads_per_second),
        };
        found.print("PostgreSQL: point read", &figure, target);
    }
    db.close().await;
}

async fn fill(db: &Db) {
    for row in 0..READ_ROWS {
        let key = &Key::new(b"read/").raw(&row_key(row));
        let value: &[u8; VALUE_BYTES] = &Random::system().bytes();
        let put = db.run(|txn| async move {
            txn.put(key, value);
            Ok::<_, StoreError>(())
        });
        put.await.unwrap();
    }
}

async fn get(db: &Db, row: u64) {
    let key = &Key::new(b"read/").raw(&row_key(row));
    let value = db.read(|txn| async move { txn.get(key).await }).await.unwrap();
    assert_eq!(value.map(|value| value.len()), Some(VALUE_BYTES));
}
