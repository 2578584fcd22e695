//! ExecuteStatement.

use std::sync::Arc;

use lambent_api::Call;
use lambent_expressions::partiql::{Returning, Select, Statement};
use lambent_expressions::{Invalid, Item, Projection, item_to_wire};
use lambent_model_dynamodb::{
    ConsumedCapacity, ExecuteStatementInput, ExecuteStatementOutput, ReturnConsumedCapacity,
};

use super::columns::shown;
use super::pages::Plan;
use super::token::{Binding, Next};
use super::{read, writes};
use crate::items::{Consistency, Direction, Single, Told, report, tells_old};
use crate::table::Table;
use crate::{Dynamo, DynamoError, names};

/// What AWS says of a write whose condition does not name one item.
pub(super) const NO_KEY: &str = "Where clause does not contain a mandatory equality on all key attributes";

impl Dynamo {
    pub(crate) async fn execute_statement(
        &self,
        call: &Call,
        input: ExecuteStatementInput,
    ) -> Result<ExecuteStatementOutput, DynamoError> {
        let parameters = input.parameters.as_deref();
        let statement = read(&input.statement, parameters)?;
        if let Statement::Select(select) = &statement {
            let binding = Binding::new(&input.statement, parameters);
            return self.select(call, select, &binding, &input).await;
        }
        if let Statement::Exists(_) = statement {
            return Err(Invalid::new("EXISTS() is only supported in ExecuteTransaction").into());
        }
        let tells_old = tells_old(input.return_values_on_condition_check_failure.as_ref());
        let level = input.return_consumed_capacity.as_ref();
        let (items, consumed_capacity) = self.write_by_statement(call, &statement, tells_old, level).await?;
        Ok(ExecuteStatementOutput {
            items: Some(items.into_iter().map(item_to_wire).collect()),
            consumed_capacity,
            ..ExecuteStatementOutput::default()
        })
    }

    /// Does what INSERT, UPDATE or DELETE says, and gives what it returns.
    pub(super) async fn write_by_statement(
        &self,
        call: &Call,
        statement: &Statement,
        tells_old: bool,
        level: Option<&ReturnConsumedCapacity>,
    ) -> Result<(Option<Item>, Option<ConsumedCapacity>), DynamoError> {
        let table = self.table_of(call, statement.table()).await?;
        let write = Arc::new(writes::write(&table, statement, tells_old, NO_KEY)?);
        let single = Single { table_name: statement.table(), level, metrics: None };
        let mut told = self.write_single(call, single, &write).await?;
        let touched = match statement {
            Statement::Update { update, .. } => Some(update.touched()),
            _ => None,
        };
        let item = statement.returning().and_then(|returning| returned(returning, touched, &mut told));
        Ok((item, told.consumed))
    }

    /// The table that a statement names.
    pub(super) async fn table_of(&self, call: &Call, name: &str) -> Result<Arc<Table>, DynamoError> {
        let (place, name) = names::table_ref(call, name)?;
        let (place, name) = (&*place, &*name);
        self.rows.of(call).read(|txn| async move { self.table(&txn, place, name).await }).await
    }

    async fn select(
        &self,
        call: &Call,
        select: &Select,
        binding: &Binding,
        input: &ExecuteStatementInput,
    ) -> Result<ExecuteStatementOutput, DynamoError> {
        let from = &match &input.next_token {
            Some(token) => binding.read(token)?,
            None => Next::default(),
        };
        let consistency = Consistency::asked(input.consistent_read);
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok());
        let (place, name) = names::table_ref(call, &select.table)?;
        let (place, name) = (&*place, &*name);
        let selected = self.rows.of(call).read(|txn| async move {
            let table = self.table(&txn, place, name).await?;
            let plan = Plan::new(&table, select, consistency)?;
            let selected = self.select_pages(&txn, &plan, from, limit).await?;
            Ok::<_, DynamoError>((Arc::clone(&table), selected))
        });
        let (table, selected) = selected.await?;
        self.charge(&table, &selected.spent, Direction::Read);
        let columns = select.columns.as_deref();
        Ok(ExecuteStatementOutput {
            items: Some(selected.items.into_iter().map(|item| item_to_wire(shown(columns, item))).collect()),
            consumed_capacity: report(
                input.return_consumed_capacity.as_ref(),
                &select.table,
                &selected.spent,
                None,
            ),
            next_token: selected.next.as_ref().map(|next| binding.token(next)),
            last_evaluated_key: selected.next.and_then(|next| next.after).map(item_to_wire),
        })
    }
}

/// What RETURNING asks for, where there is any.
fn returned(returning: Returning, touched: Option<Projection>, told: &mut Told) -> Option<Item> {
    let item = if returning.new { told.new.take() } else { told.old.take() }?;
    match touched {
        Some(touched) if returning.modified => Some(touched.of(&item)).filter(|item| !item.is_empty()),
        _ => Some(item),
    }
}
