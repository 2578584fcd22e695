//! On-demand backups.

use lambent_api::Call;
use lambent_base::Place;
use lambent_model_dynamodb::errors::{
    backup_in_use_exception, backup_not_found_exception, table_not_found_exception,
};
use lambent_model_dynamodb::{
    BackupDescription, BackupDetails, BackupSummary, BackupTypeFilter, CreateBackupInput, CreateBackupOutput,
    DeleteBackupInput, DeleteBackupOutput, DescribeBackupInput, DescribeBackupOutput, ListBackupsInput,
    ListBackupsOutput, RestoreTableFromBackupInput, RestoreTableFromBackupOutput, SourceTableDetails,
    SourceTableFeatureDetails, TableDescription,
};
use lambent_store::{ScanOptions, Txn};
use lambent_wire::{ApiError, Timestamp};
use serde::{Deserialize, Serialize};

use super::copy::{self, DropCopy, Moment, Then};
use super::keys;
use super::restore::Restore;
use super::target::{self, Overrides};
use crate::error::validation;
use crate::jobs::{self, Clear, Task};
use crate::table::{Restored, Status, Table};
use crate::tables::{Shown, counted, describe, key_schema};
use crate::{Dynamo, DynamoError, names, rows};

/// The most backups of one answer. Source: API reference, ListBackups.
const LISTED_MAX: usize = 100;
/// How many rows one scan of backups reads.
const SCAN_ROWS: usize = 200;

/// A backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BackupRow {
    pub(crate) name: String,
    /// Names the items in the store: a copy, or for a system backup the table that was deleted.
    pub(crate) copy: u64,
    pub(crate) created_ms: i64,
    /// When a system backup is over; other backups never are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_ms: Option<i64>,
    /// Whether the copy is made.
    #[serde(default)]
    pub(crate) available: bool,
    /// The table as it was.
    pub(crate) table: Table,
    pub(crate) items: i64,
    pub(crate) bytes: i64,
    /// Tables that are being filled with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) restoring: Vec<u64>,
}

/// The parts of a backup's ARN.
struct BackupName {
    place: Place,
    id: String,
}

impl Dynamo {
    pub(crate) async fn create_backup(
        &self,
        call: &Call,
        input: CreateBackupInput,
    ) -> Result<CreateBackupOutput, DynamoError> {
        let (place, name) = &names::table_ref(call, &input.table_name)?;
        let (backup, copy, created_ms) = (&input.backup_name, self.random.u64(), call.time_ms());
        let id = &format!("{created_ms:014}-{:08x}", copy >> 32);
        let make = |txn: Txn| async move {
            let table = rows::find_table(&self.known, &txn, place, name).await?;
            let mut table = (*table.ok_or_else(|| no_table(name))?).clone();
            check_active(&table)?;
            let (items, bytes) = counted(&txn, table.id).await?;
            copy::begin(self, &txn, &mut table, Moment::Asked, (copy, Then::Backup(id.clone())))?;
            rows::put_table(&txn, &table);
            let row = BackupRow {
                name: backup.clone(),
                copy,
                created_ms,
                expires_ms: None,
                available: false,
                table,
                items,
                bytes,
                restoring: Vec::new(),
            };
            txn.put(&keys::backup(place, id), &rows::encode(&row));
            Ok::<_, DynamoError>(details(&row, id))
        };
        let backup_details = self.rows.of(call).run(make).await?;
        self.known.forget(place, name);
        Ok(CreateBackupOutput { backup_details: Some(backup_details) })
    }

    pub(crate) async fn describe_backup(
        &self,
        call: &Call,
        input: DescribeBackupInput,
    ) -> Result<DescribeBackupOutput, DynamoError> {
        let (arn, name) = (&input.backup_arn, &BackupName::parse(call, &input.backup_arn)?);
        let read = |txn: Txn| async move { find(&txn, name, arn).await };
        let row = self.rows.of(call).read(read).await?;
        Ok(DescribeBackupOutput { backup_description: Some(description(&row, &name.id)) })
    }

    pub(crate) async fn delete_backup(
        &self,
        call: &Call,
        input: DeleteBackupInput,
    ) -> Result<DeleteBackupOutput, DynamoError> {
        let (arn, name) = (&input.backup_arn, &BackupName::parse(call, &input.backup_arn)?);
        let delete = |txn: Txn| async move {
            let row = find(&txn, name, arn).await?;
            if !row.available || !row.restoring.is_empty() {
                let message = format!("Backup is being created or restored: {arn}");
                return Err(backup_in_use_exception(message).into());
            }
            txn.delete(&keys::backup(&name.place, &name.id));
            drop_items(self, &txn, &name.place.account, &row);
            txn.frees_space();
            Ok::<_, DynamoError>(row)
        };
        let row = self.rows.of(call).run(delete).await?;
        let mut description = description(&row, &name.id);
        if let Some(details) = &mut description.backup_details {
            details.backup_status = "DELETED".into();
        }
        Ok(DeleteBackupOutput { backup_description: Some(description) })
    }

