//! One connection to the database, with its prepared statements.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use crate::error::PgError;

/// How long one statement may take before its connection counts as lost.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(5);
/// After how long without an acknowledgement the kernel gives a connection up, and how long it may be silent before that
/// is tried.
const TCP_SILENCE_MAX: Duration = Duration::from_secs(5);

/// Settings of each session. `force_generic_plan`: statements are planned once. The `enable_` ones: a scan of a range
/// must never read a whole table, whatever the statistics of a young table say. The timeouts bound how long a node that
/// was stopped, or is cut off, can hold the head.
const SETTINGS: [&str; 10] = [
    "SET plan_cache_mode = 'force_generic_plan'",
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_hashagg = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET enable_sort = off",
    "SET jit = off",
    "SET statement_timeout = '5s'",
    "SET idle_in_transaction_session_timeout = '3s'",
];

/// A statement's parameters.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Statements of several tasks may be under way at once: the server answers them in order.
pub(crate) struct Connection {
    client: Client,
    statements: Mutex<HashMap<&'static str, Statement>>,
    timed_out: AtomicBool,
    driver: JoinHandle<()>,
}

impl Connection {
    pub(crate) async fn open(config: &Config) -> Result<Self, PgError> {
        let opening = async {
            let (client, connection) = config.connect(NoTls).await?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to PostgreSQL ended");
                }
            });
            let connection = Self::new(client, driver);
            connection.prepare_session().await?;
            Ok(connection)
        };
        answer(opening).await
    }

    /// Around a client whose messages `driver` moves.
    pub(crate) fn new(client: Client, driver: JoinHandle<()>) -> Self {
        Self { client, statements: Mutex::default(), timed_out: AtomicBool::new(false), driver }
    }

    /// One row or many; the statement is prepared at its first use.
    pub(crate) async fn query(
        &self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, PgError> {
        let answered = answer(async {
            let statement = self.prepare(sql).await?;
            Ok(self.client.query(&statement, parameters).await?)
        });
        self.note(answered.await)
    }

    /// The one row that the statement must give.
    pub(crate) async fn query_one(
        &self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Row, PgError> {
        let answered = answer(async {
            let statement = self.prepare(sql).await?;
            Ok(self.client.query_one(&statement, parameters).await?)
        });
        self.note(answered.await)
    }

    /// Statements without parameters and answers.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), PgError> {
        let answered = answer(async { Ok(self.client.batch_execute(sql).await?) });
        self.note(answered.await)
    }

    /// Prepares, so that the next use of the statement is sent at once.
    pub(crate) async fn prepare(&self, sql: &'static str) -> Result<Statement, PgError> {
        if let Some(statement) = self.statements.lock().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        Ok(self.statements.lock().entry(sql).or_insert(statement).clone())
    }

    /// Whether it may still answer.
    pub(crate) fn is_usable(&self) -> bool {
        !self.client.is_closed() && !self.timed_out.load(Ordering::Relaxed)
    }

    fn note<T>(&self, answered: Result<T, PgError>) -> Result<T, PgError> {
        if matches!(answered, Err(PgError::Lost(_))) {
            self.timed_out.store(true, Ordering::Relaxed);
        }
        answered
    }

    /// Other databases that speak the protocol may not know a setting; all of them are optional but one.
    async fn prepare_session(&self) -> Result<(), PgError> {
        if let Err(error) = self.execute(&SETTINGS.join(";")).await {
            tracing::debug!(?error, "a setting is not known; each is tried alone");
            for setting in SETTINGS {
                if let Err(PgError::Lost(reason)) = self.execute(setting).await {
                    return Err(PgError::Lost(reason));
                }
            }
        }
        // An answer must mean that the commit is on disk, whatever the server's default is.
        if let Ok(rows) = self.query("SHOW synchronous_commit", &[]).await
            && rows.first().and_then(|row| row.try_get::<_, &str>(0).ok()) == Some("off")
        {
            self.execute("SET synchronous_commit = on").await?;
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.timed_out.load(Ordering::Relaxed) {
            self.driver.abort();
        }
    }
}

/// What every connection of a node has in common.
pub(crate) fn configure(config: &mut Config) {
    config.keepalives(true).keepalives_idle(TCP_SILENCE_MAX).keepalives_interval(TCP_SILENCE_MAX / 5);
    config.keepalives_retries(4).tcp_user_timeout(TCP_SILENCE_MAX).connect_timeout(ANSWER_MAX);
    config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
    config.application_name("lambent");
}

async fn answer<T>(work: impl Future<Output = Result<T, PgError>>) -> Result<T, PgError> {
    match tokio::time::timeout(ANSWER_MAX, work).await {
        Ok(answered) => answered,
        Err(_) => Err(PgError::Lost(format!("no answer within {} s", ANSWER_MAX.as_secs()))),
    }
}
