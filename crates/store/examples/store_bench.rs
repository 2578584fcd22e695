//! Durable 1 KiB puts by tasks at once: `cargo run --release -p lambent-store --example store_bench [SECONDS]`.
//!
//! Prints operations per second, CPU microseconds per operation (this process's user and system time, the load
//! generator included) and the time of one operation; first the raw `write` and `fdatasync` of the same disk.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use lambent_base::{Clock, Random};
use lambent_store::{Db, FjallEngine, FjallOptions, Key, StoreError};

type AnyError = Box<dyn std::error::Error>;

const VALUE_BYTES: usize = 1024;
const TASKS: [usize; 4] = [1, 16, 64, 256];

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let seconds = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let duration = Duration::from_secs(seconds);
    let directory = tempfile::tempdir_in(".")?;
    let clock = Clock::system();
    raw(&clock, duration, directory.path())?;

    open(&clock, directory.path(), "make")?.close().await;
    let db = open(&clock, directory.path(), "open")?;
    let cpu = cpu_time()?;
    tokio::time::sleep(duration).await;
    println!("idle for {seconds} s: cpu {} us", (cpu_time()? - cpu).as_micros());
    for tasks in TASKS {
        puts(&db, &clock, tasks, duration).await?;
    }
    gets(&db, &clock, duration).await?;
    println!("resident {} KiB", resident_kib()?);
    db.close().await;
    drop(db);
    open(&clock, directory.path(), "open again")?;
    Ok(())
}

fn open(clock: &Clock, directory: &std::path::Path, what: &str) -> Result<Db, AnyError> {
    let started = clock.monotonic();
    let engine = FjallEngine::open(&directory.join("store"), FjallOptions::default(), clock.clone())?;
    let took = (clock.monotonic() - started).as_secs_f64() * 1e3;
    println!("{what}: {took:.1} ms, resident {} KiB", resident_kib()?);
    Ok(Db::new(Arc::new(engine), clock.clone(), Random::system()))
}

fn raw(clock: &Clock, duration: Duration, directory: &std::path::Path) -> Result<(), AnyError> {
    let mut file = File::create(directory.join("raw"))?;
    file.set_len(64 * 1024 * 1024)?;
    file.sync_all()?;
    let value = [7; VALUE_BYTES];
    let mut times = Vec::new();
    let cpu = cpu_time()?;
    let end = clock.monotonic() + duration;
    while clock.monotonic() < end {
        let started = clock.monotonic();
        file.write_all(&value)?;
        file.sync_data()?;
        times.push(clock.monotonic() - started);
    }
    report("raw write + fdatasync", times, duration, cpu_time()? - cpu);
    Ok(())
}

async fn puts(db: &Db, clock: &Clock, tasks: usize, duration: Duration) -> Result<(), AnyError> {
    let random = Random::seeded(tasks as u64);
    let cpu = cpu_time()?;
    let end = clock.monotonic() + duration;
    let tasks_running = (0..tasks).map(|_| {
        let (db, clock, random) = (db.clone(), clock.clone(), random.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            let mut value = [0; VALUE_BYTES];
            while clock.monotonic() < end {
                random.fill(&mut value);
                let key = Key::new(b"bench/").u64(random.u64());
                let (key, value) = (&key, &value);
                let started = clock.monotonic();
                db.run(|txn| async move {
                    if txn.get(key).await?.is_none() {
                        txn.put(key, value);
                    }
                    Ok::<_, StoreError>(())
                })
                .await?;
                times.push(clock.monotonic() - started);
            }
            Ok::<_, StoreError>(times)
        })
    });
    let mut times = Vec::new();
    for task in tasks_running.collect::<Vec<_>>() {
        times.extend(task.await??);
    }
    report(&format!("read, put, {tasks} tasks"), times, duration, cpu_time()? - cpu);
    Ok(())
}

async fn gets(db: &Db, clock: &Clock, duration: Duration) -> Result<(), AnyError> {
    let random = Random::seeded(TASKS[0] as u64);
    let mut skipped = [0; VALUE_BYTES];
    let mut times = Vec::new();
    let cpu = cpu_time()?;
    let end = clock.monotonic() + duration;
    while clock.monotonic() < end {
        random.fill(&mut skipped);
        let key = Key::new(b"bench/").u64(random.u64());
        let key = &key;
        let started = clock.monotonic();
        db.read(|txn| async move { txn.get(key).await }).await?;
        times.push(clock.monotonic() - started);
    }
    report("get, 1 task", times, duration, cpu_time()? - cpu);
    Ok(())
}

fn report(name: &str, mut times: Vec<Duration>, duration: Duration, cpu: Duration) {
    times.sort_unstable();
    let percentile = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{name:24} {:9.0}/s  cpu {:6.1} us/op  p50 {:.3} ms  p99 {:.3} ms",
        times.len() as f64 / duration.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / times.len() as f64,
        percentile(50),
        percentile(99),
    );
}

/// User and system time of this process so far.
fn cpu_time() -> Result<Duration, AnyError> {
    let status = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = status.rsplit(')').next().unwrap_or_default();
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || fields.next().unwrap_or_default().parse::<u64>();
    // Linux counts these in hundredths of a second.
    Ok(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

fn resident_kib() -> Result<u64, AnyError> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    Ok(line.split_whitespace().nth(1).unwrap_or_default().parse()?)
}
