//! Requests, and what can be known from their answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::Clock;
use lambent_test_client::{Answer, Api, Connection, Request, Unanswered};

/// A load that nothing has ended by then will not end.
const LOAD_MAX: Duration = Duration::from_secs(240);
/// More than any answer of the load has.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A connection that was not used for so long is not used again: the server closes it after 30 s (its
/// `HEADER_READ_TIMEOUT`), and a request may meet that.
const UNUSED_MAX: Duration = Duration::from_secs(20);

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Told {
    /// The server said that it is done.
    Done(Answer),
    /// The server said that it is not, and will not be.
    Refused(Answer),
    /// It may be done or not: the server had an error, or was killed before it answered.
    Unknown,
}

/// The terms of a load at one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Before each attempt, so that the load does not run away.
    pub(crate) pause: Duration,
    /// Ends the load.
    pub(crate) stop: Arc<AtomicBool>,
    /// Set just before something happens to the server, and until that is over: only then may it fail.
    pub(crate) fault: Arc<AtomicBool>,
    /// How many requests the server has acknowledged.
    pub(crate) acknowledged: Arc<AtomicUsize>,
}

/// Answers with a status of 500 or more, and connections that the server closed instead of answering.
#[derive(Debug, Default)]
pub(crate) struct ServerErrors {
    /// During the server's fault.
    pub(crate) excused: usize,
    /// While nothing had happened to it.
    pub(crate) unexcused: usize,
    /// The first of these.
    pub(crate) first: Option<String>,
}

impl ServerErrors {
    /// Adds those of another client.
    pub(crate) fn add(&mut self, other: Self) {
        self.excused += other.excused;
        self.unexcused += other.unexcused;
        self.first = self.first.take().or(other.first);
    }

    /// Fails when there were more than that many without a fault.
    pub(crate) fn bound(&self, max: usize) -> anyhow::Result<()> {
        match &self.first {
            Some(first) if self.unexcused > max => bail!(
                "{} server errors while nothing had happened to the server, expected at most {max}; the first: {first}",
                self.unexcused
            ),
            _ => Ok(()),
        }
    }
}

/// One connection to the server of a round.
pub(crate) struct Client {
    address: SocketAddr,
    clock: Clock,
    connection: Connection,
    /// It failed.
    is_cut: bool,
    /// When it was used last, in monotonic time.
    used: Duration,
    terms: Terms,
    /// When a load must have ended, in monotonic time.
    deadline: Duration,
    /// The server does not answer any more, or is not asked any more.
    pub(crate) lost: bool,
    pub(crate) server_errors: ServerErrors,
}

impl Client {
    pub(crate) fn open(address: SocketAddr, clock: &Clock) -> anyhow::Result<Self> {
        let connection = Connection::keeping(address, KEPT_BYTES_MAX)?;
        Ok(Self {
            address,
            clock: clock.clone(),
            connection,
            is_cut: false,
            used: clock.monotonic(),
            terms: Terms::default(),
            deadline: clock.monotonic() + LOAD_MAX,
            lost: false,
            server_errors: ServerErrors::default(),
        })
    }

    /// The same, on these terms.
    pub(crate) fn under(mut self, terms: &Terms) -> Self {
        self.terms = terms.clone();
        self
    }

    /// Monotonic time.
    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Whether the load is over.
    ///
    /// An error when it should have been long ago.
    pub(crate) fn is_over(&self) -> anyhow::Result<bool> {
        if self.lost || self.terms.stop.load(Ordering::SeqCst) {
            return Ok(true);
        }
        if self.clock.monotonic() > self.deadline {
            bail!("nothing has ended the load within {LOAD_MAX:?}");
        }
        Ok(false)
    }

    /// Asks for something that may be cut off by what happens to the server. A failure before that is an error.
    pub(crate) fn attempt(&mut self, request: Request<'_>) -> anyhow::Result<Told> {
        std::thread::sleep(self.terms.pause);
        if self.terms.stop.load(Ordering::SeqCst) {
            self.lost = true;
            return Ok(Told::Unknown);
        }
        let api = Api { address: self.address, clock: &self.clock };
        let bytes = api.signed(request)?;
        let began_in_fault = self.terms.fault.load(Ordering::SeqCst);
        let exchanged = self.exchange(&bytes);
        let is_excused = began_in_fault || self.terms.fault.load(Ordering::SeqCst);
        let answer = match exchanged {
            Ok(answer) => answer,
            Err(_) if is_excused => {
                self.lost = true;
                return Ok(Told::Unknown);
            }
            Err(error) if error.is::<Unanswered>() => {
                self.note_server_error(request, &format!("{error:#}"), false);
                return Ok(Told::Unknown);
            }
            Err(error) => {
                let Request { method, target, .. } = request;
                return Err(
                    error.context(format!("{method} {target}, while nothing had happened to the server"))
                );
            }
        };
        Ok(match answer.status {
            200..300 => {
                self.terms.acknowledged.fetch_add(1, Ordering::SeqCst);
                Told::Done(answer)
            }
            500.. => {
                self.note_server_error(request, &answer.text(), is_excused);
                Told::Unknown
            }
            _ => Told::Refused(answer),
        })
    }

    /// Asks, on a new connection where the old one has ended or may end.
    fn exchange(&mut self, bytes: &[u8]) -> anyhow::Result<Answer> {
        let unused = self.clock.monotonic().saturating_sub(self.used);
        if self.is_cut || self.connection.has_ended() || unused > UNUSED_MAX {
            self.connection = Connection::keeping(self.address, KEPT_BYTES_MAX)?;
            self.is_cut = false;
        }
        let exchanged = self.connection.exchange(bytes);
        self.is_cut = exchanged.is_err();
        self.used = self.clock.monotonic();
        exchanged
    }

