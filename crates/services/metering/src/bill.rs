//! The bill: exact sums, rounded once.
//!
//! Rounding: for each function, each of its three lines (requests, duration, ephemeral storage) is computed exactly from
//! the month's sums and rounded half up to a whole nano-dollar (10^-9). Everything else adds such lines, so the parts of
//! a bill are always its total. What AWS would give free of charge is computed from the account's sums and rounded the
//! same way.

use std::collections::BTreeMap;

use lambent_base::Place;
use serde::{Deserialize, Serialize};

use crate::keys::Field;
use crate::{Month, PriceSource, Prices};

/// One GB-second in MiB x ms.
const GB_SECOND_MIB_MS: u128 = 1_024 * 1_000;
/// 10^-12 dollars, the unit of prices, in one nano-dollar.
const PRICE_UNITS_PER_NANO: u128 = 1_000;
const MILLION: u128 = 1_000_000;

/// A function's sums in the order of [`Field::ALL`], by its name.
pub(crate) type Totals = BTreeMap<String, [u128; Field::ALL.len()]>;

/// What the functions of one account and region cost in one month. Money is in nano-dollars (10^-9 US dollars).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    pub account: String,
    pub region: String,
    /// As `2026-11`, UTC.
    pub month: String,
    /// The table that `cost` is computed with.
    pub prices: PriceSource,
    /// By name.
    pub functions: Vec<FunctionBill>,
    pub requests: u64,
    pub gb_seconds: f64,
    pub cost: Cost,
    /// What AWS would ask for the same.
    pub aws: AwsCost,
}

/// One function's part of a bill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionBill {
    pub function: String,
    pub requests: u64,
    /// Of the requests.
    pub errors: u64,
    pub billed_ms: u64,
    /// Exact: configured memory times billed time, in MiB x ms.
    pub memory_mib_ms: u64,
    /// The same in GB-seconds, for reading.
    pub gb_seconds: f64,
    pub cost: Cost,
    /// At AWS's prices, before anything is free.
    pub aws_nano_usd: u64,
}

/// Lines of a cost and their sum, in nano-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    pub requests_nano_usd: u64,
    pub duration_nano_usd: u64,
    pub ephemeral_nano_usd: u64,
    pub total_nano_usd: u64,
}

/// What AWS would ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsCost {
    pub prices: PriceSource,
    /// Before anything is free.
    pub total_nano_usd: u64,
    /// What the always-free tier takes off, if nothing else in the account uses it.
    pub free_nano_usd: u64,
    /// What is left.
    pub due_nano_usd: u64,
}

pub(crate) fn make(place: &Place, month: Month, totals: &Totals, prices: &Prices, aws: &Prices) -> Bill {
    let mut functions = Vec::with_capacity(totals.len());
    let (mut cost, mut aws_cost) = (Cost::default(), Cost::default());
    for (function, sums) in totals {
        let [requests, errors, billed_ms, memory_mib_ms, _] = sums.map(small);
        let own = Cost::of(sums, prices);
        let theirs = Cost::of(sums, aws);
        cost.add(own);
        aws_cost.add(theirs);
        functions.push(FunctionBill {
            function: function.clone(),
            requests,
            errors,
            billed_ms,
            memory_mib_ms,
            gb_seconds: gb_seconds(sums[Field::MemoryMibMs as usize]),
            cost: own,
            aws_nano_usd: theirs.total_nano_usd,
        });
    }
    let sum = |field: Field| totals.values().map(|sums| sums[field as usize]).sum::<u128>();
    let (requests, memory_mib_ms) = (sum(Field::Requests), sum(Field::MemoryMibMs));
    let free = free_nano_usd(requests, memory_mib_ms, aws).min(aws_cost.total_nano_usd);
    Bill {
        account: place.account.clone(),
        region: place.region.clone(),
        month: month.to_string(),
        prices: prices.source.clone(),
        functions,
        requests: small(requests),
        gb_seconds: gb_seconds(memory_mib_ms),
        cost,
        aws: AwsCost {
            prices: aws.source.clone(),
            total_nano_usd: aws_cost.total_nano_usd,
            free_nano_usd: free,
            due_nano_usd: aws_cost.total_nano_usd - free,
        },
    }
}

impl Cost {
    fn of(sums: &[u128; Field::ALL.len()], prices: &Prices) -> Self {
        let requests_nano_usd = requests_nano_usd(sums[Field::Requests as usize], prices);
        let duration_nano_usd = duration_nano_usd(sums[Field::MemoryMibMs as usize], prices.gb_second);
        let ephemeral_nano_usd = duration_nano_usd_of(sums, prices);
        let total_nano_usd =
            requests_nano_usd.saturating_add(duration_nano_usd).saturating_add(ephemeral_nano_usd);
        Self { requests_nano_usd, duration_nano_usd, ephemeral_nano_usd, total_nano_usd }
    }

    fn add(&mut self, other: Self) {
        for (sum, value) in [
            (&mut self.requests_nano_usd, other.requests_nano_usd),
            (&mut self.duration_nano_usd, other.duration_nano_usd),
            (&mut self.ephemeral_nano_usd, other.ephemeral_nano_usd),
            (&mut self.total_nano_usd, other.total_nano_usd),
        ] {
            *sum = sum.saturating_add(value);
        }
    }
}

fn duration_nano_usd_of(sums: &[u128; Field::ALL.len()], prices: &Prices) -> u64 {
    duration_nano_usd(sums[Field::EphemeralMibMs as usize], prices.ephemeral_gb_second)
}

