//! The service with its real parts, called without HTTP: a store in memory, blobs in a temporary directory.

mod access;
mod actions;
mod bounds;
mod buckets;
mod copies;
mod deletes;
mod full_disk;
mod listings;
mod multipart;
mod notifications;
mod policies;
mod reading;
mod reads;
mod sweeps;
mod target;
mod writes;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use lambent_api::{
    ApiError, Asked, Body, BoxFuture, ByteStream, Call, CallContext, Client, Decisions, Guarded,
    PlatformWork, Trailers,
};
use lambent_base::{Arn, Clock, ManualClock, Place, Random};
use lambent_blobs::{BlobOptions, BlobStore};
use lambent_bus::Outbox;
use lambent_bus::ports::{Caller, MayInvoke, PortError};
use lambent_identity::{CallerKind, Identity, MasterKey, Role, RootKey, Wanted};
use lambent_model_s3::{
    CreateBucketRequest, DeleteObjectsRequest, GetObjectOutput, GetObjectRequest, PutObjectOutput,
    PutObjectRequest,
};
use lambent_store::Db;
use parking_lot::Mutex;

use crate::errors::S3Error;
use crate::limits;
use crate::objects::wanted_deletions;
use crate::policies::BucketPolicies;
use crate::readers::OpenReaders;
use crate::service::{S3, S3Parts};
use crate::sweeper::Sweeper;

const ACCOUNT: &str = "000000000000";
const START_MS: i64 = 1_790_000_000_000;
pub(super) const BUCKET: &str = "photos";

/// A cloud with nothing but S3.
pub(super) struct Fixture {
    pub s3: S3,
    pub db: Db,
    pub hand: ManualClock,
    pub clock: Clock,
    pub sweeper: Sweeper,
    pub blobs: BlobStore,
    pub outbox: Outbox,
    pub functions: Arc<Functions>,
    pub directory: tempfile::TempDir,
    pub parts: S3Parts,
    identity: Arc<Identity>,
}

/// Functions that may be invoked, and by whom it was asked.
#[derive(Default)]
pub(super) struct Functions {
    pub allowed: Mutex<Vec<String>>,
    pub asked: Mutex<Vec<Caller>>,
}

