//! Rounds on one data directory: load, kill, restart, compare.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::{Clock, Random};

use crate::client::{Client, ServerErrors, Terms};
use crate::cloud::{Folder, Place, Server};
use crate::content::below;
use crate::options::Options;
use crate::power::{self, Layer, Lies};
use crate::pulse::{PULSE_MAX, Pulse};
use crate::setup;
use crate::verify;
use crate::work::{EventWorker, LogWorker, ObjectWorker, Round, TableWorker, Worker};

const OBJECT_WORKERS: usize = 5;
const LOG_WORKERS: usize = 2;
const EVENT_WORKERS: usize = 2;
const TABLE_WORKERS: usize = 4;
/// After so many acknowledged requests, at most, the server is killed.
const BEATS_MAX: usize = 500;
/// Server errors before a kill: nothing has happened to the server then.
const SERVER_ERRORS_MAX: usize = 0;
/// And so long after that, at most: else it would always die just after an answer.
const LINGER_US_MAX: usize = 15_000;
/// One in so many restarts is itself killed, after this time at most.
const KILLED_RESTARTS: usize = 4;
const RESTART_US_MAX: usize = 120_000;
/// A first start is killed after this time at most: about when it is ready.
const BIRTH_US_MAX: usize = 100_000;
/// After every so many rounds rows and blobs are checked against each other.
const CHECK_EVERY: usize = 5;
/// So many rounds on a disk that lies may pass unnoticed: by chance it may keep everything.
const CONTROL_ATTEMPTS: usize = 5;

/// Kills the process, round after round.
pub(crate) fn kill(options: &Options) -> anyhow::Result<()> {
    in_folder(options, "kill", |folder| {
        let place = place(options, folder, folder.join("data"));
        rounds(options, &place, "kill", |_| Ok(String::new()))
    })
}

/// Kills the process and cuts the power of the disk beneath its data, round after round.
pub(crate) fn power(options: &Options) -> anyhow::Result<()> {
    if options.without_power {
        println!("rounds with power cuts are left out, as `--without-power` says");
        return Ok(());
    }
    if !power::is_possible() {
        bail!(
            "power cuts need root and /dev/fuse; `--without-power` leaves them out, and then nothing is proven of them"
        );
    }
    power::unmount_leftovers()?;
    in_folder(options, "power", |folder| {
        for lies in [Lies::OfAll, Lies::OfDirectories] {
            control(options, folder, lies)?;
        }
        births(options, folder)?;
        let (layer, place) = powered(options, folder, "disk", Lies::Never)?;
        let layer = RefCell::new(layer);
        let outcome = rounds(options, &place, "power", |random| {
            let losses = layer.borrow_mut().cut(random)?;
            Ok(format!(
                "; lost {} of {} unsynced writes, {} of {} names",
                losses.writes_lost, losses.writes_open, losses.names_lost, losses.names_open
            ))
        });
        if outcome.is_err() {
            copy_all(&place.data, &folder.join("data-after-failure"))?;
        }
        outcome
    })
}

/// Rounds on a disk that lies, until one finds it out.
fn control(options: &Options, folder: &Path, lies: Lies) -> anyhow::Result<()> {
    for attempt in 0..CONTROL_ATTEMPTS {
        let noticed = round_on_a_lying_disk(options, folder, lies, attempt);
        let noticed = noticed.with_context(|| format!("control of a disk that lies {lies:?}"))?;
        if let Some(noticed) = noticed {
            let noticed = noticed.lines().next().unwrap_or_default();
            println!("control: a disk whose syncs lie, {lies:?}, is found out: {noticed}");
            return Ok(());
        }
    }
    bail!("a disk whose syncs lie, {lies:?}, was not found out: this test proves nothing")
}

