//! The load: some connections that send prepared requests, one after another, for a bounded time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::Clock;
use lambent_test_client::{Answer, Connection};

use super::process::{self, Cpu};
use super::server::Server;
use super::table::Table;
use super::{Bench, CONNECTIONS};

/// A load and its bounds.
pub(super) struct Load<'a> {
    pub(super) address: SocketAddr,
    pub(super) connections: usize,
    pub(super) requests: &'a [Vec<u8>],
    pub(super) order: Order,
    pub(super) time: Duration,
}

/// Which request goes over which connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The next one, until the last has been sent.
    Once,
    /// The next one, and after the last the first again, until the time is over.
    Again,
    /// Each connection has one of its own, which it sends until the time is over.
    Own,
}

/// What came of it.
pub(super) struct Outcome {
    /// In the order of their lengths, in microseconds.
    latencies_us: Vec<f64>,
    elapsed: Duration,
    pub(super) cpu: Cpu,
    /// How many answers were no success, and the first of them.
    pub(super) refused: Option<(usize, String)>,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    latencies_us: Vec<f64>,
    refused: usize,
    first_refusal: Option<String>,
}

/// Sends these requests to a server again and again, over as many connections as each row has.
pub(super) fn rows(
    bench: &Bench,
    table: &mut Table,
    server: &Server,
    requests: &[Vec<u8>],
    (what, target): (&str, &'static str),
) -> anyhow::Result<()> {
    for connections in CONNECTIONS {
        let load = Load {
            address: server.address,
            connections,
            requests,
            order: Order::Again,
            time: bench.row_time(),
        };
        let outcome = load.run(&bench.clock, server.pid())?;
        table.load(what, connections, &outcome, String::new(), target);
    }
    Ok(())
}

impl Load<'_> {
    /// Runs the load against the server with this process id.
    pub(super) fn run(&self, clock: &Clock, pid: u32) -> anyhow::Result<Outcome> {
        let next = AtomicUsize::new(0);
        let barrier = Barrier::new(self.connections + 1);
        let all = Mutex::new(Vec::new());
        let next = &next;
        let (mut elapsed, mut cpu) = (Duration::ZERO, Cpu::default());
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(Connection::open(self.address)?);
        }
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let before = process::cpu(pid)?;
            let threads: Vec<_> = connections
                .into_iter()
                .enumerate()
                .map(|(own, connection)| {
                    let (barrier, all) = (&barrier, &all);
                    scope.spawn(move || {
                        barrier.wait();
                        let seen = self.drive(connection, clock, || match self.order {
                            Order::Own => own,
                            Order::Once | Order::Again => next.fetch_add(1, Ordering::Relaxed),
                        });
                        all.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
                    })
                })
                .collect();
            barrier.wait();
            let started = clock.monotonic();
            for thread in threads {
                if thread.join().is_err() {
                    bail!("a connection's thread ended with a panic");
                }
            }
            elapsed = clock.monotonic() - started;
            cpu = process::cpu(pid)?.since(before);
            Ok(())
        })?;
        let mut outcome = Outcome { latencies_us: Vec::new(), elapsed, cpu, refused: None };
        for seen in all.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let seen = seen?;
            outcome.latencies_us.extend(seen.latencies_us);
            if let Some(text) = seen.first_refusal {
                let (count, _) = outcome.refused.get_or_insert((0, text));
                *count += seen.refused;
            }
        }
        outcome.latencies_us.sort_by(f64::total_cmp);
        if outcome.latencies_us.is_empty() {
            let (_, text) = outcome.refused.context("no request was answered in the time given")?;
            bail!("every request was refused; {text}");
        }
        Ok(outcome)
    }

    fn drive(
        &self,
        mut connection: Connection,
        clock: &Clock,
        next: impl Fn() -> usize,
    ) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        let mut answer = Answer::default();
        let mut now = clock.monotonic();
        let end = now + self.time;
        while now < end {
            let index = next();
            if index >= self.requests.len() && self.order == Order::Once {
                break;
            }
            connection.send(&self.requests[index % self.requests.len()])?;
            connection.receive(&mut answer)?;
            let sent = std::mem::replace(&mut now, clock.monotonic());
            if (200..300).contains(&answer.status) {
                seen.latencies_us.push((now - sent).as_secs_f64() * 1e6);
            } else {
                seen.refused += 1;
                seen.first_refusal.get_or_insert_with(|| answer.text());
            }
        }
        Ok(seen)
    }
}

impl Outcome {
    /// The latency below which this part of the requests was answered, in microseconds.
    pub(super) fn percentile_us(&self, part: f64) -> f64 {
        percentile(&self.latencies_us, part)
    }

    pub(super) fn per_second(&self) -> f64 {
        self.latencies_us.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// How many requests were answered with success.
    pub(super) fn operations(&self) -> usize {
        self.latencies_us.len()
    }

    /// Microseconds of an amount of CPU time for each operation.
    pub(super) fn per_operation_us(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.operations() as f64
    }
}

/// Of values in order; 0 for none.
pub(super) fn percentile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * part).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

/// Sorted for [`percentile`].
pub(super) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// The middle of some values.
pub(super) fn median(values: Vec<f64>) -> f64 {
    percentile(&sorted(values), 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_values() {
        let values: Vec<f64> = (0..101).map(f64::from).collect();
        assert!((percentile(&values, 0.99) - 99.0).abs() < f64::EPSILON);
        assert!((median(vec![9.0, 1.0, 5.0]) - 5.0).abs() < f64::EPSILON);
    }
}
