//! Exports and imports, with a bucket that is a map.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lambent_api::{ApiError, Body, BoxFuture};
use lambent_model_dynamodb as model;
use lambent_store::{ScanOptions, Txn};
use lambent_wire::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Buckets, InNameOf, ListedObject, ObjectName};
use crate::jobs::{Job, Task};
use crate::testing::{Bench, item};
use crate::{DynamoError, rows};

/// Whose the bucket is.
const OWNER: &str = "000000000000";

#[derive(Default)]
struct Map {
    objects: Mutex<BTreeMap<String, Bytes>>,
    /// What every request fails with, and how many did.
    failure: Mutex<Option<ApiError>>,
    refused: AtomicUsize,
    /// How many objects were put, each as often as it was.
    puts: AtomicUsize,
}

impl Buckets for Map {
    fn put<'a>(
        &'a self,
        _: &'a InNameOf,
        object: &'a ObjectName,
        _: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<String, ApiError>> {
        Box::pin(async move {
            self.check(object)?;
            let etag = etag_of(&bytes);
            self.puts.fetch_add(1, Ordering::Relaxed);
            self.objects.lock().insert(object.key.clone(), bytes);
            Ok(etag)
        })
    }

    fn get<'a>(
        &'a self,
        _: &'a InNameOf,
        object: &'a ObjectName,
        etag: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Body, ApiError>> {
        Box::pin(async move {
            self.check(object)?;
            let objects = self.objects.lock();
            let no_key = || ApiError::new("NoSuchKey", 404, "The specified key does not exist.");
            let bytes = objects.get(&object.key).ok_or_else(no_key)?;
            if etag.is_some_and(|etag| etag != etag_of(bytes)) {
                return Err(ApiError::new("PreconditionFailed", 412, "At least one did not hold"));
            }
            Ok(Body::from(bytes.clone()))
        })
    }

    fn list<'a>(
        &'a self,
        _: &'a InNameOf,
        prefix: &'a ObjectName,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<ListedObject>, ApiError>> {
        Box::pin(async move {
            self.check(prefix)?;
            let objects = self.objects.lock();
            let is_in =
                |key: &String| key.starts_with(&prefix.key) && after.is_none_or(|after| key.as_str() > after);
            let found = objects.iter().filter(|(key, _)| is_in(key)).take(2);
            let listed = found.map(|(key, bytes)| ListedObject {
                key: key.clone(),
                bytes: i64::try_from(bytes.len()).unwrap(),
                etag: etag_of(bytes),
            });
            Ok(listed.collect())
        })
    }
}

fn etag_of(bytes: &Bytes) -> String {
    super::manifest::md5(bytes)
}

impl Map {
    fn check(&self, object: &ObjectName) -> Result<(), ApiError> {
        if let Some(failure) = &*self.failure.lock() {
            assert_ne!(failure.code, "Panic", "a test asked for it");
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(failure.clone());
        }
        if object.bucket != "bucket" {
            return Err(ApiError::new("NoSuchBucket", 404, "The specified bucket does not exist"));
        }
        match object.expected_owner.as_deref() {
            None | Some(OWNER) => Ok(()),
            Some(_) => Err(ApiError::new("AccessDenied", 403, "Access Denied")),
        }
    }

