//! HTTP in: authenticate, route, hand over, answer. The only crate that listens.
//!
//! [`pipeline`] is the whole life of a request in one readable function; everything else here is a step of it.
#![forbid(unsafe_code)]

mod admin;
mod authenticate;
mod body_in;
mod body_out;
mod door;
mod ends;
mod errors;
mod hosts;
pub mod limits;
mod peers;
mod pipeline;
mod repoll;
mod server;
mod streams;
mod tables;
mod target;
mod timer;
mod unread;
mod urls;

pub use admin::{Admin, AdminHandler, Download, DownloadHandler, RootHandler, RootPath};
pub use door::Door;
pub use ends::{RequestEnd, RequestEnds};
pub use hosts::Names;

use std::sync::Arc;

use lambent_api::{FunctionUrls, Service};
use lambent_base::{Clock, Random};
use lambent_identity::Identity;
use lambent_sigv4::SigningKeyCache;
use lambent_wire::Router;
use tokio::sync::Semaphore;

use peers::{Peers, Refusals};

/// What the gateway is told at start.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// The region that the cloud answers for; credential scopes may name others.
    pub region: String,
    /// Requests for other hosts are refused.
    pub names: Names,
    /// With request bodies that are slow to come.
    pub patience: limits::Patience,
    /// Who may come in, and how.
    pub door: Door,
}

/// Everything that can be asked for.
#[derive(Default)]
pub struct Paths {
    pub services: Vec<Service>,
    pub admin: Vec<Admin>,
    /// Beside `admin`, for the root key alone.
    pub root_paths: Vec<RootPath>,
    pub downloads: Vec<Download>,
    /// Hosts that are functions.
    pub urls: Option<Arc<dyn FunctionUrls>>,
    /// Asked by `/_lambent/health`.
    pub health: Option<HealthCheck>,
    /// Told of each request that ends.
    pub ends: Option<Arc<dyn RequestEnds>>,
}

/// The error names the part that is not well, and why.
pub type HealthCheck = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The front of the cloud. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: GatewayConfig,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) identity: Arc<Identity>,
    pub(crate) signing_keys: SigningKeyCache,
    pub(crate) services: Vec<Entry>,
    pub(crate) admin: Vec<Admin>,
    pub(crate) root_paths: Vec<RootPath>,
    pub(crate) downloads: Vec<Download>,
    pub(crate) urls: Option<Arc<dyn FunctionUrls>>,
    pub(crate) health: Option<HealthCheck>,
    pub(crate) ends: Option<Arc<dyn RequestEnds>>,
    /// KiB that buffered request bodies may take together.
    pub(crate) buffers: Arc<Semaphore>,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) handshakes: Semaphore,
    pub(crate) refusals: Refusals,
}

/// A service and its compiled routes.
pub(crate) struct Entry {
    pub(crate) service: Service,
    pub(crate) router: Router,
}

impl Gateway {
    pub fn new(
        config: GatewayConfig,
        clock: Clock,
        random: Random,
        identity: Arc<Identity>,
        paths: Paths,
    ) -> Self {
        let entry = |service: Service| Entry { router: Router::new(service.info), service };
        Self(Arc::new(Inner {
            peers: Arc::new(Peers::new(config.door.peer_connections, clock.clone())),
            handshakes: Semaphore::new(limits::HANDSHAKES_MAX),
            refusals: Refusals::new(clock.clone()),
            config,
            clock,
            random,
            identity,
            signing_keys: SigningKeyCache::default(),
            services: paths.services.into_iter().map(entry).collect(),
            admin: paths.admin,
            root_paths: paths.root_paths,
            downloads: paths.downloads,
            urls: paths.urls,
            health: paths.health,
            ends: paths.ends,
            buffers: Arc::new(Semaphore::new(limits::BUFFERED_TOTAL_KIB)),
            connections: Arc::new(Semaphore::new(limits::CONNECTIONS_MAX)),
        }))
    }
}
