//! ExecuteTransaction: statements that are done together or not at all, or that read what was there at one moment.

use std::sync::Arc;

use lambent_api::Call;
use lambent_expressions::partiql::{Select, Statement, only_key};
use lambent_expressions::{Invalid, Item, item_bytes, item_to_wire};
use lambent_model_dynamodb::{
    ExecuteTransactionInput, ExecuteTransactionOutput, ItemResponse, ParameterizedStatement,
    ReturnConsumedCapacity,
};

use super::columns::shown;
use super::pages::Plan;
use super::{key_names, read, writes};
use crate::items::{
    Consistency, Direction, KEY_MISMATCH, Part, Reason, Spent, Token, Wanted, canceled, checks, read_units,
    report, tells_old,
};
use crate::table::Table;
use crate::{Dynamo, DynamoError, names};

impl Dynamo {
    pub(crate) async fn execute_transaction(
        &self,
        call: &Call,
        input: ExecuteTransactionInput,
    ) -> Result<ExecuteTransactionOutput, DynamoError> {
        let ExecuteTransactionInput { client_request_token, return_consumed_capacity, transact_statements } =
            input;
        let statements = read_all(&transact_statements)?;
        let level = return_consumed_capacity.as_ref();
        let reads = statements.iter().filter(|statement| matches!(statement, Statement::Select(_))).count();
        if reads == statements.len() {
            return self.read_together(call, &statements, level).await;
        }
        if reads > 0 {
            return Err(Invalid::new(
                "The statements of a transaction must be either all reads or all writes",
            )
            .into());
        }
        let token = client_request_token.map(|text| Token::new(call.place(), &text, &transact_statements));
        let parts = self.parts(call, statements, &transact_statements).await?;
        let done = self.transact(call, &parts, token.as_ref(), None).await?;
        let consumed = parts.iter().zip(&done.parts);
        let consumed: Option<Vec<_>> = consumed
            .map(|(part, (_, spent, _))| report(level, &part.name, spent, Some(done.direction)))
            .collect();
        Ok(ExecuteTransactionOutput { consumed_capacity: consumed, responses: Some(Vec::new()) })
    }

    /// The writes that the statements ask for.
    /// Errors: TransactionCanceledException for statements of tables that are not there, and those that name no item.
    async fn parts(
        &self,
        call: &Call,
        statements: Vec<Statement>,
        asked: &[ParameterizedStatement],
    ) -> Result<Vec<Part>, DynamoError> {
        let mut parts = Vec::with_capacity(statements.len());
        let mut reasons = Vec::with_capacity(statements.len());
        for (at, (statement, asked)) in statements.iter().zip(asked).enumerate() {
            let Some(table) = self.table_if_any(call, statement.table()).await? else {
                reasons.push(Reason::not_found());
                continue;
            };
            check_write(&table, statement).map_err(|invalid| failed(at, invalid))?;
            let tells_old = tells_old(asked.return_values_on_condition_check_failure.as_ref());
            let write = writes::write(&table, statement, tells_old, KEY_MISMATCH);
            match write.and_then(|write| write.key(&table).map(|_| write)) {
                Ok(write) => {
                    let (place, name) = names::table_ref(call, statement.table())?;
                    let (place, table) = (place.into_owned(), name.into_owned());
                    parts.push(Part { name: statement.table().to_owned(), place, table, write });
                    reasons.push(Reason::none());
                }
                Err(invalid) => reasons.push(Reason::invalid(invalid)),
            }
        }
        if reasons.iter().any(Reason::is_one) { Err(canceled(&reasons).into()) } else { Ok(parts) }
    }

