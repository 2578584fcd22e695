//! What goes on when the disk is too full to write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lambent_api::BoxFuture;
use lambent_model_s3::{CopyObjectRequest, DeleteObjectRequest};
use lambent_store::engine::{Commit, Engine, Op, Snapshot, TxnId, Wakes};
use lambent_store::{Db, MemoryEngine, StoreError, Version};

use super::{BUCKET, Fixture, pattern, put_request};

/// A store that can be below its reserve, as the one on disk can.
struct OnDisk {
    memory: MemoryEngine,
    full: Arc<AtomicBool>,
}

impl Engine for OnDisk {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, StoreError>> {
        self.memory.snapshot()
    }

    fn export(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, StoreError>> {
        self.memory.export()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version, StoreError>> {
        let writes = commit.ops.iter().any(|op| !matches!(op, Op::Delete(_) | Op::DeleteRange(_)));
        if writes && !commit.frees_space && self.full.load(Ordering::SeqCst) {
            let failure = StoreError::DiskFull { directory: "/".into(), free_bytes: 0, reserve_bytes: 1 };
            return Box::pin(std::future::ready(Err(failure)));
        }
        self.memory.commit(commit)
    }

    fn outcome(&self, id: TxnId) -> BoxFuture<'_, Result<Option<Version>, StoreError>> {
        self.memory.outcome(id)
    }

    fn wakes(&self) -> &Wakes {
        self.memory.wakes()
    }

    fn health(&self) -> Result<(), StoreError> {
        self.memory.health()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.memory.close()
    }
}

#[tokio::test]
async fn a_full_disk_is_relieved_by_deletes() {
    let full = Arc::new(AtomicBool::new(false));
    let engine = Arc::new(OnDisk { memory: MemoryEngine::new(), full: full.clone() });
    let fixture = Fixture::on(|clock, random| Db::new(engine, clock, random));
    fixture.create_bucket(BUCKET).await.unwrap();
    fixture.put("a", &pattern(100_000)).await;
    // Shares the data of the first: what is left of the two references is written when one goes.
    let copy = CopyObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "b".to_owned(),
        copy_source: format!("{BUCKET}/a"),
        ..CopyObjectRequest::default()
    };
    fixture.s3.copy_object(&fixture.call().await, copy).await.unwrap();
    full.store(true, Ordering::SeqCst);
    assert_eq!(fixture.put_as(put_request("c"), b"1").await.unwrap_err().status, 503);
    for (key, files) in [("a", 1), ("b", 0)] {
        let doomed = DeleteObjectRequest {
            bucket: BUCKET.to_owned(),
            key: key.to_owned(),
            ..DeleteObjectRequest::default()
        };
        fixture.s3.delete_object(&fixture.call().await, doomed).await.unwrap();
        fixture.sweep().await;
        assert_eq!(fixture.blob_files(), files);
    }
}
