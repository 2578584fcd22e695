//! The way out of all environments of a daemon.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use lambent_base::{BoxFuture, Clock, Random};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{MAX_DATAGRAM_FLOWS_IN_ALL, MAX_STREAMS_IN_ALL};
use crate::policy::{Policy, Refusal};
use crate::ranges::GATEWAY;
use crate::resolvers::{ResolverSource, Resolvers};
use crate::routes::{self, Route};
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

/// What the environments have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    config: NetworkConfig,
    resolvers: Resolvers,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    streams: Arc<Semaphore>,
    datagram_flows: Arc<Semaphore>,
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
            streams: Arc::new(Semaphore::new(MAX_STREAMS_IN_ALL)),
            datagram_flows: Arc::new(Semaphore::new(MAX_DATAGRAM_FLOWS_IN_ALL)),
        }))
    }

    /// Carries the packets of one environment's TUN device to the outside and back, until the device is gone or the
    /// future is dropped, which ends all its connections. The device has no driver headers (IFF_NO_PI), takes packets
    /// of [`crate::limits::MTU`] bytes, and reads without blocking. Must be polled on a tokio runtime.
    pub fn serve(&self, tun: OwnedFd) -> BoxFuture<'static, ()> {
        let shared = self.0.clone();
        Box::pin(async move {
            let ended = match Stack::new(tun, shared) {
                Ok(mut stack) => std::future::poll_fn(|context| stack.poll(context)).await,
                Err(error) => error,
            };
            // An environment that ends takes its device along.
            tracing::debug!(%ended, "an environment's way out has ended");
        })
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

    pub(crate) fn resolver_failed(&self, which: SocketAddr) {
        self.resolvers.failed(which);
    }

    /// A place among all connections; `None` when there is none left.
    pub(crate) fn stream_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.streams.clone().try_acquire_owned().ok()
    }

    /// A place among all pairs of UDP endpoints; `None` when there is none left.
    pub(crate) fn datagram_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.datagram_flows.clone().try_acquire_owned().ok()
    }

    /// Whoever lists a range need not know that the host has an address in it, so only an address by itself counts.
    fn may_reach_host(&self, address: IpAddr, port: u16) -> bool {
        self.config.policy.names(address) && !self.config.own_ports.contains(&port)
    }
}
