//! The engine: puts the parts together.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use lambent_base::{BoxFuture, Random};
use lambent_store::StoreError;
use lambent_store::engine::{Commit, Engine, Snapshot, TxnId, Version, Wakes};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::batched::Queue;
use crate::connection::{Connection, configure};
use crate::each::OneEach;
use crate::export::PgExport;
use crate::follow::{self, Health};
use crate::head::{self, Writer};
use crate::pool::{Pool, RETRY_FOR, Retries};
use crate::settle::{self, InDoubt};
use crate::snapshot::PgSnapshot;
use crate::{error::PgError, schema, sweep};

/// What one transaction may write. It goes as one statement while the head is held, and must reach the server's disk
/// before [`crate::connection::ANSWER_MAX`] has passed, over a network and to a disk that others use, too: 7 MB/s do.
const MAX_LARGE_TXN_BYTES: usize = 32 * 1024 * 1024;

/// How commits reach the database; see the crate's page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Commits {
    /// Many in one transaction.
    #[default]
    Batched,
    /// Each in a `SERIALIZABLE` transaction of its own.
    OneEach,
}

/// What an operator may tune.
#[derive(Clone, Copy, Debug)]
pub struct PostgresOptions {
    /// Connections for reads. Three more are used for commits, for sweeping and for listening, and one for a moment
    /// when an outcome is looked for.
    pub read_connections: usize,
    pub commits: Commits,
    /// Whether `LISTEN` and `NOTIFY` are used where the server knows them.
    pub notifications: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { read_connections: 8, commits: Commits::Batched, notifications: true }
    }
}

/// What the parts of an engine share.
pub(crate) struct Shared {
    pub(crate) pool: Arc<Pool>,
    pub(crate) wakes: Wakes,
    pub(crate) writer: Writer,
    /// Of the operating system: tokens must differ between all nodes.
    pub(crate) random: Random,
    pub(crate) in_doubt: InDoubt,
    pub(crate) health: Health,
    committed: Arc<Notify>,
}

impl Shared {
    /// Something was committed here.
    pub(crate) fn committed(&self, topics: &[Bytes]) {
        self.wakes.wake(topics);
        self.committed.notify_one();
    }
}

enum Committer {
    Batched(Arc<Queue>),
    OneEach(Arc<OneEach>),
}

/// See the crate's page.
pub struct PostgresEngine {
    shared: Arc<Shared>,
    committer: Committer,
    tasks: Vec<JoinHandle<()>>,
}

impl PostgresEngine {
    /// Connects to `url` (`postgres://USER:PASSWORD@HOST:PORT/DATABASE`; several hosts with commas, of which the one that
    /// takes writes is used) and makes the tables if there are none.
    ///
    /// Connections are not encrypted: a URL that asks for that is refused.
    ///
    /// Errors: `InvalidUrl`, `Format`, `Unavailable`.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        let config = parse(url)?;
        let mut retries = Retries::new();
        let (head, notifies) = loop {
            match first_look(&config).await {
                Ok(found) => break found,
                Err(PgError::Lost(reason)) => retries.pause(&reason).await?,
                Err(other) => return Err(other.into_store()),
            }
        };
        let random = Random::system();
        let shared = Arc::new(Shared {
            pool: Arc::new(Pool::new(config, options.read_connections)),
            wakes: Wakes::default(),
            writer: Writer { node: random.bytes(), notifies: notifies && options.notifications },
            random,
            in_doubt: InDoubt::default(),
            health: Health::default(),
            committed: Arc::default(),
        });
        let version = head.version;
        let committer = match options.commits {
            Commits::Batched => Committer::Batched(Queue::start(shared.clone(), head)),
            Commits::OneEach => Committer::OneEach(Arc::default()),
        };
        let sweeping = sweep::run(shared.pool.clone(), shared.committed.clone());
        let tasks = vec![tokio::spawn(sweeping), tokio::spawn(follow::run(shared.clone(), version))];
        Ok(Self { shared, committer, tasks })
    }

    async fn find_outcome(&self, id: TxnId) -> Result<Option<Version>, StoreError> {
        let shared = &self.shared;
        let made_after = shared.in_doubt.made_after(id);
        let mut retries = Retries::new();
        let outcome = loop {
            let found = async {
                let connection = Connection::open(shared.pool.config()).await?;
                settle::outcome(&connection, &shared.writer, &shared.random, id, made_after).await
            };
            match found.await {
                Ok(outcome) => break outcome,
                Err(PgError::Lost(reason)) => retries.pause(&reason).await?,
                Err(PgError::Serialization) => retries.pause("others were first").await?,
                Err(PgError::Refused(error)) => return Err(error),
            }
        };
        shared.in_doubt.remove(id);
        Ok(outcome)
    }
}

