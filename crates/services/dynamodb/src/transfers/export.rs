//! ExportTableToPointInTime, DescribeExport and ListExports.

use lambent_api::{Call, not_implemented};
use lambent_base::Place;
use lambent_model_dynamodb as model;
use lambent_model_dynamodb::errors::{
    export_conflict_exception, export_not_found_exception, invalid_export_time_exception,
    point_in_time_recovery_unavailable_exception,
};
use lambent_model_dynamodb::{
    DescribeExportInput, DescribeExportOutput, ExportDescription, ExportSummary,
    ExportTableToPointInTimeInput, ExportTableToPointInTimeOutput, ListExportsInput, ListExportsOutput,
};
use lambent_store::{Key, ScanOptions, Txn};
use lambent_wire::{ApiError, Timestamp};
use serde::{Deserialize, Serialize};

use super::asker::{self, Asker};
use super::export_job::{Export, Window};
use super::tokens::{Begun, Request};
use super::{ObjectName, keys};
use crate::backups::continuous::earliest_ms;
use crate::backups::copy::{self, Moment, Then};
use crate::backups::on_demand::no_table;
use crate::error::validation;
use crate::table::Table;
use crate::{Dynamo, DynamoError, names, rows};

/// The most exports of one answer. Source: API reference, ListExports.
const LISTED_MAX: usize = 25;
const SCAN_ROWS: usize = 100;
/// How long, and how short, the time of an incremental export is. Source: API reference, IncrementalExportSpecification.
const WINDOW_MIN_MS: i64 = 15 * 60_000;
const WINDOW_MAX_MS: i64 = 24 * 3_600_000;

/// An export, under way or done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExportRow {
    pub(crate) table_arn: String,
    pub(crate) table_uuid: String,
    pub(crate) token: String,
    pub(crate) bucket: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bucket_owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encryption: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encryption_key: Option<String>,
    pub(crate) started_ms: i64,
    /// The moment that it shows, or the end of its time.
    pub(crate) time_ms: i64,
    /// The time of an incremental one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<(String, String)>,
    #[serde(default)]
    pub(crate) items: i64,
    #[serde(default)]
    pub(crate) bytes: i64,
}

impl Dynamo {
    pub(crate) async fn export_table_to_point_in_time(
        &self,
        call: &Call,
        input: ExportTableToPointInTimeInput,
    ) -> Result<ExportTableToPointInTimeOutput, DynamoError> {
        check(&input)?;
        let (place, name) = &names::table_ref(call, &input.table_arn)?;
        let (now_ms, copy, asker) = (call.time_ms(), self.random.u64(), &Asker::of(call)?);
        let token = input.client_token.clone().unwrap_or_else(|| self.random.uuid());
        let (request, input) = (&Request::new(place, token, &input, now_ms), &input);
        let id = &format!("{now_ms:014}-{:08x}", copy >> 32);
        // Whether the export is possible is found out before anything is written to the bucket.
        let claim = |txn: Txn| async move {
            if let Some((id, row)) = request.look::<ExportRow>(&txn).await? {
                return Ok(Claim::Begun(id, Box::new(row)));
            }
            let table = rows::find_table(&self.known, &txn, place, name).await?;
            let table = table.ok_or_else(|| no_table(name))?;
            let (moment, window) = moment(&table, input, now_ms)?;
            let id = request.claim::<ExportRow>(&txn, id).await?;
            Ok::<_, DynamoError>(Claim::New(id, moment, window))
        };
        let (id, moment, window) = match self.rows.of(call).run(claim).await? {
            Claim::New(id, moment, window) => (&id.clone(), moment, window),
            Claim::Begun(id, row) => return Ok(begun(&row, &id)),
        };
        let row = &new_row(input, (&request.token, now_ms), (moment, window));
        let started = row.object(id, "_started");
        let who = asker::of_request(call);
        let put = self.buckets()?.put(&who, &started, "binary/octet-stream", bytes::Bytes::new());
        put.await.map_err(super::refused)?;
        let begin = |txn: Txn| async move {
            // The same request may have come twice at once.
            if let Some(begun) = request.look::<ExportRow>(&txn).await? {
                return Ok(begun);
            }
            request.keep::<ExportRow>(&txn, id).await?;
            let table = rows::find_table(&self.known, &txn, place, name).await?;
            let mut table = (*table.ok_or_else(|| no_table(name))?).clone();
            // Its changes may not be kept any more.
            self::moment(&table, input, now_ms)?;
            let row =
                ExportRow { table_uuid: table.uuid.clone(), table_arn: table.arn.clone(), ..row.clone() };
            txn.put(&keys::export(place, id), &rows::encode(&row));
            let Place { account, region } = place.as_ref().clone();
            let table_name = table.name.clone();
            let task =
                Export { account, region, id: id.clone(), table: table_name, copy, asker: asker.clone() };
            copy::begin(self, &txn, &mut table, moment, (copy, Then::Export(Box::new(task))))?;
            rows::put_table(&txn, &table);
            Ok::<_, DynamoError>((id.clone(), row))
        };
        let (id, row) = self.rows.of(call).run(begin).await?;
        self.known.forget(place, name);
        Ok(begun(&row, &id))
    }

