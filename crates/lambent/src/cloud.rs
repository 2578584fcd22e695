//! The parts of the cloud, made and joined: the one place that knows them all.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lambent_base::{Clock, Random};
use lambent_gateway::{Gateway, GatewayConfig};
use lambent_identity::Identity;
use lambent_store::{Db, FjallEngine, FjallOptions, StoreError};

use crate::data_dir::{DataDir, DataDirError};
use crate::up::UpArgs;

/// A running cloud.
pub(crate) struct Cloud {
    data_dir: DataDir,
    db: Db,
    gateway: Gateway,
}

/// Why the cloud could not start. The texts go to the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("the runtime could not start: {0}")]
    Runtime(std::io::Error),
    #[error("could not listen on {address}: {source}; choose another address with --listen")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Cloud {
    /// Opens the data directory and starts every part over it.
    pub(crate) async fn start(data: &Path, arguments: &UpArgs) -> Result<Self, StartError> {
        let (clock, random) = (Clock::system(), Random::system());
        let data_dir = DataDir::open(data)?;
        // The store's lock comes first: it keeps a second process from everything else in the directory.
        let engine = FjallEngine::open(&data_dir.path("store"), FjallOptions::default(), clock.clone())?;
        let db = Db::new(Arc::new(engine), clock.clone(), random.clone());
        let owner = data_dir.owner(&random)?;
        let master = data_dir.master_key(&random)?;
        let identity = Identity::new(db.clone(), clock.clone(), random.clone(), owner.root_key(), master);
        let identity = Arc::new(identity);

        let services = vec![lambent_iam::service(identity.clone()), lambent_sts::service(identity.clone())];
        let config = GatewayConfig { region: owner.region, domain: arguments.domain.clone() };
        let gateway = Gateway::new(config, clock, random, identity, services, Vec::new());
        Ok(Self { data_dir, db, gateway })
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub(crate) fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Lets everything that is under way end, and closes the store.
    pub(crate) async fn stop(self) {
        self.db.close().await;
    }
}