/// Makes the tables, and finds the newest head and whether the server can notify.
async fn first_look(config: &Config) -> Result<(head::Head, bool), PgError> {
    let connection = Connection::open(config).await?;
    schema::prepare(&connection).await?;
    let notifies = follow::knows_notify(&connection).await?;
    if let Ok(rows) = connection.query("SHOW fsync", &[]).await
        && rows.first().and_then(|row| row.try_get::<_, &str>(0).ok()) == Some("off")
    {
        tracing::warn!(
            "PostgreSQL runs with fsync = off: a power cut can lose what was acknowledged, and more"
        );
    }
    Ok((head::read(&connection).await?, notifies))
}

fn parse(url: &str) -> Result<Config, StoreError> {
    let invalid = |reason: String| StoreError::InvalidUrl { reason };
    let mut config = Config::from_str(url).map_err(|error| {
        // Its text does not repeat the URL, which may hold a password.
        invalid(error.to_string())
    })?;
    if config.get_hosts().is_empty() {
        return Err(invalid("it names no host".to_owned()));
    }
    if config.get_ssl_mode() == SslMode::Require {
        let reason =
            "connections cannot be encrypted; leave sslmode=require out, on a network that you trust";
        return Err(invalid(reason.to_owned()));
    }
    configure(&mut config);
    Ok(config)
}

impl Drop for PostgresEngine {
    fn drop(&mut self) {
        if let Committer::Batched(queue) = &self.committer {
            queue.close();
        }
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Engine for PostgresEngine {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn max_large_txn_bytes(&self) -> usize {
        MAX_LARGE_TXN_BYTES
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, StoreError>> {
        let snapshot: Arc<dyn Snapshot> = Arc::new(PgSnapshot::new(self.shared.pool.clone()));
        Box::pin(std::future::ready(Ok(snapshot)))
    }

    fn export(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, StoreError>> {
        Box::pin(async {
            Ok(Arc::new(PgExport::open(self.shared.pool.config()).await?) as Arc<dyn Snapshot>)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version, StoreError>> {
        match &self.committer {
            Committer::Batched(queue) => Box::pin(queue.submit(commit)),
            Committer::OneEach(each) => Box::pin(each.submit(&self.shared, commit)),
        }
    }

    fn outcome(&self, id: TxnId) -> BoxFuture<'_, Result<Option<Version>, StoreError>> {
        Box::pin(async move {
            let looking = tokio::time::timeout(2 * RETRY_FOR, self.find_outcome(id)).await;
            looking.unwrap_or_else(|_| Err(crate::error::unreachable("an outcome could not be found out")))
        })
    }

    fn wakes(&self) -> &Wakes {
        &self.shared.wakes
    }

    fn health(&self) -> Result<(), StoreError> {
        match &self.committer {
            Committer::Batched(queue) => queue.check().and_then(|()| self.shared.health.check()),
            Committer::OneEach(each) => each.check().and_then(|()| self.shared.health.check()),
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match &self.committer {
                Committer::Batched(queue) => {
                    queue.close();
                    queue.stopped().await;
                }
                Committer::OneEach(each) => each.close().await,
            }
        })
    }
}
