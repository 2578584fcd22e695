//! Copies of tables, made while items change.

use std::time::Duration;

use lambent_model_dynamodb as model;
use lambent_store::Txn;
use lambent_wire::Timestamp;

use super::keys;
use crate::DynamoError;
use crate::testing::{Bench, item};

impl Bench {
    async fn recovery(&self, table: &str, on: bool) -> model::PointInTimeRecoveryDescription {
        let input = model::UpdateContinuousBackupsInput {
            table_name: table.to_owned(),
            point_in_time_recovery_specification: model::PointInTimeRecoverySpecification {
                point_in_time_recovery_enabled: on,
                recovery_period_in_days: None,
            },
        };
        let output = self.dynamo.update_continuous_backups(&self.call(), input).await.unwrap();
        let description = output.continuous_backups_description.unwrap();
        description.point_in_time_recovery_description.unwrap()
    }

    async fn restore_to(&self, table: &str, target: &str, at_ms: Option<i64>) -> Result<(), String> {
        let input = model::RestoreTableToPointInTimeInput {
            source_table_name: Some(table.to_owned()),
            target_table_name: target.to_owned(),
            restore_date_time: at_ms.map(Timestamp::from_ms),
            use_latest_restorable_time: at_ms.is_none().then_some(true),
            ..Default::default()
        };
        let output = self.dynamo.restore_table_to_point_in_time(&self.call(), input).await;
        output.map(drop).map_err(|error| error.to_string())
    }

    async fn backup(&self, table: &str) -> model::BackupDetails {
        let input = model::CreateBackupInput { table_name: table.to_owned(), backup_name: "mine".to_owned() };
        self.dynamo.create_backup(&self.call(), input).await.unwrap().backup_details.unwrap()
    }

    async fn restore_backup(&self, arn: &str, target: &str) -> Result<(), String> {
        let input = model::RestoreTableFromBackupInput {
            backup_arn: arn.to_owned(),
            target_table_name: target.to_owned(),
            ..Default::default()
        };
        let output = self.dynamo.restore_table_from_backup(&self.call(), input).await;
        output.map(drop).map_err(|error| error.to_string())
    }

    async fn drop_backup(&self, arn: &str) -> Result<(), String> {
        let input = model::DeleteBackupInput { backup_arn: arn.to_owned() };
        let output = self.dynamo.delete_backup(&self.call(), input).await;
        output.map(drop).map_err(|error| error.to_string())
    }

    async fn drop_table(&self, table: &str) -> Result<(), String> {
        let input = model::DeleteTableInput { table_name: table.to_owned() };
        let output = self.dynamo.delete_table(&self.call(), input).await;
        output.map(drop).map_err(|error| error.to_string())
    }

    async fn no_rows(&self, prefixes: &[&str]) {
        for prefix in prefixes {
            assert_eq!(self.rows(prefix.as_bytes()).await, 0, "{prefix}");
        }
    }
}

/// Larger than a row of the store.
fn long(letter: &str) -> String {
    letter.repeat(100_000)
}

#[tokio::test]
async fn a_backup_shows_the_moment_when_it_was_asked_for() {
    let bench = Bench::new().await;
    bench.table("source", None).await;
    for (id, text) in [("gone", "a"), ("kept", "b"), ("changed", &long("c")), ("shrunk", &long("d"))] {
        bench.put("source", item(id, text)).await;
    }
    let before = bench.items("source").await;
    let arn = bench.backup("source").await.backup_arn;
    assert!(bench.restore_backup(&arn, "target").await.unwrap_err().starts_with("BackupInUseException"));
    assert!(bench.drop_backup(&arn).await.unwrap_err().starts_with("BackupInUseException"));
    assert!(bench.drop_table("source").await.unwrap_err().starts_with("ResourceInUseException"));
    // The job has not begun: all of this is undone, the first change of each item last.
    for text in ["x", &long("y"), "z"] {
        bench.put("source", item("changed", text)).await;
        bench.put("source", item("new", text)).await;
    }
    bench.put("source", item("shrunk", "e")).await;
    bench.delete("source", "gone").await;
    bench.put("source", item("gone", "again")).await;
    bench.delete("source", "gone").await;
    bench.dynamo.finish_jobs().await;
    assert_eq!(bench.rows(b"dynamodb/copy/").await, 4);
    bench.put("source", item("later", "not kept")).await;
    bench.drop_table("source").await.unwrap();
    bench.restore_backup(&arn, "target").await.unwrap();
    bench.dynamo.finish_jobs().await;
    assert_eq!(bench.items("target").await, before);
    bench.drop_backup(&arn).await.unwrap();
    bench.drop_table("target").await.unwrap();
    bench.dynamo.finish_jobs().await;
    assert!(!bench.dynamo.sweep_journals(&bench.work).await.unwrap());
    bench.no_rows(&["dynamodb/copy/", "dynamodb/fence/", "dynamodb/backup/", "dynamodb/journal"]).await;
    bench.no_rows(&["dynamodb/item/", "dynamodb/count/", "dynamodb/bytes/", "\u{0}"]).await;
}

