//! The Runtime API's server side, spoken on the connections of one environment.
//!
//! Hand-written because it is the warm path: whoever runs a call reads and writes the runtime's connection itself, with
//! no task between. Source: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".

use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::http::{Body, Head, Problem, Trailers};
pub(crate) use crate::routes::ExtensionCall;
use crate::routes::{self, PREFIX};

/// Connections that one runtime and its extensions may hold; official clients use one or two each.
const MAX_CONNECTIONS: usize = 48;
/// The largest response of a function. Source: AWS Lambda Developer Guide, "Lambda quotas" (6 MB).
pub(crate) const MAX_RESPONSE_BYTES: usize = 6_291_556;
/// Requests without a large body fit into this; every connection keeps so much.
const SMALL_READ_BYTES: usize = 4 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// A connection on which so much waits to be read by the runtime is not listened to any more until it has been.
const MAX_UNSENT_BYTES: usize = 64 * 1024;
/// The number of a connection that is not there any more.
const NOWHERE: usize = usize::MAX;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const ACCEPTED: &[u8] =
    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}";

/// What a runtime asked for.
#[derive(Debug)]
pub(crate) enum Call {
    /// A bootstrap of ours that was started ahead waits to be given its function, which it can be once.
    Function,
    /// The function has loaded, and environments can be forked from it.
    RestoreNext,
    /// It waits for an event.
    Next,
    /// The result of the invocation with this request id; `None` when it was too large to keep. What went wrong on the way
    /// is in the trailers. `None`, too,
    /// with a mode of response that is not known (`has_odd_mode`).
    Response { id: String, body: Option<Bytes>, trailers: Trailers, has_odd_mode: bool },
    /// The result of the event that was last sent begins to stream, and has this content type.
    Streaming { content_type: Option<String> },
    /// A piece of it, of at least one byte.
    Piece(Bytes),
    /// It is whole, or as much as there will be of it.
    StreamEnd(Trailers),
    /// It broke off: its connection is gone.
    StreamLost,
    /// The invocation failed.
    Error { id: String, kind: Option<String>, body: Bytes },
    /// A piece of compiled code, from a bootstrap that was told to compile; `None` when it was too large to keep.
    Code { body: Option<Bytes> },
    /// The function could not be loaded, or not go on after it was restored.
    InitError { kind: Option<String>, body: Bytes },
    /// An extension speaks.
    Extension(Box<ExtensionRequest>),
}

/// What an extension asked for.
#[derive(Debug)]
pub(crate) struct ExtensionRequest {
    pub(crate) call: ExtensionCall,
    /// `Lambda-Extension-Name`
    pub(crate) name: Option<String>,
    /// `Lambda-Extension-Identifier`
    pub(crate) id: Option<String>,
    /// `Lambda-Extension-Accept-Feature`
    pub(crate) features: Option<String>,
    /// `Lambda-Extension-Function-Error-Type`
    pub(crate) error_type: Option<String>,
    pub(crate) body: Bytes,
}

/// The environment's end of the Runtime API.
pub(crate) struct RuntimeApi {
    listener: TcpListener,
    connections: Vec<Connection>,
    /// The connection on which the runtime waits for an event.
    waiting: Option<usize>,
    handover: Handover,
    /// What was said, and shall be heard again.
    unheard: Option<(usize, Call)>,
    /// The connection whose request body is being read; bodies on others wait, so that one at most is in memory.
    receiving: Option<usize>,
    /// The request id of the event whose result may stream; any other result is given whole.
    streamed: Option<String>,
    /// While nobody takes them, no pieces of a streamed result are read.
    is_stream_held: bool,
    serves_restore: bool,
}

/// How far a waiting bootstrap is from being a function.
enum Handover {
    /// It has not asked yet.
    Open,
    /// It waits on this connection.
    Asked(usize),
    /// It will be told this as soon as it asks.
    Known(Bytes),
    /// It was told, or went away while it waited, or there is nobody who should ask. (Whoever asks is not ours.)
    Over,
}

struct Connection {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    request: Option<Request>,
    /// The number of the extension that waits here for its next event.
    parked: Option<usize>,
}

/// A request whose body is still coming.
struct Request {
    head: Head,
    body: Body,
    streaming: Streaming,
}

