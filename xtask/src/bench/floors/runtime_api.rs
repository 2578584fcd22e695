//! The smallest Runtime API there can be, and a client that takes events from it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use lambent_base::Clock;

use super::super::Bench;
use super::super::table::{Row, Table};
use super::pipes::{bind_to, cpus};

const EVENTS: usize = 5_000;
const EVENTS_BEFORE: usize = 500;
const STARTS: usize = 10;
/// Longer than any client takes for an event.
const TIMEOUT: Duration = Duration::from_secs(10);
const BODY: &str = r#"{"key1": "value1", "key2": "value2", "key3": "value3"}"#;
const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:floor";
const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
const BUFFER_BYTES: usize = 16 * 1024;

/// A runtime, with a function that returns its event.
pub(super) struct Client {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: &'static [&'static str],
    /// Where it is started.
    pub(super) folder: PathBuf,
}

/// What happened on one of the client's connections, and when.
enum Seen {
    /// It asked for an event.
    Asked(Duration),
    /// An event was about to be written; its answer was read.
    Answered(Duration, Duration),
}

impl Client {
    /// Its start, and its calls wherever the kernel puts them and with both sides on one CPU.
    pub(super) fn measure(&self, bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
        let mut starts_us = Vec::new();
        for _ in 0..bench.count(STARTS).max(5) {
            starts_us.push(self.run(bench, None, 1)?.0);
        }
        table.row(Row::times(format!("Floor: {}, start to first question", self.name), starts_us));
        let first = cpus()?.first().copied();
        for (cpu, place) in [(None, ""), (first, ", on one CPU")] {
            let (_, mut times_us) = self.run(bench, cpu, EVENTS_BEFORE + bench.count(EVENTS))?;
            times_us.drain(..EVENTS_BEFORE);
            let what = format!("Floor: {} and a trivial Runtime API, event to answer{place}", self.name);
            table.row(Row::times(what, times_us));
        }
        Ok(())
    }

    /// Microseconds from the start to the first question, and of each event.
    fn run(&self, bench: &Bench, cpu: Option<usize>, events: usize) -> anyhow::Result<(f64, Vec<f64>)> {
        // In a thread of its own, as only that is bound to a CPU; what it starts inherits it.
        std::thread::scope(|scope| {
            let measuring = scope.spawn(|| {
                cpu.map_or(Ok(()), bind_to)?;
                self.serve(&bench.clock, events)
            });
            measuring.join().map_err(|_| anyhow::anyhow!("the thread that serves {} panicked", self.name))?
        })
    }

    fn serve(&self, clock: &Clock, events: usize) -> anyhow::Result<(f64, Vec<f64>)> {
        let listener = TcpListener::bind("127.0.0.1:0").context("could not listen")?;
        let address = listener.local_addr()?.to_string();
        let (say, seen) = channel();
        let api = Api { clock, say, sent: Mutex::default(), over: AtomicBool::new(false) };
        std::thread::scope(|scope| {
            scope.spawn(|| api.accept(&listener));
            let started = clock.monotonic();
            let outcome = self.start(&address).and_then(|mut child| {
                let outcome = collect(&seen, events);
                stop(&mut child)?;
                outcome
            });
            api.over.store(true, Ordering::Relaxed);
            // Wakes the one who accepts, who then finds that all is over.
            drop(TcpStream::connect(&address));
            let (asked, times_us) = outcome.with_context(|| format!("with {}", self.name))?;
            Ok(((asked - started).as_secs_f64() * 1e6, times_us))
        })
    }

    fn start(&self, address: &str) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(self.arguments).current_dir(&self.folder).env("AWS_LAMBDA_RUNTIME_API", address);
        command.env("AWS_LAMBDA_FUNCTION_NAME", "floor").env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
        command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128").env("AWS_LAMBDA_LOG_GROUP_NAME", "floor");
        command.env("AWS_LAMBDA_LOG_STREAM_NAME", "floor").stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().with_context(|| format!("could not start {}", self.program.display()))
    }
}

/// When the first question came, and how long each of the events took.
fn collect(seen: &Receiver<Seen>, events: usize) -> anyhow::Result<(Duration, Vec<f64>)> {
    let mut first = None;
    let mut times_us = Vec::new();
    while times_us.len() < events {
        match seen.recv_timeout(TIMEOUT).context("the client said nothing for too long")? {
            Seen::Asked(at) => drop(first.get_or_insert(at)),
            Seen::Answered(sent, came) => times_us.push((came - sent).as_secs_f64() * 1e6),
        }
    }
    Ok((first.context("the client never asked for an event")?, times_us))
}

fn stop(child: &mut Child) -> anyhow::Result<()> {
    child.kill().context("could not end the client")?;
    child.wait().context("could not wait for the client")?;
    Ok(())
}

/// What the connections of one client share.
struct Api<'a> {
    clock: &'a Clock,
    say: Sender<Seen>,
    /// When the last event was sent.
    sent: Mutex<Duration>,
    over: AtomicBool,
}

impl Api<'_> {
    /// Serves each connection in a thread of its own: clients may ask on one and answer on another. Returns when a
    /// connection comes after all is over, and those before it are closed.
    fn accept(&self, listener: &TcpListener) {
        std::thread::scope(|scope| {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
                // A client that goes away in the middle is missed by whoever waits for its answer.
                scope.spawn(move || drop(self.serve(stream)));
            }
        });
    }

    fn serve(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let event = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: {REQUEST_ID}\r\n\
             Lambda-Runtime-Deadline-Ms: 4102444800000\r\nLambda-Runtime-Trace-Id: Root=1-0-0\r\n\
             Lambda-Runtime-Invoked-Function-Arn: {ARN}\r\nContent-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        let mut input = Vec::with_capacity(BUFFER_BYTES);
        while let Some(is_question) = next_request(&mut stream, &mut input)? {
            let now = self.clock.monotonic();
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            if is_question {
                self.say.send(Seen::Asked(now))?;
                *sent = self.clock.monotonic();
                stream.write_all(event.as_bytes())?;
            } else {
                stream.write_all(ACCEPTED)?;
                self.say.send(Seen::Answered(*sent, now))?;
            }
        }
        Ok(())
    }
}

/// Reads a whole request and forgets it; says whether it is one for an event, or nothing when there are no more.
fn next_request(stream: &mut TcpStream, input: &mut Vec<u8>) -> anyhow::Result<Option<bool>> {
    let mut piece = [0; BUFFER_BYTES];
    loop {
        if let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&input[..end]).to_ascii_lowercase();
            let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(Ok(0), |length| length.trim().parse())?;
            if input.len() >= end + 4 + length {
                input.drain(..end + 4 + length);
                return Ok(Some(head.starts_with("get ")));
            }
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            read => input.extend_from_slice(&piece[..read]),
        }
    }
}
