//! What tables may take, and how often that may be changed.

use lambent_model_dynamodb as model;
use lambent_model_dynamodb::GlobalSecondaryIndexUpdate;
use lambent_model_dynamodb::errors::limit_exceeded_exception;
use lambent_wire::{ApiError, Timestamp};

use super::check::invalid;
use crate::error::validation;
use crate::table::{BillingMode, Table, Throughput};

/// Decreases in one day (UTC) that need no pause between them; each further one comes an hour after the last.
const FREE_DECREASES: i64 = 4;
/// How often a table may become PAY_PER_REQUEST within a day.
const SWITCHES_MAX: usize = 4;
const MS_PER_HOUR: i64 = 3_600_000;
const MS_PER_DAY: i64 = 24 * MS_PER_HOUR;

/// Capacity units a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Units {
    read: i64,
    write: i64,
}

impl From<&model::ProvisionedThroughput> for Units {
    fn from(asked: &model::ProvisionedThroughput) -> Self {
        Self { read: asked.read_capacity_units, write: asked.write_capacity_units }
    }
}

/// How many decreases there were today.
pub(crate) fn decreases_today(throughput: &Throughput, now_ms: i64) -> i64 {
    let day = |ms: i64| ms.div_euclid(MS_PER_DAY);
    match throughput.last_decrease_ms {
        Some(last_ms) if day(last_ms) == day(now_ms) => throughput.decreases,
        _ => 0,
    }
}

/// Provisions other units.
pub(crate) fn set_units(
    throughput: &mut Throughput,
    what: &str,
    asked: Units,
    now_ms: i64,
) -> Result<(), ApiError> {
    let now = Units { read: throughput.read_units, write: throughput.write_units };
    if asked == now {
        return Err(validation(format!(
            "The provisioned throughput for {what} will not change. The requested value equals the current value. \
             Current ReadCapacityUnits provisioned for {what}: {}. Requested ReadCapacityUnits: {}. Current \
             WriteCapacityUnits provisioned for {what}: {}. Requested WriteCapacityUnits: {}. Refer to the Amazon \
             DynamoDB Developer Guide for current limits and how to request higher limits.",
            now.read, asked.read, now.write, asked.write
        )));
    }
    if asked.read > now.read || asked.write > now.write {
        throughput.last_increase_ms = Some(now_ms);
    }
    if asked.read < now.read || asked.write < now.write {
        let today = decreases_today(throughput, now_ms);
        let last_ms = throughput.last_decrease_ms.unwrap_or(0);
        if today >= FREE_DECREASES && now_ms < last_ms + MS_PER_HOUR {
            return Err(limit_exceeded_exception(format!(
                "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. \
                 After the first {FREE_DECREASES} decreases, each subsequent decrease in the same UTC day can be \
                 performed at most once every 3600 seconds. Number of decreases today: {today}. Last decrease at {}. \
                 Next decrease can be made at {}",
                Timestamp::from_ms(last_ms).iso8601_ms(),
                Timestamp::from_ms(last_ms + MS_PER_HOUR).iso8601_ms()
            )));
        }
        throughput.decreases = today + 1;
        throughput.last_decrease_ms = Some(now_ms);
    }
    (throughput.read_units, throughput.write_units) = (asked.read, asked.write);
    Ok(())
}

/// From provisioned units to payment by request, or back.
pub(crate) fn change_mode(
    table: &mut Table,
    mode: BillingMode,
    updates: &[GlobalSecondaryIndexUpdate],
    now_ms: i64,
) -> Result<(), ApiError> {
    if mode == BillingMode::Provisioned {
        let is_given = |name: &str| {
            let mut given = updates.iter().filter_map(|one| one.update.as_ref());
            given.any(|one| one.index_name == name && one.provisioned_throughput.is_some())
        };
        let left = table.globals.iter().map(|index| index.name.as_str()).filter(|name| !is_given(name));
        let left: Vec<&str> = left.collect();
        if !left.is_empty() {
            return Err(invalid(format!(
                "ProvisionedThroughput must be specified for index: {}",
                left.join(",")
            )));
        }
    } else {
        let switches = &mut table.billing.switches_ms;
        switches.retain(|at_ms| now_ms - at_ms < MS_PER_DAY);
        if let Some(first_ms) = switches.first().filter(|_| switches.len() >= SWITCHES_MAX) {
            return Err(limit_exceeded_exception(format!(
                "Subscriber limit exceeded: Update to PayPerRequest mode are limited to {SWITCHES_MAX} times in 1 \
                 day(s). Last update at {}. Next update can be made at {}",
                Timestamp::from_ms(switches[switches.len() - 1]).iso8601_ms(),
                Timestamp::from_ms(first_ms + MS_PER_DAY).iso8601_ms()
            )));
        }
        switches.push(now_ms);
        table.billing.on_demand_since_ms = Some(now_ms);
        let indexes = table.globals.iter_mut().map(|index| &mut index.throughput);
        for throughput in std::iter::once(&mut table.throughput).chain(indexes) {
            throughput.decreases = decreases_today(throughput, now_ms) + 1;
            throughput.last_decrease_ms = Some(now_ms);
            (throughput.read_units, throughput.write_units) = (0, 0);
        }
    }
    table.billing.mode = mode;
    Ok(())
}

/// Request units a second that payment by request is held to; -1 takes the limit away.
pub(crate) fn set_limits(throughput: &mut Throughput, asked: Option<&model::OnDemandThroughput>) {
    let Some(asked) = asked else { return };
    let limit = |units: i64| (units >= 0).then_some(units);
    if let Some(units) = asked.max_read_request_units {
        throughput.max_read_units = limit(units);
    }
    if let Some(units) = asked.max_write_request_units {
        throughput.max_write_units = limit(units);
    }
}

/// What is warmed stays so: it can be raised, and never lowered.
pub(crate) fn set_warm(
    throughput: &mut Throughput,
    asked: Option<&model::WarmThroughput>,
) -> Result<(), ApiError> {
    let Some(asked) = asked else { return Ok(()) };
    let raise = |now: &mut Option<i64>, asked: Option<i64>, name: &str| {
        let Some(asked) = asked else { return Ok(()) };
        if now.is_some_and(|now| asked < now) {
            return Err(invalid(format!(
                "Requested {name} for WarmThroughput for table is lower than current WarmThroughput, decreasing \
                 WarmThroughput is not supported"
            )));
        }
        *now = Some(asked);
        Ok(())
    };
    raise(&mut throughput.warm_read_units, asked.read_units_per_second, "ReadUnitsPerSecond")?;
    raise(&mut throughput.warm_write_units, asked.write_units_per_second, "WriteUnitsPerSecond")
}
