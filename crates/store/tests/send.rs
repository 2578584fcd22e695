//! Handlers borrow their service and their input, are boxed, and move between threads.

use lambent_base::{BoxFuture, Clock, Random};
use lambent_store::{Db, Key, StoreError};

#[derive(Debug, thiserror::Error)]
enum ServiceError {
    #[error("no such bucket: {0}")]
    NoSuchBucket(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Service {
    db: Db,
    region: String,
}

impl Service {
    fn locate<'a>(&'a self, bucket: &'a str) -> BoxFuture<'a, Result<String, ServiceError>> {
        Box::pin(async move {
            self.db
                .run(|txn| async move {
                    let key = Key::new(b"s3/bucket/").str(bucket);
                    if txn.get(&key).await?.is_none() {
                        return Err(ServiceError::NoSuchBucket(bucket.to_owned()));
                    }
                    txn.put(&key, self.region.as_bytes());
                    Ok(self.region.clone())
                })
                .await
        })
    }
}

#[tokio::test]
async fn boxed_handlers_borrow_and_send() {
    let db = Db::memory(Clock::system(), Random::seeded(1));
    let service = Service { db: db.clone(), region: "us-east-1".to_owned() };
    let missing = service.locate("photos").await;
    assert!(matches!(missing, Err(ServiceError::NoSuchBucket(name)) if name == "photos"));

    db.run(|txn| async move {
        txn.put(&Key::new(b"s3/bucket/").str("photos"), b"");
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
    let task = tokio::spawn(async move { service.locate("photos").await });
    assert_eq!(task.await.unwrap().unwrap(), "us-east-1");
}
