//! Scan.

use lambent_api::Call;
use lambent_expressions::{Condition, Invalid, Item, Placeholders, item_to_wire, legacy};
use lambent_model_dynamodb::{ScanInput, ScanOutput};
use lambent_store::{KeyRange, Txn};

use super::capacity::{Consistency, Direction, report};
use super::checks;
use super::page::{self, Found, Reading};
use super::parameters::Ways;
use super::select::Selection;
use super::start;
use crate::table::{Index, Table};
use crate::{Dynamo, DynamoError, keys, names};

/// A scan that was read from a request.
pub(crate) struct Plan {
    pub(crate) selection: Selection,
    pub(crate) filter: Option<Condition>,
    pub(crate) start: Option<Item>,
    /// Which of how many equal parts of the table.
    pub(crate) segment: Option<(u32, u32)>,
    pub(crate) index: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) consistency: Consistency,
}

impl Dynamo {
    pub(crate) async fn scan(&self, call: &Call, mut input: ScanInput) -> Result<ScanOutput, DynamoError> {
        let plan = &read(&mut input)?;
        let (place, name) = names::table_ref(call, &input.table_name)?;
        let (place, name) = (&*place, &*name);
        let db = self.rows.of(call);
        let (table, found) = db
            .read(|txn| async move {
                let table = self.table(&txn, place, name).await?;
                let found = self.scan_page(&txn, &table, plan).await?;
                Ok::<_, DynamoError>((table, found))
            })
            .await?;
        self.charge(&table, &found.spent, Direction::Read);
        Ok(ScanOutput {
            consumed_capacity: report(
                input.return_consumed_capacity.as_ref(),
                &input.table_name,
                &found.spent,
                None,
            ),
            count: i32::try_from(found.count).ok(),
            scanned_count: i32::try_from(found.scanned).ok(),
            last_evaluated_key: found.last.map(item_to_wire),
            items: (!plan.selection.only_counts())
                .then(|| found.items.into_iter().map(item_to_wire).collect()),
        })
    }

    /// Checks the plan against the table, and reads a page.
    pub(crate) async fn scan_page(
        &self,
        txn: &Txn,
        table: &Table,
        plan: &Plan,
    ) -> Result<Found, DynamoError> {
        let index = index_of(table, plan.index.as_deref(), plan.consistency)?;
        let fetches = check(table, index, plan)?;
        let range = range(table, index, plan)?;
        let paths = |name: &str| {
            plan.selection
                .projection
                .as_ref()
                .is_some_and(|projection| checks::is_nested(projection.paths(), name))
                || plan.filter.as_ref().is_some_and(|filter| checks::is_nested(filter.paths(), name))
        };
        checks::scalar_keys(table, paths)?;
        self.admit(table, index, Direction::Read)?;
        let reading = Reading {
            table,
            index,
            reverse: false,
            limit: plan.limit,
            filter: plan.filter.as_ref(),
            projection: plan.selection.projection.as_ref(),
            fetches,
            only_counts: plan.selection.only_counts(),
            consistency: plan.consistency,
        };
        page::read(txn, range, reading).await
    }
}

/// The index that a request names.
pub(crate) fn index_of<'a>(
    table: &'a Table,
    name: Option<&str>,
    consistency: Consistency,
) -> Result<Option<&'a Index>, Invalid> {
    let Some(name) = name else { return Ok(None) };
    let Some(index) = table.index(name).filter(|index| index.is_kept()) else {
        return Err(Invalid::new(format!("The table does not have the specified index: {name}")));
    };
    if !index.is_local && consistency == Consistency::Strong {
        return Err(Invalid::new("Consistent reads are not supported on global secondary indexes"));
    }
    Ok(Some(index))
}

