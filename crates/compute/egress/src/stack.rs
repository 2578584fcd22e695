//! All flows of one environment, served by one task.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use smoltcp::iface::Interface;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Sleep};

use crate::datagrams::DatagramFlow;
use crate::error::EgressError;
use crate::flow::{Flow, FlowWaker, Protocol, Ready};
use crate::limits::{MAX_DATAGRAM_FLOWS, MAX_LOGGED_ADDRESSES, MAX_STREAMS, MTU, PACKETS_A_TURN};
use crate::link::{self, Link};
use crate::network::Shared;
use crate::packet::{self, Packet, Undelivered};
use crate::policy::Refusal;
use crate::questions;
use crate::stream::{Fate, Stream};

/// Timers of the stack are no finer.
const TICK: Duration = Duration::from_millis(1);

thread_local! {
    /// Packets are made and taken apart within one poll, so a thread needs room for one of each kind.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { inbound: vec![0; MTU], outbound: vec![0; MTU] });
}

struct Scratch {
    inbound: Vec<u8>,
    outbound: Vec<u8>,
}

pub(crate) struct Stack {
    tun: AsyncFd<OwnedFd>,
    interface: Interface,
    flows: Flows,
    alarm: Pin<Box<Sleep>>,
    /// When the alarm goes, on the daemon's clock.
    alarm_at: Duration,
}

/// The flows, apart from what carries their packets.
struct Flows {
    shared: Arc<Shared>,
    /// Who answers for them.
    owner: Arc<str>,
    ready: Arc<Ready>,
    streams: HashMap<Flow, Stream>,
    datagrams: HashMap<Flow, DatagramFlow>,
    /// No flow has anything to do by itself before this.
    due: Duration,
    /// For which of the addresses that are refused there is a line in the log.
    logged: HashSet<IpAddr>,
}