    fn fail(&self, failure: Option<ApiError>) {
        *self.failure.lock() = failure;
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn put_text(&self, key: &str, text: &str) {
        self.objects.lock().insert(key.to_owned(), text.to_owned().into());
    }

    fn keys(&self) -> Vec<String> {
        self.objects.lock().keys().cloned().collect()
    }

    /// The lines of the packed objects below a prefix.
    fn lines(&self, prefix: &str) -> Vec<Value> {
        let objects = self.objects.lock();
        let packed = objects.iter().filter(|(key, _)| key.contains(prefix) && key.ends_with(".gz"));
        let mut text = String::new();
        for (_, bytes) in packed {
            MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        }
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

async fn bench() -> (Bench, Arc<Map>) {
    let bench = Bench::new().await;
    let map = Arc::new(Map::default());
    bench.dynamo.join_buckets(map.clone());
    bench.table("source", None).await;
    let input = model::UpdateContinuousBackupsInput {
        table_name: "source".to_owned(),
        point_in_time_recovery_specification: model::PointInTimeRecoverySpecification {
            point_in_time_recovery_enabled: true,
            recovery_period_in_days: None,
        },
    };
    bench.dynamo.update_continuous_backups(&bench.call(), input).await.unwrap();
    (bench, map)
}

fn export_of(bench: &Bench) -> model::ExportTableToPointInTimeInput {
    model::ExportTableToPointInTimeInput {
        table_arn: format!("arn:aws:dynamodb:us-east-1:{}:table/source", bench.call().account()),
        s3_bucket: "bucket".to_owned(),
        s3_prefix: Some("out".to_owned()),
        ..Default::default()
    }
}

fn import_of(table: &str, format: &str, prefix: &str) -> model::ImportTableInput {
    model::ImportTableInput {
        input_format: format.into(),
        s3_bucket_source: model::S3BucketSource {
            s3_bucket: "bucket".to_owned(),
            s3_key_prefix: Some(prefix.to_owned()),
            s3_bucket_owner: None,
        },
        table_creation_parameters: model::TableCreationParameters {
            table_name: table.to_owned(),
            attribute_definitions: vec![model::AttributeDefinition {
                attribute_name: "id".to_owned(),
                attribute_type: "S".into(),
            }],
            key_schema: vec![model::KeySchemaElement {
                attribute_name: "id".to_owned(),
                key_type: "HASH".into(),
            }],
            billing_mode: Some("PAY_PER_REQUEST".into()),
            ..Default::default()
        },
        ..Default::default()
    }
}

#[tokio::test]
async fn what_is_exported_can_be_imported() {
    let (bench, map) = bench().await;
    for number in 0..700 {
        bench.put("source", item(&format!("item {number}"), "text, with \"quotes\"")).await;
    }
    bench.put("source", item("long", &"x".repeat(300_000))).await;
    let items = bench.items("source").await;
    let export = bench.dynamo.export_table_to_point_in_time(&bench.call(), export_of(&bench)).await.unwrap();
    let export = export.export_description.unwrap();
    assert_eq!(export.export_status.unwrap().as_str(), "IN_PROGRESS");
    bench.put("source", item("after", "")).await;
    bench.dynamo.finish_jobs().await;
    let input = model::DescribeExportInput { export_arn: export.export_arn.unwrap() };
    let done = bench.dynamo.describe_export(&bench.call(), input).await.unwrap().export_description.unwrap();
    assert_eq!((done.export_status.unwrap().as_str(), done.item_count), ("COMPLETED", Some(701)));
    assert_eq!(map.lines("/data/").len(), 701);
    let names: Vec<_> = map.keys().into_iter().filter(|key| !key.contains("/data/")).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    let data = map.keys().into_iter().find(|key| key.contains("/data/")).unwrap();
    let mut input = import_of("target", "DYNAMODB_JSON", &data);
    input.input_compression_type = Some("GZIP".into());
    let import = bench.dynamo.import_table(&bench.call(), input).await.unwrap().import_table_description;
    bench.dynamo.finish_jobs().await;
    assert!(bench.items("target").await == items);
    let input = model::DescribeImportInput { import_arn: import.import_arn.unwrap() };
    let done = bench.dynamo.describe_import(&bench.call(), input).await.unwrap().import_table_description;
    assert_eq!((done.import_status.unwrap().as_str(), done.imported_item_count), ("COMPLETED", Some(701)));
    for prefix in ["dynamodb/copy/", "dynamodb/exported/", "dynamodb/job/"] {
        assert_eq!(bench.rows(prefix.as_bytes()).await, 0, "{prefix}");
    }
}

#[tokio::test]
async fn incremental_exports_say_what_changed() {
    let (bench, map) = bench().await;
    for id in ["kept", "changed", "gone"] {
        bench.put("source", item(id, "old")).await;
    }
    bench.hand.advance(Duration::from_secs(60));
    let from_ms = bench.now_ms();
    for text in ["1", "2"] {
        bench.hand.advance(Duration::from_secs(60));
        bench.put("source", item("changed", text)).await;
    }
    bench.put("source", item("new", "1")).await;
    bench.delete("source", "gone").await;
    bench.hand.advance(Duration::from_secs(1_200));
    let to_ms = bench.now_ms();
    bench.hand.advance(Duration::from_secs(60));
    bench.put("source", item("changed", "later")).await;
    let input = model::ExportTableToPointInTimeInput {
        export_type: Some("INCREMENTAL_EXPORT".into()),
        incremental_export_specification: Some(model::IncrementalExportSpecification {
            export_from_time: Some(Timestamp::from_ms(from_ms)),
            export_to_time: Some(Timestamp::from_ms(to_ms)),
            export_view_type: None,
        }),
        ..export_of(&bench)
    };
    bench.dynamo.export_table_to_point_in_time(&bench.call(), input).await.unwrap();
    bench.dynamo.finish_jobs().await;
    let mut lines = map.lines("AWSDynamoDB/data/");
    lines.sort_by_key(|line| line["Keys"]["id"]["S"].to_string());
    let seen: Vec<_> = lines
        .iter()
        .map(|line| json!([line["Keys"]["id"]["S"], line["OldImage"]["v"]["S"], line["NewImage"]["v"]["S"]]))
        .collect();
    assert_eq!(json!(seen), json!([["changed", "old", "2"], ["gone", "old", null], ["new", null, "1"]]));
    let micros = (from_ms + 120_000) * 1000;
    assert_eq!(lines[0]["Metadata"]["WriteTimestampMicros"]["N"], micros.to_string());
    assert_eq!(bench.rows(b"dynamodb/delta/").await, 0);
}

#[tokio::test]
async fn csv_is_imported_and_bad_lines_are_counted() {
    let (bench, map) = bench().await;
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"id,v\r\na,\"one,\n\"\"two\"\"\"\r\n,empty key\nb\nc,").unwrap();
    map.objects.lock().insert("in/1.csv.gz".to_owned(), packed.finish().unwrap().into());
    let mut input = import_of("target", "CSV", "in/");
    input.input_compression_type = Some("GZIP".into());
    bench.dynamo.import_table(&bench.call(), input).await.unwrap();
    let place = bench.call().place().clone();
    let is_there = |txn| {
        let (dynamo, place) = (&bench.dynamo, &place);
        async move { dynamo.table(&txn, place, "target").await }
    };
    assert!(bench.db.read(is_there).await.is_err(), "it is not there before it is filled");
    bench.dynamo.finish_jobs().await;
    let input = model::ListImportsInput::default();
    let listed = bench.dynamo.list_imports(&bench.call(), input).await.unwrap().import_summary_list.unwrap();
    let input = model::DescribeImportInput { import_arn: listed[0].import_arn.clone().unwrap() };
    let done = bench.dynamo.describe_import(&bench.call(), input).await.unwrap().import_table_description;
    assert_eq!((done.processed_item_count, done.imported_item_count), (Some(4), Some(2)));
    assert_eq!((done.error_count, done.failure_code.as_deref()), (Some(2), Some("ItemValidationError")));
    assert_eq!(bench.items("target").await, [item("a", "one,\n\"two\""), item("c", "")]);
}

#[tokio::test]
async fn nothing_of_a_csv_is_lost_in_silence() {
    let (bench, map) = bench().await;
    for (table, text, imported, errors) in [
        ("inches", "id,v\na,7\" disc\nb,two\n", 2, 0),
        ("open", "id,v\na,one\nb,\"two\nc,three\n", 1, 1),
        ("marked", "\u{feff}\"id\",v\na,one", 1, 0),
    ] {
        map.objects.lock().insert(format!("{table}/1.csv"), text.into());
        let input = import_of(table, "CSV", &format!("{table}/"));
        let import = bench.dynamo.import_table(&bench.call(), input).await.unwrap().import_table_description;
        bench.dynamo.finish_jobs().await;
        let input = model::DescribeImportInput { import_arn: import.import_arn.unwrap() };
        let done = bench.dynamo.describe_import(&bench.call(), input).await.unwrap().import_table_description;
        assert_eq!((done.imported_item_count, done.error_count), (Some(imported), Some(errors)), "{table}");
    }
}

#[tokio::test]
async fn a_bucket_must_be_of_the_owner_that_is_expected() {
    let (bench, map) = bench().await;
    map.objects.lock().insert("in/1.csv".to_owned(), "id\na\n".into());
    for (owner, is_done) in [("111111111111", false), (OWNER, true)] {
        let export = model::ExportTableToPointInTimeInput {
            s3_bucket_owner: Some(owner.to_owned()),
            ..export_of(&bench)
        };
        let export = bench.dynamo.export_table_to_point_in_time(&bench.call(), export).await;
        assert_eq!(export.is_ok(), is_done, "{owner}");
        let mut import = import_of("target", "CSV", "in/");
        import.s3_bucket_source.s3_bucket_owner = Some(owner.to_owned());
        let import = bench.dynamo.import_table(&bench.call(), import).await;
        assert_eq!(import.is_ok(), is_done, "{owner}");
    }
    bench.dynamo.finish_jobs().await;
    assert_eq!(bench.items("target").await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let (bench, _) = bench().await;
    let elsewhere =
        model::ExportTableToPointInTimeInput { s3_bucket: "other".to_owned(), ..export_of(&bench) };
    let refused = bench.dynamo.export_table_to_point_in_time(&bench.call(), elsewhere).await.unwrap_err();
    assert!(refused.to_string().contains("NoSuchBucket"), "{refused}");
    let ion = model::ExportTableToPointInTimeInput { export_format: Some("ION".into()), ..export_of(&bench) };
    let refused = bench.dynamo.export_table_to_point_in_time(&bench.call(), ion).await.unwrap_err();
    assert!(refused.to_string().contains("Ion"), "{refused}");
}

#[tokio::test]
async fn a_token_is_for_one_export() {
    let (bench, map) = bench().await;
    let with_token = |owner: Option<&str>| model::ExportTableToPointInTimeInput {
        client_token: Some("token".repeat(1_000)),
        s3_bucket_owner: owner.map(str::to_owned),
        ..export_of(&bench)
    };
    let ask = async |owner: Option<&str>| {
        let export = bench.dynamo.export_table_to_point_in_time(&bench.call(), with_token(owner)).await;
        export.map(|export| export.export_description.unwrap().export_arn.unwrap())
    };
    // Nothing comes of a request that is refused: its token is free.
    map.fail(Some(ApiError::new("AccessDenied", 403, "Access Denied")));
    ask(Some(OWNER)).await.unwrap_err();
    map.fail(None);
    let arn = ask(None).await.unwrap();
    // It is found also where the bucket is gone, and among any number of others.
    for number in 0..30 {
        let other = model::ExportTableToPointInTimeInput {
            client_token: Some(format!("a{number}")),
            ..export_of(&bench)
        };
        bench.dynamo.export_table_to_point_in_time(&bench.call(), other).await.unwrap();
    }
    let objects = map.keys();
    map.fail(Some(ApiError::new("NoSuchBucket", 404, "The specified bucket does not exist")));
    bench.hand.advance(Duration::from_secs(8 * 3_600 - 1));
    assert_eq!(ask(None).await.unwrap(), arn);
    let refused = ask(Some(OWNER)).await.unwrap_err();
    assert!(refused.to_string().starts_with("ExportConflictException"), "{refused}");
    map.fail(None);
    assert_eq!(map.keys(), objects, "a request that is sent again writes nothing");
    bench.hand.advance(Duration::from_secs(1));
    let later = ask(Some(OWNER)).await.unwrap();
    assert_ne!(later, arn);
    // Those that are over go, some with each new one.
    ask_anew(&bench).await;
    assert_eq!(bench.rows(b"dynamodb/asked/").await, 2);
    assert_eq!(bench.rows(b"dynamodb/asked-end/").await, 2);
}

async fn ask_anew(bench: &Bench) {
    bench.dynamo.export_table_to_point_in_time(&bench.call(), export_of(bench)).await.unwrap();
}

#[tokio::test]
async fn a_token_is_for_one_import() {
    let (bench, map) = bench().await;
    map.put_text("in/1.csv", "id\na\n");
    let ask = async |prefix: &str| {
        let input = model::ImportTableInput {
            client_token: Some("token".to_owned()),
            ..import_of("target", "CSV", prefix)
        };
        let import = bench.dynamo.import_table(&bench.call(), input).await;
        import.map(|import| import.import_table_description.import_arn.unwrap())
    };
    let arn = ask("in/").await.unwrap();
    bench.dynamo.finish_jobs().await;
    assert_eq!(ask("in/").await.unwrap(), arn);
    let refused = ask("in").await.unwrap_err();
    assert!(refused.to_string().starts_with("ImportConflictException"), "{refused}");
}

async fn described(bench: &Bench, arn: &str) -> model::ExportDescription {
    let input = model::DescribeExportInput { export_arn: arn.to_owned() };
    bench.dynamo.describe_export(&bench.call(), input).await.unwrap().export_description.unwrap()
}

async fn imported(bench: &Bench, arn: &str) -> model::ImportTableDescription {
    let input = model::DescribeImportInput { import_arn: arn.to_owned() };
    bench.dynamo.describe_import(&bench.call(), input).await.unwrap().import_table_description
}

#[tokio::test]
async fn an_export_that_failed_stays_so_when_its_bucket_is_mended() {
    let (bench, map) = bench().await;
    let from_ms = bench.now_ms();
    for number in 0..1_200 {
        bench.put("source", item(&number.to_string(), "")).await;
    }
    bench.hand.advance(Duration::from_secs(1_200));
    let input = model::ExportTableToPointInTimeInput {
        export_type: Some("INCREMENTAL_EXPORT".into()),
        incremental_export_specification: Some(model::IncrementalExportSpecification {
            export_from_time: Some(Timestamp::from_ms(from_ms)),
            export_to_time: Some(Timestamp::from_ms(bench.now_ms())),
            export_view_type: None,
        }),
        ..export_of(&bench)
    };
    let export = bench.dynamo.export_table_to_point_in_time(&bench.call(), input).await.unwrap();
    let arn = export.export_description.unwrap().export_arn.unwrap();
    bench.hand.advance(Duration::from_secs(60));
    map.fail(Some(ApiError::new("AccessDenied", 403, "Access Denied")));
    while map.refused() == 0 {
        bench.dynamo.step_jobs().await;
    }
    map.fail(None);
    bench.dynamo.finish_jobs().await;
    let done = described(&bench, &arn).await;
    assert_eq!(done.export_status.unwrap().as_str(), "FAILED");
    assert_eq!(done.failure_code.as_deref(), Some("S3AccessDenied"));
    for prefix in ["dynamodb/delta/", "dynamodb/copy/", "dynamodb/exported/"] {
        assert_eq!(bench.rows(prefix.as_bytes()).await, 0, "{prefix}");
    }
}

#[tokio::test]
async fn what_fails_for_a_day_is_given_up() {
    let (bench, map) = bench().await;
    map.put_text("in/1.csv", "id\na\n");
    bench.put("source", item("a", "")).await;
    let export = bench.dynamo.export_table_to_point_in_time(&bench.call(), export_of(&bench)).await.unwrap();
    let import = bench.dynamo.import_table(&bench.call(), import_of("target", "CSV", "in/")).await.unwrap();
    map.fail(Some(ApiError::new("InternalError", 500, "We encountered an internal error.")));
    bench.dynamo.finish_jobs().await;
    assert_eq!(map.refused(), 2 * usize::try_from(crate::jobs::FAILURES_MAX).unwrap());
    let done = described(&bench, &export.export_description.unwrap().export_arn.unwrap()).await;
    assert_eq!(done.export_status.unwrap().as_str(), "FAILED");
    assert_eq!(done.failure_code.as_deref(), Some("S3InternalError"));
    let done = imported(&bench, &import.import_table_description.import_arn.unwrap()).await;
    assert_eq!(done.import_status.unwrap().as_str(), "FAILED");
    assert_eq!(done.failure_code.as_deref(), Some("S3InternalError"));
    // Nothing holds the tables any more.
    for table in ["source", "target"] {
        let input = model::DeleteTableInput { table_name: table.to_owned() };
        assert_eq!(bench.dynamo.delete_table(&bench.call(), input).await.is_ok(), table == "source");
    }
    for prefix in ["dynamodb/copy/", "dynamodb/source/", "dynamodb/fence/"] {
        assert_eq!(bench.rows(prefix.as_bytes()).await, 0, "{prefix}");
    }
}

#[tokio::test]
async fn an_import_is_of_the_objects_that_were_there() {
    for (change, status, code) in [
        (None, "COMPLETED", None),
        (Some(("in/2.csv", "id\nc\n")), "FAILED", Some("S3PreconditionFailed")),
        (Some(("in/3.csv", "id\nc\n")), "COMPLETED", None),
    ] {
        let (bench, map) = bench().await;
        map.put_text("in/", "");
        map.put_text("in/1.csv", "id\na\n");
        map.put_text("in/2.csv", "id\nb\n");
        let import =
            bench.dynamo.import_table(&bench.call(), import_of("target", "CSV", "in/")).await.unwrap();
        let arn = import.import_table_description.import_arn.unwrap();
        while imported(&bench, &arn).await.imported_item_count == Some(0) {
            bench.dynamo.step_jobs().await;
        }
        if let Some((key, text)) = change {
            map.put_text(key, text);
        }
        bench.dynamo.finish_jobs().await;
        let done = imported(&bench, &arn).await;
        assert_eq!(done.import_status.unwrap().as_str(), status, "{change:?}");
        assert_eq!(done.failure_code.as_deref(), code, "{change:?}");
        if status == "COMPLETED" {
            assert_eq!(bench.items("target").await.len(), 2, "{change:?}");
        }
        assert_eq!(bench.rows(b"dynamodb/source/").await, 0);
    }
}

#[tokio::test]
async fn the_rest_of_an_object_that_cannot_be_read_is_passed_over() {
    let (bench, map) = bench().await;
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"id\na\nb\n").unwrap();
    let packed = packed.finish().unwrap();
    map.objects.lock().insert("in/1.csv".to_owned(), packed[..packed.len() - 1].to_vec().into());
    map.objects.lock().insert("in/2.csv".to_owned(), packed.into());
    let mut input = import_of("target", "CSV", "in/");
    input.input_compression_type = Some("GZIP".into());
    let import = bench.dynamo.import_table(&bench.call(), input).await.unwrap();
    bench.dynamo.finish_jobs().await;
    let done = imported(&bench, &import.import_table_description.import_arn.unwrap()).await;
    assert_eq!(done.import_status.unwrap().as_str(), "COMPLETED");
    assert_eq!((done.imported_item_count, done.error_count), (Some(4), Some(1)));
    assert_eq!(done.failure_code.as_deref(), Some("ItemValidationError"));
}

#[tokio::test]
async fn two_nodes_at_one_job_do_it_once() {
    let (bench, map) = bench().await;
    for number in 0..40 {
        bench.put("source", item(&number.to_string(), &"x".repeat(300_000))).await;
    }
    let items = bench.items("source").await;
    let export = bench.dynamo.export_table_to_point_in_time(&bench.call(), export_of(&bench)).await.unwrap();
    bench.put("source", item("after", "")).await;
    bench.dynamo.finish_jobs_twice().await;
    assert_eq!(map.puts.load(Ordering::Relaxed), map.keys().len(), "no object is written over");
    let done = described(&bench, &export.export_description.unwrap().export_arn.unwrap()).await;
    assert_eq!((done.export_status.unwrap().as_str(), done.item_count), ("COMPLETED", Some(40)));
    let manifest = done.export_manifest.unwrap();
    let folder = manifest.strip_suffix("manifest-summary.json").unwrap();
    let files = map.objects.lock()[&format!("{folder}manifest-files.json")].clone();
    let files: Vec<Value> =
        files.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert!(files.len() > 1, "{files:?}");
    for file in &files {
        let object = map.objects.lock()[file["dataFileS3Key"].as_str().unwrap()].clone();
        assert_eq!(file["md5Checksum"], super::manifest::md5(&object));
    }
    let mut input = import_of("target", "DYNAMODB_JSON", &format!("{folder}data/"));
    input.input_compression_type = Some("GZIP".into());
    let import = bench.dynamo.import_table(&bench.call(), input).await.unwrap().import_table_description;
    bench.dynamo.finish_jobs_twice().await;
    let done = imported(&bench, &import.import_arn.unwrap()).await;
    assert_eq!((done.import_status.unwrap().as_str(), done.imported_item_count), ("COMPLETED", Some(40)));
    assert!(bench.items("target").await == items);
}

/// The only job there is.
async fn only_job(bench: &Bench) -> Job {
    let scan = |txn: Txn| async move {
        Ok::<_, DynamoError>(txn.scan_snapshot(&crate::keys::jobs(), ScanOptions::rows(2)).await?)
    };
    let rows = bench.db.read(scan).await.unwrap().rows;
    let [(key, row)] = &rows[..] else { panic!("{rows:?}") };
    let mut job: Job = rows::decode("a job", row).unwrap();
    job.id = crate::keys::read_job(key).unwrap();
    job
}

#[tokio::test]
async fn a_node_that_lost_an_import_does_not_end_it() {
    let (bench, map) = bench().await;
    map.put_text("in/1.csv", "id\na\n");
    let import = bench.dynamo.import_table(&bench.call(), import_of("target", "CSV", "in/")).await.unwrap();
    let arn = import.import_table_description.import_arn.unwrap();
    let lost = only_job(&bench).await;
    bench.dynamo.step_jobs().await;
    let held = only_job(&bench).await;
    for (job, status) in [(lost, "IN_PROGRESS"), (held, "FAILED")] {
        let Task::Import(import) = &job.task else { panic!("{job:?}") };
        let why = DynamoError::Row { what: "a table", why: "of /var/lib".to_owned() };
        import.give_up(&bench.dynamo, &bench.db, &job, &why).await.unwrap();
        assert_eq!(imported(&bench, &arn).await.import_status.unwrap().as_str(), status);
    }
    let done = imported(&bench, &arn).await;
    assert_eq!(done.failure_code.as_deref(), Some("InternalServerError"));
    assert_eq!(done.failure_message.as_deref(), Some(super::FAILED_WITHIN), "the cause is for the log");
}

#[tokio::test]
async fn tokens_that_cannot_be_read_hold_up_no_request() {
    let (bench, _) = bench().await;
    let asked =
        model::ExportTableToPointInTimeInput { client_token: Some("token".to_owned()), ..export_of(&bench) };
    bench.dynamo.export_table_to_point_in_time(&bench.call(), asked.clone()).await.unwrap();
    let damage = |txn: Txn| async move {
        let page = txn.scan_snapshot(&super::keys::all_asked(), ScanOptions::rows(1)).await?;
        txn.put(&page.rows[0].0, b"{");
        txn.put(b"dynamodb/asked-end/", b"");
        Ok::<_, DynamoError>(())
    };
    bench.db.run(damage).await.unwrap();
    bench.dynamo.export_table_to_point_in_time(&bench.call(), asked).await.unwrap();
    assert_eq!(bench.rows(b"dynamodb/asked-end/").await, 1, "the damaged one is gone");
    bench.db.run(damage).await.unwrap();
    bench.hand.advance(Duration::from_secs(8 * 3_600));
    ask_anew(&bench).await;
    for prefix in ["dynamodb/asked/", "dynamodb/asked-end/"] {
        assert_eq!(bench.rows(prefix.as_bytes()).await, 1, "{prefix}");
    }
}

#[tokio::test]
async fn a_job_that_panics_is_given_up_like_one_that_fails() {
    let (bench, map) = bench().await;
    map.put_text("in/1.csv", "id\na\n");
    let import = bench.dynamo.import_table(&bench.call(), import_of("target", "CSV", "in/")).await.unwrap();
    let arn = import.import_table_description.import_arn.unwrap();
    map.fail(Some(ApiError::new("Panic", 500, "")));
    // It is at its last attempt.
    let id = only_job(&bench).await.id;
    let failed = |txn: Txn| async move {
        let row = txn.get(&crate::keys::job(id)).await?.unwrap();
        let mut row: Value = rows::decode("a job", &row)?;
        row["failures"] = json!(crate::jobs::FAILURES_MAX - 1);
        txn.put(&crate::keys::job(id), &rows::encode(&row));
        Ok::<_, DynamoError>(())
    };
    bench.db.run(failed).await.unwrap();
    let gone = async {
        while bench.rows(b"dynamodb/job/").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = bench.dynamo.run_jobs() => unreachable!("it never ends"),
        gone = tokio::time::timeout(Duration::from_secs(20), gone) => gone.expect("it is tried for ever"),
    }
    let done = imported(&bench, &arn).await;
    assert_eq!(done.import_status.unwrap().as_str(), "FAILED");
    assert_eq!(done.failure_message.as_deref(), Some(super::FAILED_WITHIN));
}