impl MayInvoke for Functions {
    fn may_invoke<'a>(
        &'a self,
        function: &'a Arn,
        caller: &'a Caller,
    ) -> BoxFuture<'a, Result<bool, PortError>> {
        self.asked.lock().push(caller.clone());
        let allowed = self.allowed.lock().contains(&function.to_string());
        Box::pin(async move { Ok(allowed) })
    }
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::on(Db::memory)
    }

    /// On a store of the test's own.
    pub(super) fn on(store: impl FnOnce(Clock, Random) -> Db) -> Self {
        let (clock, hand) = Clock::manual(START_MS);
        let random = Random::seeded(1);
        let db = store(clock.clone(), random.clone());
        let directory = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(
            directory.path(),
            BlobOptions { reserve_bytes: 0 },
            clock.clone(),
            random.clone(),
        )
        .unwrap();
        let outbox = Outbox::new(db.clone(), clock.clone(), random.clone());
        let functions = Arc::new(Functions::default());
        let root = RootKey {
            account: ACCOUNT.to_owned(),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: "secret".to_owned(),
        };
        let identity =
            Arc::new(Identity::new(db.clone(), clock.clone(), random.clone(), root, MasterKey::new([7; 32])));
        let work = PlatformWork::for_the("tests");
        let policies = BucketPolicies::new(Guarded::new(db.clone()), work.clone());
        identity.guard("s3", Arc::new(policies));
        let parts = S3Parts {
            rows: Guarded::new(db.clone()),
            blobs: Guarded::new(blobs.clone()),
            outbox: outbox.clone(),
            readers: OpenReaders::alone(clock.clone()),
            identity: identity.clone(),
            functions: functions.clone(),
            clock: clock.clone(),
            random,
        };
        let sweeper = Sweeper::new(parts.clone(), work);
        Self {
            s3: S3::new(parts.clone()),
            parts,
            db,
            hand,
            clock,
            sweeper,
            blobs,
            outbox,
            functions,
            directory,
            identity,
        }
    }

    /// With a bucket.
    pub(super) async fn with_bucket() -> Self {
        let fixture = Self::new();
        fixture.create_bucket(BUCKET).await.unwrap();
        fixture
    }

    pub(super) async fn call(&self) -> Call {
        self.call_in("us-east-1").await
    }

    pub(super) async fn call_in(&self, region: &str) -> Call {
        let caller = self.identity.root_caller();
        let all = Wanted::new("s3:*", "*");
        Call::decide(self.context(region), self.identity.clone(), &caller, all).await.unwrap()
    }

    /// The root's call of DeleteObjects.
    pub(super) async fn call_to_delete(
        &self,
        input: &DeleteObjectsRequest,
    ) -> Result<(Asked, Decisions), ApiError> {
        self.call_to_delete_by(&self.identity.root_caller(), input).await
    }

    /// Anybody's call of DeleteObjects: as the gateway makes it, each object is decided on.
    pub(super) async fn call_to_delete_by(
        &self,
        caller: &lambent_identity::Caller,
        input: &DeleteObjectsRequest,
    ) -> Result<(Asked, Decisions), ApiError> {
        let wanted = wanted_deletions(input, &self.context("us-east-1").place)?;
        self.call_for_each(caller, wanted).await
    }

    /// Anybody's call that is decided on piece by piece.
    pub(super) async fn call_for_each(
        &self,
        caller: &lambent_identity::Caller,
        wanted: Vec<Wanted>,
    ) -> Result<(Asked, Decisions), ApiError> {
        let context = self.context("us-east-1");
        Call::decide_each(context, self.identity.clone(), caller, wanted).await
    }

    /// The call of a role that may do what `statements` say; `action` on `resource` is decided on first.
    pub(super) async fn call_of_role(
        &self,
        statements: serde_json::Value,
        action: &'static str,
        resource: &str,
    ) -> Result<Call, ApiError> {
        let caller = self.role(statements).await;
        let context = self.context("us-east-1");
        let wanted = Wanted::new(action, resource);
        Call::decide(context, self.identity.clone(), &caller, wanted).await
    }

    /// A call of anybody's.
    pub(super) async fn call_of(
        &self,
        caller: &lambent_identity::Caller,
        action: &'static str,
        resource: &str,
    ) -> Result<Call, ApiError> {
        let wanted = Wanted::new(action, resource);
        Call::decide(self.context("us-east-1"), self.identity.clone(), caller, wanted).await
    }

    /// A role that may do what `statements` say.
    pub(super) async fn role(&self, statements: serde_json::Value) -> lambent_identity::Caller {
        let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let role = Role {
            account: ACCOUNT.to_owned(),
            name: "worker".to_owned(),
            path: "/".to_owned(),
            id: String::new(),
            trust_policy: r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(),
            description: None,
            max_session_seconds: 3600,
            created_ms: 0,
            policies: std::collections::BTreeMap::new(),
            tags: Vec::new(),
            ..Role::default()
        };
        let leave = lambent_api::testing::root(&self.identity).await;
        let principals = self.identity.principals(&leave);
        principals.create_role(role).await.ok();
        principals.put_role_policy("worker", "only", &policy).await.unwrap();
        lambent_identity::Caller {
            account: ACCOUNT.to_owned(),
            arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/worker/test"),
            user_id: "AROAEXAMPLE:test".to_owned(),
            access_key_id: "ASIAEXAMPLE".to_owned(),
            kind: CallerKind::RoleSession {
                role_name: "worker".to_owned(),
                role_arn: "arn:aws:iam::000000000000:role/worker".to_owned(),
                session_policies: Arc::new([]),
                session_tags: Vec::new(),
                transitive_tag_keys: Vec::new(),
                source_identity: None,
                federated: None,
            },
            session: None,
        }
    }

    fn context(&self, region: &str) -> CallContext {
        CallContext {
            request_id: "0A49CE4060975EAC".to_owned(),
            place: Place { account: ACCOUNT.to_owned(), region: region.to_owned() },
            time_ms: self.clock.unix_ms(),
            source_ip: "127.0.0.1".to_owned(),
            endpoint: "http://127.0.0.1:4566".to_owned(),
            trace: None,
            client: Client::default(),
        }
    }

    pub(super) async fn create_bucket(&self, name: &str) -> Result<(), S3Error> {
        let input = CreateBucketRequest { bucket: name.to_owned(), ..CreateBucketRequest::default() };
        self.s3.create_bucket(&self.call().await, input).await.map(drop)
    }

    /// Puts an object; `bytes` come in pieces.
    pub(super) async fn put(&self, key: &str, bytes: &[u8]) -> PutObjectOutput {
        self.put_as(put_request(key), bytes).await.unwrap()
    }

    pub(super) async fn put_as(
        &self,
        input: PutObjectRequest,
        bytes: &[u8],
    ) -> Result<PutObjectOutput, ApiError> {
        self.put_body(input, pieces(bytes)).await
    }

    pub(super) async fn put_body(
        &self,
        input: PutObjectRequest,
        body: Body,
    ) -> Result<PutObjectOutput, ApiError> {
        Ok(self.s3.put_object(&self.call().await, input, body).await?)
    }

    pub(super) async fn get(&self, key: &str) -> Bytes {
        self.get_as(get_request(key)).await.unwrap().1
    }

    pub(super) async fn get_as(&self, input: GetObjectRequest) -> Result<(GetObjectOutput, Bytes), ApiError> {
        let (output, mut body) = self.s3.get_object(&self.call().await, input).await?;
        assert_eq!(body.length(), output.content_length.map(i64::unsigned_abs));
        let bytes = body.collect(usize::MAX, || unreachable!()).await?;
        Ok((output, bytes))
    }

    /// The path of the one blob that there is.
    pub(super) fn only_blob(&self) -> std::path::PathBuf {
        let directories = std::fs::read_dir(self.directory.path()).unwrap();
        let list = |directory: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_dir(directory.unwrap().path()).unwrap()
        };
        let mut files = directories.flat_map(list).map(|file| file.unwrap().path());
        let only = files.next().unwrap();
        assert!(files.next().is_none());
        only
    }

    /// How many files the blob store has.
    pub(super) fn blob_files(&self) -> usize {
        let directories = std::fs::read_dir(self.directory.path()).unwrap();
        directories.map(|directory| std::fs::read_dir(directory.unwrap().path()).unwrap().count()).sum()
    }

    /// Lets the grace of dead data pass, and sweeps.
    pub(super) async fn sweep(&self) {
        self.hand.advance(Duration::from_millis(limits::GC_GRACE_MS.unsigned_abs() + 1));
        assert_eq!(self.sweeper.sweep().await.unwrap(), None);
    }
}

