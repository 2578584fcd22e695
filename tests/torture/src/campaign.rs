//! Rounds on one data directory: load, kill, restart, compare.

use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::{Clock, Random};

use crate::client::Client;
use crate::cloud::{Folder, Place, Server};
use crate::content::below;
use crate::options::Options;
use crate::pulse::Pulse;
use crate::setup;
use crate::work::{EventWorker, LogWorker, ObjectWorker, Round, Worker};

const OBJECT_WORKERS: usize = 5;
const LOG_WORKERS: usize = 2;
const EVENT_WORKERS: usize = 2;
/// After so many acknowledged requests, at most, the server is killed.
const BEATS_MAX: usize = 500;
/// And so long after that, at most: else it would always die just after an answer.
const LINGER_US_MAX: usize = 15_000;
/// One in so many restarts is itself killed, after this time at most.
const KILLED_RESTARTS: usize = 4;
const RESTART_US_MAX: usize = 120_000;

/// Kills the process, round after round.
pub(crate) fn kill(options: &Options) -> anyhow::Result<()> {
    let mut folder = Folder::new(options.folder.join(format!("kill-{}", std::process::id())))?;
    let place = Place {
        binary: options.binary.clone(),
        data: folder.path().join("data"),
        log: folder.path().join("lambent.log"),
        clock: Clock::system(),
    };
    let mut workers = workers(true);
    let outcome = kill_rounds(options, &place, &mut workers);
    folder.keep = outcome.is_err();
    outcome.with_context(|| format!("`--only kill --seed {}` failed", options.seed))
}

fn kill_rounds(options: &Options, place: &Place, workers: &mut Workers) -> anyhow::Result<()> {
    let mut server = place.start()?;
    setup::run(&mut Client::open(server.address, &place.clock)?, true)?;
    for number in 0..options.rounds {
        let round = Round {
            number,
            seed: options.seed,
            clock: place.clock.clone(),
            began_unix_ms: place.clock.unix_ms(),
        };
        let random = round.random("killer");
        let report = load(workers, &round, server, &random)?;
        let restart_killed = below(&random, KILLED_RESTARTS) == 0;
        if restart_killed {
            place.start_and_kill(Duration::from_micros(below(&random, RESTART_US_MAX) as u64))?;
        }
        server = place.start().with_context(|| format!("round {number}"))?;
        let ready = server.ready_after.as_millis();
        verify(workers, &round, &server)
            .with_context(|| format!("round {number}; the server's log ends:\n{}", place.log_tail()))?;
        let again = if restart_killed { ", its restart killed too" } else { "" };
        println!("kill round {number}: {report}{again}; ready after {ready} ms, everything there");
    }
    let mut client = Client::open(server.address, &place.clock)?;
    workers.iter_mut().try_for_each(|worker| worker.verify_all(&mut client))
}

/// The load, with its ledgers.
pub(crate) type Workers = Vec<Box<dyn Worker>>;

pub(crate) fn workers(with_function: bool) -> Workers {
    let mut workers: Workers = Vec::new();
    for number in 0..OBJECT_WORKERS {
        workers.push(Box::new(ObjectWorker::new(format!("objects-{number}"))));
    }
    for number in 0..LOG_WORKERS {
        workers.push(Box::new(LogWorker::new(format!("logs-{number}"))));
    }
    for number in 0..EVENT_WORKERS {
        workers.push(Box::new(EventWorker::new(format!("events-{number}"), with_function)));
    }
    workers
}

/// Lets all work until the kill; says what was done.
pub(crate) fn load(
    workers: &mut Workers,
    round: &Round,
    mut server: Server,
    random: &Random,
) -> anyhow::Result<String> {
    let pulse = Pulse::new(1 + below(random, BEATS_MAX), workers.len());
    let linger = Duration::from_micros(below(random, LINGER_US_MAX) as u64);
    let mut clients = Vec::new();
    for _ in workers.iter() {
        clients.push(Client::open(server.address, &round.clock)?);
    }
    let mut outcomes = Vec::new();
    let mut died_before = false;
    std::thread::scope(|scope| {
        let pulse = &pulse;
        let threads: Vec<_> = workers
            .iter_mut()
            .zip(clients)
            .map(|(worker, mut client)| {
                scope.spawn(move || {
                    let outcome = worker.run(&mut client, round, pulse);
                    pulse.ended();
                    (outcome, client.server_errors)
                })
            })
            .collect();
        pulse.wait();
        std::thread::sleep(linger);
        died_before = !server.is_alive();
        server.kill();
        outcomes.extend(threads.into_iter().map(std::thread::ScopedJoinHandle::join));
    });
    let mut errors = 0;
    for (outcome, worker) in outcomes.into_iter().zip(workers.iter()) {
        let Ok((outcome, (count, first))) = outcome else { bail!("{} panicked", worker.name()) };
        outcome.with_context(|| format!("round {}, {}", round.number, worker.name()))?;
        if let Some(first) = first {
            println!("  {} answers with a server's error, the first: {first}", count);
        }
        errors += count;
    }
    if died_before {
        bail!("round {}: the server ended by itself", round.number);
    }
    let open: usize = workers.iter().map(|worker| worker.open_attempts()).sum();
    Ok(format!("{} acknowledged, {open} cut off, {errors} server's errors", pulse.acknowledged()))
}

/// Compares everything with the ledgers, each worker's part on its own connection.
pub(crate) fn verify(workers: &mut Workers, round: &Round, server: &Server) -> anyhow::Result<()> {
    let address = server.address;
    std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .map(|worker| {
                scope.spawn(move || {
                    let mut client = Client::open(address, &round.clock)?;
                    worker.verify(&mut client, round).with_context(|| worker.name().to_owned())
                })
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("the comparison panicked"),
            }
        }
        Ok(())
    })
}
