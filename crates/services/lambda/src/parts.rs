//! What Lambda is given by whoever puts the platform together.

use std::path::PathBuf;
use std::sync::Arc;

use lambent_api::{Body, Guarded};
use lambent_base::{BoxFuture, Clock, Place, Random};
use lambent_blobs::BlobStore;
use lambent_bus::Outbox;
use lambent_bus::ports::Targets;
use lambent_identity::{Authorized, Identity};
use lambent_images::Images;
use lambent_mappings::source::Sources;
use lambent_pool::{Answer, FunctionSpec, Invocation, InvokeError, InvokeRequest, Needs, Pool, Provisioned};
use lambent_runtimes::Catalogue;
use lambent_store::Db;

/// The other parts that Lambda works with.
pub struct LambdaParts {
    pub rows: Guarded<Db>,
    pub blobs: Guarded<BlobStore>,
    /// Takes asynchronous invocations.
    pub outbox: Outbox,
    pub clock: Clock,
    pub random: Random,
    pub identity: Arc<Identity>,
    pub runtimes: Arc<Catalogue>,
    /// Usually the [`Pool`].
    pub runner: Arc<dyn Runner>,
    /// What the account may run at once, usually [`crate::limits::ACCOUNT_CONCURRENCY`].
    pub account_concurrency: u32,
    /// Where functions may hand records and dead letters on to.
    pub targets: Arc<Targets>,
    /// What functions can be mapped to, beside what they are invoked for.
    pub sources: Arc<Sources>,
    /// Where `S3Bucket` and `S3Key` of a function's code are read.
    pub objects: Arc<dyn FetchObject>,
    /// Where container images come from.
    pub images: Images,
    /// The suffix of function URLs' hosts, as `localhost`.
    pub domain: String,
    /// The platform's data directory: packages are unpacked to `code/` in it.
    pub data_dir: PathBuf,
    /// Bytes that code leaves free on the disk, usually [`crate::limits::DISK_RESERVE_BYTES`].
    pub disk_reserve_bytes: u64,
}

/// Runs functions.
pub trait Runner: Send + Sync {
    /// Runs one call to its end.
    fn run(&self, request: InvokeRequest) -> BoxFuture<'_, Result<Invocation, InvokeError>>;

    /// Runs one call, and gives its result while it comes where whoever runs it can do that.
    fn run_streaming(&self, request: InvokeRequest) -> BoxFuture<'_, Result<Answer, InvokeError>> {
        Box::pin(async move { Ok(Answer::Whole(Box::new(self.run(request).await?))) })
    }

    /// A function with these needs was made or changed, and will be called. Returns at once.
    fn expect(&self, function: Needs);

    /// Makes ready what the calls of a function need and what takes long to make, before it is active. An error is a
    /// sentence for who deployed it. `Ok` where there is nothing to do.
    fn prepare<'a>(&'a self, _function: &'a FunctionSpec) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Compiles a Node.js function's code, and writes what its cold starts may begin with; gives the number of bytes.
    fn compile<'a>(
        &'a self,
        function: &'a FunctionSpec,
        into: std::fs::File,
    ) -> BoxFuture<'a, Result<u64, InvokeError>>;

    /// What all functions of a place without reserved concurrency may run at once from now on, provisioned environments
    /// apart.
    fn limit_unreserved(&self, place: &Place, limit: usize);

    /// From now on these versions of a function have so many environments that wait before anybody calls, and no others of
    /// it. Returns at once.
    fn provision(&self, place: &Place, name: &str, wanted: Vec<(Arc<FunctionSpec>, usize)>);

    /// What there is of that for a version.
    fn provisioned(&self, place: &Place, name: &str, version: &str) -> Option<Provisioned>;

    /// Lets go of a function's environments: it was deleted.
    fn retire<'a>(&'a self, place: &'a Place, name: &'a str) -> BoxFuture<'a, ()>;

    /// The same for one version of it.
    fn retire_version<'a>(&'a self, place: &'a Place, name: &'a str, version: &'a str) -> BoxFuture<'a, ()>;
}

impl Runner for Pool {
    fn run(&self, request: InvokeRequest) -> BoxFuture<'_, Result<Invocation, InvokeError>> {
        Box::pin(self.invoke(request))
    }

    fn run_streaming(&self, request: InvokeRequest) -> BoxFuture<'_, Result<Answer, InvokeError>> {
        Box::pin(self.invoke_streaming(request))
    }

    fn expect(&self, function: Needs) {
        Pool::expect(self, function);
    }

    fn compile<'a>(
        &'a self,
        function: &'a FunctionSpec,
        into: std::fs::File,
    ) -> BoxFuture<'a, Result<u64, InvokeError>> {
        Box::pin(Pool::compile(self, function, into))
    }

    fn limit_unreserved(&self, place: &Place, limit: usize) {
        Pool::limit_unreserved(self, &place.account, &place.region, limit);
    }

    fn provision(&self, place: &Place, name: &str, wanted: Vec<(Arc<FunctionSpec>, usize)>) {
        Pool::provision(self, &place.account, &place.region, name, wanted);
    }

    fn provisioned(&self, place: &Place, name: &str, version: &str) -> Option<Provisioned> {
        Pool::provisioned(self, &place.account, &place.region, name, version)
    }

    fn retire<'a>(&'a self, place: &'a Place, name: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(Pool::retire(self, &place.account, &place.region, name))
    }

    fn retire_version<'a>(&'a self, place: &'a Place, name: &'a str, version: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(Pool::retire_version(self, &place.account, &place.region, name, version))
    }
}

/// Reads whole objects of S3.
pub trait FetchObject: Send + Sync {
    /// The object's bytes, for who may read it.
    fn fetch<'a>(
        &'a self,
        proof: &'a Authorized,
        object: &'a ObjectName,
    ) -> BoxFuture<'a, Result<Body, FetchError>>;
}

/// An object of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    pub bucket: String,
    pub key: String,
    pub version: Option<String>,
}

/// Why an object could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// S3's own answer, as `NoSuchKey` and `The specified key does not exist.`
    #[error("{code}: {message}")]
    Refused { code: String, message: String },
    #[error("{0}")]
    Failed(String),
}
