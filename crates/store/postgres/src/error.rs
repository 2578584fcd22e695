//! What the database answers, sorted by what to do about it.

use lambent_store::StoreError;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Error, Row};

/// A failed statement.
#[derive(Clone, Debug)]
pub(crate) enum PgError {
    /// The connection is gone, or the server cannot work now: try again on another one. Whether the statement was
    /// executed is not known.
    Lost(String),
    /// The database gave way to another transaction; nothing was changed.
    Serialization,
    /// Trying again does not help; nothing was changed.
    Refused(StoreError),
}

impl PgError {
    /// For work whose repetition is up to the caller.
    pub(crate) fn into_store(self) -> StoreError {
        match self {
            Self::Lost(reason) => unreachable(&reason),
            Self::Serialization => StoreError::Conflict,
            Self::Refused(error) => error,
        }
    }
}

/// The database could not be reached for too long.
pub(crate) fn unreachable(reason: &str) -> StoreError {
    StoreError::Unavailable(format!("PostgreSQL cannot be reached: {reason}"))
}

impl From<Error> for PgError {
    fn from(error: Error) -> Self {
        let Some(answer) = error.as_db_error() else { return Self::Lost(chain(&error)) };
        let code = answer.code();
        let text = format!("PostgreSQL says: {} ({})", answer.message(), code.code());
        if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code) {
            return Self::Serialization;
        }
        match code.code() {
            // A standby that we took for the primary.
            "25006" => Self::Lost(text),
            "XX001" | "XX002" => Self::Refused(StoreError::Corrupt(text)),
            code => match &code[..2] {
                // Connections, server shutting down or starting, a statement cancelled by its timeout.
                "08" | "57" => Self::Lost(text),
                // Too many connections, or an idle transaction that was ended.
                "53" if code == "53300" => Self::Lost(text),
                "25" if code == "25P03" => Self::Lost(text),
                _ => Self::Refused(StoreError::Unavailable(text)),
            },
        }
    }
}

/// The error with its causes; the driver keeps the telling part in the cause.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A column of an answer.
pub(crate) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, PgError> {
    row.try_get(index).map_err(|error| {
        PgError::Refused(StoreError::Corrupt(format!(
            "column {index} of an answer is not as expected: {error}"
        )))
    })
}

/// A version column.
pub(crate) fn version_column(row: &Row, index: usize) -> Result<u64, PgError> {
    let number: i64 = column(row, index)?;
    u64::try_from(number)
        .map_err(|_| PgError::Refused(StoreError::Corrupt(format!("the version {number} is negative"))))
}

/// A version as the database stores it.
pub(crate) fn stored(version: u64) -> i64 {
    i64::try_from(version).expect("versions count commits, of which there are fewer than 2^63")
}
