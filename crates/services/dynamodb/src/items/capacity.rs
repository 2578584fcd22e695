//! Consumed capacity as AWS bills it: reads by 4 KB, half of that where they may be behind, writes by 1 KB, and twice that
//! in transactions.

use std::collections::BTreeMap;

use lambent_model_dynamodb::{Capacity, ConsumedCapacity, ReturnConsumedCapacity};

/// What one read capacity unit reads, in bytes. Source: Developer Guide, Read and write operations.
const READ_UNIT_BYTES: usize = 4 * 1024;
/// What one write capacity unit writes, in bytes. Source: as above.
const WRITE_UNIT_BYTES: usize = 1024;
/// How much more a transaction costs: its items are prepared and committed.
pub(crate) const TRANSACTION_FACTOR: f64 = 2.0;

/// How sure a read is of seeing the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consistency {
    Eventual,
    Strong,
    Transactional,
}

/// Whether capacity is that for reading or that for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Capacity units that an operation consumed on one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    pub(crate) table: f64,
    /// By the index's name.
    pub(crate) locals: BTreeMap<String, f64>,
    pub(crate) globals: BTreeMap<String, f64>,
}

impl Consistency {
    /// Of a request's ConsistentRead.
    pub(crate) fn asked(consistent_read: Option<bool>) -> Self {
        if consistent_read == Some(true) { Self::Strong } else { Self::Eventual }
    }

    fn factor(self) -> f64 {
        match self {
            Self::Eventual => 0.5,
            Self::Strong => 1.0,
            Self::Transactional => TRANSACTION_FACTOR,
        }
    }
}

impl Spent {
    /// Units of the table alone.
    pub(crate) fn of_table(units: f64) -> Self {
        Self { table: units, ..Self::default() }
    }

    /// Adds what another operation consumed on the same table.
    pub(crate) fn add(&mut self, other: &Self) {
        self.table += other.table;
        for (own, others) in [(&mut self.locals, &other.locals), (&mut self.globals, &other.globals)] {
            for (name, units) in others {
                *own.entry(name.clone()).or_default() += units;
            }
        }
    }

    /// The same in a transaction.
    #[must_use]
    pub(crate) fn in_transaction(mut self) -> Self {
        self.table *= TRANSACTION_FACTOR;
        for units in self.locals.values_mut().chain(self.globals.values_mut()) {
            *units *= TRANSACTION_FACTOR;
        }
        self
    }

    fn total(&self) -> f64 {
        self.table + self.locals.values().sum::<f64>() + self.globals.values().sum::<f64>()
    }
}

/// Units for reading so many bytes; nothing read costs as much as one unit's worth.
pub(crate) fn read_units(bytes: usize, consistency: Consistency) -> f64 {
    units(bytes.max(1), READ_UNIT_BYTES) * consistency.factor()
}

/// Units for writing an item that was of one size and is of another, in bytes; 0 stands for none.
pub(crate) fn write_units(old_bytes: usize, new_bytes: usize) -> f64 {
    units(old_bytes.max(new_bytes).max(1), WRITE_UNIT_BYTES)
}

fn units(bytes: usize, unit_bytes: usize) -> f64 {
    // An item is smaller than a page, and a page smaller than 2 MB.
    f64::from(u32::try_from(bytes.div_ceil(unit_bytes)).unwrap_or(u32::MAX))
}

/// What the caller is told, if it asks. `of_transaction` says which way a transaction went: only those tell it.
pub(crate) fn report(
    level: Option<&ReturnConsumedCapacity>,
    table_name: &str,
    spent: &Spent,
    of_transaction: Option<Direction>,
) -> Option<ConsumedCapacity> {
    let detailed = match level? {
        ReturnConsumedCapacity::Indexes => true,
        ReturnConsumedCapacity::Total => false,
        _ => return None,
    };
    let part = |units: f64| Capacity {
        capacity_units: Some(units),
        read_capacity_units: (of_transaction == Some(Direction::Read)).then_some(units),
        write_capacity_units: (of_transaction == Some(Direction::Write)).then_some(units),
    };
    let parts = |indexes: &BTreeMap<String, f64>| {
        let parts = indexes.iter().map(|(name, units)| (name.clone(), part(*units)));
        (detailed && !indexes.is_empty()).then(|| parts.collect())
    };
    let total = part(spent.total());
    Some(ConsumedCapacity {
        capacity_units: total.capacity_units,
        read_capacity_units: total.read_capacity_units,
        write_capacity_units: total.write_capacity_units,
        table: detailed.then(|| part(spent.table)),
        local_secondary_indexes: parts(&spent.locals),
        global_secondary_indexes: parts(&spent.globals),
        table_name: Some(table_name.to_owned()),
        ..ConsumedCapacity::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cost_by_four_kilobytes_and_halves() {
        assert_eq!(read_units(0, Consistency::Eventual), 0.5);
        assert_eq!(read_units(4096, Consistency::Strong), 1.0);
        assert_eq!(read_units(4097, Consistency::Strong), 2.0);
        assert_eq!(read_units(1, Consistency::Transactional), 2.0);
    }

    #[test]
    fn writes_cost_the_larger_of_before_and_after() {
        assert_eq!(write_units(0, 0), 1.0);
        assert_eq!(write_units(3000, 10), 3.0);
        assert_eq!(write_units(10, 1025), 2.0);
    }

    #[test]
    fn levels_tell_as_much_as_they_say() {
        let mut spent = Spent::of_table(1.0);
        spent.globals.insert("g".to_owned(), 2.0);
        let told = |level| report(Some(&level), "t", &spent, None);
        assert_eq!(told(ReturnConsumedCapacity::None), None);
        let total = told(ReturnConsumedCapacity::Total).unwrap();
        assert_eq!(
            (total.capacity_units, total.table, total.global_secondary_indexes),
            (Some(3.0), None, None)
        );
        let detailed = told(ReturnConsumedCapacity::Indexes).unwrap();
        assert_eq!(detailed.table.unwrap().capacity_units, Some(1.0));
        assert_eq!(detailed.global_secondary_indexes.unwrap()["g"].capacity_units, Some(2.0));
        assert_eq!(detailed.local_secondary_indexes, None);
    }

    #[test]
    fn transactions_cost_twice_and_say_which_way() {
        let spent = Spent::of_table(1.0).in_transaction();
        let told =
            report(Some(&ReturnConsumedCapacity::Indexes), "t", &spent, Some(Direction::Write)).unwrap();
        assert_eq!(
            (told.capacity_units, told.write_capacity_units, told.read_capacity_units),
            (Some(2.0), Some(2.0), None)
        );
        assert_eq!(told.table.unwrap().write_capacity_units, Some(2.0));
    }
}