/// Whether a request's body is given on as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Streaming {
    No,
    /// Nobody has been told yet.
    Begins,
    Goes,
}

impl RuntimeApi {
    pub(crate) fn new(listener: TcpListener) -> Self {
        let handover = Handover::Open;
        Self {
            listener,
            connections: Vec::new(),
            waiting: None,
            handover,
            unheard: None,
            receiving: None,
            streamed: None,
            is_stream_held: false,
            serves_restore: false,
        }
    }

    /// What runs here becomes, or was forked from, a snapshot: only then has the API paths for that.
    pub(crate) fn serve_restore(&mut self) {
        self.serves_restore = true;
    }

    /// Whether an event can be sent.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Hands a bootstrap that was started ahead its function, JSON as `{"env": {"NAME": "VALUE"}}`; at once if it has asked,
    /// else when it does. Sent with the next poll.
    pub(crate) fn give_function(&mut self, function: Bytes) {
        self.handover = match self.handover {
            Handover::Asked(at) => {
                self.connections[at].give(&function);
                Handover::Over
            }
            Handover::Open | Handover::Known(_) => Handover::Known(function),
            Handover::Over => Handover::Over,
        };
    }

    /// From now on nobody is given a function: what runs here has one.
    pub(crate) fn end_handover(&mut self) {
        self.handover = Handover::Over;
    }

    /// Whether the connection on which the runtime waited for an event is closed. Asks the socket itself: that it is
    /// closed may not have been noticed yet.
    pub(crate) fn has_lost_runtime(&self) -> bool {
        let Some(connection) = self.waiting.and_then(|at| self.connections.get(at)) else { return false };
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(&connection.stream, &mut [0_u8; 1], flags) {
            Ok((_, length)) => length == 0,
            Err(Errno::AGAIN | Errno::INTR) => false,
            Err(_) => true,
        }
    }

    /// Hands an event to the waiting runtime: `head` ends with an empty line. A connection on which most of an earlier
    /// event is still unread is of no more use, and is dropped with it.
    pub(crate) fn send_event(&mut self, head: &[u8], payload: &[u8]) {
        for at in (0..self.connections.len()).rev() {
            if self.waiting != Some(at) && self.connections[at].is_clogged() {
                self.remove(at);
            }
        }
        if let Some(connection) = self.waiting.take().and_then(|at| self.connections.get_mut(at)) {
            // Small events travel in one piece with their head; a copy of a few KiB is cheaper than a second write.
            connection.output.reserve(head.len() + payload.len());
            connection.output.put_slice(head);
            connection.output.put_slice(payload);
        }
    }

    /// Lets the result of the event with this request id stream; `None` lets none.
    pub(crate) fn let_stream(&mut self, id: Option<&str>) {
        self.streamed = id.map(str::to_owned);
        self.is_stream_held = false;
    }

    /// Stops reading a streamed result, or goes on: what the runtime writes meanwhile waits in its socket, and then makes
    /// it wait. Takes effect with the next poll.
    pub(crate) fn hold_stream(&mut self, hold: bool) {
        self.is_stream_held = hold;
    }

    /// Whether a result is streaming that has not ended.
    pub(crate) fn is_streaming(&self) -> bool {
        self.connections.iter().any(Connection::is_streaming)
    }

