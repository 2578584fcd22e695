//! The statements that read rows at a version.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use lambent_store::{KeyRange, Page, ScanOptions, StoreError};
use tokio_postgres::Row;

use crate::connection::Connection;
use crate::error::{PgError, column, stored, version_column};
use crate::schema::LONG_KEY_BYTES;

/// Pages with more rows than this are bounded in bytes by the server; smaller ones hold a few MiB at most.
const SMALL_PAGE_ROWS: usize = 32;

/// The horizon, as a column of a page.
const SWEPT: &str = "(SELECT swept FROM lambent_horizon WHERE one = 1)";
const HORIZON: &str = "SELECT swept FROM lambent_horizon WHERE one = 1";
const NEWEST: &str = "SELECT h.version, h.long_keys, r.v FROM lambent_head h LEFT JOIN LATERAL (
    SELECT r.v FROM lambent_rows r WHERE r.k = $1 ORDER BY r.ver DESC LIMIT 1) r ON true WHERE h.one = 1";
const NEWEST_LONG: &str = "SELECT h.version, h.long_keys, r.v FROM lambent_head h LEFT JOIN LATERAL (
    SELECT r.v FROM lambent_long_rows r
    WHERE substring(r.k FROM 1 FOR 2000) = substring($1::bytea FROM 1 FOR 2000) AND r.k = $1
    ORDER BY r.ver DESC LIMIT 1) r ON true WHERE h.one = 1";
const AT: &str = "SELECT z.swept,
    (SELECT r.v FROM lambent_rows r WHERE r.k = $1 AND r.ver <= $2 ORDER BY r.ver DESC LIMIT 1)
FROM lambent_horizon z WHERE z.one = 1";
const AT_LONG: &str = "SELECT z.swept,
    (SELECT r.v FROM lambent_long_rows r
     WHERE substring(r.k FROM 1 FOR 2000) = substring($1::bytea FROM 1 FOR 2000) AND r.k = $1 AND r.ver <= $2
     ORDER BY r.ver DESC LIMIT 1)
FROM lambent_horizon z WHERE z.one = 1";
const MANY_AT: &str = "SELECT (SELECT swept FROM lambent_horizon WHERE one = 1), u.k,
    (SELECT r.v FROM lambent_rows r WHERE r.k = u.k AND r.ver <= $2 ORDER BY r.ver DESC LIMIT 1)
FROM unnest($1::bytea[]) AS u(k)";

/// The version that is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) version: u64,
    /// Whether there may be rows in `lambent_long_rows`.
    pub(crate) long_keys: bool,
}

/// The newest version, and the value of `key` in it.
pub(crate) async fn newest(connection: &Connection, key: &[u8]) -> Result<(At, Option<Bytes>), PgError> {
    let sql = if key.len() > LONG_KEY_BYTES { NEWEST_LONG } else { NEWEST };
    let row = connection.query_one(sql, &[&key]).await?;
    Ok((At { version: version_column(&row, 0)?, long_keys: column(&row, 1)? }, value(&row, 2)?))
}

/// The value of `key` at `version`.
///
/// Errors: `SnapshotTooOld`.
pub(crate) async fn get_at(
    connection: &Connection,
    key: &[u8],
    version: u64,
) -> Result<Option<Bytes>, PgError> {
    let sql = if key.len() > LONG_KEY_BYTES { AT_LONG } else { AT };
    let row = connection.query_one(sql, &[&key, &stored(version)]).await?;
    check_horizon(&row, version)?;
    value(&row, 1)
}

/// The values of the map's keys at `version`.
///
/// Errors: `SnapshotTooOld`.
pub(crate) async fn fill_at(
    connection: &Connection,
    values: &mut BTreeMap<Bytes, Option<Bytes>>,
    version: u64,
) -> Result<(), PgError> {
    if values.is_empty() {
        return Ok(());
    }
    let (long, short): (Vec<Bytes>, Vec<Bytes>) =
        values.keys().cloned().partition(|key| key.len() > LONG_KEY_BYTES);
    let keys: Vec<&[u8]> = short.iter().map(|key| &key[..]).collect();
    for row in connection.query(MANY_AT, &[&keys, &stored(version)]).await? {
        check_horizon(&row, version)?;
        values.insert(Bytes::copy_from_slice(column(&row, 1)?), value(&row, 2)?);
    }
    for key in long {
        let found = get_at(connection, &key, version).await?;
        values.insert(key, found);
    }
    Ok(())
}

/// The keys of a range at a version, at most `limit` of each table.
///
/// Errors: `SnapshotTooOld`.
pub(crate) async fn keys_at(
    connection: &Connection,
    range: &KeyRange,
    limit: usize,
    at: At,
) -> Result<Vec<Bytes>, PgError> {
    let options = ScanOptions { max_rows: limit, max_bytes: usize::MAX, reverse: false, keys_only: true };
    let rows = rows_at(connection, range, options, at).await?;
    Ok(rows.into_iter().map(|(key, _)| key).collect())
}

/// One page at a version.
///
/// Errors: `SnapshotTooOld`.
pub(crate) async fn scan_at(
    connection: &Connection,
    range: &KeyRange,
    options: ScanOptions,
    at: At,
) -> Result<Page, PgError> {
    if range.is_empty() {
        return Ok(Page::default());
    }
    Page::fill(rows_at(connection, range, options, at).await?, options, Ok)
}

