//! The newest version, and the one statement that makes a newer one.

use bytes::Bytes;
use lambent_store::StoreError;
use lambent_store::engine::Window;
use tokio_postgres::Row;

use crate::connection::Connection;
use crate::error::{PgError, column, stored, version_column};
use crate::plan::Plan;
use crate::reads::At;
use crate::schema::LONG_KEY_BYTES;

/// A version in one history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) version: u64,
    /// Of the batch that made it: no other head of any history has it.
    pub(crate) token: Vec<u8>,
    /// Whether a key longer than [`LONG_KEY_BYTES`] was ever written.
    pub(crate) long_keys: bool,
}

impl Head {
    pub(crate) fn at(&self) -> At {
        At { version: self.version, long_keys: self.long_keys }
    }
}

const READ: &str = "SELECT version, token, long_keys FROM lambent_head WHERE one = 1";
const LOCK: &str = "SELECT version, token, long_keys FROM lambent_head WHERE one = 1 FOR UPDATE";
const CHANGES: &str = "
SELECT h.version, h.token, h.long_keys, z.swept, b.last, b.before, b.keys
FROM lambent_head h CROSS JOIN lambent_horizon z
LEFT JOIN lambent_batches b ON b.last > greatest($1::bigint, z.swept)
WHERE h.one = 1 AND z.one = 1 ORDER BY b.last";

/// Swaps the head and writes, or does nothing: `$1` is the token that it expects.
macro_rules! swap {
    ($long_rows:literal, $long_keys:literal, $notify:literal) => {
        concat!(
            "
WITH turn AS (
    UPDATE lambent_head SET version = $2::bigint, token = $3::bytea, long_keys = long_keys OR ",
            $long_keys,
            "
    WHERE one = 1 AND token = $1::bytea RETURNING version
), written AS (
    INSERT INTO lambent_rows (k, ver, v)
    SELECT u.k, $2::bigint, u.v FROM unnest($4::bytea[], $5::bytea[]) AS u(k, v), turn
), ",
            $long_rows,
            " batch AS (
    INSERT INTO lambent_batches (last, before, token, node, ids, keys, topics)
    SELECT $2::bigint, $1::bytea, $3::bytea, $6::bytea, $7::bytea[], $4::bytea[] || $9::bytea[], $8::bytea[]
    FROM turn
)
SELECT ",
            $notify,
            " FROM turn"
        )
    };
}

const NOTIFY: [&str; 2] = [
    swap!("", "(cardinality($9::bytea[]) > 0)", "turn.version"),
    swap!("", "(cardinality($9::bytea[]) > 0)", "pg_notify('lambent', encode($6::bytea, 'hex'))"),
];
const NOTIFY_LONG: [&str; 2] = [
    swap!(
        "long_written AS (
    INSERT INTO lambent_long_rows (k, ver, v)
    SELECT u.k, $2::bigint, u.v FROM unnest($9::bytea[], $10::bytea[]) AS u(k, v), turn
),",
        "true",
        "turn.version"
    ),
    swap!(
        "long_written AS (
    INSERT INTO lambent_long_rows (k, ver, v)
    SELECT u.k, $2::bigint, u.v FROM unnest($9::bytea[], $10::bytea[]) AS u(k, v), turn
),",
        "true",
        "pg_notify('lambent', encode($6::bytea, 'hex'))"
    ),
];

/// Who writes, and how others learn of it.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    /// Names this process.
    pub(crate) node: [u8; 8],
    /// Whether the server knows `NOTIFY`.
    pub(crate) notifies: bool,
}

/// The newest head.
pub(crate) async fn read(connection: &Connection) -> Result<Head, PgError> {
    head(&connection.query_one(READ, &[]).await?)
}

/// The newest head, which stays it until the transaction of this connection ends.
pub(crate) async fn lock(connection: &Connection) -> Result<Head, PgError> {
    head(&connection.query_one(LOCK, &[]).await?)
}

/// Makes the plan's head the newest and writes its rows, if `plan.before` still is the newest; says whether it did.
pub(crate) async fn swap(connection: &Connection, writer: &Writer, plan: &Plan) -> Result<bool, PgError> {
    let (long, short): (Vec<_>, Vec<_>) = plan.rows.iter().partition(|(key, _)| key.len() > LONG_KEY_BYTES);
    let keys: Vec<&[u8]> = short.iter().map(|(key, _)| &key[..]).collect();
    let values: Vec<Option<&[u8]>> = short.iter().map(|(_, value)| value.as_deref()).collect();
    let long_keys: Vec<&[u8]> = long.iter().map(|(key, _)| &key[..]).collect();
    let long_values: Vec<Option<&[u8]>> = long.iter().map(|(_, value)| value.as_deref()).collect();
    let ids: Vec<[u8; 16]> = plan.ids.iter().map(|id| id.0.to_be_bytes()).collect();
    let ids: Vec<&[u8]> = ids.iter().map(|id| &id[..]).collect();
    let topics: Vec<&[u8]> = plan.topics.iter().map(|topic| &topic[..]).collect();
    let version = stored(plan.head.version);
    let node = &writer.node[..];
    let notifies = usize::from(writer.notifies && !topics.is_empty());
    let common: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
        [&plan.before.token, &version, &plan.head.token, &keys, &values, &node, &ids, &topics, &long_keys];
    let rows = if long.is_empty() {
        connection.query(NOTIFY[notifies], &common).await?
    } else {
        let mut parameters = common.to_vec();
        parameters.push(&long_values);
        connection.query(NOTIFY_LONG[notifies], &parameters).await?
    };
    Ok(!rows.is_empty())
}

/// Brings `window` and `known` up to the newest head. What was swept away meanwhile is not in the window; its floor
/// says so.
///
/// Errors: `Corrupt` when the database has no longer the history that led to `known`.
pub(crate) async fn catch_up(
    connection: &Connection,
    known: &mut Head,
    window: &mut Window,
) -> Result<(), PgError> {
    let rows = connection.query(CHANGES, &[&stored(known.version)]).await?;
    let Some(first) = rows.first() else {
        return Err(PgError::Refused(StoreError::Corrupt(
            "lambent_head or lambent_horizon is empty".to_owned(),
        )));
    };
    let (newest, swept) = (head(first)?, version_column(first, 3)?);
    if known.version >= swept {
        let before: Option<Vec<u8>> = column(first, 5)?;
        let follows = before.unwrap_or_else(|| newest.token.clone()) == known.token;
        if newest.version < known.version || !follows {
            return Err(PgError::Refused(diverged(known.version, newest.version)));
        }
    } else {
        *window = Window::new(swept);
    }
    for row in &rows {
        let Some(last): Option<i64> = column(row, 4)? else { continue };
        let last = u64::try_from(last).unwrap_or_default();
        let keys: Vec<&[u8]> = column(row, 6)?;
        for key in keys {
            window.record(last, &Bytes::copy_from_slice(key));
        }
    }
    window.trim(0);
    *known = newest;
    Ok(())
}

fn diverged(known: u64, newest: u64) -> StoreError {
    StoreError::Corrupt(format!(
        "PostgreSQL acknowledged commit {known}, and now has another history that ends at {newest}: a standby may have \
         taken over without the last commits. Make replication synchronous; restart this node to go on with what is left"
    ))
}

fn head(row: &Row) -> Result<Head, PgError> {
    Ok(Head { version: version_column(row, 0)?, token: column(row, 1)?, long_keys: column(row, 2)? })
}
