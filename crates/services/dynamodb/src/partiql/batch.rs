//! BatchExecuteStatement: up to 25 statements, each with an end of its own.

use lambent_api::{ApiError, Call};
use lambent_expressions::partiql::{Select, Statement, only_key};
use lambent_expressions::{Invalid, Item, item_bytes, item_to_wire};
use lambent_model_dynamodb::{
    BatchExecuteStatementInput, BatchExecuteStatementOutput, BatchStatementError,
    BatchStatementErrorCodeEnum, BatchStatementRequest, BatchStatementResponse, ConsumedCapacity,
    ReturnConsumedCapacity,
};

use super::columns::shown;
use super::pages::Plan;
use super::{key_names, read};
use crate::items::{
    Consistency, Direction, KEY_MISMATCH, Spent, checks, document, read_units, report, tells_old,
};
use crate::{Dynamo, DynamoError, rows};

const NO_KEY: &str =
    "Select statements within BatchExecuteStatement must specify the primary key in the where clause.";

/// What a statement came to.
type Ended = Result<(Option<Item>, Option<ConsumedCapacity>), DynamoError>;

impl Dynamo {
    pub(crate) async fn batch_execute_statement(
        &self,
        call: &Call,
        input: BatchExecuteStatementInput,
    ) -> Result<BatchExecuteStatementOutput, DynamoError> {
        let BatchExecuteStatementInput { return_consumed_capacity: level, statements } = input;
        let all: Vec<_> =
            statements.iter().map(|asked| read(&asked.statement, asked.parameters.as_deref())).collect();
        let reads =
            all.iter().flatten().filter(|statement| matches!(statement, Statement::Select(_))).count();
        if reads > 0 && reads < all.iter().flatten().count() {
            return Err(
                Invalid::new("The statements of a batch must be either all reads or all writes").into()
            );
        }
        let mut output = BatchExecuteStatementOutput { consumed_capacity: None, responses: None };
        for (asked, statement) in statements.iter().zip(all) {
            let (table_name, ended) = match statement {
                Ok(statement) => {
                    let ended = self.execute_one_of(call, asked, &statement, level.as_ref()).await;
                    (Some(statement.table().to_owned()), ended)
                }
                Err(invalid) => (None, Err(invalid.into())),
            };
            let (item, error) = match ended {
                Ok((item, consumed)) => {
                    if let Some(consumed) = consumed {
                        output.consumed_capacity.get_or_insert_default().push(consumed);
                    }
                    (item, None)
                }
                Err(error) => (None, Some(told(error.into()))),
            };
            let response = BatchStatementResponse { error, item: item.map(item_to_wire), table_name };
            output.responses.get_or_insert_default().push(response);
        }
        Ok(output)
    }

    async fn execute_one_of(
        &self,
        call: &Call,
        asked: &BatchStatementRequest,
        statement: &Statement,
        level: Option<&ReturnConsumedCapacity>,
    ) -> Ended {
        match statement {
            Statement::Select(select) => {
                self.select_one(call, select, Consistency::asked(asked.consistent_read), level).await
            }
            Statement::Exists(_) => {
                Err(Invalid::new("EXISTS() is only supported in ExecuteTransaction").into())
            }
            _ => {
                let tells_old = tells_old(asked.return_values_on_condition_check_failure.as_ref());
                self.write_by_statement(call, statement, tells_old, level).await
            }
        }
    }

    /// The item that a SELECT names by its key, and by nothing else.
    async fn select_one(
        &self,
        call: &Call,
        select: &Select,
        consistency: Consistency,
        level: Option<&ReturnConsumedCapacity>,
    ) -> Ended {
        let table = &self.table_of(call, &select.table).await?;
        if select.index.is_some() {
            return Err(Invalid::new(NO_KEY).into());
        }
        Plan::new(table, select, consistency)?;
        let key = only_key(select.condition.as_ref(), key_names(&table.key));
        let key = key.ok_or_else(|| Invalid::new(NO_KEY))?;
        checks::key(table, &key, checks::KeyIn::Request)?;
        let key = &table.key_of(&key).map_err(|_| Invalid::new(KEY_MISMATCH))?;
        self.admit(table, None, Direction::Read)?;
        let stored = self.rows.of(call).read(|txn| async move { rows::item(&txn, key).await }).await?;
        let item = stored.map(|stored| stored.item);
        let spent = Spent::of_table(read_units(item.as_ref().map_or(0, item_bytes), consistency));
        self.charge(table, &spent, Direction::Read);
        let item = item.map(|item| shown(select.columns.as_deref(), item));
        Ok((item, report(level, &select.table, &spent, None)))
    }
}

/// An error, as it is told of one statement of many.
fn told(error: ApiError) -> BatchStatementError {
    use BatchStatementErrorCodeEnum as Code;
    let code = match &*error.code {
        "ConditionalCheckFailedException" => Code::ConditionalCheckFailed,
        "ItemCollectionSizeLimitExceededException" => Code::ItemCollectionSizeLimitExceeded,
        "RequestLimitExceeded" => Code::RequestLimitExceeded,
        "ValidationException" => Code::ValidationError,
        "ProvisionedThroughputExceededException" => Code::ProvisionedThroughputExceeded,
        "TransactionConflictException" => Code::TransactionConflict,
        "ThrottlingException" => Code::ThrottlingError,
        "ResourceNotFoundException" => Code::ResourceNotFound,
        "AccessDeniedException" => Code::AccessDenied,
        "DuplicateItemException" => Code::DuplicateItem,
        _ => Code::InternalServerError,
    };
    let item = error.details.iter().find(|(member, _)| *member == "Item");
    let item = item.and_then(|(_, item)| document::item_in(item));
    BatchStatementError { code: Some(code), message: Some(error.message), item }
}
