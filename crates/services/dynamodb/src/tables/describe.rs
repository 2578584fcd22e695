//! DescribeTable, and how tables are shown.

use lambent_api::Call;
use lambent_model_dynamodb as model;
use lambent_model_dynamodb::{
    AttributeDefinition, BillingModeSummary, DescribeTableInput, DescribeTableOutput,
    GlobalSecondaryIndexDescription, GlobalSecondaryIndexWarmThroughputDescription, IndexStatus,
    KeySchemaElement, KeyType, LocalSecondaryIndexDescription, Projection, ProjectionType,
    ProvisionedThroughputDescription, RestoreSummary, SSEDescription, SSEStatus, SSEType,
    ScalarAttributeType, StreamSpecification, StreamViewType, TableClassSummary, TableDescription,
    TableStatus, TableWarmThroughputDescription,
};
use lambent_store::{StoreError, Txn};
use lambent_wire::Timestamp;

use super::check;
use super::delete::not_found;
use crate::table::{
    BillingMode, Index, IndexState, KeyAttribute, KeyKind, KeySchema, Projected, Status, StreamView, Table,
    Throughput,
};
use crate::{Dynamo, DynamoError, keys, names, rows};

/// What an on-demand table is good for at once, units a second. Source: developer guide, "Warm throughput".
const ON_DEMAND_READS: i64 = 12_000;
const ON_DEMAND_WRITES: i64 = 4_000;

/// The state that a description shows: what was asked for is done when its answer goes out, but the answer says that it
/// is under way, as AWS's does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    AsIs,
    Creating,
    Updating,
    Deleting,
}

impl Dynamo {
    pub(crate) async fn describe_table(
        &self,
        call: &Call,
        input: DescribeTableInput,
    ) -> Result<DescribeTableOutput, DynamoError> {
        let (place, name) = names::table_ref(call, &input.table_name)?;
        check::table_name(&name)?;
        let (place, name) = (&*place, &*name);
        let description = self
            .rows
            .of(call)
            .read(|txn| async move {
                let table = rows::find_table(&self.known, &txn, place, name).await?;
                let table = table.ok_or_else(|| not_found(name))?;
                describe(&txn, &table, Shown::AsIs).await
            })
            .await?;
        Ok(DescribeTableOutput { table: Some(description) })
    }
}

/// A table in AWS's words.
pub(crate) async fn describe(
    txn: &Txn,
    table: &Table,
    shown: Shown,
) -> Result<TableDescription, DynamoError> {
    let (items, bytes) = counted(txn, table.id).await?;
    let mut locals = Vec::new();
    for index in &table.locals {
        locals.push(local(table, index, counted(txn, index.id).await?));
    }
    let mut globals = Vec::new();
    for index in &table.globals {
        globals.push(global(table, index, shown, counted(txn, index.id).await?));
    }
    let details = shown != Shown::Deleting;
    let label = table.stream_label.as_ref();
    Ok(TableDescription {
        attribute_definitions: details.then(|| definitions(table)),
        billing_mode_summary: billing(table, shown),
        creation_date_time: details.then(|| Timestamp::from_ms(table.created_ms)),
        deletion_protection_enabled: Some(table.deletion_protection),
        global_secondary_indexes: some(globals),
        item_count: Some(items),
        key_schema: details.then(|| key_schema(&table.key)),
        latest_stream_arn: label.map(|label| format!("{}/stream/{label}", table.arn)),
        latest_stream_label: label.cloned(),
        local_secondary_indexes: some(locals),
        on_demand_throughput: on_demand(&table.throughput),
        provisioned_throughput: Some(provisioned(&table.throughput)),
        restore_summary: table.restored.as_ref().map(|restored| RestoreSummary {
            restore_date_time: Timestamp::from_ms(restored.to_ms),
            restore_in_progress: restored.under_way,
            source_backup_arn: restored.backup_arn.clone(),
            source_table_arn: restored.table_arn.clone(),
        }),
        sse_description: table.encryption.as_ref().map(|encryption| SSEDescription {
            kms_master_key_arn: Some(encryption.key_arn.clone()),
            sse_type: Some(SSEType::from(encryption.kind.as_str())),
            status: Some(SSEStatus::Enabled),
            ..SSEDescription::default()
        }),
        stream_specification: table.stream.as_ref().map(|stream| StreamSpecification {
            stream_enabled: true,
            stream_view_type: Some(view(stream.view)),
        }),
        table_arn: Some(table.arn.clone()),
        table_class_summary: table.class.as_ref().map(|class| TableClassSummary {
            last_update_date_time: class.changed_ms.map(Timestamp::from_ms),
            table_class: Some(model::TableClass::from(class.class.as_str())),
        }),
        table_id: Some(table.uuid.clone()),
        table_name: Some(table.name.clone()),
        table_size_bytes: Some(bytes),
        table_status: Some(status(table, shown)),
        warm_throughput: warm(table, &table.throughput, shown).map(|(read, write)| {
            TableWarmThroughputDescription {
                read_units_per_second: Some(read),
                status: Some(match shown {
                    Shown::AsIs => TableStatus::Active,
                    _ => TableStatus::Updating,
                }),
                write_units_per_second: Some(write),
            }
        }),
        ..TableDescription::default()
    })
}

