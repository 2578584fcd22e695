//! ListTables.

use lambent_api::Call;
use lambent_model_dynamodb::{ListTablesInput, ListTablesOutput};
use lambent_store::ScanOptions;

use crate::{Dynamo, DynamoError, keys};

/// How many names one page has, and has unless told.
const LIST_MAX: usize = 100;

impl Dynamo {
    pub(crate) async fn list_tables(
        &self,
        call: &Call,
        input: ListTablesInput,
    ) -> Result<ListTablesOutput, DynamoError> {
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIST_MAX);
        let mut range = keys::tables(call.place());
        if let Some(start) = &input.exclusive_start_table_name {
            range = range.after(&keys::table(call.place(), start));
        }
        let range = &range;
        let options = ScanOptions::rows(limit + 1).keys_only();
        let page = self
            .rows
            .of(call)
            .read(|txn| async move { Ok::<_, DynamoError>(txn.scan_snapshot(range, options).await?) })
            .await?;
        let names = page.rows.iter().map(|(key, _)| keys::table_name(key));
        let mut names = names.collect::<Result<Vec<_>, _>>()?;
        let has_more = names.len() > limit;
        names.truncate(limit);
        let last_evaluated_table_name = names.last().filter(|_| has_more).cloned();
        Ok(ListTablesOutput { last_evaluated_table_name, table_names: Some(names) })
    }
}
