//! One TCP connection of a function's: on its side a connection of the stack, on the other a socket of the daemon's.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lambent_base::BoxFuture;
use rustix::net::sockopt;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use tokio::net::TcpStream;

use crate::flow::{Flow, FlowWaker};
use crate::limits::{CONNECT_WAIT, KEEP_ALIVE_AFTER, STREAM_BUFFER_BYTES, STREAM_IDLE};
use crate::link::Link;
use crate::network::Target;
use crate::questions::{NoQuestion, Questions};
use crate::shares::Share;

/// Answers to the function's data go along with data for it if there is some within this time.
const ACKNOWLEDGE_WITHIN: smoltcp::time::Duration = smoltcp::time::Duration::from_millis(5);

/// A connection, from the function's first packet on.
pub(crate) struct Stream {
    pub(crate) waker: Arc<FlowWaker>,
    task: Waker,
    state: StreamState,
    target: Target,
    /// When something last came from the function or went to it.
    active_at: Duration,
    /// When there is something to do without a packet or a wake-up.
    pub(crate) due: Duration,
    _place: Share,
}

enum StreamState {
    /// The function hears of nothing before the outside has accepted: then it learns at once what became of it.
    Connecting {
        attempt: BoxFuture<'static, io::Result<TcpStream>>,
        syn: Box<[u8]>,
    },
    Open(Box<Open>),
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Goes,
    /// The outside did not accept.
    NotConnected(Target),
    Ended,
}

impl Stream {
    pub(crate) fn new(
        target: Target,
        syn: &[u8],
        waker: Arc<FlowWaker>,
        now: Duration,
        place: Share,
    ) -> Self {
        let attempt = Box::pin(async move {
            let connected = tokio::time::timeout(CONNECT_WAIT, TcpStream::connect(target.address)).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        });
        let task = Waker::from(waker.clone());
        let state = StreamState::Connecting { attempt, syn: syn.into() };
        // The attempt has a time-out of its own.
        Self { waker, task, state, target, active_at: now, due: Duration::MAX, _place: place }
    }

    /// Takes a packet of the function's; what follows from it is for [`Stream::advance`].
    pub(crate) fn feed(&mut self, packet: &[u8], link: &mut Link<'_>) {
        // While it is connecting, the function can only repeat itself.
        if let StreamState::Open(open) = &mut self.state {
            link.feed(packet, &mut open.sockets);
            self.active_at = link.now;
        }
        self.waker.queue();
    }

    /// Does all that can be done now.
    pub(crate) fn advance(&mut self, flow: &Flow, link: &mut Link<'_>) -> Fate {
        self.waker.taken();
        let mut context = Context::from_waker(&self.task);
        if let StreamState::Connecting { attempt, syn } = &mut self.state {
            let connected = match attempt.as_mut().poll(&mut context) {
                Poll::Pending => return Fate::Goes,
                Poll::Ready(connected) => connected,
            };
            match connected.and_then(|outside| Open::new(outside, flow, self.target.is_resolver)) {
                Ok(mut open) => {
                    link.feed(syn, &mut open.sockets);
                    self.active_at = link.now;
                    self.state = StreamState::Open(Box::new(open));
                }
                Err(_) => {
                    link.reset(syn);
                    return Fate::NotConnected(self.target);
                }
            }
        }
        let StreamState::Open(open) = &mut self.state else { return Fate::Goes };
        match open.advance(&mut context, link) {
            Ok(moved) => {
                if moved {
                    self.active_at = link.now;
                }
            }
            Err(Broken) => {
                open.tear(link);
                return Fate::Ended;
            }
        }
        if open.is_over() {
            return Fate::Ended;
        }
        let idle_at = self.active_at + STREAM_IDLE;
        if link.now >= idle_at {
            open.tear(link);
            return Fate::Ended;
        }
        self.due = link.due(&open.sockets).map_or(idle_at, |due| due.min(idle_at));
        Fate::Goes
    }
}

/// Both sides are there.
struct Open {
    /// One socket alone: a packet then costs the same however many connections there are.
    sockets: SocketSet<'static>,
    inside: SocketHandle,
    outside: TcpStream,
    /// What passes where the outside is a resolver.
    questions: Option<Questions>,
    /// The function has said all it will.
    inside_ended: bool,
    /// And the outside knows.
    told_outside: bool,
    /// The outside has said all it will, and the stack knows.
    outside_ended: bool,
    /// The outside takes no more, and may still have said something before; what the function sends is for nobody.
    outside_deaf: bool,
    /// The outside has broken off; the function still gets what came before.
    outside_broken: bool,
}

/// One side is gone before its time.
struct Broken;