#[tokio::test]
async fn a_table_is_restored_to_any_moment() {
    let bench = Bench::new().await;
    bench.table("source", None).await;
    let refused = bench.restore_to("source", "target", None).await.unwrap_err();
    assert_eq!(
        refused,
        "PointInTimeRecoveryUnavailableException: Point in time recovery is not enabled for table 'source'"
    );
    bench.put("source", item("a", "0")).await;
    bench.recovery("source", true).await;
    let mut moments = vec![(bench.now_ms(), bench.items("source").await)];
    for step in 1..6 {
        bench.hand.advance(Duration::from_secs(60));
        bench.put("source", item("a", &step.to_string())).await;
        bench.put("source", item(&format!("b{step}"), &long("b"))).await;
        if step == 3 {
            bench.delete("source", "b1").await;
        }
        moments.push((bench.now_ms(), bench.items("source").await));
    }
    bench.hand.advance(Duration::from_secs(60));
    for (at_ms, items) in moments {
        let target = format!("to-{at_ms}");
        bench.restore_to("source", &target, Some(at_ms)).await.unwrap();
        bench.dynamo.finish_jobs().await;
        assert!(bench.items(&target).await == items, "{at_ms}");
    }
    for at_ms in [bench.now_ms() + 1, bench.now_ms() - 86_400_000] {
        let refused = bench.restore_to("source", "target", Some(at_ms)).await.unwrap_err();
        assert!(refused.starts_with("InvalidRestoreTimeException"), "{refused}");
    }
    bench.restore_to("source", "latest", None).await.unwrap();
    bench.put("source", item("after", "")).await;
    bench.dynamo.finish_jobs().await;
    assert_eq!(bench.items("latest").await.len(), 5);
    bench.no_rows(&["dynamodb/copy/", "dynamodb/fence/"]).await;
}

#[tokio::test]
async fn journals_are_kept_as_long_as_they_are_asked_for() {
    let bench = Bench::new().await;
    bench.table("source", None).await;
    let description = bench.recovery("source", true).await;
    assert_eq!(description.recovery_period_in_days, Some(35));
    assert_eq!(description.earliest_restorable_date_time, Some(Timestamp::from_ms(bench.now_ms())));
    for text in ["1", "2"] {
        bench.put("source", item("a", text)).await;
        bench.hand.advance(Duration::from_secs(20 * 86_400));
        assert!(bench.dynamo.sweep_journals(&bench.work).await.unwrap());
    }
    assert_eq!(bench.rows(b"dynamodb/journal/").await, 1, "the first is older than 35 days");
    bench.recovery("source", false).await;
    assert!(!bench.dynamo.sweep_journals(&bench.work).await.unwrap());
    bench.put("source", item("a", "3")).await;
    bench.no_rows(&["dynamodb/journal"]).await;
}