    /// Answers a POST. When the runtime has already asked for its next event the answer waits and travels with it.
    pub(crate) fn accept(&mut self, connection: usize) {
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.output.put_slice(ACCEPTED);
        }
    }

    /// Gives a whole answer.
    pub(crate) fn reply(&mut self, connection: usize, answer: &[u8]) {
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.output.put_slice(answer);
        }
    }

    /// An extension waits on this connection for its next event.
    pub(crate) fn park(&mut self, connection: usize, extension: usize) {
        for (at, one) in self.connections.iter_mut().enumerate() {
            if at == connection {
                one.parked = Some(extension);
            } else if one.parked == Some(extension) {
                one.parked = None;
            }
        }
    }

    /// Answers a waiting extension; false when it waits nowhere.
    pub(crate) fn send_to_parked(&mut self, extension: usize, answer: &[u8]) -> bool {
        let parked = self.connections.iter_mut().find(|one| one.parked == Some(extension));
        parked.is_some_and(|connection| {
            connection.parked = None;
            connection.output.put_slice(answer);
            true
        })
    }

    /// Has a call come again with the next poll.
    pub(crate) fn put_back(&mut self, connection: usize, call: Call) {
        self.unheard = Some((connection, call));
    }

    /// Refuses a request.
    pub(crate) fn refuse(&mut self, connection: usize, status: &str, kind: &str, message: &str) {
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.refuse(status, kind, message);
        }
    }

    /// Writes what is to be written, reads what has come. Ready with a runtime's call and the connection it came on.
    pub(crate) fn poll_call(&mut self, context: &mut Context<'_>) -> Poll<(usize, Call)> {
        if let Some(unheard) = self.unheard.take() {
            return Poll::Ready(unheard);
        }
        self.poll_accept(context);
        let mut at = 0;
        while at < self.connections.len() {
            let waits = self.waiting == Some(at);
            let held_it = self.receiving == Some(at);
            let may_receive = held_it || self.receiving.is_none();
            let (streamed, holds) = (self.streamed.as_deref(), self.is_stream_held);
            let terms = Terms { waits, may_receive, streamed, holds, serves_restore: self.serves_restore };
            let polled = self.connections[at].poll(context, terms);
            if may_receive {
                // A streamed body is nowhere kept.
                let connection = &self.connections[at];
                let receives = connection.request.is_some() && !connection.is_streaming();
                self.receiving = receives.then_some(at);
            }
            match polled {
                Ok(Some(Call::Function)) => {
                    if self.hand_over(at) {
                        return Poll::Ready((at, Call::Function));
                    }
                }
                Ok(Some(call)) => {
                    if matches!(call, Call::Next) {
                        self.waiting = Some(at);
                    }
                    return Poll::Ready((at, call));
                }
                Ok(None) => at += 1,
                Err(_gone) => {
                    let was_streaming = self.connections[at].is_streaming();
                    self.remove(at);
                    if was_streaming {
                        return Poll::Ready((NOWHERE, Call::StreamLost));
                    }
                }
            }
            if held_it && self.receiving.is_none() {
                // Those before it may have waited for this, and nothing else would wake them.
                at = 0;
            }
        }
        Poll::Pending
    }

    /// Someone asks for a function; true when there is none yet, and the right one asks.
    fn hand_over(&mut self, at: usize) -> bool {
        let connection = &mut self.connections[at];
        match std::mem::replace(&mut self.handover, Handover::Over) {
            Handover::Open => {
                self.handover = Handover::Asked(at);
                return true;
            }
            Handover::Known(function) => connection.give(&function),
            asked_or_over => {
                self.handover = asked_or_over;
                connection.refuse("403 Forbidden", "InvalidStateTransition", "the function is known already");
            }
        }
        false
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
                parked: None,
            });
        }
    }

    fn remove(&mut self, at: usize) {
        self.connections.remove(at);
        let moved = |place: Option<usize>| match place {
            Some(place) if place == at => None,
            Some(place) if place > at => Some(place - 1),
            other => other,
        };
        self.waiting = moved(self.waiting);
        self.receiving = moved(self.receiving);
        if let Handover::Asked(asked) = self.handover {
            self.handover = moved(Some(asked)).map_or(Handover::Over, Handover::Asked);
        }
    }
}

/// How a connection is polled.
#[derive(Clone, Copy)]
struct Terms<'a> {
    /// It is the one on which the runtime waits for an event.
    waits: bool,
    /// A body that is not here yet may be read on.
    may_receive: bool,
    /// The request id of the event whose result may stream.
    streamed: Option<&'a str>,
    /// A streamed result may not be read on.
    holds: bool,
    /// See [`RuntimeApi::serve_restore`].
    serves_restore: bool,
}

