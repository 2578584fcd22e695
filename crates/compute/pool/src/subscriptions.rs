//! Subscriptions of the Telemetry and Logs APIs: how they are asked for, and how events reach a listener inside.
//! Source: AWS Lambda Developer Guide, "Lambda Telemetry API reference", "Lambda Logs API".

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lambent_base::Clock;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::telemetry::{Batch, Destination, Source, Subscriber, Wish};

/// (least, default, most)
const ITEMS: (usize, usize, usize) = (1_000, 10_000, 10_000);
const BYTES: (usize, usize, usize) = (262_144, 262_144, 1_048_576);
const TIMEOUT_MS: (usize, usize, usize) = (25, 1_000, 30_000);
const TELEMETRY_VERSIONS: [&str; 3] = ["2022-07-01", "2022-12-13", "2025-01-29"];
const LOGS_VERSIONS: [&str; 2] = ["2020-08-15", "2021-03-18"];
/// What leads to the environment itself.
const HOSTS: [&str; 4] = ["sandbox.localdomain", "sandbox", "localhost", "127.0.0.1"];
/// A listener may be slow to open.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// What one attempt may take, while the environment does not stand still.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Sockets that are asked for at once.
const SOCKETS: usize = 2;
/// Threads that make sockets at once, for all environments: whatever subscribers do, others find threads that may block.
static MAKING: Semaphore = Semaphore::const_new(2);
/// As much of an answer is read as tells that it is one.
const ANSWER_BYTES: usize = 4 * 1024;
/// The largest body with which somebody subscribes.
pub(crate) const MAX_SUBSCRIPTION_BYTES: usize = 16 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    schema_version: Option<String>,
    #[serde(default)]
    types: Vec<String>,
    buffering: Option<Buffering>,
    destination: Option<AskedDestination>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Buffering {
    max_items: Option<usize>,
    max_bytes: Option<usize>,
    timeout_ms: Option<usize>,
}

#[derive(Deserialize)]
struct AskedDestination {
    protocol: Option<String>,
    #[serde(alias = "URI")]
    uri: Option<String>,
    port: Option<u16>,
}

impl Wish {
    /// From a subscription's body; or everything that is wrong with it.
    pub(crate) fn read(body: &[u8], is_logs: bool) -> Result<Self, String> {
        let asked: Asked =
            serde_json::from_slice(body).map_err(|error| format!("the request is malformed: {error}"))?;
        let mut wrong = Vec::new();
        let versions: &[&str] = if is_logs { &LOGS_VERSIONS } else { &TELEMETRY_VERSIONS };
        // Older subscribers of the Logs API give none.
        let known = asked.schema_version.as_deref().map_or(is_logs, |version| versions.contains(&version));
        if !known {
            wrong.push("schemaVersion is not supported".to_owned());
        }
        let all_known: Option<Vec<Source>> = asked.types.iter().map(|name| Source::named(name)).collect();
        let types = all_known.map(|named| {
            let mut types = Vec::new();
            for one in named {
                if !types.contains(&one) {
                    types.push(one);
                }
            }
            types
        });
        if asked.types.is_empty() {
            wrong.push("types should not be empty".to_owned());
        } else if types.is_none() {
            wrong.push("types should be one or more of platform, function, extension".to_owned());
        }
        let buffering = asked.buffering.unwrap_or_default();
        let mut bounded =
            |name: &str, value: Option<usize>, (least, default, most): (usize, usize, usize)| {
                let value = value.unwrap_or(default);
                if !(least..=most).contains(&value) {
                    wrong.push(format!("{name} should be between {least} and {most}"));
                }
                value
            };
        let max_items = bounded("maxItems", buffering.max_items, ITEMS);
        let max_bytes = bounded("maxBytes", buffering.max_bytes, BYTES);
        let timeout_ms = bounded("timeoutMs", buffering.timeout_ms, TIMEOUT_MS);
        let destination = match asked.destination.ok_or("destination is not provided").and_then(destination) {
            Ok(destination) => Some(destination),
            Err(why) => {
                wrong.push(why.to_owned());
                None
            }
        };
        match (types, destination) {
            (Some(types), Some(destination)) if wrong.is_empty() => {
                let timeout_ms = timeout_ms as u64;
                Ok(Self { is_logs, types, max_items, max_bytes, timeout_ms, destination })
            }
            _ => Err(wrong.join("; ")),
        }
    }
}

fn destination(asked: AskedDestination) -> Result<Destination, &'static str> {
    match asked.protocol.as_deref() {
        Some("TCP") => asked.port.map(|port| Destination::Tcp { port }).ok_or("port is not provided"),
        Some("HTTP") => {
            let uri = asked.uri.ok_or("URI is not provided")?;
            let rest = uri.strip_prefix("http://").ok_or("URI should begin with http://")?;
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (host, port) = authority.rsplit_once(':').ok_or("URI port is not provided")?;
            if !HOSTS.contains(&host) {
                return Err("URI host should be sandbox.localdomain");
            }
            let port = port.parse().map_err(|_| "URI port is not a number")?;
            if path.chars().any(|char| !matches!(char, '!'..='~')) {
                return Err("URI is malformed");
            }
            Ok(Destination::Http { port, path: format!("/{path}") })
        }
        _ => Err("protocol should be HTTP or TCP"),
    }
}