pub(super) fn put_request(key: &str) -> PutObjectRequest {
    PutObjectRequest { bucket: BUCKET.to_owned(), key: key.to_owned(), ..PutObjectRequest::default() }
}

pub(super) fn get_request(key: &str) -> GetObjectRequest {
    GetObjectRequest { bucket: BUCKET.to_owned(), key: key.to_owned(), ..GetObjectRequest::default() }
}

/// Bytes that tell their place.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at / 65_536) as u8).collect()
}

/// A body that streams in pieces of 10,000 bytes.
pub(super) fn pieces(bytes: &[u8]) -> Body {
    streamed(bytes, Some(bytes.len() as u64), &[])
}

/// A streamed body with a length of its own saying, and trailing headers.
pub(super) fn streamed(bytes: &[u8], length: Option<u64>, trailers: &[(&str, &str)]) -> Body {
    let mut pieces: Vec<Bytes> = bytes.chunks(10_000).map(Bytes::copy_from_slice).collect();
    pieces.reverse();
    let shared = Trailers::default();
    let trailers = trailers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Body::stream(Scripted { pieces, trailers, shared: shared.clone() }, length).with_trailers(shared)
}

/// Gives its pieces, then its trailers.
struct Scripted {
    pieces: Vec<Bytes>,
    trailers: Vec<(String, String)>,
    shared: Trailers,
}

impl ByteStream for Scripted {
    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        let piece = self.pieces.pop();
        if piece.is_none() {
            let trailers = std::mem::take(&mut self.trailers);
            self.shared.lock().extend(trailers);
        }
        Poll::Ready(piece.map(Ok))
    }
}

/// The code of an error, and its members as text.
pub(super) fn code(error: &ApiError) -> &str {
    &error.code
}

pub(super) fn member<'a>(error: &'a ApiError, name: &str) -> Option<&'a str> {
    error.members.iter().find(|(member, _)| *member == name).map(|(_, value)| value.as_str())
}
