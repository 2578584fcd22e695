//! TransactWriteItems: all or nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_expressions::{Condition, Invalid, Item, Kind, Placeholders, Update, item_bytes, item_from_wire};
use lambent_model_dynamodb::{
    AttributeValue, ItemCollectionMetrics, ReturnItemCollectionMetrics, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, TransactWriteItemsInput, TransactWriteItemsOutput,
};
use lambent_store::{StoreError, Txn};

use super::capacity::{Consistency, Direction, Spent, read_units, report};
use super::parameters::Ways;
use super::single::tells_old;
use super::spending::{is_exceeded, spent};
use super::tokens::Token;
use super::transact::{Reason, TRANSACTION_BYTES_MAX, canceled, once_each, too_large};
use super::write::{Action, ItemWrite, check_size};
use super::{checks, collections};
use crate::change::{Changed, Origin, change};
use crate::error::validation;
use crate::keys::ItemKey;
use crate::table::{Stored, Table};
use crate::{Dynamo, DynamoError, names, rows};

/// One operation of a transaction.
pub(crate) struct Part {
    /// As the caller wrote it: a name or an ARN.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) table: String,
    pub(crate) write: ItemWrite,
}

/// What a transaction did.
pub(crate) struct Together {
    /// For each part: its table, what it consumed, and its collection, if that was asked for.
    pub(crate) parts: Vec<(Arc<Table>, Spent, Option<ItemCollectionMetrics>)>,
    /// Which way capacity went: a transaction that was done before is only read.
    pub(crate) direction: Direction,
}

/// A part whose item was read.
struct Ready<'a> {
    table: &'a Table,
    key: ItemKey,
    old: Option<Stored>,
    new: Option<Cow<'a, Item>>,
    part: &'a Part,
}

impl Dynamo {
    pub(crate) async fn transact_write_items(
        &self,
        call: &Call,
        input: TransactWriteItemsInput,
    ) -> Result<TransactWriteItemsOutput, DynamoError> {
        let TransactWriteItemsInput { client_request_token, transact_items, .. } = input;
        let token = client_request_token.map(|text| Token::new(call.place(), &text, &transact_items));
        let parts = transact_items.into_iter().map(|item| read(call, item));
        let parts = parts.collect::<Result<Vec<_>, DynamoError>>()?;
        let metrics = input.return_item_collection_metrics.as_ref();
        let done = self.transact(call, &parts, token.as_ref(), metrics).await?;
        let mut spent: BTreeMap<&str, Spent> = BTreeMap::new();
        let mut collections: BTreeMap<String, Vec<ItemCollectionMetrics>> = BTreeMap::new();
        for (part, (_, cost, collection)) in parts.iter().zip(done.parts) {
            spent.entry(&part.name).or_default().add(&cost);
            if let Some(collection) = collection {
                collections.entry(part.name.clone()).or_default().push(collection);
            }
        }
        let level = input.return_consumed_capacity.as_ref();
        let consumed: Option<Vec<_>> =
            spent.iter().map(|(name, spent)| report(level, name, spent, Some(done.direction))).collect();
        Ok(TransactWriteItemsOutput {
            consumed_capacity: consumed,
            item_collection_metrics: (!collections.is_empty()).then_some(collections),
        })
    }

    /// Does all parts, or none.
    /// Errors: TransactionCanceledException, ValidationException, IdempotentParameterMismatchException,
    /// ResourceNotFoundException.
    pub(crate) async fn transact(
        &self,
        call: &Call,
        parts: &[Part],
        token: Option<&Token>,
        metrics: Option<&ReturnItemCollectionMetrics>,
    ) -> Result<Together, DynamoError> {
        if parts.iter().map(|part| item_bytes(part.write.key_attributes())).sum::<usize>()
            > TRANSACTION_BYTES_MAX
        {
            return Err(too_large().into());
        }
        let body = |txn| self.transact_in(txn, parts, token, metrics);
        let done = rows::run_whole(self.rows.of(call), body).await;
        let done = done.map_err(|error| match error {
            DynamoError::Store(StoreError::Contended { .. }) => {
                canceled(&vec![Reason::conflict(); parts.len()]).into()
            }
            DynamoError::Store(StoreError::TransactionTooLarge { at_most, .. }) => validation(format!(
                "The items of the transaction, with their rows in indexes and their images in streams and logs, are \
                 more than {at_most} bytes: write fewer of them at once"
            ))
            .into(),
            error => error,
        })?;
        for (table, spent, _) in &done.parts {
            self.charge(table, spent, done.direction);
        }
        Ok(done)
    }

