//! Query.

use lambent_api::Call;
use lambent_expressions::{Condition, Invalid, Item, KeyCondition, Kind, Placeholders, item_to_wire, legacy};
use lambent_model_dynamodb::{QueryInput, QueryOutput};
use lambent_store::{KeyRange, Txn};

use super::capacity::{Consistency, Direction, report};
use super::checks::{self, KeyIn};
use super::page::{self, Found, Reading};
use super::parameters::Ways;
use super::scan::index_of;
use super::select::Selection;
use super::span::Span;
use super::start;
use crate::table::{Index, Table};
use crate::{Dynamo, DynamoError, names};

/// A query that was read from a request.
pub(crate) struct Plan {
    pub(crate) keys: KeyCondition,
    pub(crate) selection: Selection,
    pub(crate) filter: Option<Filter>,
    pub(crate) start: Option<Item>,
    pub(crate) index: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) reverse: bool,
    pub(crate) consistency: Consistency,
}

/// What filters the items that the keys find.
pub(crate) struct Filter {
    pub(crate) condition: Condition,
    /// What AWS calls it: `Filter Expression`, or `QueryFilter` of old.
    pub(crate) called: &'static str,
}

impl Dynamo {
    pub(crate) async fn query(&self, call: &Call, mut input: QueryInput) -> Result<QueryOutput, DynamoError> {
        let plan = &read(&mut input)?;
        let (place, name) = names::table_ref(call, &input.table_name)?;
        let (place, name) = (&*place, &*name);
        let db = self.rows.of(call);
        let (table, found) = db
            .read(|txn| async move {
                let table = self.table(&txn, place, name).await?;
                let found = self.query_page(&txn, &table, plan).await?;
                Ok::<_, DynamoError>((table, found))
            })
            .await?;
        self.charge(&table, &found.spent, Direction::Read);
        Ok(QueryOutput {
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
    pub(crate) async fn query_page(
        &self,
        txn: &Txn,
        table: &Table,
        plan: &Plan,
    ) -> Result<Found, DynamoError> {
        let index = index_of(table, plan.index.as_deref(), plan.consistency)?;
        let span = check_keys(table, index, plan)?;
        check_start(table, index, plan, &span)?;
        let projection = plan.selection.projection.as_ref();
        let filter = plan.filter.as_ref().map(|filter| &filter.condition);
        checks::scalar_keys(table, |name| {
            projection.is_some_and(|projection| checks::is_nested(projection.paths(), name))
        })?;
        check_filter(table, index, plan)?;
        let fetches = plan.selection.fetches(table, index)?;
        checks::scalar_keys(table, |name| {
            filter.is_some_and(|filter| checks::is_nested(filter.paths(), name))
        })?;
        self.admit(table, index, Direction::Read)?;
        let range = range(table, index, plan, &span)?;
        let reading = Reading {
            table,
            index,
            reverse: plan.reverse,
            limit: plan.limit,
            filter,
            projection,
            fetches,
            only_counts: plan.selection.only_counts(),
            consistency: plan.consistency,
        };
        page::read(txn, range, reading).await
    }
}

fn read(input: &mut QueryInput) -> Result<Plan, Invalid> {
    ways(input)?;
    let filter = legacy::filter(input.query_filter.take(), input.conditional_operator.take())?
        .map(|condition| Filter { condition, called: "QueryFilter" });
    let projection = input.attributes_to_get.take().map(legacy::projection).transpose()?;
    let start = start::from_request(input.exclusive_start_key.take())?;
    if input.key_conditions.is_none() && input.key_condition_expression.is_none() {
        return Err(Invalid::new(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
        ));
    }
    let names = input.expression_attribute_names.take();
    let mut placeholders = Placeholders::from_wire(names, input.expression_attribute_values.take())?;
    let keys = input
        .key_condition_expression
        .take()
        .map(|text| Condition::parse(Kind::KeyCondition, &text, &mut placeholders))
        .transpose()?;
    let by_expression = input.projection_expression.is_some();
    let expressions = (input.filter_expression.as_deref(), input.projection_expression.as_deref());
    let (condition, projected) = Selection::read(expressions, &mut placeholders)?;
    let filter = condition.map(|condition| Filter { condition, called: "Filter Expression" }).or(filter);
    let keys = match keys {
        Some(keys) => KeyCondition::from_condition(&keys)?,
        None => legacy::key_conditions(input.key_conditions.take().unwrap_or_default())?,
    };
    // Of a table AWS says so before it looks for it.
    if input.index_name.is_none() {
        keys.expect_few()?;
    }
    let has_index = input.index_name.is_some();
    let selection = Selection::new(input.select.take(), projected.or(projection), by_expression, has_index)?;
    Ok(Plan {
        keys,
        selection,
        filter,
        start,
        index: input.index_name.take(),
        limit: input.limit.and_then(|limit| usize::try_from(limit).ok()),
        reverse: input.scan_index_forward == Some(false),
        consistency: Consistency::asked(input.consistent_read),
    })
}

fn ways(input: &QueryInput) -> Result<(), Invalid> {
    let by_expression = input.key_condition_expression.is_some();
    Ways {
        expressions: &[
            ("ProjectionExpression", input.projection_expression.is_some()),
            ("FilterExpression", input.filter_expression.is_some()),
            ("KeyConditionExpression", by_expression),
        ],
        others: &[
            ("AttributesToGet", input.attributes_to_get.is_some()),
            ("QueryFilter", input.query_filter.is_some()),
            ("ConditionalOperator", input.conditional_operator.is_some()),
            // The old key conditions may stand beside new filters.
            ("KeyConditions", by_expression && input.key_conditions.is_some()),
        ],
        has_names: input.expression_attribute_names.is_some(),
        has_values: input.expression_attribute_values.is_some(),
    }
    .check()
}

/// Checks the key condition, and the start key's shape with it, attribute by attribute; gives what it spans.
fn check_keys<'a>(table: &Table, index: Option<&Index>, plan: &'a Plan) -> Result<Span<'a>, Invalid> {
    let schema = index.map_or(&table.key, |index| &index.key);
    if plan.start.as_ref().is_some_and(|start| start.len() != start::attributes(table, index)) {
        return Err(start::invalid());
    }
    if schema.is_simple() {
        plan.keys.expect_few()?;
    }
    let count = schema.attributes().count();
    for (attribute, is_hash) in checks::parts(schema) {
        if let Some(start) = &plan.start {
            if !start.contains_key(&attribute.name) {
                return Err(start::invalid());
            }
            checks::key_part(start, attribute, is_hash, KeyIn::Request)?;
        }
        // In a key of many attributes those that nothing is said of are looked at below.
        if schema.is_simple() || is_hash || plan.keys.test_of(&attribute.name).is_some() {
            plan.keys.check(&attribute.name, attribute.kind.name(), is_hash, count)?;
        }
    }
    Span::of(schema, &plan.keys)
}

/// Checks that the start key is one of what the query is about.
fn check_start(table: &Table, index: Option<&Index>, plan: &Plan, span: &Span<'_>) -> Result<(), Invalid> {
    let Some(start) = &plan.start else { return Ok(()) };
    start::check_table_part(table, start)?;
    let schema = index.map_or(&table.key, |index| &index.key);
    let same_partition =
        schema.hashes().zip(&span.partition).all(|(hash, value)| hash.of(start) == Some(*value));
    let tests = schema.ranges().filter_map(|range| Some((range, plan.keys.test_of(&range.name)?)));
    let met: Vec<bool> =
        tests.map(|(range, test)| range.of(start).is_some_and(|value| test.matches(value))).collect();
    let refused = if met.contains(&false) {
        "The provided starting key does not match the range key predicate"
    } else if same_partition {
        return Ok(());
    } else if met.is_empty() {
        "The provided starting key is outside query boundaries based on provided conditions"
    } else {
        "The query can return at most one row and cannot be restarted"
    };
    Err(Invalid::new(refused))
}

/// Filters look at what the keys have left.
fn check_filter(table: &Table, index: Option<&Index>, plan: &Plan) -> Result<(), Invalid> {
    let Some(Filter { condition, called }) = &plan.filter else { return Ok(()) };
    let schema = index.map_or(&table.key, |index| &index.key);
    let paths = condition.paths();
    match schema.attributes().find(|attribute| paths.iter().any(|path| path.head == attribute.name)) {
        Some(attribute) => Err(Invalid::new(format!(
            "{called} can only contain non-primary key attributes: Primary key attribute: {}",
            attribute.name
        ))),
        None => Ok(()),
    }
}

/// The rows to read.
fn range(table: &Table, index: Option<&Index>, plan: &Plan, span: &Span<'_>) -> Result<KeyRange, Invalid> {
    let range = span.range(table, index);
    let Some(start) = &plan.start else { return Ok(range) };
    let row = start::row(table, index, start)?;
    Ok(if plan.reverse { range.before(&row) } else { range.after(&row) })
}
