//! Requests with wrong signatures beside right ones: what the wrong ones cost those who sign properly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::Clock;
use lambent_test_client::{ACCESS_KEY_ID, Answer, Api, Connection};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::Bench;
use super::calls::GET_CALLER_IDENTITY;
use super::load::{percentile, sorted};
use super::server::{Folder, Server};
use super::table::{Row, Table};

/// Wrong requests in a second, over all.
const WRONG_PER_S: u32 = 10_000;
/// Threads that send them, each over as many connections.
const SENDERS: u8 = 2;
const SENDER_CONNECTIONS: u8 = 100;
/// How often each thread sends what is due.
const TICK: Duration = Duration::from_millis(1);
/// Right requests: this many connections, each of which sends one in each of these times.
const GOOD_CONNECTIONS: usize = 4;
const GOOD_EVERY: Duration = Duration::from_millis(2);
const TARGET: &str = "p99 at most twice that without them";

/// Where wrong requests come from.
#[derive(Clone, Copy)]
enum From {
    OneAddress,
    /// One for each connection, so that none fails often enough to be made to wait.
    ManyAddresses,
}

/// What became of wrong requests.
#[derive(Default)]
struct Wrong {
    sent: usize,
    answered: usize,
}

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = Server::lambent(bench, &folder)?;
    let right = server.api(bench).signed(GET_CALLER_IDENTITY)?;
    // The same with another last digit, and by nobody whom there is.
    let text = String::from_utf8(right.clone()).context("a request of the benchmark is text")?;
    let unknown = text.replacen(ACCESS_KEY_ID, "AKIANOBODYNOBODYNOBO", 1).into_bytes();
    let wrong = [wrong_signature(&server.api(bench), &text)?, unknown];
    good(bench, server.address, &right)?;
    let alone = sorted(good(bench, server.address, &right)?);
    let row = |what: &str, times: &[f64], figure: String, target: &str| Row {
        what: what.to_owned(),
        connections: Some(GOOD_CONNECTIONS),
        p50_us: Some(percentile(times, 0.5)),
        p99_us: Some(percentile(times, 0.99)),
        figure,
        target: target.to_owned(),
        ..Row::default()
    };
    table.row(row("STS GetCallerIdentity, 2,000 a second", &alone, String::new(), ""));
    for (from, name) in [(From::OneAddress, "one address"), (From::ManyAddresses, "200 addresses")] {
        let stop = AtomicBool::new(false);
        let (times, sent) = std::thread::scope(|scope| -> anyhow::Result<_> {
            let senders: Vec<_> = (0..SENDERS)
                .map(|number| {
                    let (stop, wrong, clock) = (&stop, &wrong, &bench.clock);
                    scope.spawn(move || flood(server.address, (from, number), wrong, clock, stop))
                })
                .collect();
            let started = bench.clock.monotonic();
            let times = good(bench, server.address, &right);
            let seconds = (bench.clock.monotonic() - started).as_secs_f64();
            stop.store(true, Ordering::Relaxed);
            let mut all = (0.0, 0.0);
            for sender in senders {
                let Ok(seen) = sender.join() else { bail!("a sender ended with a panic") };
                let seen = seen?;
                all = (all.0 + seen.sent as f64 / seconds, all.1 + seen.answered as f64 / seconds);
            }
            Ok((sorted(times?), all))
        })?;
        let factor = percentile(&times, 0.99) / percentile(&alone, 0.99);
        let (sent, answered) = sent;
        let figure = format!(
            "p99 x {factor:.2}; of {WRONG_PER_S} wrong ones a second {sent:.0} were taken, {answered:.0} answered"
        );
        table.row(row(&format!("the same, beside wrong signatures from {name}"), &times, figure, TARGET));
    }
    Ok(())
}

