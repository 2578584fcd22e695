//! UpdateTimeToLive and DescribeTimeToLive.

use lambent_api::Call;
use lambent_model_dynamodb::{
    DescribeTimeToLiveInput, DescribeTimeToLiveOutput, TimeToLiveDescription, TimeToLiveSpecification,
    UpdateTimeToLiveInput, UpdateTimeToLiveOutput,
};
use lambent_store::Txn;
use lambent_wire::ApiError;

use super::{TtlRow, keys};
use crate::error::validation;
use crate::table::{Table, TtlAttribute};
use crate::{Dynamo, DynamoError, names, rows};

/// How long a change keeps others off. Source: API reference, UpdateTimeToLive.
const INTERVAL_MS: i64 = 3_600_000;
/// Bytes of an attribute's name. Source: API reference, TimeToLiveSpecification.
const NAME_BYTES_MAX: usize = 255;

impl Dynamo {
    pub(crate) async fn update_time_to_live(
        &self,
        call: &Call,
        input: UpdateTimeToLiveInput,
    ) -> Result<UpdateTimeToLiveOutput, DynamoError> {
        let (place, name) = &names::table_ref(call, &input.table_name)?;
        let asked = &input.time_to_live_specification;
        if asked.attribute_name.is_empty() || asked.attribute_name.len() > NAME_BYTES_MAX {
            return Err(validation("TimeToLiveSpecification: AttributeName must have 1 to 255 bytes").into());
        }
        let (now_ms, id) = (call.time_ms(), self.random.u64());
        let update = |txn: Txn| async move {
            let mut table = (*self.table(&txn, place, name).await?).clone();
            check(&table, asked, now_ms)?;
            if asked.enabled {
                let row = TtlRow {
                    account: place.account.clone(),
                    region: place.region.clone(),
                    table: table.name.clone(),
                    filled: false,
                    after: None,
                };
                txn.put(&keys::expiring(id), &rows::encode(&row));
                table.ttl = Some(TtlAttribute { id, name: asked.attribute_name.clone(), filling: true });
            } else {
                table.ttl = None;
            }
            table.ttl_changed_ms = Some(now_ms);
            rows::put_table(&txn, &table);
            txn.on_commit(keys::SWEEP_TOPIC);
            Ok::<_, DynamoError>(())
        };
        self.rows.of(call).run(update).await?;
        self.known.forget(place, name);
        Ok(UpdateTimeToLiveOutput { time_to_live_specification: Some(input.time_to_live_specification) })
    }

    pub(crate) async fn describe_time_to_live(
        &self,
        call: &Call,
        input: DescribeTimeToLiveInput,
    ) -> Result<DescribeTimeToLiveOutput, DynamoError> {
        let (place, name) = &names::table_ref(call, &input.table_name)?;
        let read = |txn: Txn| async move { self.table(&txn, place, name).await };
        let table = self.rows.of(call).read(read).await.map_err(|error| named(error, name))?;
        Ok(DescribeTimeToLiveOutput { time_to_live_description: Some(describe(&table)) })
    }
}

/// What DescribeTimeToLive, and the description of a backup, say.
pub(crate) fn describe(table: &Table) -> TimeToLiveDescription {
    let status = match &table.ttl {
        None => "DISABLED",
        Some(ttl) if ttl.filling => "ENABLING",
        Some(_) => "ENABLED",
    };
    TimeToLiveDescription {
        attribute_name: table.ttl.as_ref().map(|ttl| ttl.name.clone()),
        time_to_live_status: Some(status.into()),
    }
}

/// Whether time to live may be changed so.
fn check(table: &Table, asked: &TimeToLiveSpecification, now_ms: i64) -> Result<(), ApiError> {
    match (&table.ttl, asked.enabled) {
        (None, false) => return Err(validation("TimeToLive is already disabled")),
        (Some(ttl), _) if ttl.name != asked.attribute_name => {
            let current = &ttl.name;
            return Err(validation(format!(
                "TimeToLive is active on a different AttributeName: current AttributeName is {current}"
            )));
        }
        (Some(_), true) => return Err(validation("TimeToLive is already enabled")),
        _ => {}
    }
    if table.ttl_changed_ms.is_some_and(|changed_ms| now_ms < changed_ms + INTERVAL_MS) {
        return Err(validation("Time to live has been modified multiple times within a fixed interval"));
    }
    Ok(())
}

/// This operation names the table that is not there.
fn named(error: DynamoError, name: &str) -> DynamoError {
    match error {
        DynamoError::Refused(refusal) if refusal.code == "ResourceNotFoundException" => {
            let message = format!("Requested resource not found: Table: {name} not found");
            lambent_model_dynamodb::errors::resource_not_found_exception(message).into()
        }
        other => other,
    }
}
