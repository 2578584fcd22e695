//! Three nodes over one PostgreSQL and one directory of blobs: one of them is killed, stopped, or loses its database under
//! load, while the others go on. Everything acknowledged by any node must be found at another, and every event must
//! be delivered by those that are left.

mod cable;
#[path = "../../../../crates/store/tests/support/cluster.rs"]
#[expect(clippy::unwrap_used, reason = "the tests of the store share it")]
mod cluster;
mod takeover;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::{Clock, Random};

use crate::campaign::{self, Workers};
use crate::client::{Client, ServerErrors, Terms};
use crate::cloud::{Place, Server};
use crate::content::below;
use crate::options::Options;
use crate::pulse::{PULSE_MAX, Pulse};
use crate::setup;
use crate::verify;
use crate::work::Round;
use cable::{Cable, Traffic};
use cluster::{Cluster, Sync};

const NODES: usize = 3;
/// One round for so many that are asked for: each takes longer than a node may be missed.
const ROUNDS_SHARE: usize = 5;
const MASTER_KEY: &str = "a55a0ff0a55a0ff0a55a0ff0a55a0ff0a55a0ff0a55a0ff0a55a0ff0a55a0ff0";
/// After so many acknowledged requests, at most, something happens to a node.
const BEATS_MAX: usize = 400;
/// For so long: what it held has to go to others meanwhile.
const FAULT_LASTS: Duration = Duration::from_secs(9);
/// And so long the load goes on afterwards.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// Between two requests of a worker, so that a round's ledger stays readable within seconds.
const PAUSE: Duration = Duration::from_millis(15);

/// Server errors of the others, and of the victim after its fault: their transactions meet those that the fault left open,
/// and are tried again only so often.
const SERVER_ERRORS_MAX: usize = 10;
/// What each of the others must acknowledge during a fault, which is a small part of what they do.
const ACKNOWLEDGED_MIN: usize = 20;

/// What happens to a node.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    /// It loses its database, and notices.
    Cut,
    /// It loses its database, and waits for answers.
    Frozen,
    /// It sleeps, and goes on as if nothing had happened.
    Asleep,
}

const FAULTS: [Fault; 4] = [Fault::Killed, Fault::Frozen, Fault::Asleep, Fault::Cut];

struct Node {
    place: Place,
    cable: Cable,
    server: Option<Server>,
}

/// Round after round; what a fault left is mended before the next.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    campaign::in_folder(options, "nodes", |folder| {
        let cluster = Cluster::start(None, Sync::Off);
        cluster.database("torture");
        let mut nodes = Vec::new();
        for number in 0..NODES {
            nodes.push(Node::new(options, folder, &cluster, number)?);
        }
        nodes.iter_mut().try_for_each(Node::start)?;
        let mut workers = campaign::workers(true);
        setup::run(&mut nodes[0].client(&Clock::system())?, true)?;
        let mut unanswered = 0;
        for number in 0..options.rounds.div_ceil(ROUNDS_SHARE) {
            let round = campaign::round(options, &nodes[0].place, number);
            let report = play(&mut nodes, &mut workers, &round, &mut unanswered);
            let report = report.with_context(|| {
                let tail = |node: &Node| format!("{}:\n{}", node.place.log.display(), node.place.log_tail());
                format!("nodes round {number}; {}", nodes.iter().map(tail).collect::<Vec<_>>().join("\n"))
            })?;
            println!("nodes round {number}: {report}");
        }
        let mut client = nodes[0].client(&Clock::system())?;
        workers.iter_mut().try_for_each(|worker| worker.verify_all(&mut client))?;
        nodes.iter_mut().filter_map(|node| node.server.take()).for_each(Server::kill);
        println!("  {}", verify::care(&nodes[0].place, unanswered).context("after the nodes rounds")?);
        Ok(())
    })
}

impl Node {
    fn new(options: &Options, folder: &Path, cluster: &Cluster, number: usize) -> anyhow::Result<Self> {
        let cable = Cable::new(cluster.socket_folder())?;
        let mut place = campaign::place(options, folder, folder.join(format!("node-{number}")));
        place.log = folder.join(format!("node-{number}.log"));
        let blobs = folder.join("blobs").to_string_lossy().into_owned();
        let store = Cluster::url_through(cable.folder(), "torture");
        place.options = vec!["--store".to_owned(), store, "--blobs".to_owned(), blobs];
        place.variables = vec![("LAMBENT_MASTER_KEY", MASTER_KEY)];
        Ok(Self { place, cable, server: None })
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.server = Some(self.place.start()?);
        Ok(())
    }

    fn client(&self, clock: &Clock) -> anyhow::Result<Client> {
        let server = self.server.as_ref().context("the node is not running")?;
        Client::open(server.address, clock)
    }

    fn suffer(&mut self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Killed => {
                if let Some(server) = self.server.take() {
                    server.kill();
                }
                Ok(())
            }
            Fault::Cut => {
                self.cable.set(Traffic::Cut);
                Ok(())
            }
            Fault::Frozen => {
                self.cable.set(Traffic::Frozen);
                Ok(())
            }
            Fault::Asleep => self.server.as_ref().map_or(Ok(()), Server::pause),
        }
    }

    /// The end of what it suffered; a node that was killed stays dead.
    fn recover(&self) -> anyhow::Result<()> {
        self.cable.set(Traffic::Flows);
        self.server.as_ref().map_or(Ok(()), Server::resume)
    }
}

