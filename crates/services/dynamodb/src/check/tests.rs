//! What a check says of rows that do not fit.

use lambent_care::Findings;
use lambent_model_dynamodb as model;
use lambent_store::{ScanOptions, Txn};

use crate::DynamoError;
use crate::testing::{Bench, item};

async fn problems(bench: &Bench) -> Vec<String> {
    let mut findings = Findings::default();
    crate::check(&bench.db.export().await.unwrap(), &mut findings).await.unwrap();
    let mut found: Vec<_> = findings.problems.into_iter().map(|problem| problem.what).collect();
    found.sort();
    found
}

/// A table with a stream, a journal, and a backup that is being made.
async fn bench() -> Bench {
    let bench = Bench::new().await;
    let stream = model::StreamSpecification {
        stream_enabled: true,
        stream_view_type: Some("NEW_AND_OLD_IMAGES".into()),
    };
    bench.table("source", Some(stream)).await;
    let input = model::UpdateContinuousBackupsInput {
        table_name: "source".to_owned(),
        point_in_time_recovery_specification: model::PointInTimeRecoverySpecification {
            point_in_time_recovery_enabled: true,
            recovery_period_in_days: None,
        },
    };
    bench.dynamo.update_continuous_backups(&bench.call(), input).await.unwrap();
    // Records of several parts.
    bench.put("source", item("a", &"x".repeat(150_000))).await;
    bench.put("source", item("a", "")).await;
    let input = model::CreateBackupInput { table_name: "source".to_owned(), backup_name: "mine".to_owned() };
    bench.dynamo.create_backup(&bench.call(), input).await.unwrap();
    bench
}

/// Does something to each row below a prefix.
async fn tamper(bench: &Bench, prefix: &str, how: impl Fn(&Txn, &[u8], &[u8]) + Send + Sync) {
    let (range, how) = (&lambent_store::KeyRange::prefix(prefix.as_bytes()), &how);
    let change = |txn: Txn| async move {
        let page = txn.scan(range, ScanOptions::rows(1_000)).await?;
        assert!(!page.rows.is_empty(), "the test has rows to tamper with");
        page.rows.iter().for_each(|(key, row)| how(&txn, key, row));
        Ok::<_, DynamoError>(())
    };
    bench.db.run(change).await.unwrap();
}

#[tokio::test]
async fn what_fits_is_not_complained_of() {
    let bench = bench().await;
    assert_eq!(problems(&bench).await, Vec::<String>::new());
    bench.dynamo.step_jobs().await;
    assert_eq!(problems(&bench).await, Vec::<String>::new());
    bench.dynamo.finish_jobs().await;
    assert_eq!(problems(&bench).await, Vec::<String>::new());
    let input = model::DeleteTableInput { table_name: "source".to_owned() };
    bench.dynamo.delete_table(&bench.call(), input).await.unwrap();
    assert_eq!(problems(&bench).await, Vec::<String>::new());
    bench.dynamo.finish_jobs().await;
    assert_eq!(problems(&bench).await, Vec::<String>::new());
}

#[tokio::test]
async fn changes_that_cannot_be_read_are_found() {
    for (prefix, kind) in
        [("dynamodb/stream/", "a stream's record"), ("dynamodb/journal/", "a journal's record")]
    {
        // A part is missing: what is left of its record is no record.
        let bench = bench().await;
        tamper(&bench, prefix, |txn, key, _| {
            if key.last() == Some(&1) {
                txn.delete(key);
            }
        })
        .await;
        let found = problems(&bench).await;
        assert!(!found.is_empty() && found.iter().all(|one| one.starts_with(kind)), "{found:?}");
        // Of another version.
        let bench = self::bench().await;
        tamper(&bench, prefix, |txn, key, row| {
            if key.last() == Some(&0) {
                txn.put(key, &[&row[..1], &[99], &row[2..]].concat());
            }
        })
        .await;
        let found = problems(&bench).await;
        assert!(
            found.iter().any(|one| one.contains("of a version that this program does not know")),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn changes_of_no_table_are_found() {
    let bench = bench().await;
    for (prefix, what) in [
        ("dynamodb/streams/", "a record is in no stream"),
        ("dynamodb/journals/", "the journal of table source would never be swept"),
    ] {
        tamper(&bench, prefix, |txn, key, _| txn.delete(key)).await;
        let found = problems(&bench).await;
        assert!(found.iter().any(|one| one == what), "{found:?}");
    }
}

#[tokio::test]
async fn what_no_job_works_on_is_found() {
    let bench = bench().await;
    tamper(&bench, "dynamodb/job/", |txn, key, _| txn.delete(key)).await;
    let found = problems(&bench).await;
    assert_eq!(
        found,
        [
            "a mark is of no copy of a table",
            "backup mine of table source is being made, but no job does it",
            "table source is kept for a copy that no job makes",
        ]
    );
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_found() {
    for prefix in ["dynamodb/backup/", "dynamodb/copy/", "dynamodb/streams/", "dynamodb/journals/"] {
        let bench = bench().await;
        bench.dynamo.finish_jobs().await;
        tamper(&bench, prefix, |txn, key, _| txn.put(key, b"\xff")).await;
        let found = problems(&bench).await;
        assert!(found.iter().any(|one| one.contains(prefix) && one.contains("cannot be read")), "{found:?}");
    }
}