/// The rows of a page, and one more if there is one.
async fn rows_at(
    connection: &Connection,
    range: &KeyRange,
    options: ScanOptions,
    at: At,
) -> Result<Vec<(Bytes, Bytes)>, PgError> {
    let mut rows = scan_table(connection, range, options, at.version, false).await?;
    if at.long_keys {
        rows.extend(scan_table(connection, range, options, at.version, true).await?);
        rows.sort_by(|(a, _), (b, _)| if options.reverse { b.cmp(a) } else { a.cmp(b) });
    }
    if rows.is_empty() {
        // No row told the horizon. It only moves on, so what has not been swept now had not been then.
        check_horizon(&connection.query_one(HORIZON, &[]).await?, at.version)?;
    }
    Ok(rows)
}

async fn scan_table(
    connection: &Connection,
    range: &KeyRange,
    options: ScanOptions,
    version: u64,
    long: bool,
) -> Result<Vec<(Bytes, Bytes)>, PgError> {
    let bounded = options.max_rows > SMALL_PAGE_ROWS;
    let sql = Shape { long, bounded, reverse: options.reverse, keys_only: options.keys_only }.sql();
    let (start, end, at) = (&range.start[..], &range.end[..], stored(version));
    let rows = i64::try_from(options.max_rows.saturating_add(1)).unwrap_or(i64::MAX);
    let bytes = i64::try_from(options.max_bytes).unwrap_or(i64::MAX);
    let rows = if bounded {
        connection.query(sql, &[&start, &end, &at, &rows, &bytes]).await?
    } else {
        connection.query(sql, &[&start, &end, &at, &rows]).await?
    };
    if let Some(row) = rows.first() {
        check_horizon(row, version)?;
    }
    let pair = |row: &Row| Ok((Bytes::copy_from_slice(column(row, 1)?), value(row, 2)?.unwrap_or_default()));
    rows.iter().map(pair).collect()
}

fn value(row: &Row, index: usize) -> Result<Option<Bytes>, PgError> {
    Ok(column::<Option<&[u8]>>(row, index)?.map(Bytes::copy_from_slice))
}

/// `row` begins with the horizon.
fn check_horizon(row: &Row, version: u64) -> Result<(), PgError> {
    if version_column(row, 0)? > version {
        return Err(PgError::Refused(StoreError::SnapshotTooOld));
    }
    Ok(())
}

/// The statements for a page differ in these.
#[derive(Clone, Copy)]
struct Shape {
    long: bool,
    /// The server counts the bytes.
    bounded: bool,
    reverse: bool,
    keys_only: bool,
}

impl Shape {
    fn sql(self) -> &'static str {
        static ALL: LazyLock<[String; 16]> =
            LazyLock::new(|| std::array::from_fn(|at| Shape::number(at).write()));
        &ALL[self.index()]
    }

    fn index(self) -> usize {
        let bits = [self.long, self.bounded, self.reverse, self.keys_only];
        bits.into_iter().enumerate().map(|(place, bit)| usize::from(bit) << place).sum()
    }

    fn number(index: usize) -> Self {
        let bit = |place: usize| index >> place & 1 == 1;
        Self { long: bit(0), bounded: bit(1), reverse: bit(2), keys_only: bit(3) }
    }

    fn write(self) -> String {
        let order = if self.reverse { "DESC" } else { "ASC" };
        let (value, size) = match self.keys_only {
            true => ("NULL::bytea", "length(s.k)"),
            false => ("s.v", "length(s.k) + length(s.v)"),
        };
        let newest = self.newest();
        if !self.bounded {
            return format!(
                "SELECT {SWEPT}, s.k, {value} FROM ({newest}) s WHERE s.v IS NOT NULL ORDER BY s.k {order} LIMIT $4::bigint"
            );
        }
        // A row is given while those before it, but for the last of them, do not fill the page: one more than fits.
        format!(
            "SELECT {SWEPT}, t.k, t.v FROM (
                 SELECT s.k, {value} AS v, sum({size}) OVER
                     (ORDER BY s.k {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS bytes
                 FROM ({newest}) s WHERE s.v IS NOT NULL ORDER BY s.k {order} LIMIT $4::bigint) t
             WHERE coalesce(t.bytes, 0) < $5::bigint ORDER BY t.k {order}"
        )
    }

    /// The newest row of each key, in the order of the index: a page must not cost more than its rows.
    fn newest(self) -> String {
        let (table, heads) = match self.long {
            false => ("lambent_rows", ""),
            true => (
                "lambent_long_rows",
                "AND substring(r.k FROM 1 FOR 2000) >= substring($1::bytea FROM 1 FOR 2000)
                 AND substring(r.k FROM 1 FOR 2000) <= substring($2::bytea FROM 1 FOR 2000)",
            ),
        };
        let rows = format!(
            "FROM {table} r WHERE r.k >= $1::bytea AND r.k < $2::bytea {heads} AND r.ver <= $3::bigint"
        );
        if !self.reverse {
            return format!("SELECT DISTINCT ON (r.k) r.k, r.v {rows} ORDER BY r.k, r.ver DESC");
        }
        // The index read backwards gives the versions of a key from the oldest on: the newest is the last of its key.
        format!(
            "SELECT o.k, o.v FROM (
                 SELECT r.k, r.v, lead(r.k) OVER (ORDER BY r.k DESC, r.ver) AS next {rows}) o
             WHERE o.next IS DISTINCT FROM o.k"
        )
    }
}