    pub(crate) async fn describe_export(
        &self,
        call: &Call,
        input: DescribeExportInput,
    ) -> Result<DescribeExportOutput, DynamoError> {
        let arn = &input.export_arn;
        let (place, id) = &names::of_part(call.place(), arn, "/export/", "ExportArn")?;
        let read = |txn: Txn| async move { find(&txn, place, id).await };
        let row = self.rows.of(call).read(read).await?.filter(|row| row.arn(id) == *arn);
        let row = row.ok_or_else(|| not_found(arn))?;
        Ok(DescribeExportOutput { export_description: Some(describe(&row, id)) })
    }

    pub(crate) async fn list_exports(
        &self,
        call: &Call,
        input: ListExportsInput,
    ) -> Result<ListExportsOutput, DynamoError> {
        let limit = input.max_results.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LISTED_MAX);
        let (limit, place, table) = (limit.clamp(1, LISTED_MAX), call.place(), input.table_arn.as_deref());
        let all = keys::exports(place);
        let range = &match input.next_token.as_deref() {
            Some(after) => all.after(&keys::export(place, after)),
            None => all,
        };
        let list = |txn: Txn| async move {
            let mut found: Vec<(String, ExportSummary)> = Vec::new();
            let mut left = Some(range.clone());
            while let Some(range) = left {
                let page = txn.scan_snapshot(&range, ScanOptions::rows(SCAN_ROWS)).await?;
                for (key, row) in &page.rows {
                    let row: ExportRow = rows::decode("an export", row)?;
                    if table.is_some_and(|table| row.table_arn != table) {
                        continue;
                    }
                    if found.len() == limit {
                        return Ok((found, true));
                    }
                    let id = keys::read_export(key)?;
                    let summary = ExportSummary {
                        export_arn: Some(row.arn(&id)),
                        export_status: Some(row.status().into()),
                        export_type: Some(row.kind().into()),
                    };
                    found.push((id, summary));
                }
                left = range.rest(&page, false);
            }
            Ok::<_, DynamoError>((found, false))
        };
        let (found, is_more) = self.rows.of(call).read(list).await?;
        let next_token = found.last().filter(|_| is_more).map(|(id, _)| id.clone());
        let summaries = found.into_iter().map(|(_, summary)| summary).collect();
        Ok(ListExportsOutput { export_summaries: Some(summaries), next_token })
    }
}

/// What the token of a request says.
enum Claim {
    /// It was sent before.
    Begun(String, Box<ExportRow>),
    /// It is new: the export's id, and what it is to show.
    New(String, Moment, Option<Window>),
}

