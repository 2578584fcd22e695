//! Where everything lies in the store.
//!
//! | key | value |
//! |---|---|
//! | `meter/sum/` account, region, month (as 202611), function, day, field | counter: [`Field`] of that day's runs |
//! | `meter/damaged/` key (raw) | the bytes that were found under the key of a sum and are no counter |
//! | `meter/call/` account, region, function, start (milliseconds since 1970), request id | [`RunRecord`](crate::RunRecord), JSON |
//! | `meter/failed/` the same | the same, of each run that failed: failures are found without reading the others |
//! | `meter/run/` start, account, region, request id | the same, as it was kept before records were by function; none is added |

use lambent_base::Place;
use lambent_store::{Key, KeyError, KeyRange, KeyReader};

use crate::Month;

const SUM: &[u8] = b"meter/sum/";
const CALL: &[u8] = b"meter/call/";
const FAILED: &[u8] = b"meter/failed/";
const OLD_RUN: &[u8] = b"meter/run/";
const DAMAGED: &[u8] = b"meter/damaged/";

/// What is summed for each function and day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Requests = 0,
    Errors = 1,
    BilledMs = 2,
    /// Configured memory times billed time, in MiB x ms.
    MemoryMibMs = 3,
    /// Ephemeral storage beyond what is free, times billed time, in MiB x ms.
    EphemeralMibMs = 4,
}

impl Field {
    pub(crate) const ALL: [Self; 5] =
        [Self::Requests, Self::Errors, Self::BilledMs, Self::MemoryMibMs, Self::EphemeralMibMs];
}

/// Which records: all, or those of failed runs, which are kept a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    All,
    Failed,
}

impl Runs {
    pub(crate) const BOTH: [Self; 2] = [Self::All, Self::Failed];

    fn prefix(self) -> &'static [u8] {
        match self {
            Self::All => CALL,
            Self::Failed => FAILED,
        }
    }
}

pub(crate) fn sum(place: &Place, function: &str, month: Month, day: u8, field: Field) -> Key {
    sums_prefix(place, month).str(function).u64(u64::from(day)).u64(field as u64)
}

/// Where a sum that is no counter is kept; `key` is where it was found.
pub(crate) fn damaged(key: &[u8]) -> Key {
    Key::new(DAMAGED).raw(key)
}

/// Every sum of a month.
pub(crate) fn sums(place: &Place, month: Month) -> KeyRange {
    sums_prefix(place, month).range()
}

/// The function and the field's number.
pub(crate) fn read_sum(place: &Place, month: Month, key: &[u8]) -> Result<(String, u64), KeyError> {
    let mut reader = KeyReader::new(key, &sums_prefix(place, month))?;
    let function = reader.str()?;
    let _day = reader.u64()?;
    Ok((function, reader.u64()?))
}

/// Every sum of every place.
pub(crate) fn all_sums() -> KeyRange {
    KeyRange::prefix(SUM)
}

/// The records of all runs, and a second time those of the failed ones.
pub(crate) fn all_runs(of: Runs) -> KeyRange {
    KeyRange::prefix(of.prefix())
}

/// Records that are by time, of all functions.
pub(crate) fn all_old_runs() -> KeyRange {
    KeyRange::prefix(OLD_RUN)
}

/// Everything that was set aside.
pub(crate) fn all_damaged() -> KeyRange {
    KeyRange::prefix(DAMAGED)
}

fn sums_prefix(place: &Place, month: Month) -> Key {
    Key::new(SUM).str(&place.account).str(&place.region).u64(month.number())
}

pub(crate) fn run(of: Runs, place: &Place, function: &str, started_unix_ms: i64, request_id: &str) -> Key {
    runs(of, place, function).i64(started_unix_ms).str(request_id)
}

/// Every record of a function, by time.
pub(crate) fn runs(of: Runs, place: &Place, function: &str) -> Key {
    Key::new(of.prefix()).str(&place.account).str(&place.region).str(function)
}

/// Those of a function's records that started before a time.
pub(crate) fn runs_before(of: Runs, place: &Place, function: &str, unix_ms: i64) -> KeyRange {
    let runs = runs(of, place, function);
    runs.range().before(&runs.i64(unix_ms))
}

/// Whose record lies at a key.
pub(crate) fn read_run(of: Runs, key: &[u8]) -> Result<(Place, String), KeyError> {
    let mut reader = KeyReader::new(key, of.prefix())?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    Ok((place, reader.str()?))
}

/// When the run began whose record lies at a key, and its request id.
pub(crate) fn read_mark(of: Runs, key: &[u8]) -> Result<(i64, String), KeyError> {
    let mut reader = KeyReader::new(key, of.prefix())?;
    for _place_and_function in 0..3 {
        reader.str()?;
    }
    Ok((reader.i64()?, reader.str()?))
}

/// The same record's key among the other records, all or failed.
pub(crate) fn run_among(of: Runs, key: &[u8], other: Runs) -> Result<Key, KeyError> {
    Ok(Key::new(other.prefix()).raw(key.strip_prefix(of.prefix()).ok_or(KeyError::Prefix)?))
}

/// The old records of runs that started before a time.
pub(crate) fn old_runs_before(unix_ms: i64) -> KeyRange {
    Key::new(OLD_RUN).range().before(&Key::new(OLD_RUN).i64(unix_ms))
}
