//! What lies beside an export's files: the list of them, the summary, and their checksums.
//! Source: Developer Guide, "DynamoDB table export output format".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lambent_store::{Db, ScanOptions, Txn};
use lambent_wire::Timestamp;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::export::ExportRow;
use super::export_job::Export;
use super::keys;
use crate::jobs::Job;
use crate::{Dynamo, DynamoError};

const FULL_VERSION: &str = "2020-06-30";
const INCREMENTAL_VERSION: &str = "2023-08-01";
const JSON: &str = "application/json";
const LINES_ROWS: usize = 1_000;

/// Writes them, and gives the row of the export that is done now; none when the job is another's by now.
pub(super) async fn put(
    export: &Export,
    (dynamo, db, job): (&Dynamo, &Db, &Job),
    row: ExportRow,
) -> Result<Option<ExportRow>, DynamoError> {
    let row = ExportRow { ended_ms: Some(dynamo.clock.unix_ms()), ..row };
    let lines = lines(db, export.copy).await?;
    let summary = summary(export, &row).to_string();
    for (name, body) in [("manifest-files", lines), ("manifest-summary", summary.into_bytes())] {
        for (ending, kind, body) in [("md5", "text/plain", md5(&body).into_bytes()), ("json", JSON, body)] {
            let object = row.object(&export.id, &format!("{name}.{ending}"));
            let put = export.put_object((dynamo, db, job), &object, kind, Bytes::from(body));
            if put.await?.is_none() {
                return Ok(None);
            }
        }
    }
    Ok(Some(row))
}

/// Of a body: base64.
pub(super) fn md5(body: &[u8]) -> String {
    STANDARD.encode(Md5::digest(body))
}

async fn lines(db: &Db, copy: u64) -> Result<Vec<u8>, DynamoError> {
    let range = &keys::files(copy);
    let read = |txn: Txn| async move {
        let (mut lines, mut left) = (Vec::new(), Some(range.clone()));
        while let Some(range) = left {
            let page = txn.scan_snapshot(&range, ScanOptions::rows(LINES_ROWS)).await?;
            for (_, line) in &page.rows {
                lines.extend_from_slice(line);
                lines.push(b'\n');
            }
            left = range.rest(&page, false);
        }
        Ok::<_, DynamoError>(lines)
    };
    db.read(read).await
}

fn summary(export: &Export, row: &ExportRow) -> Value {
    let time = |ms: i64| Timestamp::from_ms(ms).iso8601_ms();
    let mut summary = json!({
        "version": if row.window.is_some() { INCREMENTAL_VERSION } else { FULL_VERSION },
        "exportArn": row.arn(&export.id),
        "startTime": time(row.started_ms),
        "endTime": time(row.ended_ms.unwrap_or(row.started_ms)),
        "tableArn": row.table_arn,
        "tableId": row.table_uuid,
        "exportTime": time(row.time_ms),
        "s3Bucket": row.bucket,
        "s3Prefix": row.prefix,
        "s3SseAlgorithm": row.encryption.as_deref().unwrap_or("AES256"),
        "s3SseKmsKeyId": row.encryption_key,
        "manifestFilesS3Key": row.object(&export.id, "manifest-files.json").key,
        "billedSizeBytes": row.bytes,
        "itemCount": row.items,
        "outputFormat": "DYNAMODB_JSON",
        "exportType": row.kind(),
    });
    if let (Some(window), Some(summary)) = (&row.window, summary.as_object_mut()) {
        summary.remove("exportTime");
        summary.insert("exportFromTime".to_owned(), json!(time(window.from_ms)));
        summary.insert("exportToTime".to_owned(), json!(time(window.to_ms)));
        summary.insert("outputView".to_owned(), json!(window.view()));
    }
    summary
}