/// One round on a disk that lies: the start after the cut, or the comparison, should fail, and gives what it says then.
fn round_on_a_lying_disk(
    options: &Options,
    folder: &Path,
    lies: Lies,
    attempt: usize,
) -> anyhow::Result<Option<String>> {
    let (mut layer, place) = powered(options, folder, &format!("disk-lies-{lies:?}-{attempt}"), lies)?;
    let mut workers = workers(false);
    let round = round(options, &place, attempt);
    let random = round.random("killer");
    let server = place.start()?;
    setup::run(&mut Client::open(server.address, &place.clock)?, false)?;
    layer.settle();
    load(&mut workers, &round, server, &random)?;
    layer.cut(&random)?;
    let found = place.start().and_then(|server| compare(&mut workers, &round, &server));
    Ok(found.err().map(|error| format!("{error:#}")))
}

/// The power fails while a data directory is made; whatever is left of it, the next start goes on from there.
fn births(options: &Options, folder: &Path) -> anyhow::Result<()> {
    for number in 0..options.rounds {
        let (mut layer, place) = powered(options, folder, &format!("birth-{number}"), Lies::Never)?;
        let random = round(options, &place, number).random("births");
        let mut report = format!("birth {number}");
        for _ in 0..1 + below(&random, 3) {
            let after = Duration::from_micros(below(&random, BIRTH_US_MAX) as u64);
            place.start_and_kill(after)?;
            let losses = layer.cut(&random)?;
            report.push_str(&format!(
                "; cut after {after:?}: lost {} of {} names",
                losses.names_lost, losses.names_open
            ));
        }
        let outcome = place.start().map(Server::kill).with_context(|| report.clone());
        if outcome.is_err() {
            copy_all(&place.data, &folder.join("data-after-failure"))?;
        }
        outcome?;
    }
    println!("power cuts while {} data directories were made: each was usable afterwards", options.rounds);
    Ok(())
}

/// A data directory on a disk of our own. What is made anew when it is lost lies elsewhere, as functions run from it.
fn powered(options: &Options, folder: &Path, name: &str, lies: Lies) -> anyhow::Result<(Layer, Place)> {
    let mountpoint = folder.join(name);
    let layer = Layer::mount(&mountpoint, lies)?;
    let data = mountpoint.join("data");
    fs::DirBuilder::new().mode(0o700).create(&data).context("could not make the data directory")?;
    for inner in ["code", "runtimes", "sandbox"] {
        let elsewhere = folder.join(format!("{name}-{inner}"));
        fs::DirBuilder::new().mode(0o700).create(&elsewhere).context("could not make a folder")?;
        std::os::unix::fs::symlink(&elsewhere, data.join(inner)).context("could not make a link")?;
    }
    layer.settle();
    Ok((layer, place(options, folder, data)))
}

/// Copies what is on the disk of our own, which goes when the program ends, to one that stays.
fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_all(&path, &target)?;
        } else if kind.is_file() {
            fs::copy(&path, &target).with_context(|| format!("could not copy {}", path.display()))?;
        }
    }
    Ok(())
}

/// Runs a campaign in a folder of its own, which stays when it fails.
pub(crate) fn in_folder(
    options: &Options,
    name: &str,
    run: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut folder = Folder::new(options.folder.join(format!("{name}-{}", std::process::id())))?;
    let outcome = run(folder.path());
    folder.keep = outcome.is_err();
    outcome.with_context(|| format!("`--only {name} --seed {}` failed", options.seed))
}

pub(crate) fn place(options: &Options, folder: &Path, data: PathBuf) -> Place {
    let name = data.parent().and_then(Path::file_name).unwrap_or_default();
    let log = folder.join(name).with_extension("log");
    let (binary, clock) = (options.binary.clone(), Clock::system());
    Place { binary, data, log, clock, options: Vec::new(), variables: Vec::new() }
}

pub(crate) fn round(options: &Options, place: &Place, number: usize) -> Round {
    let clock = place.clock.clone();
    Round { number, seed: options.seed, began_unix_ms: clock.unix_ms(), clock }
}

