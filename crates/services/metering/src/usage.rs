//! One run, and the sums of many.

use std::collections::BTreeMap;

use lambent_base::Place;
use lambent_store::Key;
use serde::{Deserialize, Serialize};

use crate::Month;
use crate::keys::{self, Field};

/// Ephemeral storage that costs nothing, in MiB. Source: AWS Lambda Pricing.
const FREE_EPHEMERAL_MIB: u32 = 512;

/// One run of a function: what the bill is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    pub account: String,
    pub region: String,
    /// The function's name.
    pub function: String,
    /// As `$LATEST` or `3`.
    pub version: String,
    pub request_id: String,
    /// Milliseconds since 1970; decides the day and month that the run is billed to.
    pub started_unix_ms: i64,
    /// The start of the environment, in microseconds; `None` when it was there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_us: Option<u64>,
    pub duration_us: u64,
    pub billed_ms: u64,
    pub memory_mib: u32,
    pub max_memory_mib: u32,
    /// The configured size of `/tmp`.
    pub ephemeral_mib: u32,
    pub outcome: RunOutcome,
    /// Whether its environment was started for it.
    #[serde(default)]
    pub cold_start: bool,
    /// As `Runtime.ExitError`, or the function's own; `None` for success. At most [`ERROR_TYPE_BYTES`] of it are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// Where its lines are, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_stream: Option<String>,
}

/// How much of an error's type is kept, in bytes: a function may call its errors what it likes.
pub const ERROR_TYPE_BYTES: usize = 128;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    Success,
    /// The function's own code failed, or its process ended.
    FunctionError,
    TimedOut,
    OutOfMemory,
}

impl RunOutcome {
    /// As it stands in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::FunctionError => "function-error",
            Self::TimedOut => "timed-out",
            Self::OutOfMemory => "out-of-memory",
        }
    }
}

impl RunRecord {
    /// What its caller waited for, in microseconds: the environment's start and the run.
    pub fn whole_us(&self) -> u64 {
        self.init_us.unwrap_or(0).saturating_add(self.duration_us)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.outcome != RunOutcome::Success
    }

    pub(crate) fn place(&self) -> Place {
        Place { account: self.account.clone(), region: self.region.clone() }
    }
}

/// Whose sums: one function on one day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SumKey {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) function: String,
    pub(crate) month: Month,
    pub(crate) day: u8,
}

impl SumKey {
    /// Where each of the sums lies, in the order of [`Field::ALL`].
    pub(crate) fn rows(&self) -> [Key; Field::ALL.len()] {
        let place = Place { account: self.account.clone(), region: self.region.clone() };
        Field::ALL.map(|field| keys::sum(&place, &self.function, self.month, self.day, field))
    }
}

/// Sums by function and day; the values in the order of [`Field::ALL`].
pub(crate) type Sums = BTreeMap<SumKey, [i64; Field::ALL.len()]>;

/// Adds a run to the sums. What does not fit saturates: 2^63 MiB x ms are 285 years of 1 TiB.
pub(crate) fn add(sums: &mut Sums, run: &RunRecord) {
    let (month, day) = Month::and_day_of(run.started_unix_ms);
    let key = SumKey {
        account: run.account.clone(),
        region: run.region.clone(),
        function: run.function.clone(),
        month,
        day,
    };
    let billed_ms = i64::try_from(run.billed_ms).unwrap_or(i64::MAX);
    let ephemeral_mib = run.ephemeral_mib.saturating_sub(FREE_EPHEMERAL_MIB);
    let values = [
        1,
        i64::from(run.has_failed()),
        billed_ms,
        billed_ms.saturating_mul(i64::from(run.memory_mib)),
        billed_ms.saturating_mul(i64::from(ephemeral_mib)),
    ];
    merge(sums, key, values);
}

pub(crate) fn merge(sums: &mut Sums, key: SumKey, values: [i64; Field::ALL.len()]) {
    let sum = sums.entry(key).or_default();
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum = sum.saturating_add(value);
    }
}