fn read(input: &mut ScanInput) -> Result<Plan, Invalid> {
    Ways {
        expressions: &[
            ("ProjectionExpression", input.projection_expression.is_some()),
            ("FilterExpression", input.filter_expression.is_some()),
        ],
        others: &[
            ("AttributesToGet", input.attributes_to_get.is_some()),
            ("ScanFilter", input.scan_filter.is_some()),
            ("ConditionalOperator", input.conditional_operator.is_some()),
        ],
        has_names: input.expression_attribute_names.is_some(),
        has_values: input.expression_attribute_values.is_some(),
    }
    .check()?;
    let projection = input.attributes_to_get.take().map(legacy::projection).transpose()?;
    let filter = legacy::filter(input.scan_filter.take(), input.conditional_operator.take())?;
    let start = start::from_request(input.exclusive_start_key.take())?;
    let segment = segment(input.segment, input.total_segments)?;
    let names = input.expression_attribute_names.take();
    let mut placeholders = Placeholders::from_wire(names, input.expression_attribute_values.take())?;
    let by_expression = input.projection_expression.is_some();
    let expressions = (input.filter_expression.as_deref(), input.projection_expression.as_deref());
    let (condition, projected) = Selection::read(expressions, &mut placeholders)?;
    let has_index = input.index_name.is_some();
    Ok(Plan {
        selection: Selection::new(input.select.take(), projected.or(projection), by_expression, has_index)?,
        filter: condition.or(filter),
        start,
        segment,
        index: input.index_name.take(),
        limit: input.limit.and_then(|limit| usize::try_from(limit).ok()),
        consistency: Consistency::asked(input.consistent_read),
    })
}

fn segment(segment: Option<i32>, total: Option<i32>) -> Result<Option<(u32, u32)>, Invalid> {
    let missing = |what: &str, there: &str| {
        Err(Invalid::new(format!(
            "The {what} parameter is required but was not present in the request when {there} is present"
        )))
    };
    let (segment, total) = match (segment, total) {
        (None, None) => return Ok(None),
        (Some(_), None) => return missing("TotalSegments", "Segment parameter"),
        (None, Some(_)) => return missing("Segment", "parameter TotalSegments"),
        (Some(segment), Some(total)) => (segment, total),
    };
    if segment >= total {
        return Err(Invalid::new(format!(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: {segment} is not less \
             than TotalSegments: {total}"
        )));
    }
    // The model holds both to what is not negative.
    Ok(Some((u32::try_from(segment).unwrap_or_default(), u32::try_from(total).unwrap_or(1))))
}

/// Checks the start key's shape and what is selected; whether items must be fetched.
fn check(table: &Table, index: Option<&Index>, plan: &Plan) -> Result<bool, Invalid> {
    if let Some(start) = &plan.start
        && start.len() != start::attributes(table, index)
    {
        return Err(match index {
            Some(_) => start::invalid(),
            None => start::invalid_for(checks::KEY_MISMATCH),
        });
    }
    if let (Some(index), Some(start)) = (index, &plan.start) {
        for (attribute, is_hash) in checks::parts(&index.key) {
            if !start.contains_key(&attribute.name) {
                return Err(start::invalid());
            }
            checks::key_part(start, attribute, is_hash, checks::KeyIn::Request)?;
        }
    }
    let fetches = plan.selection.fetches(table, index)?;
    if let Some(start) = &plan.start {
        start::check_table_part(table, start)?;
    }
    Ok(fetches)
}

/// The rows to read: those of the segment, after the start.
fn range(table: &Table, index: Option<&Index>, plan: &Plan) -> Result<KeyRange, Invalid> {
    let (from, to) = match plan.segment {
        None => (0, None),
        Some((segment, total)) => match (bound(segment, total), bound(segment + 1, total)) {
            (Some(from), to) => (from, to),
            // More segments than there are hashes: this one has none.
            (None, _) => return Ok(KeyRange::new("", "")),
        },
    };
    let range = match index {
        None => keys::items_by_hash(table.id, from, to),
        Some(index) => keys::index_rows_by_hash(index.id, from, to),
    };
    let Some(start) = &plan.start else { return Ok(range) };
    let row = start::row(table, index, start)?;
    if let Some((segment, total)) = plan.segment
        && !range.contains(&row)
    {
        return Err(start::invalid_for(&format!(
            "Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: {total} Segment: \
             {segment}"
        )));
    }
    Ok(range.after(&row))
}

/// The first hash of a segment; `None` past the last.
fn bound(segment: u32, total: u32) -> Option<u16> {
    const HASHES: u64 = 1 << 16;
    u16::try_from((HASHES * u64::from(segment)).div_ceil(u64::from(total))).ok()
}
