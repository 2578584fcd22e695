//! What operations take of what a table and its indexes are provisioned with.

use lambent_expressions::{Item, item_bytes};
use lambent_model_dynamodb::errors::provisioned_throughput_exceeded_exception;
use lambent_wire::ApiError;

use super::capacity::{Direction, Spent, write_units};
use crate::Dynamo;
use crate::change::Changed;
use crate::table::{BillingMode, Index, Table, Throughput};

const TABLE_EXCEEDED: &str = "The level of configured provisioned throughput for the table was exceeded. Consider increasing \
                              your provisioning level with the UpdateTable API.";
const INDEX_EXCEEDED: &str = "The level of configured provisioned throughput for one or more global secondary indexes of the \
                              table was exceeded. Consider increasing your provisioning level for the under-provisioned \
                              global secondary indexes with the UpdateTable API";

impl Dynamo {
    /// Whether the table, or the global index that is read, has capacity left.
    /// Errors: ProvisionedThroughputExceededException.
    pub(crate) fn admit(
        &self,
        table: &Table,
        index: Option<&Index>,
        direction: Direction,
    ) -> Result<(), ApiError> {
        if table.billing.mode == BillingMode::OnDemand {
            return Ok(());
        }
        let index = index.filter(|index| !index.is_local);
        let (id, throughput) =
            index.map_or((table.id, &table.throughput), |index| (index.id, &index.throughput));
        if self.throttle.has_room(id, direction, rate(throughput, direction)) {
            return Ok(());
        }
        let message = if index.is_some() { INDEX_EXCEEDED } else { TABLE_EXCEEDED };
        Err(provisioned_throughput_exceeded_exception(message))
    }

    /// Whether the global indexes that a change writes to have capacity left.
    /// Errors: as [`Self::admit`].
    pub(crate) fn admit_indexes(
        &self,
        table: &Table,
        old: Option<&Item>,
        new: Option<&Item>,
    ) -> Result<(), ApiError> {
        if table.billing.mode == BillingMode::OnDemand {
            return Ok(());
        }
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
        if table.billing.mode == BillingMode::OnDemand {
            return;
        }
        // Local indexes use what the table has.
        let of_table = spent.table + spent.locals.values().sum::<f64>();
        self.throttle.take(table.id, direction, rate(&table.throughput, direction), of_table);
        for (name, units) in &spent.globals {
            if let Some(index) = table.globals.iter().find(|index| index.name == *name) {
                self.throttle.take(index.id, direction, rate(&index.throughput, direction), *units);
            }
        }
    }

    /// Takes what a write costs that was refused for what the item is: as much as writing it.
    pub(crate) fn charge_refused(&self, table: &Table, item: Option<&Item>) {
        if table.billing.mode == BillingMode::Provisioned {
            let units = write_units(item.map_or(0, item_bytes), 0);
            self.charge(table, &Spent::of_table(units), Direction::Write);
        }
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

fn rate(throughput: &Throughput, direction: Direction) -> u64 {
    let units = match direction {
        Direction::Read => throughput.read_units,
        Direction::Write => throughput.write_units,
    };
    u64::try_from(units).unwrap_or_default()
}
