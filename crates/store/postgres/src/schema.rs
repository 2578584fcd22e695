//! The tables, made at the first start.

use lambent_store::StoreError;

use crate::connection::Connection;
use crate::error::{PgError, column};

/// The format that this program writes.
const FORMAT: i32 = 1;
/// How often making the tables is tried when another node makes them at the same time.
const ATTEMPTS: u32 = 10;

/// Keys longer than this lie in `lambent_long_rows`: an entry of an index has at most 2704 bytes.
pub(crate) const LONG_KEY_BYTES: usize = 2000;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS lambent_head (
    one smallint PRIMARY KEY, version bigint NOT NULL, token bytea NOT NULL,
    long_keys boolean NOT NULL, format integer NOT NULL);
CREATE TABLE IF NOT EXISTS lambent_horizon (
    one smallint PRIMARY KEY, swept bigint NOT NULL, forgotten bigint NOT NULL);
CREATE TABLE IF NOT EXISTS lambent_rows (k bytea NOT NULL, ver bigint NOT NULL, v bytea);
CREATE UNIQUE INDEX IF NOT EXISTS lambent_rows_key ON lambent_rows (k, ver DESC);
CREATE TABLE IF NOT EXISTS lambent_long_rows (k bytea NOT NULL, ver bigint NOT NULL, v bytea);
CREATE INDEX IF NOT EXISTS lambent_long_rows_head ON lambent_long_rows (substring(k FROM 1 FOR 2000));
CREATE TABLE IF NOT EXISTS lambent_batches (
    last bigint PRIMARY KEY, before bytea NOT NULL, token bytea NOT NULL, node bytea NOT NULL,
    ids bytea[] NOT NULL, keys bytea[] NOT NULL, topics bytea[] NOT NULL,
    at timestamptz NOT NULL DEFAULT now());
INSERT INTO lambent_horizon (one, swept, forgotten) VALUES (1, 0, 0) ON CONFLICT DO NOTHING;
INSERT INTO lambent_head (one, version, token, long_keys, format) VALUES (1, 0, ''::bytea, false, 1)
    ON CONFLICT DO NOTHING;
";

/// Rows that come and go quickly are vacuumed early; lists of keys are not worth compressing. Best effort.
const TUNING: [&str; 5] = [
    "ALTER TABLE lambent_rows SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)",
    "ALTER TABLE lambent_batches SET (autovacuum_vacuum_scale_factor = 0.05)",
    "ALTER TABLE lambent_batches ALTER COLUMN keys SET STORAGE EXTERNAL",
    "ALTER TABLE lambent_batches ALTER COLUMN ids SET STORAGE EXTERNAL",
    "ALTER TABLE lambent_head SET (fillfactor = 10)",
];

/// Makes the tables where they are missing, and checks that they are of a format that this program knows.
pub(crate) async fn prepare(connection: &Connection) -> Result<(), PgError> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match format(connection).await {
            Ok(found) if found <= FORMAT => return Ok(()),
            Ok(found) => return Err(PgError::Refused(StoreError::Format { found, known: FORMAT })),
            Err(PgError::Lost(reason)) => return Err(PgError::Lost(reason)),
            // No tables yet.
            Err(_) => {}
        }
        // Fails when two nodes do it at once: the next look finds what the other has made.
        match connection.execute(TABLES).await {
            Err(PgError::Lost(reason)) => return Err(PgError::Lost(reason)),
            Err(error) => last = Some(error),
            Ok(()) => {
                for tuning in TUNING {
                    if let Err(error) = connection.execute(tuning).await {
                        tracing::debug!(tuning, ?error, "the tables could not be tuned");
                    }
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| PgError::Lost("the tables could not be made".to_owned())))
}

async fn format(connection: &Connection) -> Result<i32, PgError> {
    let row = connection.query_one("SELECT format FROM lambent_head WHERE one = 1", &[]).await?;
    column(&row, 0)
}
