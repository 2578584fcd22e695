//! ImportTable, DescribeImport and ListImports.

use lambent_api::{Call, not_implemented};
use lambent_base::Place;
use lambent_model_dynamodb as model;
use lambent_model_dynamodb::errors::{
    import_conflict_exception, import_not_found_exception, resource_in_use_exception,
};
use lambent_model_dynamodb::{
    CreateTableInput, DescribeImportInput, DescribeImportOutput, ImportSummary, ImportTableDescription,
    ImportTableInput, ImportTableOutput, ListImportsInput, ListImportsOutput, TableCreationParameters,
};
use lambent_store::{Key, ScanOptions, Txn};
use lambent_wire::{ApiError, Timestamp};
use serde::{Deserialize, Serialize};

use super::asker::{self, Asker};
use super::import_job::Import;
use super::intake::Format;
use super::tokens::{Begun, Request};
use super::{ObjectName, keys};
use crate::backups::target;
use crate::error::validation;
use crate::jobs::{self, Task};
use crate::table::{Status, Table};
use crate::tables::{definitions, key_schema};
use crate::{Dynamo, DynamoError, names, rows};

/// The most imports of one answer. Source: API reference, ListImports.
const LISTED_MAX: usize = 25;
const SCAN_ROWS: usize = 100;
/// Source: API reference, CsvOptions.
const DELIMITERS: [&str; 6] = [",", "\t", ":", ";", "|", " "];

/// An import, under way or done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ImportRow {
    /// The table as it was made.
    pub(crate) table: Table,
    pub(crate) token: String,
    pub(crate) bucket: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bucket_owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    pub(crate) format: Format,
    /// Whether the objects are packed with GZIP.
    #[serde(default)]
    pub(crate) packed: bool,
    pub(crate) started_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<(String, String)>,
    /// Whether the import came to nothing.
    #[serde(default)]
    pub(crate) failed: bool,
    #[serde(default)]
    pub(crate) read: i64,
    #[serde(default)]
    pub(crate) imported: i64,
    #[serde(default)]
    pub(crate) errors: i64,
    #[serde(default)]
    pub(crate) bytes: i64,
}

impl Dynamo {
    pub(crate) async fn import_table(
        &self,
        call: &Call,
        input: ImportTableInput,
    ) -> Result<ImportTableOutput, DynamoError> {
        let format = format(&input)?;
        let packed = packed(&input)?;
        let mut table = self.new_table(call, create_input(input.table_creation_parameters.clone()))?;
        table.status = Status::Creating;
        let (now_ms, asker) = (call.time_ms(), &Asker::of(call)?);
        let id = &format!("{now_ms:014}-{:08x}", table.id >> 32);
        let token = input.client_token.clone().unwrap_or_else(|| self.random.uuid());
        let place = &table.place.clone();
        let (request, input) = (&Request::new(place, token, &input, now_ms), &input);
        let look = |txn: Txn| async move { request.look::<ImportRow>(&txn).await };
        if let Some((id, row)) = self.rows.of(call).read(look).await? {
            return Ok(ImportTableOutput { import_table_description: describe(&row, &id) });
        }
        self.look(call, &input.s3_bucket_source).await?;
        let row = &new_row(input, (&request.token, now_ms), (format, packed), table);
        let begin = |txn: Txn| async move {
            // The same request may have come twice at once.
            if let Some(begun) = request.look::<ImportRow>(&txn).await? {
                return Ok(begun);
            }
            request.keep::<ImportRow>(&txn, id).await?;
            let table = &row.table;
            if rows::find_table(&self.known, &txn, place, &table.name).await?.is_some() {
                return Err(resource_in_use_exception(format!("Table already exists: {}", table.name)).into());
            }
            rows::put_table(&txn, table);
            txn.put(&keys::import(place, id), &rows::encode(row));
            let Place { account, region } = place.clone();
            let task = Import { account, region, id: id.clone(), asker: asker.clone() };
            jobs::put(&txn, &self.random, &place.account, Task::Import(task));
            Ok::<_, DynamoError>((id.clone(), row.clone()))
        };
        let (id, row) = self.rows.of(call).run(begin).await?;
        self.known.forget(place, &row.table.name);
        Ok(ImportTableOutput { import_table_description: describe(&row, &id) })
    }

    pub(crate) async fn describe_import(
        &self,
        call: &Call,
        input: DescribeImportInput,
    ) -> Result<DescribeImportOutput, DynamoError> {
        let arn = &input.import_arn;
        let (place, id) = &names::of_part(call.place(), arn, "/import/", "ImportArn")?;
        let read = |txn: Txn| async move { find(&txn, place, id).await };
        let row = self.rows.of(call).read(read).await?.filter(|row| row.arn(id) == *arn);
        let row = row.ok_or_else(|| not_found(arn))?;
        Ok(DescribeImportOutput { import_table_description: describe(&row, id) })
    }