/// How many items, and how many bytes: of a table or an index.
pub(crate) async fn counted(txn: &Txn, id: u64) -> Result<(i64, i64), StoreError> {
    Ok((counter(txn, &keys::count(id)).await?, counter(txn, &keys::bytes(id)).await?))
}

async fn counter(txn: &Txn, key: &[u8]) -> Result<i64, StoreError> {
    let row = txn.get_snapshot(key).await?;
    Ok(i64::from_le_bytes(lambent_store::engine::read_counter(row.as_deref())?).max(0))
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn status(table: &Table, shown: Shown) -> TableStatus {
    match (shown, table.status) {
        (Shown::Creating, _) | (Shown::AsIs, Status::Creating) => TableStatus::Creating,
        (Shown::Updating, _) => TableStatus::Updating,
        (Shown::Deleting, _) => TableStatus::Deleting,
        (Shown::AsIs, Status::Active) => TableStatus::Active,
    }
}

fn local(table: &Table, index: &Index, (items, bytes): (i64, i64)) -> LocalSecondaryIndexDescription {
    LocalSecondaryIndexDescription {
        index_arn: Some(table.index_arn(&index.name)),
        index_name: Some(index.name.clone()),
        index_size_bytes: Some(bytes),
        item_count: Some(items),
        key_schema: Some(key_schema(&index.key)),
        projection: Some(projection(&index.projection)),
    }
}

fn global(
    table: &Table,
    index: &Index,
    shown: Shown,
    (items, bytes): (i64, i64),
) -> GlobalSecondaryIndexDescription {
    let status = match (shown, index.status) {
        (Shown::Creating, _) | (_, IndexState::Creating) => IndexStatus::Creating,
        (Shown::Deleting, _) | (_, IndexState::Deleting) => IndexStatus::Deleting,
        (_, IndexState::Active) => IndexStatus::Active,
    };
    GlobalSecondaryIndexDescription {
        backfilling: (index.status == IndexState::Creating).then_some(shown == Shown::AsIs),
        index_arn: Some(table.index_arn(&index.name)),
        index_name: Some(index.name.clone()),
        index_size_bytes: Some(bytes),
        index_status: Some(status),
        item_count: Some(items),
        key_schema: Some(key_schema(&index.key)),
        on_demand_throughput: on_demand(&index.throughput),
        projection: Some(projection(&index.projection)),
        provisioned_throughput: Some(provisioned(&index.throughput)),
        warm_throughput: warm(table, &index.throughput, shown).map(|(read, write)| {
            GlobalSecondaryIndexWarmThroughputDescription {
                read_units_per_second: Some(read),
                status: Some(match shown {
                    Shown::AsIs => IndexStatus::Active,
                    _ => IndexStatus::Updating,
                }),
                write_units_per_second: Some(write),
            }
        }),
    }
}

pub(crate) fn definitions(table: &Table) -> Vec<AttributeDefinition> {
    let shown = |attribute: &KeyAttribute| AttributeDefinition {
        attribute_name: attribute.name.clone(),
        attribute_type: match attribute.kind {
            KeyKind::S => ScalarAttributeType::S,
            KeyKind::N => ScalarAttributeType::N,
            KeyKind::B => ScalarAttributeType::B,
        },
    };
    table.attributes().into_iter().map(shown).collect()
}

/// A key in AWS's words.
pub(crate) fn key_schema(key: &KeySchema) -> Vec<KeySchemaElement> {
    let element = |attribute: &KeyAttribute, key_type| KeySchemaElement {
        attribute_name: attribute.name.clone(),
        key_type,
    };
    let ranges = key.ranges().map(|range| element(range, KeyType::Range));
    key.hashes().map(|hash| element(hash, KeyType::Hash)).chain(ranges).collect()
}

fn projection(projected: &Projected) -> Projection {
    let (kind, names) = match projected {
        Projected::All => (ProjectionType::All, None),
        Projected::KeysOnly => (ProjectionType::KeysOnly, None),
        Projected::Include(names) => (ProjectionType::Include, Some(names.clone())),
    };
    Projection { non_key_attributes: names, projection_type: Some(kind) }
}

fn provisioned(throughput: &Throughput) -> ProvisionedThroughputDescription {
    ProvisionedThroughputDescription {
        last_decrease_date_time: throughput.last_decrease_ms.map(Timestamp::from_ms),
        last_increase_date_time: throughput.last_increase_ms.map(Timestamp::from_ms),
        number_of_decreases_today: Some(throughput.decreases),
        read_capacity_units: Some(throughput.read_units),
        write_capacity_units: Some(throughput.write_units),
    }
}

fn on_demand(throughput: &Throughput) -> Option<model::OnDemandThroughput> {
    let (read, write) = (throughput.max_read_units, throughput.max_write_units);
    (read.is_some() || write.is_some()).then(|| model::OnDemandThroughput {
        max_read_request_units: Some(read.unwrap_or(-1)),
        max_write_request_units: Some(write.unwrap_or(-1)),
    })
}

fn billing(table: &Table, shown: Shown) -> Option<BillingModeSummary> {
    let since = table.billing.on_demand_since_ms.filter(|_| shown != Shown::Creating).map(Timestamp::from_ms);
    match table.billing.mode {
        BillingMode::OnDemand => Some(BillingModeSummary {
            billing_mode: Some(model::BillingMode::PayPerRequest),
            last_update_to_pay_per_request_date_time: since,
        }),
        BillingMode::Provisioned => since.map(|since| BillingModeSummary {
            billing_mode: Some(model::BillingMode::Provisioned),
            last_update_to_pay_per_request_date_time: Some(since),
        }),
    }
}

/// Reads and writes a second that a table or index takes at once. AWS says so of what is there, and where it was set.
fn warm(table: &Table, throughput: &Throughput, shown: Shown) -> Option<(i64, i64)> {
    let is_set = throughput.warm_read_units.is_some() || throughput.warm_write_units.is_some();
    if shown == Shown::Deleting || (shown == Shown::Creating && !is_set) {
        return None;
    }
    let (read, write) = match table.billing.mode {
        BillingMode::OnDemand => (ON_DEMAND_READS, ON_DEMAND_WRITES),
        BillingMode::Provisioned => (throughput.read_units, throughput.write_units),
    };
    Some((
        throughput.warm_read_units.unwrap_or(0).max(read),
        throughput.warm_write_units.unwrap_or(0).max(write),
    ))
}

fn view(view: StreamView) -> StreamViewType {
    match view {
        StreamView::KeysOnly => StreamViewType::KeysOnly,
        StreamView::NewImage => StreamViewType::NewImage,
        StreamView::OldImage => StreamViewType::OldImage,
        StreamView::NewAndOldImages => StreamViewType::NewAndOldImages,
    }
}