/// One round: load on all nodes, a fault of one, comparison at the others.
fn play(
    nodes: &mut [Node],
    workers: &mut Workers,
    round: &Round,
    unanswered: &mut usize,
) -> anyhow::Result<String> {
    let random = round.random("fate");
    let (fault, victim) = (FAULTS[round.number % FAULTS.len()], below(&random, NODES));
    let what = format!("node {victim} {fault:?}");
    let happens = |nodes: &mut [Node], terms: &[Terms]| strike(nodes, terms, (fault, victim), round);
    let done = load(nodes, workers, round, &random, happens);
    let done = done.with_context(|| what.clone())?;
    *unanswered += campaign::open_attempts(workers);
    let began = round.clock.monotonic();
    verify_elsewhere(nodes, workers, round).with_context(|| what.clone())?;
    let took = round.clock.monotonic().saturating_sub(began).as_secs_f64();
    if nodes[victim].server.is_none() {
        nodes[victim].start()?;
    }
    Ok(format!("{what}; {done}; everything there after {took:.1} s"))
}

/// The fault, from its beginning to its end; the other nodes must go on meanwhile, and do what a dead one had to do.
fn strike(
    nodes: &mut [Node],
    terms: &[Terms],
    (fault, victim): (Fault, usize),
    round: &Round,
) -> anyhow::Result<String> {
    let mut other = nodes[(victim + 1) % NODES].client(&round.clock)?;
    let mut watched = None;
    if matches!(fault, Fault::Killed) {
        let mut clients = takeover::clients(|| nodes[victim].client(&round.clock))?;
        let usual = takeover::usual(&mut clients, &mut other, round)?;
        watched = Some((usual, takeover::last_burst(&mut clients, round)?));
    }
    terms[victim].fault.store(true, Ordering::SeqCst);
    let before = acknowledged(terms);
    nodes[victim].suffer(fault)?;
    let began = other.now();
    let mut said = String::new();
    if let Some((usual, events)) = watched {
        said = format!("; {}", takeover::watch(&mut other, round, events, began, usual)?);
    }
    std::thread::sleep(FAULT_LASTS.saturating_sub(other.now().saturating_sub(began)));
    let during: Vec<usize> = acknowledged(terms).iter().zip(before).map(|(now, then)| now - then).collect();
    nodes[victim].recover()?;
    terms[victim].fault.store(false, Ordering::SeqCst);
    if let Some(node) = (0..NODES).find(|&node| node != victim && during[node] < ACKNOWLEDGED_MIN) {
        let few = during[node];
        bail!("node {node} acknowledged {few} requests during the fault, expected {ACKNOWLEDGED_MIN}");
    }
    Ok(format!("{during:?} of them during the fault{said}"))
}

fn acknowledged(terms: &[Terms]) -> Vec<usize> {
    terms.iter().map(|terms| terms.acknowledged.load(Ordering::SeqCst)).collect()
}

/// Lets all work while `happens`, and a little longer; says what was done.
fn load(
    nodes: &mut [Node],
    workers: &mut Workers,
    round: &Round,
    random: &Random,
    happens: impl FnOnce(&mut [Node], &[Terms]) -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    let pulse = Pulse::new(1 + below(random, BEATS_MAX), workers.len());
    let stop = Terms::default().stop;
    let terms = [(); NODES].map(|()| Terms { pause: PAUSE, stop: stop.clone(), ..Terms::default() });
    let mut clients = Vec::new();
    for number in 0..workers.len() {
        clients.push(nodes[number % NODES].client(&round.clock)?.under(&terms[number % NODES]));
    }
    let mut outcomes = Vec::new();
    let happened = std::thread::scope(|scope| {
        let (pulse, threads) = (&pulse, workers.iter_mut().zip(clients));
        let threads: Vec<_> = threads
            .map(|(worker, mut client)| {
                scope.spawn(move || {
                    let outcome = worker.run(&mut client, round, pulse);
                    pulse.ended();
                    (outcome.with_context(|| worker.name().to_owned()), client.server_errors)
                })
            })
            .collect();
        let happened = match pulse.wait() {
            true => happens(nodes, &terms),
            false => Err(anyhow::anyhow!("not enough requests were acknowledged in {PULSE_MAX:?}")),
        };
        std::thread::sleep(AFTERWARDS);
        stop.store(true, Ordering::SeqCst);
        outcomes.extend(threads.into_iter().map(std::thread::ScopedJoinHandle::join));
        happened
    });
    let mut errors = ServerErrors::default();
    for outcome in outcomes {
        let (outcome, of_worker) = outcome.map_err(|_| anyhow::anyhow!("a worker panicked"))?;
        outcome?;
        errors.add(of_worker);
    }
    let happened = happened?;
    errors.bound(SERVER_ERRORS_MAX)?;
    let ServerErrors { excused, unexcused, first } = errors;
    let first = first.map(|first| format!(", the first: {first}")).unwrap_or_default();
    let all = pulse.acknowledged();
    Ok(format!(
        "{all} acknowledged, {happened}; server errors: {excused} in the fault, {unexcused} else{first}"
    ))
}

/// Compares what each worker did at one node with what another one says.
fn verify_elsewhere(nodes: &[Node], workers: &mut Workers, round: &Round) -> anyhow::Result<()> {
    let mut clients = Vec::new();
    for number in 0..workers.len() {
        let others = (1..=NODES).map(|step| &nodes[(number + step) % NODES]);
        let Some(other) = others.into_iter().find(|node| node.server.is_some()) else {
            bail!("no node is left");
        };
        clients.push(other.client(&round.clock)?);
    }
    campaign::compare_with(workers, clients, round)
}
