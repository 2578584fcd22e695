//! Removes what nobody can see any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::connection::Connection;
use crate::error::{PgError, column};
use crate::pool::Pool;

/// How often it is looked while there is something to sweep.
const EVERY: Duration = Duration::from_secs(2);
/// The most batches of one transaction; fewer after one that was too slow.
const MAX_STEP_BATCHES: i64 = 64;

const LOCK: &str = "SELECT swept FROM lambent_horizon WHERE one = 1 FOR UPDATE";
/// How long superseded rows stay: longer than any transaction may last, with room for a slow start.
const RIPE: &str = "SELECT max(b.last) FROM (
    SELECT last FROM lambent_batches WHERE last > $1 AND at < now() - interval '12 seconds' ORDER BY last LIMIT $2) b";
const ROWS: &str = "DELETE FROM lambent_rows r
USING (SELECT b.last, unnest(b.keys) AS k FROM lambent_batches b WHERE b.last > $1 AND b.last <= $2) s
WHERE r.k = s.k AND r.ver <= s.last AND (r.ver < s.last OR r.v IS NULL)";
const LONG_ROWS: &str = "DELETE FROM lambent_long_rows r
USING (SELECT b.last, unnest(b.keys) AS k FROM lambent_batches b WHERE b.last > $1 AND b.last <= $2) s
WHERE substring(r.k FROM 1 FOR 2000) = substring(s.k FROM 1 FOR 2000) AND length(s.k) > 2000
    AND r.k = s.k AND r.ver <= s.last AND (r.ver < s.last OR r.v IS NULL)";
/// How long the ids of transactions are known.
const FORGET: &str = "WITH gone AS (
    DELETE FROM lambent_batches b USING (
        SELECT last, at FROM lambent_batches WHERE last <= $1 ORDER BY last LIMIT $2) o
    WHERE b.last = o.last AND o.at < now() - interval '1 minute' RETURNING b.last)
UPDATE lambent_horizon SET swept = $1, forgotten = greatest(forgotten, (SELECT max(last) FROM gone)) WHERE one = 1";
const LEFT: &str = "SELECT EXISTS (SELECT 1 FROM lambent_batches WHERE last > $1)";
const HAS_LONG_KEYS: &str = "SELECT long_keys FROM lambent_head WHERE one = 1";

/// Sweeps after commits, as `committed` tells; sleeps while nothing is left.
pub(crate) async fn run(pool: Arc<Pool>, committed: Arc<Notify>) {
    loop {
        let (mut connection, mut batches) = (None, MAX_STEP_BATCHES);
        let mut is_left = true;
        while is_left {
            tokio::time::sleep(EVERY).await;
            is_left = match sweep(&pool, &mut connection, &mut batches).await {
                Ok(is_left) => is_left,
                Err(error) => {
                    tracing::debug!(?error, "superseded rows could not be swept away; trying again");
                    (connection, batches) = (None, (batches / 2).max(1));
                    true
                }
            };
        }
        drop(connection);
        committed.notified().await;
    }
}

/// Sweeps all that is ripe; says whether more will ripen.
async fn sweep(pool: &Pool, connection: &mut Option<Connection>, batches: &mut i64) -> Result<bool, PgError> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::open(pool.config()).await?),
    };
    loop {
        match step(connection, *batches).await? {
            Step::Swept => *batches = (*batches + 1).min(MAX_STEP_BATCHES),
            Step::Nothing { is_left } => return Ok(is_left),
        }
    }
}

enum Step {
    Swept,
    Nothing { is_left: bool },
}

/// The horizon moves in the transaction that removes the rows. Whoever breaks off leaves the connection, and with it
/// everything as it was.
async fn step(connection: &Connection, batches: i64) -> Result<Step, PgError> {
    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let swept: i64 = column(&connection.query_one(LOCK, &[]).await?, 0)?;
    let ripe: Option<i64> = column(&connection.query_one(RIPE, &[&swept, &batches]).await?, 0)?;
    let Some(ripe) = ripe else {
        let is_left = column(&connection.query_one(LEFT, &[&swept]).await?, 0)?;
        connection.execute("ROLLBACK").await?;
        return Ok(Step::Nothing { is_left });
    };
    connection.query(ROWS, &[&swept, &ripe]).await?;
    if column(&connection.query_one(HAS_LONG_KEYS, &[]).await?, 0)? {
        connection.query(LONG_ROWS, &[&swept, &ripe]).await?;
    }
    connection.query(FORGET, &[&ripe, &(2 * MAX_STEP_BATCHES)]).await?;
    connection.execute("COMMIT").await?;
    Ok(Step::Swept)
}