/// Delivers what a subscriber wants, for as long as its environment lives. `still` says whether that stands still.
pub(crate) async fn deliver(
    subscriber: Arc<Subscriber>,
    sandbox: Weak<lambent_sandbox::Environment>,
    mut still: watch::Receiver<bool>,
    clock: Clock,
) {
    let mut way = Way { sandbox, sockets: Vec::new(), open: None };
    let timeout = Duration::from_millis(subscriber.wish.timeout_ms);
    loop {
        subscriber.wait_for_any().await;
        // Whichever of the two it was.
        let _ = tokio::time::timeout(timeout, subscriber.wait_until_full()).await;
        let batch = subscriber.take(clock.unix_ms());
        let mut delivered = false;
        for _ in 0..ATTEMPTS {
            delivered = tokio::select! {
                sent = way.send(&subscriber.wish.destination, &batch) => sent.is_ok(),
                () = has_had_its_time(&mut still) => false,
            };
            if delivered {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        if !delivered {
            subscriber.lose(&batch);
        }
    }
}

/// Returns when an attempt has taken too long. After the environment stood still its time begins anew: what a listener
/// could not take must not come twice.
async fn has_had_its_time(still: &mut watch::Receiver<bool>) {
    while still.wait_for(|still| !still).await.is_ok() {
        tokio::select! {
            () = tokio::time::sleep(DELIVERY_TIMEOUT) => return,
            _ = still.wait_for(|still| *still) => {}
        }
    }
}

/// The way into an environment's network.
struct Way {
    // Weak, so that the environment's end is its end.
    sandbox: Weak<lambent_sandbox::Environment>,
    sockets: Vec<OwnedFd>,
    /// The connection of a TCP subscriber.
    open: Option<TcpStream>,
}

impl Way {
    async fn send(&mut self, destination: &Destination, batch: &Batch) -> io::Result<()> {
        match destination {
            Destination::Http { port, path } => self.post(*port, path, &batch.lines).await,
            Destination::Tcp { port } => {
                let mut stream = match self.open.take() {
                    Some(stream) => stream,
                    None => self.connect(*port).await?,
                };
                let mut lines = batch.lines.join("\n");
                lines.push('\n');
                stream.write_all(lines.as_bytes()).await?;
                self.open = Some(stream);
                Ok(())
            }
        }
    }

    async fn post(&mut self, port: u16, path: &str, batch: &[Arc<str>]) -> io::Result<()> {
        let mut stream = self.connect(port).await?;
        let body = format!("[{}]", batch.join(","));
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: sandbox.localdomain:{port}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut answer = Vec::new();
        // One that does not close its connection is not waited for.
        while answer.len() < ANSWER_BYTES && !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut answer).await? == 0 {
                break;
            }
        }
        let is_success = answer.starts_with(b"HTTP/1.") && answer.get(9) == Some(&b'2');
        is_success.then_some(()).ok_or_else(|| io::Error::other("the subscriber refused"))
    }

    async fn connect(&mut self, port: u16) -> io::Result<TcpStream> {
        if self.sockets.is_empty() {
            let turn = MAKING.acquire().await.map_err(io::Error::other)?;
            let sandbox = self.sandbox.clone();
            let made = tokio::task::spawn_blocking(move || {
                // Held as long as the thread, whoever waits for it.
                let _turn = turn;
                // What ended while this waited for a thread is not held up by it.
                let sandbox = sandbox.upgrade().ok_or(io::ErrorKind::NotConnected)?;
                sandbox.sockets(SOCKETS).map_err(io::Error::other)
            });
            self.sockets = made.await.map_err(io::Error::other)??;
        }
        let socket = self.sockets.pop().ok_or(io::ErrorKind::NotConnected)?;
        let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(socket));
        socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_have_awss_defaults_and_bounds() {
        let body = br#"{"schemaVersion":"2022-12-13","types":["platform","function"],
            "destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080/in"}}"#;
        let wish = Wish::read(body, false).unwrap();
        assert_eq!(wish.destination, Destination::Http { port: 8080, path: "/in".to_owned() });
        assert_eq!((wish.max_items, wish.max_bytes, wish.timeout_ms), (10_000, 262_144, 1_000));
        let bad = br#"{"schemaVersion":"2022-12-13","types":[],"buffering":{"timeoutMs":1},
            "destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain"}}"#;
        assert_eq!(
            Wish::read(bad, false).unwrap_err(),
            "types should not be empty; timeoutMs should be between 25 and 30000; URI port is not provided"
        );
        let again = br#"{"types":["platform","platform","function","platform"],
            "destination":{"protocol":"TCP","port":1}}"#;
        assert_eq!(Wish::read(again, true).unwrap().types, [Source::Platform, Source::Function]);
        let outside =
            br#"{"types":["platform"],"destination":{"protocol":"HTTP","URI":"http://10.0.0.1:80"}}"#;
        assert_eq!(Wish::read(outside, true).unwrap_err(), "URI host should be sandbox.localdomain");
    }
}
