//! Point-in-time recovery.

use lambent_api::Call;
use lambent_model_dynamodb::errors::{
    invalid_restore_time_exception, point_in_time_recovery_unavailable_exception,
};
use lambent_model_dynamodb::{
    ContinuousBackupsDescription, DescribeContinuousBackupsInput, DescribeContinuousBackupsOutput,
    PointInTimeRecoveryDescription, RestoreTableToPointInTimeInput, RestoreTableToPointInTimeOutput,
    UpdateContinuousBackupsInput, UpdateContinuousBackupsOutput,
};
use lambent_store::Txn;
use lambent_wire::{ApiError, Timestamp};

use super::copy::{self, Moment, Then};
use super::journal;
use super::on_demand::{check_active, no_table, restore_of, shown};
use super::target::{self, Overrides};
use crate::error::validation;
use crate::table::{Journal, Restored, Table};
use crate::{Dynamo, DynamoError, names, rows};

/// Source: API reference, PointInTimeRecoverySpecification.
const DAYS_DEFAULT: u32 = 35;
pub(super) const DAY_MS: i64 = 86_400_000;

impl Dynamo {
    pub(crate) async fn update_continuous_backups(
        &self,
        call: &Call,
        input: UpdateContinuousBackupsInput,
    ) -> Result<UpdateContinuousBackupsOutput, DynamoError> {
        let (place, name) = &names::table_ref(call, &input.table_name)?;
        let wanted = &input.point_in_time_recovery_specification;
        let days = days(wanted.recovery_period_in_days)?;
        let (is_on, now_ms) = (wanted.point_in_time_recovery_enabled, call.time_ms());
        if !is_on && wanted.recovery_period_in_days.is_some() {
            let message =
                "RecoveryPeriodInDays can only be specified when PointInTimeRecoveryEnabled is true";
            return Err(validation(message).into());
        }
        let update = |txn: Txn| async move {
            let table = rows::find_table(&self.known, &txn, place, name).await?;
            let mut table = (*table.ok_or_else(|| no_table(name))?).clone();
            if is_on {
                let since_ms = table.journal.as_ref().map_or(now_ms, |journal| journal.since_ms);
                table.journal = Some(Journal { since_ms, days: days.unwrap_or(DAYS_DEFAULT) });
                journal::begin(&txn, &mut table, &self.random);
            } else {
                table.journal = None;
                journal::end(&txn, &mut table);
            }
            rows::put_table(&txn, &table);
            Ok::<_, DynamoError>(describe(&table, now_ms))
        };
        let description = self.rows.of(call).run(update).await?;
        self.known.forget(place, name);
        Ok(UpdateContinuousBackupsOutput { continuous_backups_description: Some(description) })
    }

    pub(crate) async fn describe_continuous_backups(
        &self,
        call: &Call,
        input: DescribeContinuousBackupsInput,
    ) -> Result<DescribeContinuousBackupsOutput, DynamoError> {
        let (place, name) = &names::table_ref(call, &input.table_name)?;
        let read = |txn: Txn| async move { rows::find_table(&self.known, &txn, place, name).await };
        let table = self.rows.of(call).read(read).await?.ok_or_else(|| no_table(name))?;
        let description = describe(&table, call.time_ms());
        Ok(DescribeContinuousBackupsOutput { continuous_backups_description: Some(description) })
    }

