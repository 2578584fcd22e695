//! Requests, and what can be known from their answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::Clock;
use lambent_test_client::{Answer, Api, Connection, Request};

/// More than any answer of the load has.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;

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

/// How a load is kept from running away, and ended while its server goes on.
pub(crate) struct Pace {
    /// Before each attempt.
    pub(crate) pause: Duration,
    pub(crate) stop: Arc<AtomicBool>,
}

/// One connection to the server of a round.
pub(crate) struct Client {
    address: SocketAddr,
    clock: Clock,
    connection: Connection,
    pace: Option<Pace>,
    /// The server does not answer any more, or is not asked any more.
    pub(crate) lost: bool,
    /// Answers with a status of 500 or more, the first of them as text.
    pub(crate) server_errors: (usize, Option<String>),
}

impl Client {
    pub(crate) fn open(address: SocketAddr, clock: &Clock) -> anyhow::Result<Self> {
        let connection = Connection::keeping(address, KEPT_BYTES_MAX)?;
        Ok(Self {
            address,
            clock: clock.clone(),
            connection,
            pace: None,
            lost: false,
            server_errors: (0, None),
        })
    }

    /// The same, in no hurry.
    pub(crate) fn paced(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Asks for something that may be cut off.
    pub(crate) fn attempt(&mut self, request: Request<'_>) -> anyhow::Result<Told> {
        if let Some(Pace { pause, stop }) = &self.pace {
            std::thread::sleep(*pause);
            if stop.load(Ordering::Relaxed) {
                self.lost = true;
                return Ok(Told::Unknown);
            }
        }
        let api = Api { address: self.address, clock: &self.clock };
        let bytes = api.signed(request)?;
        let Ok(answer) = self.connection.exchange(&bytes) else {
            self.lost = true;
            return Ok(Told::Unknown);
        };
        Ok(match answer.status {
            200..300 => Told::Done(answer),
            500.. => {
                let (count, first) = &mut self.server_errors;
                *count += 1;
                first.get_or_insert_with(|| {
                    format!("{} {}: {}", request.method, request.target, answer.text())
                });
                Told::Unknown
            }
            _ => Told::Refused(answer),
        })
    }

    /// Asks for something that must be answered, whatever the answer is.
    pub(crate) fn ask(&mut self, request: Request<'_>) -> anyhow::Result<Answer> {
        let api = Api { address: self.address, clock: &self.clock };
        let what = || format!("{} {}", request.method, request.target);
        self.connection.exchange(&api.signed(request)?).with_context(what)
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
    use super::*;

    #[test]
    fn elements_are_found() {
        let xml = "<A><B>1</B><B>&quot;2&quot;</B></A>";
        assert_eq!(elements(xml, "B").collect::<Vec<_>>(), ["1", "&quot;2&quot;"]);
        assert_eq!(element(xml, "C"), None);
        assert_eq!(bare_etag("&quot;2&quot;"), bare_etag("\"2\""));
    }
}