    fn note_server_error(&mut self, request: Request<'_>, answer: &str, is_excused: bool) {
        if is_excused {
            self.server_errors.excused += 1;
            return;
        }
        self.server_errors.unexcused += 1;
        let text = || format!("{} {}: {}", request.method, request.target, answer);
        self.server_errors.first.get_or_insert_with(text);
    }

    /// Asks for something that must be answered, whatever the answer is.
    pub(crate) fn ask(&mut self, request: Request<'_>) -> anyhow::Result<Answer> {
        let api = Api { address: self.address, clock: &self.clock };
        let what = || format!("{} {}", request.method, request.target);
        self.exchange(&api.signed(request)?).with_context(what)
    }

    /// Asks for something that must succeed.
    pub(crate) fn must(&mut self, request: Request<'_>) -> anyhow::Result<Answer> {
        let answer = self.ask(request)?;
        if !answer.is_success() {
            bail!("{} {}: {}", request.method, request.target, answer.text());
        }
        Ok(answer)
    }

    /// A call that must succeed, whose answer is JSON.
    pub(crate) fn json(&mut self, request: Request<'_>) -> anyhow::Result<serde_json::Value> {
        let answer = self.must(request)?;
        serde_json::from_slice(&answer.body).with_context(|| format!("expected JSON, got {}", answer.text()))
    }
}

/// The headers that name an operation of CloudWatch Logs.
macro_rules! logs_operation {
    ($name:literal) => {
        &[("content-type", "application/x-amz-json-1.1"), ("x-amz-target", concat!("Logs_20140328.", $name))]
    };
}
pub(crate) use logs_operation;

/// A call of CloudWatch Logs; the operation is one of [`logs_operation`].
pub(crate) fn logs<'a>(operation: &'a [(&'a str, &'a str)], body: &'a [u8]) -> Request<'a> {
    Request { service: "logs", method: "POST", target: "/", headers: operation, body }
}

/// A request of S3 without headers or body of its own.
pub(crate) fn s3<'a>(method: &'a str, target: &'a str) -> Request<'a> {
    Request { service: "s3", method, target, headers: &[], body: b"" }
}

/// The texts between a start tag and the next end tag, in order. Enough for answers whose elements have no attributes
/// and do not nest in themselves.
pub(crate) fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&start)
        .collect::<Vec<_>>()
        .into_iter()
        .skip(1)
        .map(move |rest| rest.split(&end).next().unwrap_or(rest))
}

/// The first of [`elements`].
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    elements(xml, name).next()
}

/// An ETag as XML or a header has it, without its quotes.
pub(crate) fn bare_etag(text: &str) -> String {
    text.replace("&quot;", "").replace("&#34;", "").replace('"', "")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    const LAST: &str = "HTTP/1.1 503 Busy\r\nConnection: close\r\ncontent-length: 0\r\n\r\n";

    /// A client of a server that says these things, one on each connection, and closes it then.
    fn client(says: &'static [&'static str]) -> (Client, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for text in says {
                let (mut stream, _) = listener.accept().unwrap();
                let (mut bytes, mut filled) = ([0; 4096], 0);
                while !bytes[..filled].ends_with(b"\r\n\r\n") {
                    filled += stream.read(&mut bytes[filled..]).unwrap();
                }
                stream.write_all(text.as_bytes()).unwrap();
            }
        });
        (Client::open(address, &Clock::system()).unwrap(), server)
    }

    #[test]
    fn the_announced_end_of_a_connection_is_no_failure() {
        let (mut client, _) = client(&[LAST, DONE]);
        assert!(matches!(client.attempt(s3("PUT", "/b/k")).unwrap(), Told::Unknown));
        assert!(matches!(client.attempt(s3("PUT", "/b/k")).unwrap(), Told::Done(_)));
        assert_eq!((client.lost, client.server_errors.unexcused), (false, 1));
    }

    #[test]
    fn a_connection_that_ends_without_an_answer_is_a_server_error_of_unknown_outcome() {
        let (mut client, _) = client(&["", DONE]);
        assert!(matches!(client.attempt(s3("PUT", "/b/k")).unwrap(), Told::Unknown));
        assert!(matches!(client.attempt(s3("PUT", "/b/k")).unwrap(), Told::Done(_)));
        let error = client.server_errors.bound(0).unwrap_err().to_string();
        assert!(
            error.contains("PUT /b/k: the server closed the connection before it had answered"),
            "{error}"
        );
    }

    #[test]
    fn half_an_answer_and_a_refused_connection_are_failures() {
        let (mut client, server) = client(&["HTTP/1.1 200 OK\r\n"]);
        let error = format!("{:#}", client.attempt(s3("PUT", "/b/k")).unwrap_err());
        assert!(error.contains("within the head"), "{error}");
        server.join().unwrap();
        let error = format!("{:#}", client.attempt(s3("PUT", "/b/k")).unwrap_err());
        assert!(error.contains("could not connect"), "{error}");
    }

    #[test]
    fn elements_are_found() {
        let xml = "<A><B>1</B><B>&quot;2&quot;</B></A>";
        assert_eq!(elements(xml, "B").collect::<Vec<_>>(), ["1", "&quot;2&quot;"]);
        assert_eq!(element(xml, "C"), None);
        assert_eq!(bare_etag("&quot;2&quot;"), bare_etag("\"2\""));
    }
}
