//! The Runtime API's server side, spoken on the connections of one environment.
//!
//! Hand-written because it is the warm path: whoever runs a call reads and writes the runtime's connection itself, with
//! no task between. Source: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".

use std::io;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{Body, Head, Problem};

/// Connections that one runtime may hold; official clients use one or two.
const MAX_CONNECTIONS: usize = 16;
/// The largest response of a function. Source: AWS Lambda Developer Guide, "Lambda quotas" (6 MB).
pub(crate) const MAX_RESPONSE_BYTES: usize = 6_291_556;
const READ_BYTES: usize = 64 * 1024;
const PREFIX: &str = "/2018-06-01/runtime/";

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const ACCEPTED: &[u8] =
    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}";

/// What a runtime asked for.
#[derive(Debug)]
pub(crate) enum Call {
    /// It waits for an event.
    Next,
    /// The result of the invocation with this request id; `None` when it was too large to keep.
    Response { id: String, body: Option<Bytes> },
    /// The invocation failed.
    Error { id: String, kind: Option<String>, body: Bytes },
    /// The function could not be loaded.
    InitError { kind: Option<String>, body: Bytes },
}

/// The environment's end of the Runtime API.
pub(crate) struct RuntimeApi {
    listener: TcpListener,
    connections: Vec<Connection>,
    /// The connection on which the runtime waits for an event.
    waiting: Option<usize>,
}

struct Connection {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    request: Option<Request>,
}

/// A request whose body is still coming.
struct Request {
    head: Head,
    body: Body,
}

impl RuntimeApi {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, connections: Vec::new(), waiting: None }
    }

    /// Whether an event can be sent.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Hands an event to the waiting runtime: `head` ends with an empty line.
    pub(crate) fn send_event(&mut self, head: &[u8], payload: &[u8]) {
        if let Some(connection) = self.waiting.take().and_then(|at| self.connections.get_mut(at)) {
            // Small events travel in one piece with their head; a copy of a few KiB is cheaper than a second write.
            connection.output.reserve(head.len() + payload.len());
            connection.output.put_slice(head);
            connection.output.put_slice(payload);
        }
    }

    /// Answers a POST. When the runtime has already asked for its next event the answer waits and travels with it.
    pub(crate) fn accept(&mut self, connection: usize) {
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.output.put_slice(ACCEPTED);
        }
    }

    /// Refuses a request.
    pub(crate) fn refuse(&mut self, connection: usize, status: &str, kind: &str, message: &str) {
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.refuse(status, kind, message);
        }
    }

    /// Writes what is to be written, reads what has come. Ready with a runtime's call and the connection it came on.
    pub(crate) fn poll_call(&mut self, context: &mut Context<'_>) -> Poll<(usize, Call)> {
        self.poll_accept(context);
        let mut at = 0;
        while at < self.connections.len() {
            let waits = self.waiting == Some(at);
            match self.connections[at].poll(context, waits) {
                Ok(Some(Call::Next)) => {
                    self.waiting = Some(at);
                    return Poll::Ready((at, Call::Next));
                }
                Ok(Some(call)) => return Poll::Ready((at, call)),
                Ok(None) => at += 1,
                Err(_gone) => self.remove(at),
            }
        }
        Poll::Pending
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) {
        while self.connections.len() < MAX_CONNECTIONS {
            let Poll::Ready(Ok((stream, _))) = self.listener.poll_accept(context) else { return };
            // Without it a runtime's answer and its next question may wait for each other's acknowledgements.
            let _ = stream.set_nodelay(true);
            self.connections.push(Connection {
                stream,
                input: BytesMut::new(),
                output: BytesMut::new(),
                request: None,
            });
        }
    }

    fn remove(&mut self, at: usize) {
        self.connections.remove(at);
        self.waiting = match self.waiting {
            Some(waiting) if waiting == at => None,
            Some(waiting) if waiting > at => Some(waiting - 1),
            other => other,
        };
    }
}

impl Connection {
    /// `Ok(None)` when nothing more can be done now; an error when the connection is of no more use.
    fn poll(&mut self, context: &mut Context<'_>, waits: bool) -> io::Result<Option<Call>> {
        loop {
            if let Some(call) = self.parse()? {
                return Ok(Some(call));
            }
            // What answers an earlier POST is held back while the next question is already there; see `accept`.
            self.poll_write(context)?;
            if waits && self.input.len() >= READ_BYTES {
                return Err(io::Error::other("the runtime talks while it should wait"));
            }
            match self.stream.poll_read_ready(context) {
                Poll::Pending => return Ok(None),
                Poll::Ready(ready) => ready?,
            }
            self.input.reserve(READ_BYTES);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.try_write(&self.output) {
                Ok(written) => drop(self.output.split_to(written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.stream.poll_write_ready(context) {
                        Poll::Pending => return Ok(()),
                        Poll::Ready(ready) => ready?,
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next whole request of what was read.
    fn parse(&mut self) -> io::Result<Option<Call>> {
        loop {
            if self.request.is_none() {
                let head = match Head::take(&mut self.input) {
                    Ok(Some(head)) => head,
                    Ok(None) => return Ok(None),
                    Err(Problem(text)) => return Err(io::Error::other(text)),
                };
                if head.expects_continue {
                    self.output.put_slice(CONTINUE);
                }
                let body = Body::new(&head, MAX_RESPONSE_BYTES);
                self.request = Some(Request { head, body });
            }
            let Some(mut request) = self.request.take() else { return Ok(None) };
            match request.body.take(&mut self.input) {
                Ok(true) => {}
                Ok(false) => {
                    self.request = Some(request);
                    return Ok(None);
                }
                Err(Problem(text)) => return Err(io::Error::other(text)),
            }
            if let Some(call) = self.route(request) {
                return Ok(Some(call));
            }
        }
    }

    fn route(&mut self, request: Request) -> Option<Call> {
        let Request { head, body } = request;
        let kind = head.error_type;
        let path = head.path.strip_prefix(PREFIX).unwrap_or_default();
        let parts: Vec<&str> = path.split('/').collect();
        match (head.method.as_str(), parts.as_slice()) {
            ("GET", ["invocation", "next"]) => Some(Call::Next),
            ("POST", ["invocation", id, "response"]) => {
                Some(Call::Response { id: (*id).to_owned(), body: body.finish() })
            }
            ("POST", ["invocation", id, "error"]) => {
                let body = body.finish().unwrap_or_default();
                Some(Call::Error { id: (*id).to_owned(), kind, body })
            }
            ("POST", ["init", "error"]) => {
                Some(Call::InitError { kind, body: body.finish().unwrap_or_default() })
            }
            _ => {
                self.refuse("404 Not Found", "NotFound", "there is no such path in the Runtime API");
                None
            }
        }
    }

    fn refuse(&mut self, status: &str, kind: &str, message: &str) {
        let body = format!("{{\"errorType\":\"{kind}\",\"errorMessage\":\"{message}\"}}");
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.output.put_slice(head.as_bytes());
    }
}
