//! DeleteTable: the table is gone at once, its items are cleared by a job.

use lambent_api::Call;
use lambent_model_dynamodb::errors::resource_not_found_exception;
use lambent_model_dynamodb::{DeleteTableInput, DeleteTableOutput};
use lambent_store::Txn;
use lambent_wire::ApiError;

use super::check;
use super::describe::{Shown, describe};
use crate::backups::{deleted, journal};
use crate::error::validation;
use crate::jobs::{self, Clear, Task};
use crate::table::Table;
use crate::{Dynamo, DynamoError, keys, names, policies, rows, streams, ttl};

impl Dynamo {
    pub(crate) async fn delete_table(
        &self,
        call: &Call,
        input: DeleteTableInput,
    ) -> Result<DeleteTableOutput, DynamoError> {
        let (place, name) = names::table_ref(call, &input.table_name)?;
        check::table_name(&name)?;
        let (place, name) = (&*place, &*name);
        let description = self
            .rows
            .of(call)
            .run(|txn| async move {
                let table = rows::find_table(&self.known, &txn, place, name).await?;
                let table = table.ok_or_else(|| not_found(name))?;
                if table.deletion_protection {
                    let arn = &table.arn;
                    return Err(validation(format!(
                        "Resource cannot be deleted as it is currently protected against deletion. Disable \
                         deletion protection first. Resource: {arn}"
                    ))
                    .into());
                }
                journal::check_deletable(&table)?;
                let description = describe(&txn, &table, Shown::Deleting).await?;
                remove(self, &txn, &table, call.time_ms()).await?;
                Ok::<_, DynamoError>(description)
            })
            .await?;
        self.known.forget(place, name);
        Ok(DeleteTableOutput { table_description: Some(description) })
    }
}

/// Removes a table, and has its rows cleared that no backup keeps.
pub(crate) async fn remove(
    dynamo: &Dynamo,
    txn: &Txn,
    table: &Table,
    now_ms: i64,
) -> Result<(), DynamoError> {
    txn.delete(&keys::table(&table.place, &table.name));
    policies::drop_policy(txn, table.id);
    ttl::table_deleted(txn, table);
    journal::table_deleted(txn, table);
    streams::end(txn, &mut table.clone(), now_ms).await?;
    let indexes = table.indexes().map(|index| index.id).collect();
    let clear = match deleted::keep(dynamo, txn, table, now_ms).await? {
        true => Clear::indexes(indexes),
        false => Clear::table(table.id, indexes),
    };
    jobs::put(txn, &dynamo.random, &table.place.account, Task::Clear(clear));
    txn.on_commit(keys::TABLES_TOPIC);
    txn.frees_space();
    Ok(())
}

/// What operations on tables say of one that does not exist.
pub(crate) fn not_found(name: &str) -> ApiError {
    resource_not_found_exception(format!("Requested resource not found: Table: {name} not found"))
}