    pub(crate) async fn list_backups(
        &self,
        call: &Call,
        input: ListBackupsInput,
    ) -> Result<ListBackupsOutput, DynamoError> {
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LISTED_MAX);
        let limit = limit.clamp(1, LISTED_MAX);
        let table = input.table_name.as_deref().map(|name| names::table_ref(call, name)).transpose()?;
        let all = keys::backups(call.place());
        let range = match input.exclusive_start_backup_arn.as_deref() {
            Some(arn) => all.after(&keys::backup(call.place(), &BackupName::parse(call, arn)?.id)),
            None => all,
        };
        let (range, input, table) = (&range, &input, &table);
        let list = |txn: Txn| async move {
            let mut found = Vec::new();
            let mut left = Some(range.clone());
            while let Some(range) = left {
                let page = txn.scan_snapshot(&range, ScanOptions::rows(SCAN_ROWS)).await?;
                for (key, row) in &page.rows {
                    let row: BackupRow = rows::decode("a backup", row)?;
                    let is_of = table.as_ref().is_none_or(|(_, name)| row.table.name == **name);
                    if !is_of || !is_between(&row, input) || !is_wanted(&row, input.backup_type.as_ref()) {
                        continue;
                    }
                    if found.len() == limit {
                        return Ok((found, true));
                    }
                    found.push(summary(&row, &keys::read_backup(key)?));
                }
                left = range.rest(&page, false);
            }
            Ok::<_, DynamoError>((found, false))
        };
        let (found, is_more) = self.rows.of(call).read(list).await?;
        let last = found.last().filter(|_| is_more).and_then(|last| last.backup_arn.clone());
        Ok(ListBackupsOutput { backup_summaries: Some(found), last_evaluated_backup_arn: last })
    }

    pub(crate) async fn restore_table_from_backup(
        &self,
        call: &Call,
        input: RestoreTableFromBackupInput,
    ) -> Result<RestoreTableFromBackupOutput, DynamoError> {
        let (arn, name) = (&input.backup_arn, &BackupName::parse(call, &input.backup_arn)?);
        let overrides = &Overrides {
            billing: input.billing_mode_override,
            throughput: input.provisioned_throughput_override,
            on_demand: input.on_demand_throughput_override,
            globals: input.global_secondary_index_override,
            locals: input.local_secondary_index_override,
            encryption: input.sse_specification_override,
        };
        let (place, target_name) = (call.place(), &input.target_table_name);
        let restore = |txn: Txn| async move {
            let mut row = find(&txn, name, arn).await?;
            if !row.available {
                return Err(backup_in_use_exception(format!("Backup is being created: {arn}")).into());
            }
            let restored = Restored {
                backup_arn: Some(arn.clone()),
                table_arn: Some(row.table.arn.clone()),
                to_ms: row.created_ms,
                under_way: true,
            };
            let table =
                target::make(self, &txn, (place, target_name), &row.table, restored, overrides).await?;
            row.restoring.push(table.id);
            txn.put(&keys::backup(&name.place, &name.id), &rows::encode(&row));
            let task =
                Restore { of_table: row.is_system(), ..restore_of(&table, row.copy, Some(name.id.clone())) };
            jobs::put(&txn, &self.random, &place.account, Task::Restore(task));
            shown(&txn, &table).await
        };
        let description = self.rows.of(call).run(restore).await?;
        self.known.forget(place, target_name);
        Ok(RestoreTableFromBackupOutput { table_description: Some(description) })
    }
}

/// How a table that is being filled is described.
pub(super) async fn shown(txn: &Txn, table: &Table) -> Result<TableDescription, DynamoError> {
    describe(txn, table, Shown::Creating).await
}

pub(super) fn restore_of(table: &Table, copy: u64, backup: Option<String>) -> Restore {
    let Place { account, region } = table.place.clone();
    Restore { account, region, table: table.name.clone(), table_id: table.id, copy, of_table: false, backup }
}

/// The backup's copy is made.
pub(super) async fn finished(txn: &Txn, place: &Place, id: &str) -> Result<(), DynamoError> {
    change(txn, place, id, |row| row.available = true).await
}

/// A table has been filled with the backup.
pub(super) async fn restored(txn: &Txn, place: &Place, id: &str, table: u64) -> Result<(), DynamoError> {
    change(txn, place, id, |row| row.restoring.retain(|one| *one != table)).await
}

pub(crate) fn no_table(name: &str) -> ApiError {
    table_not_found_exception(format!("Table not found: {name}"))
}

/// Tables that are being filled are not copied.
pub(super) fn check_active(table: &Table) -> Result<(), ApiError> {
    if table.status == Status::Active {
        return Ok(());
    }
    let message = format!("Table is being created: {}", table.name);
    Err(lambent_model_dynamodb::errors::table_in_use_exception(message))
}

async fn change(
    txn: &Txn,
    place: &Place,
    id: &str,
    change: impl FnOnce(&mut BackupRow),
) -> Result<(), DynamoError> {
    let key = keys::backup(place, id);
    let Some(row) = txn.get(&key).await? else { return Ok(()) };
    let mut row: BackupRow = rows::decode("a backup", &row)?;
    change(&mut row);
    txn.put(&key, &rows::encode(&row));
    Ok(())
}