    async fn transact_in(
        &self,
        txn: Txn,
        parts: &[Part],
        token: Option<&Token>,
        metrics: Option<&ReturnItemCollectionMetrics>,
    ) -> Result<Together, DynamoError> {
        // The time of this attempt: changes must not bear one long before they are committed.
        let now_ms = self.clock.unix_ms();
        let mut tables = Vec::with_capacity(parts.len());
        for part in parts {
            tables.push(self.table(&txn, &part.place, &part.table).await?);
        }
        for (part, table) in parts.iter().zip(&tables) {
            check_before(table, &part.write)?;
        }
        let keys = tables.iter().zip(parts).map(|(table, part)| table.key_of(part.write.key_attributes()));
        once_each(keys.filter_map(Result::ok))?;
        if let Some(token) = token
            && token.is_done(&txn, now_ms).await?
        {
            return replay(&txn, parts, tables).await;
        }
        let ready = self.prepare(&txn, parts, &tables).await?;
        let mut done = Vec::with_capacity(parts.len());
        for ready in ready {
            done.push(self.commit_part(&txn, ready, metrics, now_ms).await);
        }
        let reasons = done.iter().map(reason).collect::<Result<Vec<_>, _>>()?;
        if reasons.iter().any(Reason::is_one) {
            return Err(canceled(&reasons).into());
        }
        let done = done.into_iter().collect::<Result<Vec<_>, _>>()?;
        let parts =
            tables.into_iter().zip(done).map(|(table, (spent, collection))| (table, spent, collection));
        Ok(Together { parts: parts.collect(), direction: Direction::Write })
    }

    /// Reads the items and finds out what becomes of them; the transaction's end when one of them may not.
    async fn prepare<'a>(
        &self,
        txn: &Txn,
        parts: &'a [Part],
        tables: &'a [Arc<Table>],
    ) -> Result<Vec<Ready<'a>>, DynamoError> {
        let mut all = Vec::with_capacity(parts.len());
        let mut reasons = Vec::with_capacity(parts.len());
        for (part, table) in parts.iter().zip(tables) {
            let key = match part.write.key(table) {
                Ok(key) => key,
                Err(invalid) => {
                    reasons.push(Reason::invalid(invalid));
                    continue;
                }
            };
            if let Err(refused) = self.admit(table, None, Direction::Write) {
                reasons.push(Reason::throttled(&refused));
                continue;
            }
            let old = rows::item(txn, &key).await?;
            match part.write.outcome(table, old.as_ref().map(|old| &old.item)) {
                Ok(new) => {
                    reasons.push(Reason::none());
                    all.push(Ready { table, key, old, new, part });
                }
                Err(refusal) => reasons.push(refusal.into()),
            }
        }
        if reasons.iter().any(Reason::is_one) {
            return Err(canceled(&reasons).into());
        }
        Ok(all)
    }

    async fn commit_part(
        &self,
        txn: &Txn,
        ready: Ready<'_>,
        metrics: Option<&ReturnItemCollectionMetrics>,
        now_ms: i64,
    ) -> Result<(Spent, Option<ItemCollectionMetrics>), DynamoError> {
        let Ready { table, key, old, new, part } = ready;
        let item = part.write.key_attributes();
        if !part.write.writes() {
            let bytes = old.map_or(0, |old| item_bytes(&old.item));
            let looked_at = Changed { old_bytes: bytes, new_bytes: bytes, ..Changed::default() };
            return Ok((spent(table, &looked_at).in_transaction(), None));
        }
        self.admit_indexes(table, old.as_ref().map(|old| &old.item), new.as_deref())?;
        let changed = change(txn, table, &key, old.as_ref(), new.as_deref(), Origin::User, now_ms).await?;
        let collection = match metrics {
            Some(ReturnItemCollectionMetrics::Size) => collections::metrics(txn, table, item).await?,
            _ => None,
        };
        Ok((spent(table, &changed).in_transaction(), collection))
    }
}

/// What a part's failure says of it; an error when that is not what the caller should know.
fn reason<T>(done: &Result<T, DynamoError>) -> Result<Reason, DynamoError> {
    match done {
        Ok(_) => Ok(Reason::none()),
        Err(DynamoError::Refused(refused)) if is_exceeded(refused) => Ok(Reason::throttled(refused)),
        Err(DynamoError::Refused(refused)) if refused.code == "ItemCollectionSizeLimitExceededException" => {
            Ok(Reason::collection_too_large(refused))
        }
        Err(error) => Err(error.clone()),
    }
}