    pub(crate) async fn list_imports(
        &self,
        call: &Call,
        input: ListImportsInput,
    ) -> Result<ListImportsOutput, DynamoError> {
        let limit = input.page_size.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LISTED_MAX);
        let (limit, place, table) = (limit.clamp(1, LISTED_MAX), call.place(), input.table_arn.as_deref());
        let all = keys::imports(place);
        let range = &match input.next_token.as_deref() {
            Some(after) => all.after(&keys::import(place, after)),
            None => all,
        };
        let list = |txn: Txn| async move {
            let mut found: Vec<(String, ImportSummary)> = Vec::new();
            let mut left = Some(range.clone());
            while let Some(range) = left {
                let page = txn.scan_snapshot(&range, ScanOptions::rows(SCAN_ROWS)).await?;
                for (key, row) in &page.rows {
                    let row: ImportRow = rows::decode("an import", row)?;
                    if table.is_some_and(|table| row.table.arn != table) {
                        continue;
                    }
                    if found.len() == limit {
                        return Ok((found, true));
                    }
                    let id = keys::read_import(key)?;
                    let summary = summary(&row, &id);
                    found.push((id, summary));
                }
                left = range.rest(&page, false);
            }
            Ok::<_, DynamoError>((found, false))
        };
        let (found, is_more) = self.rows.of(call).read(list).await?;
        let next_token = found.last().filter(|_| is_more).map(|(id, _)| id.clone());
        let summaries = found.into_iter().map(|(_, summary)| summary).collect();
        Ok(ListImportsOutput { import_summary_list: Some(summaries), next_token })
    }

    /// Whether the caller may read what it wants imported.
    async fn look(&self, call: &Call, source: &model::S3BucketSource) -> Result<(), DynamoError> {
        let who = &asker::of_request(call);
        let prefix = ObjectName {
            bucket: source.s3_bucket.clone(),
            key: source.s3_key_prefix.clone().unwrap_or_default(),
            expected_owner: source.s3_bucket_owner.clone(),
        };
        let listed = self.buckets()?.list(who, &prefix, None).await;
        if let Some(first) = listed.map_err(super::refused)?.into_iter().next() {
            let first = ObjectName { key: first.key, ..prefix };
            self.buckets()?.get(who, &first, None).await.map_err(super::refused)?;
        }
        Ok(())
    }
}

impl Begun for ImportRow {
    const KIND: &'static str = "import";
    const ROW: &'static str = "an import";

    fn key(place: &Place, id: &str) -> Key {
        keys::import(place, id)
    }

    fn conflict() -> ApiError {
        import_conflict_exception("There was a conflict: the client token was used for another import")
    }
}

impl ImportRow {
    pub(super) fn arn(&self, id: &str) -> String {
        format!("{}/import/{id}", self.table.arn)
    }

    /// An object of the bucket, or the beginning of the keys of several.
    pub(super) fn object(&self, key: String) -> ObjectName {
        ObjectName { bucket: self.bucket.clone(), key, expected_owner: self.bucket_owner.clone() }
    }

    fn status(&self) -> &'static str {
        match self.ended_ms {
            None => "IN_PROGRESS",
            Some(_) if self.failed => "FAILED",
            Some(_) => "COMPLETED",
        }
    }
}

pub(super) async fn find(txn: &Txn, place: &Place, id: &str) -> Result<Option<ImportRow>, DynamoError> {
    let row = txn.get(&keys::import(place, id)).await?;
    row.map(|row| rows::decode("an import", &row)).transpose()
}

fn new_row(
    input: &ImportTableInput,
    (token, now_ms): (&str, i64),
    (format, packed): (Format, bool),
    table: Table,
) -> ImportRow {
    let source = &input.s3_bucket_source;
    ImportRow {
        table,
        token: token.to_owned(),
        bucket: source.s3_bucket.clone(),
        bucket_owner: source.s3_bucket_owner.clone(),
        prefix: source.s3_key_prefix.clone(),
        format,
        packed,
        started_ms: now_ms,
        ended_ms: None,
        failure: None,
        failed: false,
        read: 0,
        imported: 0,
        errors: 0,
        bytes: 0,
    }
}

fn create_input(parameters: TableCreationParameters) -> CreateTableInput {
    CreateTableInput {
        table_name: parameters.table_name,
        attribute_definitions: Some(parameters.attribute_definitions),
        key_schema: Some(parameters.key_schema),
        billing_mode: parameters.billing_mode,
        provisioned_throughput: parameters.provisioned_throughput,
        on_demand_throughput: parameters.on_demand_throughput,
        sse_specification: parameters.sse_specification,
        global_secondary_indexes: parameters.global_secondary_indexes,
        vector_indexes: parameters.vector_indexes,
        ..CreateTableInput::default()
    }
}

