//! The way out of all environments of a daemon.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use lambent_base::{BoxFuture, Clock, Random};

use crate::flow::Protocol;
use crate::limits::{MAX_DATAGRAM_FLOWS_IN_ALL, MAX_STREAMS_IN_ALL, RESERVED_FOR_NAMES};
use crate::policy::{Policy, Refusal};
use crate::ranges::GATEWAY;
use crate::resolvers::{self, ResolverSource, Resolvers};
use crate::routes::{self, Route};
use crate::shares::{Share, Shares};
use crate::stack::Stack;

/// Where the resolver is asked, at the gateway.
const DNS_PORT: u16 = 53;

/// How functions reach the outside.
#[derive(Clone, Debug, Default)]
pub struct NetworkConfig {
    pub policy: Policy,
    pub resolvers: ResolverSource,
    /// Ports of the daemon's own listeners: never reached by this way, not even where the policy names the host's address.
    pub own_ports: Vec<u16>,
}

/// The outside world for functions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Network(Arc<Shared>);

/// A place among all connections, until it is dropped.
#[derive(Debug)]
pub struct ConnectionPlace(#[expect(dead_code, reason = "it is held, not looked at")] Share);

/// What the environments have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    config: NetworkConfig,
    resolvers: Resolvers,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    streams: Places,
    datagram_flows: Places,
}

/// Places for flows of one protocol.
#[derive(Debug)]
struct Places {
    all: Arc<Shares>,
    /// When there is none of those.
    for_names: Arc<Shares>,
}

/// Where a flow leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Whether that is one of the host's resolvers, which the function knows as the gateway.
    pub(crate) is_resolver: bool,
}

impl Network {
    pub fn new(config: NetworkConfig, clock: Clock, random: Random) -> Self {
        let resolvers = Resolvers::new(config.resolvers.clone(), clock.clone());
        Self(Arc::new(Shared {
            config,
            resolvers,
            clock,
            random,
            streams: Places::new(MAX_STREAMS_IN_ALL),
            datagram_flows: Places::new(MAX_DATAGRAM_FLOWS_IN_ALL),
        }))
    }

    /// Carries the packets of one environment's TUN device to the outside and back, until the device is gone or the
    /// future is dropped, which ends all its connections. The device has no driver headers (IFF_NO_PI), takes packets
    /// of [`crate::limits::MTU`] bytes, and reads without blocking. Must be polled on a tokio runtime. Environments with
    /// the same owner, whatever its name, share what one may have of all connections.
    pub fn serve(&self, tun: OwnedFd, owner: &str) -> BoxFuture<'static, ()> {
        let (shared, owner) = (self.0.clone(), Arc::from(owner));
        Box::pin(async move {
            let ended = match Stack::new(tun, shared, owner) {
                Ok(mut stack) => std::future::poll_fn(|context| stack.poll(context)).await,
                Err(error) => error,
            };
            // An environment that ends takes its device along.
            tracing::debug!(%ended, "an environment's way out has ended");
        })
    }
}

impl Network {
    /// Whether a function that has no network device may open a connection to this endpoint, and one of its places among all
    /// connections, which it has until that is dropped. Functions with the same owner share.
    pub fn admit(&self, outside: SocketAddr, owner: &Arc<str>) -> Result<ConnectionPlace, Refusal> {
        let target = self.0.admit(outside)?;
        if target.is_resolver {
            return Err(Refusal::NoRoute);
        }
        let place = self.0.place(Protocol::Tcp, target, owner);
        place.map(ConnectionPlace).ok_or(Refusal::Full)
    }
}

impl Places {
    fn new(all: usize) -> Self {
        Self { all: Shares::new(all), for_names: Shares::new(RESERVED_FOR_NAMES) }
    }
}

impl Shared {
    /// Whether a function may open a flow to this endpoint, and where that leads.
    pub(crate) fn admit(&self, outside: SocketAddr) -> Result<Target, Refusal> {
        let address = outside.ip();
        if address == GATEWAY && outside.port() == DNS_PORT {
            let resolver = self.resolvers.current().ok_or(Refusal::NoRoute)?;
            return Ok(Target { address: resolver, is_resolver: true });
        }
        let policy = &self.config.policy;
        policy.judge(address)?;
        match routes::to(address) {
            Ok(Route::Away) => Ok(Target { address: outside, is_resolver: false }),
            Ok(Route::Here) if self.may_reach_host(address, outside.port()) => {
                Ok(Target { address: outside, is_resolver: false })
            }
            Ok(Route::Here) => Err(Refusal::Host),
            Ok(Route::Nowhere) => Err(Refusal::NoRoute),
            Err(error) => {
                // Nobody can say whether it is the host's own, so it might be.
                tracing::warn!(%address, %error, "the kernel could not be asked for a route; a function is refused");
                Err(Refusal::NoRoute)
            }
        }
    }

    /// Nobody listens at that resolver: its host said so.
    pub(crate) fn resolver_refused(&self, which: SocketAddr) {
        self.resolvers.failed(which);
    }

    /// A resolver did not answer a function. What a function asks may have no answer, so the daemon asks for itself.
    pub(crate) fn suspect_resolver(self: &Arc<Self>, which: SocketAddr) {
        if self.resolvers.suspect(which) {
            let shared = self.clone();
            tokio::spawn(async move {
                let id = u16::from_ne_bytes(shared.random.bytes());
                if !resolvers::answers(which, id, resolvers::ANSWER_WAIT).await {
                    tracing::warn!(resolver = %which, "a resolver does not answer; the next one is asked");
                    shared.resolvers.failed(which);
                }
            });
        }
    }

    /// A place for a flow among all flows of its protocol; `None` when its owner has its share.
    pub(crate) fn place(&self, protocol: Protocol, target: Target, owner: &Arc<str>) -> Option<Share> {
        let places = match protocol {
            Protocol::Tcp => &self.streams,
            Protocol::Udp => &self.datagram_flows,
        };
        let place = places.all.take(owner);
        place.or_else(|| target.is_resolver.then(|| places.for_names.take(owner)).flatten())
    }

    /// Whoever lists a range need not know that the host has an address in it, so only an address by itself counts.
    fn may_reach_host(&self, address: IpAddr, port: u16) -> bool {
        self.config.policy.names(address) && !self.config.own_ports.contains(&port)
    }
}