impl Open {
    fn new(outside: TcpStream, flow: &Flow, is_resolver: bool) -> io::Result<Self> {
        outside.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&outside, true)?;
        sockopt::set_tcp_keepidle(&outside, KEEP_ALIVE_AFTER)?;
        let buffer = || SocketBuffer::new(vec![0; STREAM_BUFFER_BYTES]);
        let mut socket = Socket::new(buffer(), buffer());
        // What comes from the outside was gathered there, as far as anybody wanted that.
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(Some(ACKNOWLEDGE_WITHIN));
        socket.listen(flow.outside).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let inside = sockets.add(socket);
        Ok(Self {
            sockets,
            inside,
            outside,
            questions: is_resolver.then(Questions::default),
            inside_ended: false,
            told_outside: false,
            outside_ended: false,
            outside_deaf: false,
            outside_broken: false,
        })
    }

    /// Moves bytes both ways as far as both sides take them; whether it moved any.
    fn advance(&mut self, context: &mut Context<'_>, link: &mut Link<'_>) -> Result<bool, Broken> {
        self.note_inside_end()?;
        let out = self.move_out(context)?;
        let back = self.move_in(context)?;
        link.flush(&mut self.sockets);
        if self.outside_broken && self.socket().send_queue() == 0 {
            return Err(Broken);
        }
        Ok(out || back)
    }

    fn note_inside_end(&mut self) -> Result<(), Broken> {
        match self.socket().state() {
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait => self.inside_ended = true,
            // A reset before the connection was complete.
            State::Listen => return Err(Broken),
            // The last acknowledgement, or a reset.
            State::Closed if !(self.inside_ended && self.outside_ended) => return Err(Broken),
            _ => {}
        }
        Ok(())
    }

    fn move_out(&mut self, context: &mut Context<'_>) -> Result<bool, Broken> {
        let (moved, all) = match self.questions.take() {
            Some(mut questions) => {
                let moved = self.pass_questions(&mut questions, context)?;
                let all = questions.allowed().is_empty();
                self.questions = Some(questions);
                (moved, all)
            }
            None => (self.pass_bytes(context)?, true),
        };
        if self.inside_ended && !self.told_outside && all && !self.socket().can_recv() {
            // Where the outside is gone already, reading from it says so.
            let _ = rustix::net::shutdown(&self.outside, rustix::net::Shutdown::Write);
            self.told_outside = true;
        }
        Ok(moved)
    }

    fn pass_bytes(&mut self, context: &mut Context<'_>) -> Result<bool, Broken> {
        let mut moved = false;
        while self.socket().can_recv() {
            if !self.outside_deaf && self.outside.poll_write_ready(context).is_pending() {
                return Ok(moved);
            }
            let (outside, deaf) = (&self.outside, self.outside_deaf);
            let socket = self.sockets.get_mut::<Socket<'_>>(self.inside);
            let taken = socket.recv(|bytes| {
                let taken = if deaf { Ok(bytes.len()) } else { outside.try_write(bytes) };
                (taken.as_ref().map_or(0, |taken| *taken), taken)
            });
            match taken.map_err(|_| Broken)? {
                Ok(_) => moved = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.outside_deaf = true,
            }
        }
        Ok(moved)
    }

    /// Of a message nothing passes before all of it is there and is a question; anything else breaks the connection.
    fn pass_questions(
        &mut self,
        questions: &mut Questions,
        context: &mut Context<'_>,
    ) -> Result<bool, Broken> {
        let mut moved = false;
        loop {
            let allowed = questions.allowed();
            if allowed.is_empty() {
                if !self.socket().can_recv() {
                    return Ok(moved);
                }
                let socket = self.sockets.get_mut::<Socket<'_>>(self.inside);
                let taken = socket.recv(|bytes| {
                    let taken = questions.take(bytes);
                    (taken.unwrap_or(0), taken)
                });
                taken.map_err(|_| Broken)?.map_err(|NoQuestion| Broken)?;
            } else if self.outside_deaf {
                questions.pass(allowed.len());
            } else if self.outside.poll_write_ready(context).is_pending() {
                return Ok(moved);
            } else {
                match self.outside.try_write(allowed) {
                    Ok(passed) => {
                        questions.pass(passed);
                        moved = true;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => self.outside_deaf = true,
                }
            }
        }
    }

    fn move_in(&mut self, context: &mut Context<'_>) -> Result<bool, Broken> {
        let mut moved = false;
        while !self.outside_ended && !self.outside_broken && self.socket().can_send() {
            if self.outside.poll_read_ready(context).is_pending() {
                return Ok(moved);
            }
            let outside = &self.outside;
            let socket = self.sockets.get_mut::<Socket<'_>>(self.inside);
            let given = socket.send(|room| {
                let given = outside.try_read(room);
                (given.as_ref().map_or(0, |given| *given), given)
            });
            match given.map_err(|_| Broken)? {
                Ok(0) if self.outside_deaf => self.outside_broken = true,
                Ok(0) => {
                    // The stack first sends what it has.
                    socket.close();
                    self.outside_ended = true;
                }
                Ok(_) => moved = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.outside_broken = true,
            }
        }
        Ok(moved)
    }

    /// Whether both sides have said all, and know it.
    fn is_over(&self) -> bool {
        self.told_outside
            && self.outside_ended
            && matches!(self.socket().state(), State::TimeWait | State::Closed)
    }

    /// Resets both sides, so that neither takes what came for all there was.
    fn tear(&mut self, link: &mut Link<'_>) {
        self.sockets.get_mut::<Socket<'_>>(self.inside).abort();
        link.flush(&mut self.sockets);
        let _ = self.outside.set_zero_linger();
    }

    fn socket(&self) -> &Socket<'static> {
        self.sockets.get(self.inside)
    }
}