fn format(input: &ImportTableInput) -> Result<Format, ApiError> {
    let options = input.input_format_options.as_ref().and_then(|options| options.csv.as_ref());
    match (&input.input_format, options) {
        (model::InputFormat::Ion, _) => Err(not_implemented("imports of Amazon Ion")),
        (model::InputFormat::DynamodbJson, None) => Ok(Format::DynamoDbJson),
        (model::InputFormat::DynamodbJson, Some(_)) => {
            Err(validation("InputFormatOptions can only be specified for the InputFormat CSV"))
        }
        (model::InputFormat::Csv, options) => {
            let delimiter = options.and_then(|options| options.delimiter.as_deref()).unwrap_or(",");
            if !DELIMITERS.contains(&delimiter) {
                return Err(validation(format!(
                    "Delimiter is not one of those that CSV can have: {delimiter}"
                )));
            }
            let header = options.and_then(|options| options.header_list.clone());
            Ok(Format::Csv { delimiter: delimiter.as_bytes()[0], header })
        }
        (other, _) => Err(validation(format!("Unknown InputFormat: {}", other.as_str()))),
    }
}

fn packed(input: &ImportTableInput) -> Result<bool, ApiError> {
    match &input.input_compression_type {
        None | Some(model::InputCompressionType::None) => Ok(false),
        Some(model::InputCompressionType::Gzip) => Ok(true),
        Some(model::InputCompressionType::Zstd) => Err(not_implemented("imports packed with ZSTD")),
        Some(other) => Err(validation(format!("Unknown InputCompressionType: {}", other.as_str()))),
    }
}

fn source(row: &ImportRow) -> model::S3BucketSource {
    model::S3BucketSource {
        s3_bucket: row.bucket.clone(),
        s3_bucket_owner: row.bucket_owner.clone(),
        s3_key_prefix: row.prefix.clone(),
    }
}

fn format_name(row: &ImportRow) -> model::InputFormat {
    match row.format {
        Format::DynamoDbJson => model::InputFormat::DynamodbJson,
        Format::Csv { .. } => model::InputFormat::Csv,
    }
}

fn summary(row: &ImportRow, id: &str) -> ImportSummary {
    ImportSummary {
        cloud_watch_log_group_arn: None,
        end_time: row.ended_ms.map(Timestamp::from_ms),
        import_arn: Some(row.arn(id)),
        import_status: Some(row.status().into()),
        input_format: Some(format_name(row)),
        s3_bucket_source: Some(source(row)),
        start_time: Some(Timestamp::from_ms(row.started_ms)),
        table_arn: Some(row.table.arn.clone()),
    }
}

fn describe(row: &ImportRow, id: &str) -> ImportTableDescription {
    let options = match &row.format {
        Format::Csv { delimiter, header } => Some(model::InputFormatOptions {
            csv: Some(model::CsvOptions {
                delimiter: Some(char::from(*delimiter).to_string()),
                header_list: header.clone(),
            }),
        }),
        Format::DynamoDbJson => None,
    };
    ImportTableDescription {
        client_token: Some(row.token.clone()),
        cloud_watch_log_group_arn: None,
        end_time: row.ended_ms.map(Timestamp::from_ms),
        error_count: Some(row.errors),
        failure_code: row.failure.as_ref().map(|(code, _)| code.clone()),
        failure_message: row.failure.as_ref().map(|(_, message)| message.clone()),
        import_arn: Some(row.arn(id)),
        import_status: Some(row.status().into()),
        imported_item_count: Some(row.imported),
        input_compression_type: Some(if row.packed { "GZIP" } else { "NONE" }.into()),
        input_format: Some(format_name(row)),
        input_format_options: options,
        processed_item_count: Some(row.read),
        processed_size_bytes: Some(row.bytes),
        s3_bucket_source: Some(source(row)),
        start_time: Some(Timestamp::from_ms(row.started_ms)),
        table_arn: Some(row.table.arn.clone()),
        table_creation_parameters: Some(parameters(&row.table)),
        table_id: Some(row.table.uuid.clone()),
    }
}

fn parameters(table: &Table) -> TableCreationParameters {
    let is_provisioned = target::billing_name(table) == "PROVISIONED";
    let globals = table.globals.iter().map(|index| model::GlobalSecondaryIndex {
        index_name: index.name.clone(),
        key_schema: key_schema(&index.key),
        projection: target::projection(&index.projection),
        provisioned_throughput: is_provisioned.then(|| target::units(&index.throughput)),
        ..Default::default()
    });
    let globals: Vec<_> = globals.collect();
    TableCreationParameters {
        table_name: table.name.clone(),
        attribute_definitions: definitions(table),
        key_schema: key_schema(&table.key),
        billing_mode: Some(target::billing_name(table).into()),
        provisioned_throughput: is_provisioned.then(|| target::units(&table.throughput)),
        on_demand_throughput: None,
        sse_specification: None,
        global_secondary_indexes: (!globals.is_empty()).then_some(globals),
        vector_indexes: None,
    }
}

fn not_found(arn: &str) -> ApiError {
    import_not_found_exception(format!("Import not found: {arn}"))
}
