//! SELECT: the reads that a condition comes to, page by page.

use std::cmp::Ordering;

use lambent_expressions::partiql::{Branch, Order, Select};
use lambent_expressions::{Condition, Invalid, Item, RangeTest};
use lambent_store::{KeyRange, Txn};

use super::token::Next;
use super::{columns, reads};
use crate::items::{Consistency, Direction, Reading, Span, Spent, index_of, read_page, start};
use crate::table::{Index, KeySchema, Table};
use crate::{Dynamo, DynamoError, keys};

/// How much is looked at for one answer, before it goes on in another. Source: API reference, ExecuteStatement.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How a SELECT is done.
pub(super) struct Plan<'a> {
    table: &'a Table,
    index: Option<&'a Index>,
    /// Partitions to read; without, all items are looked at.
    reads: Option<Vec<Branch>>,
    reverse: bool,
    filter: Option<&'a Condition>,
    fetches: bool,
    consistency: Consistency,
}

/// What was found.
#[derive(Default)]
pub(super) struct Selected {
    pub(super) items: Vec<Item>,
    pub(super) spent: Spent,
    pub(super) next: Option<Next>,
}

impl<'a> Plan<'a> {
    /// Errors: there is no such index, it lacks what is asked for, or the condition or the order cannot be done.
    pub(super) fn new(
        table: &'a Table,
        select: &'a Select,
        consistency: Consistency,
    ) -> Result<Self, Invalid> {
        let index = index_of(table, select.index.as_deref(), consistency)?;
        let schema = index.map_or(&table.key, |index| &index.key);
        let filter = select.condition.as_ref();
        check_order(&select.order, filter, schema)?;
        let reads = reads(filter, schema)?;
        let mut plan = Self {
            table,
            index,
            reads,
            reverse: false,
            filter,
            fetches: columns::fetches(table, index, select.columns.as_deref())?,
            consistency,
        };
        plan.check_filter()?;
        plan.sort(&select.order, schema)?;
        Ok(plan)
    }

    /// Where a partition of an index is read, it must have what the condition looks at.
    fn check_filter(&mut self) -> Result<(), Invalid> {
        let (Some(index), Some(_)) = (self.index, &self.reads) else { return Ok(()) };
        let mut missing: Vec<&str> = Vec::new();
        for path in self.filter.iter().flat_map(|filter| filter.paths()) {
            if !index.holds(&self.table.key, &path.head) && !missing.contains(&path.head.as_str()) {
                missing.push(&path.head);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        if index.is_local {
            self.fetches = true;
            return Ok(());
        }
        Err(Invalid::new(format!(
            "One or more parameter values were invalid: Secondary index {} does not project one or more filter attributes: [{}]",
            index.name,
            missing.join(", ")
        )))
    }

    fn sort(&mut self, order: &[Order], schema: &KeySchema) -> Result<(), Invalid> {
        let Some(reads) = self.reads.as_mut().filter(|_| !order.is_empty()) else { return Ok(()) };
        let direction =
            |name: &str| order.iter().find(|part| part.attribute == name).map(|part| part.descending);
        let hash = direction(&schema.hash.name);
        let several = reads.iter().any(|read| read.hash != reads[0].hash);
        if several && hash.is_none() {
            return Err(Invalid::new(
                "Must have hash key in ORDER BY clause when more than one hash key condition specified in WHERE clause.",
            ));
        }
        // Sort keys that nothing is said of come from the last to the first, as on AWS.
        let range = schema.range.as_ref().and_then(|range| direction(&range.name)).unwrap_or(true);
        let turned = |descending, order: Ordering| if descending { order.reverse() } else { order };
        reads.sort_by(|one, two| {
            let by_hash = turned(hash.unwrap_or_default(), one.hash.cmp(&two.hash));
            by_hash.then_with(|| turned(range, begins(one).cmp(&begins(two))))
        });
        self.reverse = range;
        Ok(())
    }

    /// The rows of the read that comes `at` this place; nothing after the last.
    fn range(&self, at: u16) -> Option<KeyRange> {
        match &self.reads {
            Some(reads) => {
                let read = reads.get(usize::from(at))?;
                Some(Span::new(&read.hash, read.range.as_ref()).range(self.table, self.index))
            }
            None if at > 0 => None,
            None => Some(match self.index {
                None => keys::items_by_hash(self.table.id, 0, None),
                Some(index) => keys::index_rows_by_hash(index.id, 0, None),
            }),
        }
    }

    /// What of the read is left after an item.
    fn rest(&self, range: KeyRange, after: &Item) -> Result<KeyRange, Invalid> {
        let row = start::row(self.table, self.index, after)?;
        if !range.contains(&row) {
            return Err(Invalid::new("Invalid NextToken"));
        }
        Ok(if self.reverse { range.before(&row) } else { range.after(&row) })
    }
}

impl Dynamo {
    /// Reads until a page is full or everything was read.
    pub(super) async fn select_pages(
        &self,
        txn: &Txn,
        plan: &Plan<'_>,
        from: &Next,
        limit: Option<usize>,
    ) -> Result<Selected, DynamoError> {
        let mut selected = Selected::default();
        let (mut read, mut after) = (from.read, from.after.as_ref());
        let (mut left, mut bytes) = (limit, 0);
        while let Some(range) = plan.range(read) {
            if bytes >= ANSWER_BYTES_MAX {
                selected.next = Some(Next { read, after: None });
                break;
            }
            let range = match after.take() {
                Some(after) => plan.rest(range, after)?,
                None => range,
            };
            self.admit(plan.table, plan.index, Direction::Read)?;
            let found = read_page(txn, range, plan.reading(left)).await?;
            bytes += found.bytes;
            left = left.map(|left| left.saturating_sub(found.scanned));
            selected.items.extend(found.items);
            selected.spent.add(&found.spent);
            if let Some(last) = found.last {
                selected.next = Some(Next { read, after: Some(last) });
                break;
            }
            read += 1;
        }
        Ok(selected)
    }
}

impl Plan<'_> {
    fn reading(&self, limit: Option<usize>) -> Reading<'_> {
        Reading {
            table: self.table,
            index: self.index,
            reverse: self.reverse,
            limit,
            filter: self.filter,
            projection: None,
            fetches: self.fetches,
            only_counts: false,
            consistency: self.consistency,
        }
    }
}

/// Reads of one partition do not overlap, so they are in the order of any of their values.
fn begins(read: &Branch) -> Option<&lambent_expressions::Value> {
    match read.range.as_ref()? {
        RangeTest::Lt(_) | RangeTest::Le(_) => None,
        test => test.values().next(),
    }
}

fn check_order(order: &[Order], condition: Option<&Condition>, schema: &KeySchema) -> Result<(), Invalid> {
    if order.is_empty() {
        return Ok(());
    }
    if condition.is_none() {
        return Err(Invalid::new("Must have WHERE clause in the statement when using ORDER BY clause."));
    }
    if let Some(part) = order.iter().find(|part| !schema.has(&part.attribute)) {
        return Err(Invalid::new(format!(
            "Attribute {} in ORDER BY clause must be part of the primary key",
            part.attribute
        )));
    }
    match reads(condition, schema)? {
        Some(_) => Ok(()),
        None => Err(Invalid::new(
            "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.",
        )),
    }
}
