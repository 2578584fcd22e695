//! Clients in closed loops, and what they found.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lambent_base::{Clock, Random};
use lambent_store::{Db, Key, StoreError};

use crate::VALUE_BYTES;

/// The kernel reports CPU time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

pub(crate) struct Run {
    pub(crate) folder: PathBuf,
    /// How long each row is measured.
    pub(crate) time: Duration,
    pub(crate) clock: Clock,
}

/// What one row measured.
pub(crate) struct Found {
    clients: usize,
    times: Vec<Duration>,
    elapsed: Duration,
    cpu: Duration,
}

impl Found {
    pub(crate) fn p50_us(&self) -> f64 {
        self.percentile_us(50)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }

    fn percentile_us(&self, percent: usize) -> f64 {
        self.times[(self.times.len() - 1) * percent / 100].as_secs_f64() * 1e6
    }

    /// Prints the row.
    pub(crate) fn print(&self, what: &str, figure: &str, target: &str) {
        let cpu = self.cpu.as_secs_f64() * 1e6 / self.times.len() as f64;
        println!(
            "{{\"what\":\"{what}\",\"clients\":{},\"p50_us\":{:.1},\"p99_us\":{:.1},\"per_second\":{:.0},\"cpu_us\":{cpu:.1},\
             \"figure\":\"{figure}\",\"target\":\"{target}\"}}",
            self.clients,
            self.p50_us(),
            self.percentile_us(99),
            self.per_second(),
        );
    }
}

impl Run {
    /// Lets `clients` call `operation` again and again; each call gets a number of its own. `server` is the process whose
    /// CPU time, with that of its children, counts as well.
    pub(crate) async fn measure<F, Fut>(&self, clients: usize, server: Option<u32>, operation: F) -> Found
    where
        F: Fn(u64) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let (operation, number) = (Arc::new(operation), Arc::new(AtomicU64::new(0)));
        let (cpu, started) = (cpu_time(server), self.clock.monotonic());
        let end = started + self.time;
        let tasks: Vec<_> = (0..clients)
            .map(|_| {
                let (operation, number, clock) = (operation.clone(), number.clone(), self.clock.clone());
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    loop {
                        let before = clock.monotonic();
                        if before >= end {
                            return times;
                        }
                        operation(number.fetch_add(1, Ordering::Relaxed)).await;
                        times.push(clock.monotonic() - before);
                    }
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        times.sort_unstable();
        let elapsed = self.clock.monotonic() - started;
        Found { clients, times, elapsed, cpu: cpu_time(server) - cpu }
    }

    /// Durable puts of new keys, on each node in turn; with `reads`, each looks first whether its key is there.
    pub(crate) async fn puts(&self, nodes: &[Db], clients: usize, reads: bool, server: Option<u32>) -> Found {
        let (nodes, random) = (nodes.to_vec(), Random::system());
        let puts = move |number: u64| {
            let node = usize::try_from(number).unwrap() % nodes.len();
            let (db, random) = (nodes[node].clone(), random.clone());
            async move { put(&db, &random.bytes(), reads).await }
        };
        self.measure(clients, server, puts).await
    }
}

/// A row under a random key: its place tells the key apart, and its value cannot be compressed.
async fn put(db: &Db, place: &[u8; 16], reads: bool) {
    let key = &Key::new(b"bench/").raw(place);
    let mut value = [0; VALUE_BYTES];
    Random::seeded(u64::from_le_bytes(place[..8].try_into().unwrap())).fill(&mut value);
    let value = &value;
    let done = db.run(|txn| async move {
        if !reads || txn.get(key).await?.is_none() {
            txn.put(key, value);
        }
        Ok::<_, StoreError>(())
    });
    done.await.unwrap();
}

/// User and system time of this process, and of a server with its children.
fn cpu_time(server: Option<u32>) -> Duration {
    let own = stat(std::process::id()).map_or(0, |(_, ticks)| ticks);
    let theirs = server.map_or(0, |server| {
        let processes = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        let counted = processes.filter_map(stat_of_server(server));
        counted.sum::<u64>()
    });
    TICK * u32::try_from(own + theirs).unwrap()
}

fn stat_of_server(server: u32) -> impl Fn(u32) -> Option<u64> {
    move |pid| stat(pid).filter(|(parent, _)| pid == server || *parent == server).map(|(_, ticks)| ticks)
}

/// The parent, and the ticks that the process and its dead children used (`man proc_pid_stat`).
fn stat(pid: u32) -> Option<(u32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((u32::try_from(number(1)?).ok()?, number(11)? + number(12)? + number(13)? + number(14)?))
}
