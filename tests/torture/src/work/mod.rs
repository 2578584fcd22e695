//! The load. Each worker has keys, uploads or streams of its own, one request under way at a time, and notes in its
//! ledger what it attempts before it sends it, and what was acknowledged when the answer has come.

mod events;
mod logs;
mod objects;
pub(crate) mod tables;
mod uploads;

use lambent_base::{Clock, Random};

use crate::client::Client;
use crate::pulse::Pulse;

pub(crate) use events::{Event, EventWorker, Outcome, invoke};
pub(crate) use logs::{LogWorker, Stream};
pub(crate) use objects::{ObjectWorker, Slot};
pub(crate) use tables::TableWorker;
pub(crate) use uploads::{Ending, Part, Upload};

/// A part of the load, with the ledger of what it has done.
pub(crate) trait Worker: Send {
    /// For messages.
    fn name(&self) -> &str;

    /// Works until the server is gone. An error is an answer that the server should not have given.
    fn run(&mut self, client: &mut Client, round: &Round, pulse: &Pulse) -> anyhow::Result<()>;

    /// Compares the server's state with the ledger and settles what was left open; an error names the entry.
    fn verify(&mut self, client: &mut Client, round: &Round) -> anyhow::Result<()>;

    /// As [`Worker::verify`], for what earlier rounds left and no later one touches.
    fn verify_all(&mut self, client: &mut Client) -> anyhow::Result<()>;

    /// What was attempted and not answered, for the report.
    fn open_attempts(&self) -> usize;
}

/// What a worker must know of the round.
pub(crate) struct Round {
    pub(crate) number: usize,
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    /// When it began.
    pub(crate) began_unix_ms: i64,
}

impl Round {
    /// The decisions of one of the workers in this round.
    pub(crate) fn random(&self, worker: &str) -> Random {
        let mut seed = self.seed ^ (self.number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in worker.bytes() {
            seed = Random::seeded(seed ^ u64::from(byte)).u64();
        }
        Random::seeded(seed)
    }
}