impl Begun for ExportRow {
    const KIND: &'static str = "export";
    const ROW: &'static str = "an export";

    fn key(place: &Place, id: &str) -> Key {
        keys::export(place, id)
    }

    fn conflict() -> ApiError {
        export_conflict_exception(
            "There was a conflict when writing to the specified S3 bucket: the client token was used for another export",
        )
    }
}

impl ExportRow {
    pub(super) fn arn(&self, id: &str) -> String {
        format!("{}/export/{id}", self.table_arn)
    }

    /// The same export, which came to nothing: FailureCode and FailureMessage.
    pub(super) fn failed(self, failure: (String, String), now_ms: i64) -> Self {
        Self { failure: Some(failure), ended_ms: Some(now_ms), ..self }
    }

    pub(super) fn status(&self) -> &'static str {
        match (&self.failure, self.ended_ms) {
            (Some(_), _) => "FAILED",
            (None, Some(_)) => "COMPLETED",
            (None, None) => "IN_PROGRESS",
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        if self.window.is_some() { "INCREMENTAL_EXPORT" } else { "FULL_EXPORT" }
    }

    /// One of the export's own objects.
    pub(super) fn object(&self, id: &str, name: &str) -> ObjectName {
        self.below(&format!("AWSDynamoDB/{id}/{name}"))
    }

    /// An object below the prefix.
    pub(super) fn below(&self, name: &str) -> ObjectName {
        let prefix =
            self.prefix.as_deref().map(|prefix| prefix.trim_end_matches('/')).filter(|one| !one.is_empty());
        let key = prefix.map_or_else(|| name.to_owned(), |prefix| format!("{prefix}/{name}"));
        ObjectName { bucket: self.bucket.clone(), key, expected_owner: self.bucket_owner.clone() }
    }
}

pub(super) async fn find(txn: &Txn, place: &Place, id: &str) -> Result<Option<ExportRow>, DynamoError> {
    let row = txn.get(&keys::export(place, id)).await?;
    row.map(|row| rows::decode("an export", &row)).transpose()
}

fn check(input: &ExportTableToPointInTimeInput) -> Result<(), ApiError> {
    if input.export_format == Some(model::ExportFormat::Ion) {
        return Err(not_implemented("exports in Amazon Ion"));
    }
    if input.filter_specification.is_some() {
        return Err(not_implemented("filters of exports"));
    }
    let is_incremental = input.export_type == Some(model::ExportType::IncrementalExport);
    match (is_incremental, &input.incremental_export_specification) {
        (true, None) => Err(validation(
            "IncrementalExportSpecification must be specified when ExportType is INCREMENTAL_EXPORT",
        )),
        (false, Some(_)) => Err(validation(
            "IncrementalExportSpecification must not be specified when ExportType is FULL_EXPORT",
        )),
        _ => Ok(()),
    }
}

/// The moment to copy the table at, and the time of an incremental export.
///
/// Errors: PointInTimeRecoveryUnavailableException, InvalidExportTimeException.
fn moment(
    table: &Table,
    input: &ExportTableToPointInTimeInput,
    now_ms: i64,
) -> Result<(Moment, Option<Window>), ApiError> {
    let Some(journal) = &table.journal else {
        return Err(point_in_time_recovery_unavailable_exception(format!(
            "Point in time recovery is not enabled for table '{}'",
            table.name
        )));
    };
    let earliest_ms = earliest_ms(journal, now_ms);
    let is_in = |at_ms: i64| (earliest_ms..=now_ms).contains(&at_ms);
    let Some(wanted) = &input.incremental_export_specification else {
        return match input.export_time.map(Timestamp::as_ms) {
            None => Ok((Moment::Asked, None)),
            Some(at_ms) if is_in(at_ms) => Ok((Moment::Time(at_ms), None)),
            Some(_) => Err(wrong_time("ExportTime is outside of the point in time recovery window")),
        };
    };
    let from_ms = wanted.export_from_time.map(Timestamp::as_ms);
    let from_ms = from_ms.ok_or_else(|| validation("ExportFromTime must be specified"))?;
    let to_ms = wanted.export_to_time.map_or(now_ms, Timestamp::as_ms);
    if !is_in(from_ms) || !is_in(to_ms) {
        return Err(wrong_time("The export period is outside of the point in time recovery window"));
    }
    if !(WINDOW_MIN_MS..=WINDOW_MAX_MS).contains(&(to_ms - from_ms)) {
        return Err(validation("The export period must be at least 15 minutes and at most 24 hours"));
    }
    let with_old = wanted.export_view_type != Some(model::ExportViewType::NewImage);
    Ok((Moment::Time(to_ms), Some(Window { from_ms, to_ms, with_old })))
}

