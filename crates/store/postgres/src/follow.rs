//! Wakes this node's watchers for what other nodes commit.
//!
//! One connection listens; a server that does not know `LISTEN` is asked every [`POLL`], while somebody watches. The
//! batches say what to wake, so a notification that got lost delays, and loses nothing.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_store::StoreError;
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::connection::Connection;
use crate::engine::Shared;
use crate::error::{PgError, column, stored, unreachable, version_column};

/// How often batches are looked at where nothing tells of them.
pub(crate) const POLL: Duration = Duration::from_millis(100);
/// The pause before a lost connection is made again; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

const LISTEN: &str = "LISTEN lambent";
/// Batches that were forgotten cannot be told: `$1` below the first column says so.
const TOPICS: &str =
    "SELECT z.forgotten, h.version, b.topics FROM lambent_horizon z CROSS JOIN lambent_head h
LEFT JOIN lambent_batches b ON b.last > $1 AND b.node <> $2::bytea
WHERE z.one = 1 AND h.one = 1 ORDER BY b.last";

/// Whether the server knows `LISTEN` and `NOTIFY`.
pub(crate) async fn knows_notify(connection: &Connection) -> Result<bool, PgError> {
    match connection.execute("LISTEN lambent; UNLISTEN lambent").await {
        Ok(()) => Ok(true),
        Err(PgError::Lost(reason)) => Err(PgError::Lost(reason)),
        Err(_) => Ok(false),
    }
}

/// Follows what comes after version `seen` until the engine is dropped; keeps its health up to date on the way.
pub(crate) async fn run(shared: Arc<Shared>, mut seen: u64) {
    let mut pause = FIRST_PAUSE;
    loop {
        let reason = match follow(&shared, &mut seen, &mut pause).await {
            Err(PgError::Lost(reason)) => reason,
            Err(other) => other.into_store().to_string(),
            Ok(never) => match never {},
        };
        shared.health.failed(unreachable(&reason));
        tracing::debug!(reason, "commits of other nodes are not followed; trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

enum Never {}

async fn follow(shared: &Shared, seen: &mut u64, pause: &mut Duration) -> Result<Never, PgError> {
    let (connection, mut told) = listen(shared).await?;
    shared.health.works();
    *pause = FIRST_PAUSE;
    let mut made = shared.wakes.made();
    loop {
        // While nobody watches `seen` stays behind: a wake-up too many does no harm.
        if shared.wakes.is_watched() {
            *seen = wake(&connection, shared, *seen).await?;
        }
        let polls = !shared.writer.notifies && shared.wakes.is_watched();
        tokio::select! {
            message = told.recv() => {
                if message.is_none() {
                    return Err(PgError::Lost("the connection that listens was closed".to_owned()));
                }
                while told.try_recv().is_ok() {}
            }
            () = tokio::time::sleep(POLL), if polls => {}
            _ = made.changed() => {}
        }
    }
}

/// A connection whose notifications arrive at the receiver; that of this node's own do not.
async fn listen(shared: &Shared) -> Result<(Connection, mpsc::Receiver<()>), PgError> {
    let connecting = shared.pool.config().connect(NoTls);
    let connected = tokio::time::timeout(crate::connection::ANSWER_MAX, connecting).await;
    let (client, mut messages) = connected.map_err(|_| PgError::Lost("no answer".to_owned()))??;
    // One that waits is enough: whoever takes it looks at everything.
    let (tell, told) = mpsc::channel(1);
    let own = lambent_base::text::hex(&shared.writer.node);
    let driver = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| messages.poll_message(context)).await {
            if let AsyncMessage::Notification(note) = message
                && note.payload() != own
            {
                let _ = tell.try_send(());
            }
        }
    });
    let connection = Connection::new(client, driver);
    if shared.writer.notifies {
        connection.execute(LISTEN).await?;
    }
    Ok((connection, told))
}

/// Wakes the topics of the batches after `after`; returns the newest version.
async fn wake(connection: &Connection, shared: &Shared, after: u64) -> Result<u64, PgError> {
    let node = &shared.writer.node[..];
    let rows = connection.query(TOPICS, &[&stored(after), &node]).await?;
    let mut last = after;
    for row in &rows {
        if version_column(row, 0)? > after {
            shared.wakes.wake_all();
        }
        last = version_column(row, 1)?;
        let topics: Option<Vec<&[u8]>> = column(row, 2)?;
        let topics: Vec<Bytes> = topics.into_iter().flatten().map(Bytes::copy_from_slice).collect();
        shared.wakes.wake(&topics);
    }
    Ok(last)
}

/// Whether the database answers, as far as is known.
#[derive(Default)]
pub(crate) struct Health(parking_lot::Mutex<Option<StoreError>>);

impl Health {
    pub(crate) fn failed(&self, error: StoreError) {
        *self.0.lock() = Some(error);
    }

    pub(crate) fn works(&self) {
        *self.0.lock() = None;
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.0.lock().clone().map_or(Ok(()), Err)
    }
}