/// Load, kill, what comes after the kill, restart, compare; as often as asked for.
fn rounds(
    options: &Options,
    place: &Place,
    name: &str,
    after_kill: impl Fn(&Random) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let mut workers = workers(true);
    let mut server = place.start()?;
    setup::run(&mut Client::open(server.address, &place.clock)?, true)?;
    let mut unanswered = 0;
    for number in 0..options.rounds {
        let round = round(options, place, number);
        let random = round.random("killer");
        let acknowledged = load(&mut workers, &round, server, &random)?;
        let open = open_attempts(&workers);
        unanswered += open;
        let mut report = format!("{acknowledged} acknowledged, {open} cut off");
        report.push_str(&after_kill(&random)?);
        if below(&random, KILLED_RESTARTS) == 0 {
            place.start_and_kill(Duration::from_micros(below(&random, RESTART_US_MAX) as u64))?;
            report.push_str("; the restart killed too");
            report.push_str(&after_kill(&random)?);
        }
        let failed =
            || format!("{name} round {number} ({report}); the server's log ends:\n{}", place.log_tail());
        server = place.start().with_context(failed)?;
        let ready = server.ready_after.as_millis();
        compare(&mut workers, &round, &server).with_context(failed)?;
        println!("{name} round {number}: {report}; ready after {ready} ms, everything there");
        if number % CHECK_EVERY == CHECK_EVERY - 1 {
            // Beside the running cloud.
            println!("  {}", verify::care(place, unanswered).with_context(failed)?);
        }
    }
    let mut client = Client::open(server.address, &place.clock)?;
    workers.iter_mut().try_for_each(|worker| worker.verify_all(&mut client))?;
    server.kill();
    let checked = verify::care(place, unanswered);
    println!("  {}", checked.with_context(|| format!("after {} {name} rounds", options.rounds))?);
    Ok(())
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
    workers.extend(TableWorker::several(TABLE_WORKERS).map(|worker| Box::new(worker) as Box<dyn Worker>));
    workers
}

/// How many requests of the last load were not answered.
pub(crate) fn open_attempts(workers: &Workers) -> usize {
    workers.iter().map(|worker| worker.open_attempts()).sum()
}

/// Lets all work until the kill; gives how much was acknowledged.
fn load(workers: &mut Workers, round: &Round, mut server: Server, random: &Random) -> anyhow::Result<usize> {
    let pulse = Pulse::new(1 + below(random, BEATS_MAX), workers.len());
    let linger = Duration::from_micros(below(random, LINGER_US_MAX) as u64);
    let terms = Terms::default();
    let mut clients = Vec::new();
    for _ in workers.iter() {
        clients.push(Client::open(server.address, &round.clock)?.under(&terms));
    }
    let mut outcomes = Vec::new();
    let (mut died_before, mut has_hung) = (false, false);
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
        has_hung = !pulse.wait();
        std::thread::sleep(linger);
        died_before = !server.is_alive();
        terms.fault.store(true, Ordering::SeqCst);
        server.kill();
        terms.stop.store(true, Ordering::SeqCst);
        outcomes.extend(threads.into_iter().map(std::thread::ScopedJoinHandle::join));
    });
    if died_before {
        bail!("round {}: the server ended by itself", round.number);
    }
    let mut errors = ServerErrors::default();
    for (outcome, worker) in outcomes.into_iter().zip(workers.iter()) {
        let Ok((outcome, of_worker)) = outcome else { bail!("{} panicked", worker.name()) };
        outcome.with_context(|| format!("round {}, {}", round.number, worker.name()))?;
        errors.add(of_worker);
    }
    if has_hung {
        let acknowledged = pulse.acknowledged();
        bail!("round {}: only {acknowledged} requests were acknowledged in {PULSE_MAX:?}", round.number);
    }
    errors.bound(SERVER_ERRORS_MAX).with_context(|| format!("round {}", round.number))?;
    Ok(pulse.acknowledged())
}

/// Compares everything with the ledgers.
fn compare(workers: &mut Workers, round: &Round, server: &Server) -> anyhow::Result<()> {
    let mut clients = Vec::new();
    for _ in workers.iter() {
        clients.push(Client::open(server.address, &round.clock)?);
    }
    compare_with(workers, clients, round)
}

/// Compares everything with the ledgers, each worker's part on its own connection.
pub(crate) fn compare_with(workers: &mut Workers, clients: Vec<Client>, round: &Round) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .zip(clients)
            .map(|(worker, mut client)| {
                scope.spawn(move || {
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