    async fn read_together(
        &self,
        call: &Call,
        statements: &[Statement],
        level: Option<&ReturnConsumedCapacity>,
    ) -> Result<ExecuteTransactionOutput, DynamoError> {
        let selects: Vec<&Select> = statements
            .iter()
            .filter_map(|statement| match statement {
                Statement::Select(select) => Some(select),
                _ => None,
            })
            .collect();
        let wanted = &self.wanted_keys(call, &selects).await?;
        let got = self.rows.of(call).read(|txn| self.get_together(txn, wanted)).await?;
        let mut output = ExecuteTransactionOutput {
            consumed_capacity: None,
            responses: Some(Vec::with_capacity(got.len())),
        };
        for (select, (table, item)) in selects.iter().zip(got) {
            let bytes = item.as_ref().map_or(0, item_bytes);
            let spent = Spent::of_table(read_units(bytes, Consistency::Transactional));
            self.charge(&table, &spent, Direction::Read);
            if let Some(consumed) = report(level, &select.table, &spent, Some(Direction::Read)) {
                output.consumed_capacity.get_or_insert_default().push(consumed);
            }
            let item = item.map(|item| item_to_wire(shown(select.columns.as_deref(), item)));
            output.responses.get_or_insert_default().push(ItemResponse { item });
        }
        Ok(output)
    }

    /// Errors: as [`Self::parts`].
    async fn wanted_keys(&self, call: &Call, selects: &[&Select]) -> Result<Vec<Wanted>, DynamoError> {
        let mut all = Vec::with_capacity(selects.len());
        let mut reasons = Vec::with_capacity(selects.len());
        for (at, select) in selects.iter().enumerate() {
            let Some(table) = self.table_if_any(call, &select.table).await? else {
                reasons.push(Reason::not_found());
                continue;
            };
            let key = key_to_read(&table, select).map_err(|invalid| failed(at, invalid))?;
            match checks::key(&table, &key, checks::KeyIn::Request) {
                Ok(()) => {
                    let (place, table) = names::table_ref(call, &select.table)?;
                    let (place, table) = (place.into_owned(), table.into_owned());
                    all.push(Wanted { name: select.table.clone(), place, table, key, projection: None });
                    reasons.push(Reason::none());
                }
                Err(invalid) => reasons.push(Reason::invalid(invalid)),
            }
        }
        if reasons.iter().any(Reason::is_one) { Err(canceled(&reasons).into()) } else { Ok(all) }
    }

    async fn table_if_any(&self, call: &Call, name: &str) -> Result<Option<Arc<Table>>, DynamoError> {
        match self.table_of(call, name).await {
            Err(DynamoError::Refused(refused)) if refused.code == "ResourceNotFoundException" => Ok(None),
            found => found.map(Some),
        }
    }
}

/// Reads the statements. A wrong parameter is told without saying whose.
fn read_all(asked: &[ParameterizedStatement]) -> Result<Vec<Statement>, Invalid> {
    for parameter in asked.iter().filter_map(|asked| asked.parameters.as_ref()).flatten() {
        lambent_expressions::from_wire(parameter.clone())?;
    }
    let statements = asked.iter().enumerate();
    statements
        .map(|(at, asked)| {
            read(&asked.statement, asked.parameters.as_deref()).map_err(|invalid| failed(at, invalid))
        })
        .collect()
}

fn failed(at: usize, Invalid(why): Invalid) -> Invalid {
    Invalid::new(format!("Validation failed in TransactStatements[{at}]: {why}"))
}

fn check_write(table: &Table, statement: &Statement) -> Result<(), Invalid> {
    if statement.returning().is_some() {
        return Err(Invalid::new("RETURNING clause is not supported in ExecuteTransaction."));
    }
    match statement {
        Statement::Exists(Select { index: Some(_), .. }) => Err(no_indexes()),
        Statement::Exists(select) => writes::check_exists(table, select.condition.as_ref()),
        _ => Ok(()),
    }
}

/// The key of the item that a SELECT names, which is all that it may say.
fn key_to_read(table: &Table, select: &Select) -> Result<Item, Invalid> {
    if select.index.is_some() {
        return Err(no_indexes());
    }
    let condition = select.condition.as_ref();
    if let Some(key) = only_key(condition, key_names(&table.key)) {
        return Ok(key);
    }
    Plan::new(table, select, Consistency::Strong)?;
    Err(Invalid::new(
        "Select statements within ExecuteTransaction must specify the primary key in the where clause.",
    ))
}

fn no_indexes() -> Invalid {
    Invalid::new("Reads on indices are not supported within transactions.")
}