impl Stack {
    /// Must run within a tokio runtime.
    pub(crate) fn new(tun: OwnedFd, shared: Arc<Shared>, owner: Arc<str>) -> Result<Self, EgressError> {
        let now = shared.clock.monotonic();
        let seed = u64::from_ne_bytes(shared.random.bytes());
        let interface = link::interface(seed, now);
        let flows = Flows {
            shared,
            owner,
            ready: Arc::default(),
            streams: HashMap::new(),
            datagrams: HashMap::new(),
            due: Duration::MAX,
            logged: HashSet::new(),
        };
        let alarm = Box::pin(tokio::time::sleep(Duration::ZERO));
        #[expect(
            deprecated,
            reason = "unsound only for types that lend out another descriptor later on; its successor is unsafe to call"
        )]
        let tun = AsyncFd::new(tun).map_err(EgressError::Watch)?;
        Ok(Self { tun, interface, flows, alarm, alarm_at: Duration::ZERO })
    }

    /// Does what there is to do; ready only when the device is gone.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<EgressError> {
        SCRATCH.with_borrow_mut(|scratch| self.turn(context, scratch))
    }

    fn turn(&mut self, context: &mut Context<'_>, scratch: &mut Scratch) -> Poll<EgressError> {
        let Self { tun, interface, flows, .. } = self;
        flows.ready.watch(context.waker());
        let now = flows.shared.clock.monotonic();
        let mut link = Link { tun: tun.get_ref(), interface, outbound: &mut scratch.outbound, now };
        let mut taken = 0;
        let drained = loop {
            if taken == PACKETS_A_TURN {
                break false;
            }
            match poll_packet(tun, context, &mut scratch.inbound) {
                Poll::Ready(Ok(length)) => flows.take(&scratch.inbound[..length], &mut link),
                Poll::Ready(Err(error)) => return Poll::Ready(EgressError::Read(error)),
                Poll::Pending => break true,
            }
            taken += 1;
        };
        for flow in flows.ready.take() {
            flows.advance(&flow, &mut link);
        }
        if now >= flows.due {
            flows.expire(&mut link);
        }
        self.set_alarm(context, now);
        if !drained {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Moves the alarm only forward in time, where it would be late; when it goes too early, it is set anew.
    fn set_alarm(&mut self, context: &mut Context<'_>, now: Duration) {
        if self.flows.due == Duration::MAX {
            return;
        }
        let is_over = self.alarm.is_elapsed();
        if is_over || self.flows.due < self.alarm_at {
            let wait = self.flows.due.saturating_sub(now).max(TICK);
            self.alarm_at = now + wait;
            self.alarm.as_mut().reset(Instant::now() + wait);
        }
        if self.alarm.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}

fn poll_packet(
    tun: &AsyncFd<OwnedFd>,
    context: &mut Context<'_>,
    room: &mut [u8],
) -> Poll<std::io::Result<usize>> {
    loop {
        let mut guard = match tun.poll_read_ready(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(ready) => ready?,
        };
        let read = guard.try_io(|tun| rustix::io::read(tun.get_ref(), &mut *room).map_err(Into::into));
        if let Ok(read) = read {
            return Poll::Ready(read);
        }
    }
}

impl Flows {
    /// Takes a packet of the function's.
    fn take(&mut self, bytes: &[u8], link: &mut Link<'_>) {
        match packet::read(bytes) {
            Some(Packet::Segment { flow, opens }) => self.take_segment(&flow, opens, bytes, link),
            Some(Packet::Datagram { flow, payload }) => self.take_datagram(&flow, payload, link),
            None => {}
        }
    }

    fn take_segment(&mut self, flow: &Flow, opens: bool, bytes: &[u8], link: &mut Link<'_>) {
        if let Some(stream) = self.streams.get_mut(flow) {
            return stream.feed(bytes, link);
        }
        let opened = if opens { self.open_stream(flow, bytes, link.now) } else { None };
        match opened {
            Some(stream) => {
                stream.waker.queue();
                self.streams.insert(*flow, stream);
            }
            None => link.reset(bytes),
        }
    }

    fn open_stream(&mut self, flow: &Flow, syn: &[u8], now: Duration) -> Option<Stream> {
        let target = match self.shared.admit(flow.outside) {
            Ok(target) => target,
            Err(refusal) => return self.log(flow, refusal),
        };
        let is_room = self.streams.len() < MAX_STREAMS;
        let place = is_room.then(|| self.shared.place(Protocol::Tcp, target, &self.owner)).flatten();
        let Some(place) = place else { return self.log(flow, Refusal::Full) };
        Some(Stream::new(target, syn, FlowWaker::new(*flow, &self.ready), now, place))
    }

    fn take_datagram(&mut self, flow: &Flow, payload: &[u8], link: &mut Link<'_>) {
        if !self.datagrams.contains_key(flow) {
            let Some(opened) = self.open_datagrams(flow, link.now) else {
                return link.send_undelivered(flow, Undelivered::Prohibited);
            };
            self.due = self.due.min(opened.due());
            self.datagrams.insert(*flow, opened);
        }
        let Some(known) = self.datagrams.get_mut(flow) else { return };
        if known.target.is_resolver && !questions::is_question(payload) {
            return link.send_undelivered(flow, Undelivered::Prohibited);
        }
        known.send(flow, payload, link);
        self.mind_resolver(flow);
    }

    /// Where nobody listens, the next question goes to another resolver.
    fn mind_resolver(&mut self, flow: &Flow) {
        let Some(known) = self.datagrams.get(flow) else { return };
        if known.target.is_resolver && known.refused {
            self.shared.resolver_refused(known.target.address);
            self.datagrams.remove(flow);
        }
    }

    fn open_datagrams(&mut self, flow: &Flow, now: Duration) -> Option<DatagramFlow> {
        let target = match self.shared.admit(flow.outside) {
            Ok(target) => target,
            Err(refusal) => return self.log(flow, refusal),
        };
        if self.datagrams.len() >= MAX_DATAGRAM_FLOWS {
            let silent = self.datagrams.iter().min_by_key(|(_, one)| one.active_at).map(|(flow, _)| *flow);
            silent.and_then(|flow| self.datagrams.remove(&flow));
        }
        let place = self.shared.place(Protocol::Udp, target, &self.owner);
        let Some(place) = place else { return self.log(flow, Refusal::Full) };
        DatagramFlow::new(target, FlowWaker::new(*flow, &self.ready), now, place).ok()
    }

    fn advance(&mut self, flow: &Flow, link: &mut Link<'_>) {
        match flow.protocol {
            Protocol::Udp => {
                if let Some(known) = self.datagrams.get_mut(flow) {
                    known.advance(flow, link);
                    self.mind_resolver(flow);
                }
            }
            Protocol::Tcp => {
                let Some(stream) = self.streams.get_mut(flow) else { return };
                match stream.advance(flow, link) {
                    Fate::Goes => self.due = self.due.min(stream.due),
                    Fate::NotConnected(target) => {
                        if target.is_resolver {
                            self.shared.suspect_resolver(target.address);
                        }
                        self.streams.remove(flow);
                    }
                    Fate::Ended => {
                        self.streams.remove(flow);
                    }
                }
            }
        }
    }

    /// Does what flows have to do by themselves by now, and finds out when that is next the case.
    fn expire(&mut self, link: &mut Link<'_>) {
        let now = link.now;
        let shared = &self.shared;
        self.datagrams.retain(|_, one| {
            let keep = one.due() > now;
            if !keep && one.target.is_resolver && !one.answered {
                shared.suspect_resolver(one.target.address);
            }
            keep
        });
        let due: Vec<Flow> =
            self.streams.iter().filter(|(_, stream)| stream.due <= now).map(|(flow, _)| *flow).collect();
        for flow in due {
            self.advance(&flow, link);
        }
        let streams = self.streams.values().map(|stream| stream.due);
        let datagrams = self.datagrams.values().map(DatagramFlow::due);
        self.due = streams.chain(datagrams).min().unwrap_or(Duration::MAX);
    }

    /// Tells the operator; there is no flow then.
    fn log<T>(&mut self, flow: &Flow, refusal: Refusal) -> Option<T> {
        let address = flow.outside.ip();
        if self.logged.len() < MAX_LOGGED_ADDRESSES && self.logged.insert(address) {
            tracing::debug!(%address, port = flow.outside.port(), why = %refusal, "a function may not reach this");
        }
        None
    }
}