fn requests_nano_usd(requests: u128, prices: &Prices) -> u64 {
    half_up(requests.saturating_mul(prices.million_requests), MILLION * PRICE_UNITS_PER_NANO)
}

fn duration_nano_usd(mib_ms: u128, price_per_gb_second: u128) -> u64 {
    half_up(mib_ms.saturating_mul(price_per_gb_second), GB_SECOND_MIB_MS * PRICE_UNITS_PER_NANO)
}

fn free_nano_usd(requests: u128, memory_mib_ms: u128, aws: &Prices) -> u64 {
    let free_mib_ms = memory_mib_ms.min(aws.free_gb_seconds * GB_SECOND_MIB_MS);
    let requests = requests_nano_usd(requests.min(aws.free_requests), aws);
    requests.saturating_add(duration_nano_usd(free_mib_ms, aws.gb_second))
}

/// `value / unit`, rounded half up.
fn half_up(value: u128, unit: u128) -> u64 {
    small(value.saturating_add(unit / 2) / unit)
}

/// Saturates: 2^64 nano-dollars are 18 billion dollars.
fn small(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "for reading; the exact number stands beside it")]
fn gb_seconds(mib_ms: u128) -> f64 {
    mib_ms as f64 / GB_SECOND_MIB_MS as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place() -> Place {
        Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() }
    }

    fn bill(totals: &Totals) -> Bill {
        make(&place(), "2026-11".parse().unwrap(), totals, &Prices::aws(), &Prices::aws())
    }

    #[test]
    fn aws_own_example_costs_what_aws_says() {
        // AWS Lambda Pricing, first example: 3 million requests of 120 ms with 1,536 MB cost 2.73 dollars after the
        // free tier: 0.40 for requests, 2.33 for 140,000 GB-seconds.
        let billed_ms = 3_000_000 * 120;
        let totals = Totals::from([("app".to_owned(), [3_000_000, 0, billed_ms, billed_ms * 1_536, 0])]);
        let bill = bill(&totals);
        assert_eq!(bill.gb_seconds, 540_000.0);
        assert_eq!(bill.cost.requests_nano_usd, 600_000_000);
        assert_eq!(bill.cost.duration_nano_usd, 9_000_018_000);
        assert_eq!(bill.aws.free_nano_usd, 200_000_000 + 6_666_680_000);
        assert_eq!(bill.aws.due_nano_usd, 2_733_338_000);
    }

    #[test]
    fn lines_round_half_up_to_a_nano_dollar() {
        // 30 MiB x ms cost 0.488... nano-dollars, 31 cost 0.504...
        assert_eq!(duration_nano_usd(30, 16_666_700), 0);
        assert_eq!(duration_nano_usd(31, 16_666_700), 1);
        assert_eq!(half_up(5, 10), 1);
        assert_eq!(half_up(4, 10), 0);
    }

    #[test]
    fn ephemeral_storage_is_never_free() {
        let totals = Totals::from([("f".to_owned(), [1, 0, 1_000_000, 0, 1_024_000_000])]);
        let bill = bill(&totals);
        assert_eq!(bill.cost.ephemeral_nano_usd, 30_900);
        assert_eq!(bill.aws.due_nano_usd, 30_900);
    }

    prop_compose! {
        fn sums()(requests in 0..u128::from(u32::MAX), ms in 0..1_u128 << 40, mib in 128..10_240_u128, tmp in 0..9_728_u128)
            -> [u128; Field::ALL.len()] {
            [requests, requests / 7, ms, ms * mib, ms * tmp]
        }
    }

    proptest! {
        #[test]
        fn the_parts_are_the_total(totals in prop::collection::btree_map("[a-z]{1,8}", sums(), 0..20)) {
            let bill = bill(&totals);
            let parts = |part: fn(&Cost) -> u64| bill.functions.iter().map(|one| part(&one.cost)).sum::<u64>();
            prop_assert_eq!(parts(|cost| cost.requests_nano_usd), bill.cost.requests_nano_usd);
            prop_assert_eq!(parts(|cost| cost.duration_nano_usd), bill.cost.duration_nano_usd);
            prop_assert_eq!(parts(|cost| cost.ephemeral_nano_usd), bill.cost.ephemeral_nano_usd);
            prop_assert_eq!(parts(|cost| cost.total_nano_usd), bill.cost.total_nano_usd);
            let Cost { requests_nano_usd, duration_nano_usd, ephemeral_nano_usd, total_nano_usd } = bill.cost;
            prop_assert_eq!(requests_nano_usd + duration_nano_usd + ephemeral_nano_usd, total_nano_usd);
            prop_assert_eq!(bill.aws.due_nano_usd + bill.aws.free_nano_usd, bill.aws.total_nano_usd);
            // Half a nano-dollar for each line is all that rounding may add or take.
            let exact: u128 = totals.values().map(exact_units).sum();
            let rounded = u128::from(total_nano_usd) * PRICE_UNITS_PER_NANO * GB_SECOND_MIB_MS;
            let slack = PRICE_UNITS_PER_NANO * GB_SECOND_MIB_MS / 2 * 3 * totals.len() as u128;
            prop_assert!(exact.abs_diff(rounded) <= slack);
        }
    }

    /// The exact cost in 10^-12 dollars / GB_SECOND_MIB_MS.
    fn exact_units(sums: &[u128; Field::ALL.len()]) -> u128 {
        let prices = Prices::aws();
        sums[0] * prices.million_requests / MILLION * GB_SECOND_MIB_MS
            + sums[3] * prices.gb_second
            + sums[4] * prices.ephemeral_gb_second
    }
}
