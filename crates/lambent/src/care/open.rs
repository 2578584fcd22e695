//! The store of a cloud: opened here, or behind a cloud that runs.

use std::path::Path;
use std::sync::Arc;

use lambent_base::{Clock, Random};
use lambent_cli::care::Running;
use lambent_store::engine::Engine;
use lambent_store::{Db, FjallEngine, FjallOptions, StoreError};
use lambent_store_postgres::{PostgresEngine, PostgresOptions};

use super::{CloudArgs, CommandError};
use crate::data_dir::DataDir;
use crate::up::Store;

/// The name of fjall's directory below the data directory.
pub(super) const STORE_DIRECTORY: &str = "store";

/// How rows are reached.
pub(super) enum Rows {
    /// Nobody else has the store, or others share it.
    Open(Db),
    /// A running cloud has the store for itself, and is asked.
    Running(Running),
}

impl Rows {
    pub(super) async fn close(&self) {
        if let Self::Open(db) = self {
            db.close().await;
        }
    }
}

/// The rows of a cloud that is there.
///
/// Errors: `NoData` when there is none.
pub(super) async fn existing(cloud: &CloudArgs) -> Result<Rows, CommandError> {
    DataDir::check_format(&cloud.data)?;
    if matches!(cloud.store, Store::Fjall) && !cloud.data.join(STORE_DIRECTORY).is_dir() {
        return Err(CommandError::NoData(cloud.data.clone()));
    }
    match open(cloud).await {
        Ok(db) => Ok(Rows::Open(db)),
        Err(StoreError::Locked { directory, holder }) => match Running::find(&cloud.data) {
            Ok(running) => Ok(Rows::Running(running)),
            // It starts, or stops, or is another command.
            Err(_) => Err(StoreError::Locked { directory, holder }.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// The store of a cloud that is there and that nobody runs.
///
/// Errors: `NoData`; the store's `Locked` while a cloud runs.
pub(crate) async fn stopped(cloud: &CloudArgs) -> Result<Db, CommandError> {
    DataDir::check_format(&cloud.data)?;
    if matches!(cloud.store, Store::Fjall) && !cloud.data.join(STORE_DIRECTORY).is_dir() {
        return Err(CommandError::NoData(cloud.data.clone()));
    }
    Ok(open(cloud).await?)
}

/// The store of a cloud that may be new.
pub(super) async fn new(cloud: &CloudArgs) -> Result<Db, CommandError> {
    if matches!(cloud.store, Store::Fjall) {
        DataDir::open(&cloud.data)?.keep_format()?;
    }
    Ok(open(cloud).await?)
}

/// The store, made if there is none.
pub(super) async fn open(cloud: &CloudArgs) -> Result<Db, StoreError> {
    let clock = Clock::system();
    let engine: Arc<dyn Engine> = match &cloud.store {
        Store::Fjall => Arc::new(fjall(&cloud.data.join(STORE_DIRECTORY), &clock)?),
        Store::Postgres(url) => Arc::new(PostgresEngine::open(url, PostgresOptions::default()).await?),
    };
    Ok(Db::new(engine, clock, Random::system()))
}

fn fjall(directory: &Path, clock: &Clock) -> Result<FjallEngine, StoreError> {
    FjallEngine::open(directory, FjallOptions::default(), clock.clone())
}