    pub(crate) async fn restore_table_to_point_in_time(
        &self,
        call: &Call,
        input: RestoreTableToPointInTimeInput,
    ) -> Result<RestoreTableToPointInTimeOutput, DynamoError> {
        let named = input.source_table_arn.as_deref().or(input.source_table_name.as_deref());
        let named =
            named.ok_or_else(|| validation("Either SourceTableName or SourceTableArn must be specified"))?;
        let (source_place, source_name) = &names::table_ref(call, named)?;
        let is_latest = input.use_latest_restorable_time.unwrap_or(false);
        let asked = asked(is_latest, input.restore_date_time)?;
        let overrides = &Overrides {
            billing: input.billing_mode_override,
            throughput: input.provisioned_throughput_override,
            on_demand: input.on_demand_throughput_override,
            globals: input.global_secondary_index_override,
            locals: input.local_secondary_index_override,
            encryption: input.sse_specification_override,
        };
        let (place, target_name, now_ms) = (call.place(), &input.target_table_name, call.time_ms());
        let copy = self.random.u64();
        let restore = |txn: Txn| async move {
            let source = rows::find_table(&self.known, &txn, source_place, source_name).await?;
            let mut source = (*source.ok_or_else(|| no_table(source_name))?).clone();
            check_active(&source)?;
            let moment = moment(&source, asked, now_ms)?;
            let to_ms = if let Moment::Time(at_ms) = moment { at_ms } else { now_ms };
            let table_arn = Some(source.arn.clone());
            let restored = Restored { backup_arn: None, table_arn, to_ms, under_way: true };
            let table = target::make(self, &txn, (place, target_name), &source, restored, overrides).await?;
            let then = Then::Restore(restore_of(&table, copy, None));
            copy::begin(self, &txn, &mut source, moment, (copy, then))?;
            rows::put_table(&txn, &source);
            shown(&txn, &table).await
        };
        let description = self.rows.of(call).run(restore).await?;
        self.known.forget(source_place, source_name);
        self.known.forget(place, target_name);
        Ok(RestoreTableToPointInTimeOutput { table_description: Some(description) })
    }
}

/// Since when the table can be restored, in milliseconds since 1970.
pub(crate) fn earliest_ms(journal: &Journal, now_ms: i64) -> i64 {
    journal.since_ms.max(now_ms - i64::from(journal.days) * DAY_MS)
}

/// The moment that is asked for; `None` is now.
///
/// Errors: PointInTimeRecoveryUnavailableException, InvalidRestoreTimeException.
fn moment(table: &Table, asked: Option<Timestamp>, now_ms: i64) -> Result<Moment, ApiError> {
    let name = &table.name;
    let Some(journal) = &table.journal else {
        return Err(point_in_time_recovery_unavailable_exception(format!(
            "Point in time recovery is not enabled for table '{name}'"
        )));
    };
    let Some(asked) = asked else { return Ok(Moment::Asked) };
    let at_ms = asked.as_ms();
    if at_ms < earliest_ms(journal, now_ms) || at_ms > now_ms {
        return Err(invalid_restore_time_exception(format!(
            "RestoreDateTime is out of the range between EarliestRestorableDateTime and LatestRestorableDateTime: {}",
            asked.iso8601_ms()
        )));
    }
    Ok(Moment::Time(at_ms))
}

fn asked(is_latest: bool, at: Option<Timestamp>) -> Result<Option<Timestamp>, ApiError> {
    match (is_latest, at) {
        (true, Some(_)) => Err(validation(
            "UseLatestRestorableTime and RestoreDateTime cannot be specified at the same time",
        )),
        (false, None) => {
            Err(validation("Either UseLatestRestorableTime or RestoreDateTime must be specified"))
        }
        (_, at) => Ok(at),
    }
}

fn days(asked: Option<i32>) -> Result<Option<u32>, ApiError> {
    let Some(asked) = asked else { return Ok(None) };
    match u32::try_from(asked) {
        Ok(days) if (1..=DAYS_DEFAULT).contains(&days) => Ok(Some(days)),
        _ => {
            Err(validation(format!("RecoveryPeriodInDays must be between 1 and {DAYS_DEFAULT}, got {asked}")))
        }
    }
}

fn describe(table: &Table, now_ms: i64) -> ContinuousBackupsDescription {
    let recovery = match &table.journal {
        Some(journal) => PointInTimeRecoveryDescription {
            earliest_restorable_date_time: Some(Timestamp::from_ms(earliest_ms(journal, now_ms))),
            latest_restorable_date_time: Some(Timestamp::from_ms(now_ms)),
            point_in_time_recovery_status: Some("ENABLED".into()),
            recovery_period_in_days: i32::try_from(journal.days).ok(),
        },
        None => PointInTimeRecoveryDescription {
            point_in_time_recovery_status: Some("DISABLED".into()),
            ..PointInTimeRecoveryDescription::default()
        },
    };
    ContinuousBackupsDescription {
        continuous_backups_status: "ENABLED".into(),
        point_in_time_recovery_description: Some(recovery),
    }
}