/// A request like this one whose signature is another's.
fn wrong_signature(api: &Api<'_>, right: &str) -> anyhow::Result<Vec<u8>> {
    let (before, after) = right.split_once("Signature=").context("the request has no signature")?;
    let digit = if after.starts_with('0') { '1' } else { '0' };
    let wrong = format!("{before}Signature={digit}{}", &after[1..]).into_bytes();
    let answer = Connection::open(api.address)?.exchange(&wrong)?;
    if answer.status != 403 {
        bail!("a wrong signature was answered with {}", answer.text());
    }
    Ok(wrong)
}

/// Sends right requests at a steady pace; gives how long each took, from when it was due, in microseconds.
fn good(bench: &Bench, address: SocketAddr, right: &[u8]) -> anyhow::Result<Vec<f64>> {
    let clock = &bench.clock;
    let drive = || -> anyhow::Result<Vec<f64>> {
        let (mut connection, mut answer) = (Connection::open(address)?, Answer::default());
        let (mut times, mut due) = (Vec::new(), clock.monotonic());
        let end = due + bench.row_time();
        while due < end {
            std::thread::sleep(due.saturating_sub(clock.monotonic()));
            let sent = clock.monotonic();
            connection.send(right)?;
            connection.receive(&mut answer)?;
            if !answer.is_success() {
                bail!("a right request was refused: {}", answer.text());
            }
            let now = clock.monotonic();
            times.push((now - sent).as_secs_f64() * 1e6);
            // What is late because an answer was late is not sent in a bunch.
            due = (due + GOOD_EVERY).max(now);
        }
        Ok(times)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..GOOD_CONNECTIONS).map(|_| scope.spawn(drive)).collect();
        let mut all = Vec::new();
        for thread in threads {
            let Ok(times) = thread.join() else { bail!("a connection's thread ended with a panic") };
            all.extend(times?);
        }
        Ok(all)
    })
}

/// Sends wrong requests without waiting for answers, as far as the server takes them.
fn flood(
    address: SocketAddr,
    (from, number): (From, u8),
    wrong: &[Vec<u8>],
    clock: &Clock,
    stop: &AtomicBool,
) -> anyhow::Result<Wrong> {
    let mut streams = Vec::new();
    for connection in 0..SENDER_CONNECTIONS {
        let source = match from {
            From::OneAddress => Ipv4Addr::new(127, 0, 0, 9),
            From::ManyAddresses => Ipv4Addr::new(127, 1, number, 1 + connection),
        };
        streams.push(open(source, address)?);
    }
    let mut seen = Wrong::default();
    let (started, mut sent, mut piece) = (clock.monotonic(), 0_u32, vec![0; 64 * 1024]);
    while !stop.load(Ordering::Relaxed) {
        let due = f64::from(WRONG_PER_S / u32::from(SENDERS)) * (clock.monotonic() - started).as_secs_f64();
        while f64::from(sent) < due {
            let turn = usize::try_from(sent)?;
            let request = &wrong[turn / streams.len() % wrong.len()];
            let count = streams.len();
            let stream = &mut streams[turn % count];
            seen.answered += answers(stream, &mut piece)?;
            match stream.write(request) {
                Ok(written) if written == request.len() => seen.sent += 1,
                Ok(_) => bail!("a part of a request was taken, which this benchmark does not go on with"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("a connection with wrong requests ended"),
            }
            sent += 1;
        }
        std::thread::sleep(TICK);
    }
    Ok(seen)
}

/// Reads what has come, and counts the answers that begin in it.
fn answers(stream: &mut TcpStream, piece: &mut [u8]) -> anyhow::Result<usize> {
    match stream.read(piece) {
        Ok(count) => Ok(piece[..count].windows(9).filter(|bytes| bytes == b"HTTP/1.1 ").count()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error).context("could not read the answers to wrong requests"),
    }
}

/// A connection from an address of loopback that does not block.
fn open(source: Ipv4Addr, address: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::V4(SocketAddrV4::new(source, 0)))?;
    connect(&socket, &address).with_context(|| format!("could not connect from {source}"))?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
