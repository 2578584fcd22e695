//! Whether the outbox slows down with what waits in it and with what has gone through it; `cargo xtask bench --only outbox`
//! builds it, runs it and makes a table.
//!
//! `outbox_bench FOLDER EVENTS` measures with so many events pending, and with so many delivered ones before the head,
//! on each engine, with data below the folder. It prints rows as `store_bench` does.
#![expect(clippy::unwrap_used, reason = "a measurement that fails may panic")]

#[path = "../../../store/tests/support/cluster.rs"]
mod cluster;
mod sink;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lambent_base::{Clock, Random};
use lambent_bus::ports::Caller;
use lambent_bus::{BusError, Deliver, FUNCTION, NewEvent, Nodes, Outbox, Workers};
use lambent_store::engine::Engine;
use lambent_store::{Db, FjallEngine, FjallOptions};
use lambent_store_postgres::{PostgresEngine, PostgresOptions};

use sink::Sink;

/// Events of one transaction while the queue is filled.
const FILL_STEP: usize = 1_000;
/// Targets that take turns, so that none has more under way than one may.
const TARGETS: usize = 16;
/// Events that each row times.
const TIMED: usize = 10_000;
/// Events that are sent one after the other, each when the one before has arrived.
const SINGLES: usize = 200;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(events)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: outbox_bench FOLDER EVENTS");
        std::process::exit(2);
    };
    let (folder, events) = (Path::new(&folder), events.parse().unwrap());
    let data = tempfile::tempdir_in(folder).unwrap();
    let engine = FjallEngine::open(data.path(), FjallOptions::default(), Clock::system()).unwrap();
    measure("fjall", Arc::new(engine), events).await;
    let cluster = cluster::Cluster::start(Some(folder), cluster::Sync::On);
    let engine = PostgresEngine::open(&cluster.database("outbox"), PostgresOptions::default()).await.unwrap();
    measure("PostgreSQL", Arc::new(engine), events).await;
}

/// One outbox, and what arrives from it.
struct Bench {
    name: &'static str,
    db: Db,
    outbox: Outbox,
    clock: Clock,
    sink: Arc<Sink>,
}

async fn measure(name: &'static str, engine: Arc<dyn Engine>, events: usize) {
    let (clock, random) = (Clock::system(), Random::system());
    let db = Db::new(engine, clock.clone(), random.clone());
    let outbox = Outbox::new(db.clone(), clock.clone(), random.clone());
    let nodes = Nodes::join(db.clone(), random).await.unwrap();
    let bench = Bench { name, db: db.clone(), outbox, clock, sink: Arc::new(Sink::default()) };

    let workers = bench.start(&nodes).await;
    bench.fill(TIMED).await;
    bench.arrivals(TIMED).await;
    bench.singles("nothing else").await;
    workers.shutdown().await;
    bench.fill(TIMED).await;
    let workers = bench.start(&nodes).await;
    let alone = bench.rate("nothing else", TIMED, None).await;
    workers.shutdown().await;

    bench.fill(events).await;
    let workers = bench.start(&nodes).await;
    bench.rate(&format!("{events} pending"), TIMED, Some(alone)).await;
    bench.arrivals(events - TIMED).await;
    bench.singles(&format!("{events} delivered before")).await;
    workers.shutdown().await;
    bench.fill(events).await;
    let workers = bench.restart(&nodes, events).await;
    let what = format!("{events} pending, {events} delivered before");
    bench.rate(&what, TIMED, Some(alone)).await;
    // In the middle of the work, as a crash would.
    drop(workers);
    db.close().await;
}

impl Bench {
    async fn start(&self, nodes: &Nodes) -> Workers {
        let sink: Arc<dyn Deliver> = self.sink.clone();
        self.outbox.start(nodes, HashMap::from([(FUNCTION.to_owned(), sink)])).await.unwrap()
    }

    async fn fill(&self, events: usize) {
        let mut left = events;
        while left > 0 {
            let step = left.min(FILL_STEP);
            self.put(step).await;
            left -= step;
        }
    }

    async fn put(&self, events: usize) {
        let outbox = &self.outbox;
        let put = self.db.run(|txn| async move {
            for number in 0..events {
                outbox.put(&txn, event(number)).await?;
            }
            Ok::<_, BusError>(())
        });
        put.await.unwrap();
    }

    /// Waits for so many more deliveries.
    async fn arrivals(&self, events: usize) {
        self.sink.wait_for(events).await;
    }

    /// The time from the commit of an event to its delivery, one at a time.
    async fn singles(&self, among: &str) {
        let mut times = Vec::with_capacity(SINGLES);
        let started = self.clock.monotonic();
        for _ in 0..SINGLES {
            self.put(1).await;
            let committed = self.clock.monotonic();
            self.arrivals(1).await;
            times.push(self.clock.monotonic() - committed);
        }
        times.sort_unstable();
        let us = |percent: usize| times[(SINGLES - 1) * percent / 100].as_secs_f64() * 1e6;
        let rate = SINGLES as f64 / (self.clock.monotonic() - started).as_secs_f64();
        let target = "as long as with nothing else";
        self.print(&format!("from commit to delivery, {among}"), Some((us(50), us(99))), rate, "", target);
    }

    /// How fast events are delivered and settled that wait already; `alone` is the rate to compare with.
    async fn rate(&self, among: &str, events: usize, alone: Option<f64>) -> f64 {
        let started = self.clock.monotonic();
        self.arrivals(events).await;
        let rate = events as f64 / (self.clock.monotonic() - started).as_secs_f64();
        let figure =
            alone.map_or(String::new(), |alone| format!("{:.2} times the rate of few", rate / alone));
        let target = if alone.is_some() { "about 1: flat" } else { "" };
        self.print(&format!("deliver and settle, {among}"), None, rate, &figure, target);
        rate
    }

    /// Starts anew over deleted rows: the time to the first delivery.
    async fn restart(&self, nodes: &Nodes, delivered: usize) -> Workers {
        let started = self.clock.monotonic();
        let workers = self.start(nodes).await;
        self.arrivals(1).await;
        let took: Duration = self.clock.monotonic() - started;
        let ms = format!("{:.1} ms", took.as_secs_f64() * 1e3);
        let what = format!("from start to the first delivery, {delivered} delivered before");
        self.print(&what, None, 0.0, &ms, "does not walk over what is deleted");
        workers
    }

    fn print(&self, what: &str, times_us: Option<(f64, f64)>, rate: f64, figure: &str, target: &str) {
        let number = |number: Option<f64>| number.map_or("null".to_owned(), |number| format!("{number:.1}"));
        println!(
            "{{\"what\":\"outbox on {}: {what}\",\"clients\":null,\"p50_us\":{},\"p99_us\":{},\"per_second\":{},\
             \"cpu_us\":null,\"figure\":\"{figure}\",\"target\":\"{target}\"}}",
            self.name,
            number(times_us.map(|times| times.0)),
            number(times_us.map(|times| times.1)),
            number((rate > 0.0).then_some(rate)),
        );
    }
}

fn event(number: usize) -> NewEvent {
    let target = format!("arn:aws:lambda:us-east-1:000000000000:function:number-{}", number % TARGETS);
    NewEvent::for_function(target.parse().unwrap(), Caller::Authorized, bytes::Bytes::from_static(b"{}"))
}
