//! What can be said of tables and accounts besides schemas: tags, limits, endpoints, insights, scaling.

mod account;
mod insights;
mod scaling;
mod tags;

pub(crate) use insights::Insights;
pub(crate) use scaling::Scaling;
pub(crate) use tags::checked_tags;

use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_store::Txn;

use crate::table::Table;
use crate::tables::not_found;
use crate::{Dynamo, DynamoError, rows};

impl Dynamo {
    /// Changes a table's settings in its row; gives the table and what `change` gives.
    async fn change_settings<T: Send>(
        &self,
        call: &Call,
        (place, name): (&Place, &str),
        change: impl Fn(&mut Table) -> Result<T, DynamoError> + Send + Sync,
    ) -> Result<T, DynamoError> {
        let change = &change;
        let changed = self
            .rows
            .of(call)
            .run(|txn| async move {
                let mut table = (*self.table_to_set(&txn, place, name).await?).clone();
                let changed = change(&mut table)?;
                rows::put_table(&txn, &table);
                Ok::<_, DynamoError>(changed)
            })
            .await?;
        self.known.forget(place, name);
        Ok(changed)
    }

    async fn table_to_set(&self, txn: &Txn, place: &Place, name: &str) -> Result<Arc<Table>, DynamoError> {
        let table = rows::find_table(&self.known, txn, place, name).await?;
        Ok(table.ok_or_else(|| not_found(name))?)
    }

    async fn settings(&self, call: &Call, (place, name): (&Place, &str)) -> Result<Arc<Table>, DynamoError> {
        self.rows.of(call).read(|txn| async move { self.table_to_set(&txn, place, name).await }).await
    }
}