/// What AWS refuses before a transaction begins.
fn check_before(table: &Table, write: &ItemWrite) -> Result<(), Invalid> {
    checks::no_empty_keys(table, write.key_attributes())?;
    match &write.action {
        Action::Update(_, Some(update)) => checks::no_empty_updates(table, update),
        _ => Ok(()),
    }
}

/// A transaction that was done before costs what reading its items does.
async fn replay(txn: &Txn, parts: &[Part], tables: Vec<Arc<Table>>) -> Result<Together, DynamoError> {
    let mut all = Vec::with_capacity(parts.len());
    for (part, table) in parts.iter().zip(tables) {
        let item = match table.key_of(part.write.key_attributes()) {
            Ok(key) => rows::item(txn, &key).await?,
            Err(_) => None,
        };
        let bytes = item.map_or(0, |stored| item_bytes(&stored.item));
        all.push((table, Spent::of_table(read_units(bytes, Consistency::Transactional)), None));
    }
    Ok(Together { parts: all, direction: Direction::Read })
}

/// The parameters that all operations of a transaction have.
struct Parameters {
    table_name: String,
    condition: Option<String>,
    update: Option<String>,
    names: Option<BTreeMap<String, String>>,
    values: Option<BTreeMap<String, AttributeValue>>,
    returns: Option<ReturnValuesOnConditionCheckFailure>,
}

/// What the operation is, with the attributes in which its key is.
enum Operation {
    Put,
    Update,
    Delete,
    Check,
}

fn read(call: &Call, item: TransactWriteItem) -> Result<Part, DynamoError> {
    let (operation, attributes, asked) = split(item)?;
    let attributes = item_from_wire(attributes)?;
    if matches!(operation, Operation::Put) {
        check_size(&attributes)?;
    }
    Ways {
        expressions: &[
            ("UpdateExpression", asked.update.is_some()),
            ("ConditionExpression", asked.condition.is_some()),
        ],
        others: &[],
        has_names: asked.names.is_some(),
        has_values: asked.values.is_some(),
    }
    .check()?;
    let mut placeholders = Placeholders::from_wire(asked.names, asked.values)?;
    let update = asked.update.map(|text| Update::parse(&text, &mut placeholders)).transpose()?;
    let condition = asked
        .condition
        .map(|text| Condition::parse(Kind::Condition, &text, &mut placeholders))
        .transpose()?;
    placeholders.all_used()?;
    let action = match operation {
        Operation::Put => Action::Put(attributes),
        Operation::Update => Action::Update(attributes, update),
        Operation::Delete => Action::Delete(attributes),
        Operation::Check => Action::Check(attributes),
    };
    let (place, table) = names::place_of(call.place(), &asked.table_name)?;
    let (place, table) = (place.into_owned(), table.into_owned());
    let write = ItemWrite { action, condition, tells_old: tells_old(asked.returns.as_ref()) };
    Ok(Part { name: asked.table_name, place, table, write })
}

type Attributes = BTreeMap<String, AttributeValue>;

fn split(item: TransactWriteItem) -> Result<(Operation, Attributes, Parameters), Invalid> {
    macro_rules! parameters {
        ($from:ident, $condition:expr, $update:expr) => {
            Parameters {
                table_name: $from.table_name,
                condition: $condition,
                update: $update,
                names: $from.expression_attribute_names,
                values: $from.expression_attribute_values,
                returns: $from.return_values_on_condition_check_failure,
            }
        };
    }
    match (item.condition_check, item.put, item.update, item.delete) {
        (Some(check), None, None, None) => {
            let asked = parameters!(check, Some(check.condition_expression), None);
            Ok((Operation::Check, check.key, asked))
        }
        (None, Some(put), None, None) => {
            let asked = parameters!(put, put.condition_expression, None);
            Ok((Operation::Put, put.item, asked))
        }
        (None, None, Some(update), None) => {
            let asked = parameters!(update, update.condition_expression, Some(update.update_expression));
            Ok((Operation::Update, update.key, asked))
        }
        (None, None, None, Some(delete)) => {
            let asked = parameters!(delete, delete.condition_expression, None);
            Ok((Operation::Delete, delete.key, asked))
        }
        _ => Err(Invalid::new("TransactItems can only contain one of Check, Put, Update or Delete")),
    }
}
