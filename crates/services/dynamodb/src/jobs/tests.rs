//! Jobs that fail, beside others.

use std::time::Duration;

use bytes::Bytes;
use lambent_store::StoreError;

use super::fewer;
use crate::DynamoError;
use crate::keys;
use crate::testing::{Bench, item};

/// How long a test waits for what it expects, at most.
const PATIENCE: Duration = Duration::from_secs(20);

impl Bench {
    /// Works on jobs, as a node does, until there are no rows below a prefix.
    async fn run_until_gone(&self, prefix: &[u8]) {
        let gone = async {
            while self.rows(prefix).await > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = self.dynamo.run_jobs() => unreachable!("it never ends"),
            gone = tokio::time::timeout(PATIENCE, gone) => gone.expect("other jobs hold it up"),
        }
    }

    async fn put_row(&self, key: &[u8], value: &[u8]) {
        let put = |txn: lambent_store::Txn| async move {
            txn.put(key, value);
            Ok::<_, DynamoError>(())
        };
        self.db.run(put).await.unwrap();
    }

    /// Deletes a table; gives the beginning of the keys of its items.
    async fn clear_a_table(&self) -> Bytes {
        self.table("cleared", None).await;
        for number in 0..20 {
            self.put("cleared", item(&number.to_string(), "")).await;
        }
        let items = self.items_of("cleared").await;
        let input = lambent_model_dynamodb::DeleteTableInput { table_name: "cleared".to_owned() };
        self.dynamo.delete_table(&self.call(), input).await.unwrap();
        items
    }

    async fn items_of(&self, table: &str) -> Bytes {
        let (dynamo, place) = (&self.dynamo, self.call().place().clone());
        let place = &place;
        let read = |txn: lambent_store::Txn| async move { dynamo.table(&txn, place, table).await };
        keys::items(self.db.read(read).await.unwrap().id).start
    }
}

#[test]
fn what_was_too_much_is_halved() {
    let too_large = || DynamoError::Store(StoreError::TransactionTooLarge { bytes: 2, at_most: 1 });
    assert_eq!(fewer(500, too_large()).unwrap(), 250);
    assert!(matches!(fewer(1, too_large()), Err(DynamoError::Store(_))));
    assert!(matches!(fewer(500, DynamoError::Abandoned), Err(DynamoError::Abandoned)));
}

#[tokio::test]
async fn jobs_that_cannot_go_on_hold_up_no_others() {
    let bench = Bench::new().await;
    bench.table("source", None).await;
    bench.put("source", item("a", "b")).await;
    // Each meets an item that cannot be read.
    let damaged = bench.items_of("source").await;
    bench.put_row(&[&damaged[..], b"\0\0\x01"].concat(), b"\x07damaged").await;
    for number in 0..40 {
        let input = lambent_model_dynamodb::CreateBackupInput {
            table_name: "source".to_owned(),
            backup_name: format!("backup-{number}"),
        };
        bench.dynamo.create_backup(&bench.call(), input).await.unwrap();
    }
    let items = bench.clear_a_table().await;
    bench.run_until_gone(&items).await;
}

#[tokio::test]
async fn a_job_that_cannot_be_read_holds_up_no_others() {
    let bench = Bench::new().await;
    bench.put_row(&keys::job(0), b"{").await;
    let items = bench.clear_a_table().await;
    bench.run_until_gone(&items).await;
    assert_eq!(bench.rows(b"dynamodb/job/").await, 1);
}