#[tokio::test]
async fn a_deleted_table_can_be_restored_for_35_days() {
    let bench = Bench::new().await;
    bench.table("plain", None).await;
    bench.drop_table("plain").await.unwrap();
    bench.table("source", None).await;
    bench.recovery("source", true).await;
    bench.put("source", item("a", &long("a"))).await;
    bench.put("source", item("b", "")).await;
    let before = bench.items("source").await;
    bench.drop_table("source").await.unwrap();
    bench.dynamo.finish_jobs().await;
    let list = async |kind: Option<&str>| {
        let input = model::ListBackupsInput { backup_type: kind.map(Into::into), ..Default::default() };
        bench.dynamo.list_backups(&bench.call(), input).await.unwrap().backup_summaries.unwrap()
    };
    assert!(list(None).await.is_empty() && list(Some("USER")).await.is_empty());
    assert_eq!(list(Some("ALL")).await.len(), 1);
    let listed = list(Some("SYSTEM")).await.remove(0);
    assert_eq!(listed.backup_name.as_deref(), Some("source$DeletedTableBackup"));
    let expires_ms = bench.now_ms() + 35 * 86_400_000;
    assert_eq!(listed.backup_expiry_date_time, Some(Timestamp::from_ms(expires_ms)));
    let arn = listed.backup_arn.unwrap();
    // A new table of the same name has nothing to do with it.
    bench.table("source", None).await;
    bench.restore_backup(&arn, "target").await.unwrap();
    bench.dynamo.finish_jobs().await;
    assert!(bench.items("target").await == before);
    bench.hand.advance(Duration::from_millis(35 * 86_400_000 - 1));
    assert!(bench.dynamo.sweep_journals(&bench.work).await.unwrap());
    assert_eq!(list(Some("SYSTEM")).await.len(), 1);
    bench.hand.advance(Duration::from_millis(1));
    // It stays as long as it is in use.
    bench.restore_backup(&arn, "late").await.unwrap();
    assert!(bench.dynamo.sweep_journals(&bench.work).await.unwrap());
    bench.dynamo.finish_jobs().await;
    assert!(bench.items("late").await == before);
    assert!(!bench.dynamo.sweep_journals(&bench.work).await.unwrap());
    assert!(list(Some("SYSTEM")).await.is_empty());
    for table in ["source", "target", "late"] {
        bench.drop_table(table).await.unwrap();
    }
    bench.dynamo.finish_jobs().await;
    bench.no_rows(&["dynamodb/", "\u{0}"]).await;
}

#[tokio::test]
async fn a_system_backup_can_be_deleted() {
    let bench = Bench::new().await;
    bench.table("source", None).await;
    bench.recovery("source", true).await;
    bench.put("source", item("a", &long("a"))).await;
    bench.drop_table("source").await.unwrap();
    let input = model::ListBackupsInput { backup_type: Some("SYSTEM".into()), ..Default::default() };
    let listed = bench.dynamo.list_backups(&bench.call(), input).await.unwrap().backup_summaries.unwrap();
    bench.drop_backup(listed[0].backup_arn.as_ref().unwrap()).await.unwrap();
    bench.dynamo.finish_jobs().await;
    bench.hand.advance(Duration::from_secs(36 * 86_400));
    assert!(!bench.dynamo.sweep_journals(&bench.work).await.unwrap());
    bench.no_rows(&["dynamodb/"]).await;
}

#[tokio::test]
async fn what_cannot_be_removed_holds_up_no_other_backup_or_journal() {
    let bench = Bench::new().await;
    for table in ["damaged", "restored", "free"] {
        bench.table(table, None).await;
        bench.recovery(table, true).await;
        bench.put(table, item("a", &long("a"))).await;
        bench.drop_table(table).await.unwrap();
        bench.hand.advance(Duration::from_secs(1));
    }
    let input = model::ListBackupsInput { backup_type: Some("SYSTEM".into()), ..Default::default() };
    let listed = bench.dynamo.list_backups(&bench.call(), input).await.unwrap().backup_summaries.unwrap();
    let arn_of = |table: &str| {
        let found = listed.iter().find(|backup| backup.table_name.as_deref() == Some(table));
        found.unwrap().backup_arn.clone().unwrap()
    };
    bench.restore_backup(&arn_of("restored"), "target").await.unwrap();
    let (place, damaged) = (bench.call().place().clone(), arn_of("damaged"));
    let damage = |txn: Txn| {
        let key = keys::backup(&place, damaged.rsplit('/').next().unwrap());
        async move {
            assert!(txn.get(&key).await?.is_some());
            txn.put(&key, b"{");
            txn.put(b"dynamodb/backup-end/", b"");
            txn.put(b"dynamodb/journals/", b"");
            Ok::<_, DynamoError>(())
        }
    };
    bench.db.run(damage).await.unwrap();
    bench.hand.advance(Duration::from_secs(36 * 86_400));
    assert!(bench.dynamo.sweep_journals(&bench.work).await.unwrap());
    assert_eq!(bench.rows(b"dynamodb/backup/").await, 2, "the damaged one, and the one in use");
    assert_eq!(bench.rows(b"dynamodb/backup-end/").await, 3, "theirs, and the damaged one");
    assert_eq!(bench.rows(b"dynamodb/journals/").await, 1, "the damaged one");
}