fn wrong_time(message: &str) -> ApiError {
    invalid_export_time_exception(message)
}

fn new_row(
    input: &ExportTableToPointInTimeInput,
    (token, now_ms): (&str, i64),
    (moment, window): (Moment, Option<Window>),
) -> ExportRow {
    ExportRow {
        table_arn: input.table_arn.clone(),
        table_uuid: String::new(),
        token: token.to_owned(),
        bucket: input.s3_bucket.clone(),
        bucket_owner: input.s3_bucket_owner.clone(),
        prefix: input.s3_prefix.clone(),
        encryption: input.s3_sse_algorithm.as_ref().map(|one| one.as_str().to_owned()),
        encryption_key: input.s3_sse_kms_key_id.clone(),
        started_ms: now_ms,
        time_ms: if let Moment::Time(at_ms) = moment { at_ms } else { now_ms },
        window,
        ended_ms: None,
        failure: None,
        items: 0,
        bytes: 0,
    }
}

fn describe(row: &ExportRow, id: &str) -> ExportDescription {
    let is_done = row.ended_ms.is_some() && row.failure.is_none();
    let window = row.window.as_ref().map(|window| model::IncrementalExportSpecification {
        export_from_time: Some(Timestamp::from_ms(window.from_ms)),
        export_to_time: Some(Timestamp::from_ms(window.to_ms)),
        export_view_type: Some(window.view().into()),
    });
    ExportDescription {
        billed_size_bytes: is_done.then_some(row.bytes),
        client_token: Some(row.token.clone()),
        end_time: row.ended_ms.map(Timestamp::from_ms),
        export_arn: Some(row.arn(id)),
        export_format: Some("DYNAMODB_JSON".into()),
        export_manifest: is_done.then(|| row.object(id, "manifest-summary.json").key),
        export_status: Some(row.status().into()),
        export_time: row.window.is_none().then(|| Timestamp::from_ms(row.time_ms)),
        export_type: Some(row.kind().into()),
        failure_code: row.failure.as_ref().map(|(code, _)| code.clone()),
        failure_message: row.failure.as_ref().map(|(_, message)| message.clone()),
        filter_specification: None,
        incremental_export_specification: window,
        item_count: is_done.then_some(row.items),
        s3_bucket: Some(row.bucket.clone()),
        s3_bucket_owner: row.bucket_owner.clone(),
        s3_prefix: row.prefix.clone(),
        s3_sse_algorithm: Some(row.encryption.as_deref().unwrap_or("AES256").into()),
        s3_sse_kms_key_id: row.encryption_key.clone(),
        start_time: Some(Timestamp::from_ms(row.started_ms)),
        table_arn: Some(row.table_arn.clone()),
        table_id: Some(row.table_uuid.clone()),
    }
}

fn begun(row: &ExportRow, id: &str) -> ExportTableToPointInTimeOutput {
    ExportTableToPointInTimeOutput { export_description: Some(describe(row, id)) }
}

fn not_found(arn: &str) -> ApiError {
    export_not_found_exception(format!("Export not found: {arn}"))
}