async fn find(txn: &Txn, name: &BackupName, arn: &str) -> Result<BackupRow, DynamoError> {
    let row = txn.get(&keys::backup(&name.place, &name.id)).await?;
    let row: Option<BackupRow> = row.map(|row| rows::decode("a backup", &row)).transpose()?;
    let row = row.filter(|row| backup_arn(row, &name.id) == arn);
    row.ok_or_else(|| backup_not_found_exception(format!("Backup not found: {arn}")).into())
}

impl BackupName {
    /// Reads `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/backup/ID`, of the place that the call came to: tables are not filled
    /// with the backups of another.
    fn parse(call: &Call, arn: &str) -> Result<Self, ApiError> {
        let (place, id) = names::of_part(call.place(), arn, "/backup/", "BackupArn")?;
        if place != *call.place() {
            return Err(validation(format!("Invalid BackupArn: {arn} is of another account")));
        }
        Ok(Self { place, id })
    }
}

fn backup_arn(row: &BackupRow, id: &str) -> String {
    format!("{}/backup/{id}", row.table.arn)
}

/// Has the items of a backup removed that is not there any more.
pub(super) fn drop_items(dynamo: &Dynamo, txn: &Txn, account: &str, row: &BackupRow) {
    let task = match row.is_system() {
        true => Task::Clear(Clear::table(row.copy, Vec::new())),
        false => Task::DropCopy(DropCopy { copy: row.copy }),
    };
    jobs::put(txn, &dynamo.random, account, task);
}

impl BackupRow {
    /// Whether a deleted table left it.
    pub(crate) fn is_system(&self) -> bool {
        self.expires_ms.is_some()
    }

    fn kind(&self) -> &'static str {
        if self.is_system() { "SYSTEM" } else { "USER" }
    }
}

fn is_wanted(row: &BackupRow, kind: Option<&BackupTypeFilter>) -> bool {
    match kind {
        None => row.kind() == "USER",
        Some(BackupTypeFilter::All) => true,
        Some(kind) => row.kind() == kind.as_str(),
    }
}

fn is_between(row: &BackupRow, input: &ListBackupsInput) -> bool {
    let (from, to) = (input.time_range_lower_bound, input.time_range_upper_bound);
    from.is_none_or(|from| row.created_ms >= from.as_ms()) && to.is_none_or(|to| row.created_ms < to.as_ms())
}

fn status(row: &BackupRow) -> &'static str {
    if row.available { "AVAILABLE" } else { "CREATING" }
}

fn details(row: &BackupRow, id: &str) -> BackupDetails {
    BackupDetails {
        backup_arn: backup_arn(row, id),
        backup_creation_date_time: Timestamp::from_ms(row.created_ms),
        backup_expiry_date_time: row.expires_ms.map(Timestamp::from_ms),
        backup_name: row.name.clone(),
        backup_size_bytes: Some(row.bytes),
        backup_status: status(row).into(),
        backup_type: row.kind().into(),
    }
}

fn summary(row: &BackupRow, id: &str) -> BackupSummary {
    BackupSummary {
        backup_arn: Some(backup_arn(row, id)),
        backup_creation_date_time: Some(Timestamp::from_ms(row.created_ms)),
        backup_expiry_date_time: row.expires_ms.map(Timestamp::from_ms),
        backup_name: Some(row.name.clone()),
        backup_size_bytes: Some(row.bytes),
        backup_status: Some(status(row).into()),
        backup_type: Some(row.kind().into()),
        table_arn: Some(row.table.arn.clone()),
        table_id: Some(row.table.uuid.clone()),
        table_name: Some(row.table.name.clone()),
    }
}

fn description(row: &BackupRow, id: &str) -> BackupDescription {
    let table = &row.table;
    let (globals, locals) = target::described_indexes(table);
    BackupDescription {
        backup_details: Some(details(row, id)),
        source_table_details: Some(SourceTableDetails {
            billing_mode: Some(target::billing_name(table).into()),
            item_count: Some(row.items),
            key_schema: key_schema(&table.key),
            on_demand_throughput: None,
            provisioned_throughput: target::units(&table.throughput),
            table_arn: Some(table.arn.clone()),
            table_creation_date_time: Timestamp::from_ms(table.created_ms),
            table_id: table.uuid.clone(),
            table_name: table.name.clone(),
            table_size_bytes: Some(row.bytes),
        }),
        source_table_feature_details: Some(SourceTableFeatureDetails {
            global_secondary_indexes: globals,
            local_secondary_indexes: locals,
            sse_description: None,
            stream_description: table.stream.as_ref().map(|stream| {
                lambent_model_dynamodb::StreamSpecification {
                    stream_enabled: true,
                    stream_view_type: Some(stream.view.name().into()),
                }
            }),
            time_to_live_description: table.ttl.as_ref().map(|_| crate::ttl::describe(table)),
            vector_indexes: None,
        }),
    }
}
