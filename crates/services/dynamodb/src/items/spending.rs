//! What operations take of what a table and its indexes may take: provisioned units, or the maximum of an on-demand table.

use lambent_expressions::{Item, item_bytes};
use lambent_model_dynamodb::errors::{provisioned_throughput_exceeded_exception, throttling_exception};
use lambent_wire::{ApiError, Document};

use super::capacity::{Direction, Spent, write_units};
use crate::Dynamo;
use crate::change::Changed;
use crate::table::{BillingMode, Index, Table, Throughput};

const TABLE_EXCEEDED: &str = "The level of configured provisioned throughput for the table was exceeded. Consider increasing \
                              your provisioning level with the UpdateTable API.";
const INDEX_EXCEEDED: &str = "The level of configured provisioned throughput for one or more global secondary indexes of the \
                              table was exceeded. Consider increasing your provisioning level for the under-provisioned \
                              global secondary indexes with the UpdateTable API";
const ON_DEMAND_EXCEEDED: &str =
    "Throughput exceeds the maximum OnDemandThroughput configured on table or index";

/// Units that are yet to be taken of a table: a write may be tried several times, and costs once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Toll {
    table: u64,
    rate: u64,
    units: f64,
}

impl Dynamo {
    /// Whether the table, or the global index that is read, has capacity left.
    /// Errors: ProvisionedThroughputExceededException, ThrottlingException over an on-demand maximum.
    pub(crate) fn admit(
        &self,
        table: &Table,
        index: Option<&Index>,
        direction: Direction,
    ) -> Result<(), ApiError> {
        let index = index.filter(|index| !index.is_local);
        let (id, throughput) =
            index.map_or((table.id, &table.throughput), |index| (index.id, &index.throughput));
        match rate(table, throughput, direction) {
            Some(rate) if !self.throttle.has_room(id, direction, rate) => {
                Err(exceeded(table, index, direction))
            }
            _ => Ok(()),
        }
    }

    /// Whether the table has capacity left for one more read of a request that has yet to take `units` for others.
    /// Errors: as [`Self::admit`].
    pub(crate) fn admit_further_read(&self, table: &Table, units: f64) -> Result<(), ApiError> {
        match rate(table, &table.throughput, Direction::Read) {
            Some(rate) if !self.throttle.has_room_after(table.id, Direction::Read, rate, units) => {
                Err(exceeded(table, None, Direction::Read))
            }
            _ => Ok(()),
        }
    }

    /// Whether the global indexes that a change writes to have capacity left.
    /// Errors: as [`Self::admit`].
    pub(crate) fn admit_indexes(
        &self,
        table: &Table,
        old: Option<&Item>,
        new: Option<&Item>,
    ) -> Result<(), ApiError> {
        let holds = |index: &Index, item: Option<&Item>| {
            item.is_some_and(|item| index.key.attributes().all(|attribute| attribute.of(item).is_some()))
        };
        for index in table.globals.iter().filter(|index| index.is_kept()) {
            if let Err(refused) = self.admit(table, Some(index), Direction::Write)
                && (holds(index, old) || holds(index, new))
            {
                return Err(refused);
            }
        }
        Ok(())
    }

    /// Takes what was consumed.
    pub(crate) fn charge(&self, table: &Table, spent: &Spent, direction: Direction) {
        if let Some(rate) = rate(table, &table.throughput, direction) {
            // Local indexes use what the table has.
            let of_table = spent.table + spent.locals.values().sum::<f64>();
            self.throttle.take(table.id, direction, rate, of_table);
        }
        for (name, units) in &spent.globals {
            if let Some(index) = table.globals.iter().find(|index| index.name == *name)
                && let Some(rate) = rate(table, &index.throughput, direction)
            {
                self.throttle.take(index.id, direction, rate, *units);
            }
        }
    }

    /// Takes what a refused write costs.
    pub(crate) fn take(&self, toll: Toll) {
        self.throttle.take(toll.table, Direction::Write, toll.rate, toll.units);
    }
}

/// What a write costs that is refused for what the item is: as much as writing it. `None` where nothing is counted.
pub(crate) fn toll_of_refusal(table: &Table, item: Option<&Item>) -> Option<Toll> {
    let rate = rate(table, &table.throughput, Direction::Write)?;
    Some(Toll { table: table.id, rate, units: write_units(item.map_or(0, item_bytes), 0) })
}

/// Whether an error of an operation says that the same may work later, as there is no capacity now.
pub(crate) fn is_exceeded(error: &ApiError) -> bool {
    matches!(&*error.code, "ProvisionedThroughputExceededException" | "ThrottlingException")
}

/// The refusal, with what was exceeded. Source: API reference, "ThrottlingReason".
fn exceeded(table: &Table, index: Option<&Index>, direction: Direction) -> ApiError {
    let what = if index.is_some() { "Index" } else { "Table" };
    let resource = index.map_or_else(|| table.arn.clone(), |index| table.index_arn(&index.name));
    let reasons = |limit: &str| {
        let reason = format!("{what}{direction:?}{limit}");
        let members = [("reason", reason), ("resource", resource)];
        let reason = members.map(|(name, value)| (name.to_owned(), Document::from(value)));
        [Document::Object(reason.into_iter().collect())].into_iter().collect::<Document>()
    };
    match table.billing.mode {
        BillingMode::Provisioned => {
            let message = if index.is_some() { INDEX_EXCEEDED } else { TABLE_EXCEEDED };
            provisioned_throughput_exceeded_exception(message)
                .with_detail("ThrottlingReasons", reasons("ProvisionedThroughputExceeded"))
        }
        BillingMode::OnDemand => throttling_exception(ON_DEMAND_EXCEEDED)
            .with_detail("throttlingReasons", reasons("MaxOnDemandThroughputExceeded")),
    }
}

/// What a change consumed.
pub(crate) fn spent(table: &Table, changed: &Changed) -> Spent {
    let mut spent = Spent::of_table(write_units(changed.old_bytes, changed.new_bytes));
    for write in &changed.index_writes {
        let Some(index) = table.indexes().find(|index| index.id == write.index) else { continue };
        let parts = [write.deleted_bytes, write.written_bytes.max(write.replaced_bytes)];
        let units =
            parts.into_iter().filter(|bytes| *bytes > 0).map(|bytes| write_units(bytes, 0)).sum::<f64>();
        let indexes = if index.is_local { &mut spent.locals } else { &mut spent.globals };
        *indexes.entry(index.name.clone()).or_default() += units;
    }
    spent
}

/// The units a second that there are; `None` where there is no bound.
fn rate(table: &Table, throughput: &Throughput, direction: Direction) -> Option<u64> {
    let units = match (table.billing.mode, direction) {
        (BillingMode::Provisioned, Direction::Read) => Some(throughput.read_units),
        (BillingMode::Provisioned, Direction::Write) => Some(throughput.write_units),
        (BillingMode::OnDemand, Direction::Read) => throughput.max_read_units,
        (BillingMode::OnDemand, Direction::Write) => throughput.max_write_units,
    };
    units.map(|units| u64::try_from(units).unwrap_or_default())
}
