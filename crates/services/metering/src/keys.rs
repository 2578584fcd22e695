//! Where everything lies in the store.
//!
//! | key | value |
//! |---|---|
//! | `meter/sum/` account, region, month (as 202611), function, day, field | counter: [`Field`] of that day's runs |
//! | `meter/damaged/` key (raw) | the bytes that were found under the key of a sum and are no counter |
//! | `meter/run/` start (milliseconds since 1970), account, region, request id | [`RunRecord`](crate::RunRecord), JSON |

use lambent_base::Place;
use lambent_store::{Key, KeyError, KeyRange, KeyReader};

use crate::Month;

const SUM: &[u8] = b"meter/sum/";
const RUN: &[u8] = b"meter/run/";
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

pub(crate) fn all_runs() -> KeyRange {
    KeyRange::prefix(RUN)
}

/// Everything that was set aside.
pub(crate) fn all_damaged() -> KeyRange {
    KeyRange::prefix(DAMAGED)
}

fn sums_prefix(place: &Place, month: Month) -> Key {
    Key::new(SUM).str(&place.account).str(&place.region).u64(month.number())
}

pub(crate) fn run(place: &Place, started_unix_ms: i64, request_id: &str) -> Key {
    Key::new(RUN).i64(started_unix_ms).str(&place.account).str(&place.region).str(request_id)
}

/// The runs that started before a time.
pub(crate) fn runs_before(unix_ms: i64) -> KeyRange {
    Key::new(RUN).range().before(&Key::new(RUN).i64(unix_ms))
}