impl Connection {
    /// Whether a streamed result comes here.
    fn is_streaming(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.streaming != Streaming::No)
    }

    /// `Ok(None)` when nothing more can be done now; an error when the connection is of no more use.
    fn poll(&mut self, context: &mut Context<'_>, terms: Terms<'_>) -> io::Result<Option<Call>> {
        loop {
            if let Some(call) = self.parse(terms)? {
                return Ok(Some(call));
            }
            // What answers an earlier POST is held back while the next question is already there; see `accept`.
            let was_clogged = self.is_clogged();
            self.poll_write(context)?;
            if self.is_clogged() {
                return Ok(None);
            }
            if was_clogged {
                // There may be whole requests that were read before.
                continue;
            }
            let may_read = if self.is_streaming() { !terms.holds } else { terms.may_receive };
            if self.request.is_some() && !may_read {
                return Ok(None);
            }
            if terms.waits && self.input.len() >= READ_BYTES {
                return Err(io::Error::other("the runtime talks while it should wait"));
            }
            match self.stream.poll_read_ready(context) {
                Poll::Pending => return Ok(None),
                Poll::Ready(ready) => ready?,
            }
            self.input.reserve(if self.request.is_some() { READ_BYTES } else { SMALL_READ_BYTES });
            // Unlike `try_read`, it takes a read that does not fill the buffer for the last one, and does not ask again.
            match pin!(self.stream.read_buf(&mut self.input)).poll(context) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Ready(read) => drop(read?),
                Poll::Pending => return Ok(None),
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
        // An event may have been large, and an idle environment should not hold its memory.
        self.output = BytesMut::new();
        Ok(())
    }

    fn is_clogged(&self) -> bool {
        self.output.len() >= MAX_UNSENT_BYTES
    }

    /// The next whole request of what was read.
    fn parse(&mut self, terms: Terms<'_>) -> io::Result<Option<Call>> {
        while !self.is_clogged() {
            if self.request.is_none() {
                let head = match Head::take(&mut self.input) {
                    Ok(Some(head)) => head,
                    Ok(None) => return Ok(None),
                    Err(Problem(text)) => return Err(io::Error::other(text)),
                };
                if head.expects_continue {
                    self.output.put_slice(CONTINUE);
                }
                let streams = head.is_streaming && terms.streamed.is_some_and(|id| head.is_response_to(id));
                let (streaming, max) = if streams {
                    (Streaming::Begins, usize::MAX)
                } else {
                    (Streaming::No, MAX_RESPONSE_BYTES)
                };
                let body = Body::new(&head, max);
                self.request = Some(Request { head, body, streaming });
            }
            if self.is_streaming() {
                return if terms.holds { Ok(None) } else { self.parse_streamed() };
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
            if let Some(call) = self.route(request, terms.serves_restore) {
                return Ok(Some(call));
            }
        }
        Ok(None)
    }

    /// What of a streamed result was read.
    fn parse_streamed(&mut self) -> io::Result<Option<Call>> {
        let Some(request) = &mut self.request else { return Ok(None) };
        if request.streaming == Streaming::Begins {
            request.streaming = Streaming::Goes;
            return Ok(Some(Call::Streaming { content_type: request.head.content_type.take() }));
        }
        let taken = request.body.take(&mut self.input);
        let is_whole = taken.map_err(|Problem(text)| io::Error::other(text))?;
        let piece = request.body.take_piece();
        if !piece.is_empty() {
            return Ok(Some(Call::Piece(piece)));
        }
        if !is_whole {
            return Ok(None);
        }
        let trailers = request.body.take_trailers();
        self.request = None;
        Ok(Some(Call::StreamEnd(trailers)))
    }

    fn route(&mut self, request: Request, serves_restore: bool) -> Option<Call> {
        match routes::call_of(request.head, request.body, serves_restore) {
            Ok(call) => Some(call),
            Err(answer) => {
                self.output.put_slice(answer.as_bytes());
                None
            }
        }
    }

    fn give(&mut self, function: &[u8]) {
        let length = function.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        self.output.reserve(head.len() + length);
        self.output.put_slice(head.as_bytes());
        self.output.put_slice(function);
    }

    fn refuse(&mut self, status: &str, kind: &str, message: &str) {
        let body = format!("{{\"errorMessage\":\"{message}\",\"errorType\":\"{kind}\"}}");
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.output.put_slice(head.as_bytes());
    }
}

impl Head {
    /// Whether this brings the result of the event with this request id.
    fn is_response_to(&self, id: &str) -> bool {
        let rest = self.path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix("invocation/"));
        self.method == "POST" && rest.and_then(|rest| rest.strip_suffix("/response")) == Some(id)
    }
}

#[cfg(test)]
mod tests;
