//! A small cloud: the service and what it stands on.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use lambent_api::{Body, CallContext, Guarded, Incoming, PlatformWork, Service};
use lambent_base::{BoxFuture, Clock, ManualClock, Place, Random};
use lambent_blobs::{BlobOptions, BlobStore};
use lambent_bus::Outbox;
use lambent_bus::ports::Targets;
use lambent_identity::{Authorized, Identity, MasterKey, Role, RootKey};
use lambent_model_lambda::ops;
use lambent_pool::{
    FunctionSpec, Invocation, InvocationRecord, InvokeError, InvokeRequest, Needs, Outcome, Provisioned,
};
use lambent_runtimes::{Catalogue, Family, Interpreter};
use lambent_store::Db;
use lambent_wire::{ApiError, Labels, ProtocolKind, Routed, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Engine, FetchError, FetchObject, Lambda, LambdaParts, ObjectName, Runner, service};

pub(crate) const ACCOUNT: &str = "000000000000";
pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/thumbnailer";
/// 2026-11-21T16:00:00Z.
const NOW_MS: i64 = 1_795_276_800_000;

pub(crate) struct Cloud {
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) engine: Engine,
    pub(crate) runner: Arc<FakeRunner>,
    pub(crate) objects: Arc<FakeObjects>,
    pub(crate) db: Db,
    pub(crate) hand: ManualClock,
    pub(crate) service: Service,
    router: Router,
    pub(crate) identity: Arc<Identity>,
    data: Arc<TempDir>,
    clock: Clock,
    pub(crate) random: Random,
}

/// What came back: status, headers, and the body as JSON where it is some.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) json: Value,
}

impl Cloud {
    pub(crate) async fn new() -> Self {
        let (clock, hand) = Clock::manual(NOW_MS);
        let random = Random::seeded(11);
        let db = Db::memory(clock.clone(), random.clone());
        let cloud = Self::on(db, Arc::new(TempDir::new().unwrap()), clock, hand, random, 0).await;
        cloud.make_role("thumbnailer", "lambda.amazonaws.com").await;
        cloud
    }

    /// The same store and disk under a new process.
    pub(crate) async fn restarted(&self) -> Self {
        let (db, data, hand) = (self.db.clone(), self.data.clone(), self.hand.clone());
        Self::on(db, data, self.clock.clone(), hand, self.random.clone(), 0).await
    }

    /// The same, with a disk that counts as full.
    pub(crate) async fn restarted_on_a_full_disk(&self) -> Self {
        let (db, data, hand) = (self.db.clone(), self.data.clone(), self.hand.clone());
        Self::on(db, data, self.clock.clone(), hand, self.random.clone(), u64::MAX).await
    }

    async fn on(
        db: Db,
        data: Arc<TempDir>,
        clock: Clock,
        hand: ManualClock,
        random: Random,
        disk_reserve_bytes: u64,
    ) -> Self {
        let root = RootKey {
            account: ACCOUNT.to_owned(),
            access_key_id: "AKIAROOT".to_owned(),
            secret_access_key: "secret".to_owned(),
        };
        let master = MasterKey::new([7; 32]);
        let identity = Arc::new(Identity::new(db.clone(), clock.clone(), random.clone(), root, master));
        let runner = Arc::new(FakeRunner::default());
        let objects = Arc::new(FakeObjects::default());
        let options = BlobOptions { reserve_bytes: 0 };
        let blobs = data.path().join("blobs");
        let targets = Arc::new(Targets::default());
        let parts = LambdaParts {
            images: lambent_images::Images::new(lambent_images::ImagesConfig::default()).unwrap(),
            rows: Guarded::new(db.clone()),
            blobs: Guarded::new(BlobStore::open(&blobs, options, clock.clone(), random.clone()).unwrap()),
            outbox: Outbox::new(db.clone(), clock.clone(), random.clone()),
            clock: clock.clone(),
            random: random.clone(),
            identity: identity.clone(),
            runtimes: Arc::new(Catalogue::of(vec![python(11), node()])),
            runner: runner.clone(),
            account_concurrency: 1_000,
            targets: targets.clone(),
            sources: Arc::default(),
            objects: objects.clone(),
            data_dir: data.path().to_owned(),
            domain: "localhost".to_owned(),
            disk_reserve_bytes,
        };
        let (lambda, engine) = Lambda::new(parts, &PlatformWork::for_the("tests"));
        targets.add("lambda", engine.as_target());
        identity.guard("lambda", engine.as_guard());
        engine.remove_leftovers().await.unwrap();
        let service = service(&lambda, &engine);
        let router = Router::new(&ops::SERVICE);
        Self { lambda, engine, runner, objects, db, hand, service, router, identity, data, clock, random }
    }

    /// Throws away what is unused; whether environments still run some of it.
    pub(crate) async fn sweep(&self) -> bool {
        self.engine.sweep().await.unwrap();
        self.engine.tidy_folders().await.unwrap()
    }

    /// A role that trusts a service and may do nothing.
    pub(crate) async fn make_role(&self, name: &str, service: &str) {
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]});
        let role = Role {
            account: ACCOUNT.to_owned(),
            name: name.to_owned(),
            path: "/".to_owned(),
            id: String::new(),
            trust_policy: trust.to_string(),
            description: None,
            max_session_seconds: 3_600,
            created_ms: 0,
            policies: BTreeMap::new(),
            tags: Vec::new(),
            ..Role::default()
        };
        let leave = lambent_api::testing::root(&self.identity).await;
        self.identity.principals(&leave).create_role(role).await.unwrap();
    }

    /// Allows a role this from now on.
    pub(crate) async fn allow(&self, role: &str, action: &str, resource: &str) {
        self.put_role_policy(
            role,
            action,
            &json!({"Effect": "Allow", "Action": action, "Resource": resource}),
        )
        .await;
    }

    /// Allows a role what one statement says.
    pub(crate) async fn allow_by(&self, role: &str, statement: &Value) {
        self.put_role_policy(role, "statement", statement).await;
    }

    async fn put_role_policy(&self, role: &str, name: &str, statement: &Value) {
        let policy = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        let leave = lambent_api::testing::root(&self.identity).await;
        self.identity.principals(&leave).put_role_policy(role, name, &policy).await.unwrap();
    }

    /// Sends a request as the account's root; errors come as an answer with `code` and `message`.
    pub(crate) async fn send(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        match self.try_send(method, uri, headers, body).await {
            Ok(answer) => answer,
            Err(error) => Answer {
                status: error.status,
                headers: http::HeaderMap::new(),
                body: Bytes::new(),
                json: json!({"code": error.code, "message": error.message}),
            },
        }
    }

    pub(crate) async fn try_send(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, ApiError> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let (operation, labels): (_, Labels) =
            match self.router.route(&parts.method, path, query, &parts.headers) {
                Routed::Operation(operation, labels) => (operation, labels),
                other => panic!("no operation for {method} {uri}: {other:?}"),
            };
        let trace = parts.headers.get("x-amzn-trace-id").map(|value| value.to_str().unwrap().to_owned());
        let incoming = Incoming {
            protocol: ProtocolKind::RestJson,
            service: &ops::SERVICE,
            parts,
            labels,
            body: Body::from(body),
            context: CallContext {
                request_id: self.random.uuid(),
                place: place(),
                time_ms: self.clock.unix_ms(),
                source_ip: "127.0.0.1".to_owned(),
                endpoint: "http://127.0.0.1:4566".to_owned(),
                trace,
                client: lambent_api::Client::default(),
            },
            caller: self.identity.root_caller(),
            identity: self.identity.clone(),
        };
        let reply = self.service.route(operation.name).unwrap().run(incoming).await?;
        let json = serde_json::from_slice(&reply.head.body).unwrap_or(Value::Null);
        let head = reply.head;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: head.body, json })
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.send("GET", uri, &[], Bytes::new()).await
    }

    pub(crate) async fn json(&self, method: &str, uri: &str, body: Value) -> Answer {
        self.send(method, uri, &[("content-type", "application/json")], body.to_string().into()).await
    }

    /// Creates a function with the smallest request there is, and `more`.
    pub(crate) async fn create(&self, name: &str, zip: &[u8], more: Value) -> Answer {
        let mut body = json!({
            "FunctionName": name, "Role": ROLE, "Runtime": "python3.11", "Handler": "index.handler",
            "Code": {"ZipFile": BASE64.encode(zip)},
        });
        for (member, value) in more.as_object().unwrap() {
            body[member] = value.clone();
        }
        self.json("POST", "/2015-03-31/functions", body).await
    }

    /// Creates a function and waits until it can be invoked.
    pub(crate) async fn create_active(&self, name: &str, zip: &[u8]) -> Answer {
        let created = self.create(name, zip, json!({"Architectures": [host()]})).await;
        assert_eq!(created.status, 201, "{created:?}");
        self.settled(name).await
    }

    /// The function's configuration once nothing is under way.
    pub(crate) async fn settled(&self, name: &str) -> Answer {
        let mut changed = self.db.watch(crate::keys::CHANGED);
        loop {
            let shown = self.get(&format!("/2015-03-31/functions/{name}/configuration")).await;
            assert_eq!(shown.status, 200, "{shown:?}");
            let is_busy = shown.json["State"] == "Pending" || shown.json["LastUpdateStatus"] == "InProgress";
            if !is_busy {
                return shown;
            }
            changed.changed().await;
        }
    }

    pub(crate) async fn invoke(&self, name: &str, headers: &[(&str, &str)], payload: &[u8]) -> Answer {
        let uri = format!("/2015-03-31/functions/{name}/invocations");
        self.send("POST", &uri, headers, Bytes::copy_from_slice(payload)).await
    }

    /// The names of what the code folder holds.
    pub(crate) fn unpacked(&self) -> Vec<String> {
        let listed = std::fs::read_dir(self.data.path().join("code")).unwrap();
        let mut names: Vec<String> =
            listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn code_path(&self, name: &str) -> std::path::PathBuf {
        self.data.path().join("code").join(name)
    }
}

/// Fails unless the answer is this error.
impl Answer {
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, code: &str, message: &str) {
        let told = (self.status, self.json["code"].as_str(), self.json["message"].as_str());
        assert_eq!(told, (status, Some(code), Some(message)));
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) fn place() -> Place {
    Place { account: ACCOUNT.to_owned(), region: "us-east-1".to_owned() }
}

pub(crate) fn host() -> &'static str {
    crate::configuration::host_architecture()
}

pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}")
}

fn python(minor: u32) -> Interpreter {
    let prefix = std::path::PathBuf::from("/opt/python");
    let program = prefix.join("bin/python3");
    Interpreter { family: Family::Python, version: (3, minor), prefix, program }
}

/// A program that is there; it is not run.
fn node() -> Interpreter {
    let (prefix, program) = ("/bin".into(), "/bin/sh".into());
    Interpreter { family: Family::Node, version: (22, 0), prefix, program }
}

/// Runs nothing: gives back what it is told to, and remembers what it was asked.
#[derive(Default)]
pub(crate) struct FakeRunner {
    pub(crate) asked: Mutex<Vec<InvokeRequest>>,
    pub(crate) retired: Mutex<Vec<String>>,
    /// Runtimes of which a function was announced.
    pub(crate) expected: Mutex<Vec<String>>,
    /// Revisions of functions that were compiled.
    pub(crate) compiled: Mutex<Vec<String>>,
    /// The newest wish for each version, by name and version; and what it is told that there is.
    pub(crate) provisioned: Mutex<BTreeMap<String, Provisioned>>,
    pub(crate) unreserved: Mutex<Option<usize>>,
    /// Answers to come, the next last; the event itself where there is none.
    pub(crate) answers: Mutex<Vec<Result<Outcome, InvokeError>>>,
}

impl Runner for FakeRunner {
    fn run(&self, request: InvokeRequest) -> BoxFuture<'_, Result<Invocation, InvokeError>> {
        Box::pin(async {
            let answer = self.answers.lock().pop();
            let outcome = answer.unwrap_or_else(|| Ok(Outcome::Success(request.payload.clone())))?;
            let record = InvocationRecord {
                function: request.function.key.clone(),
                request_id: request.request_id.clone(),
                log_group: request.function.log_group.clone(),
                log_stream: "2026/11/21/[$LATEST]0".to_owned(),
                started_unix_ms: NOW_MS,
                cold_start: false,
                init_ms: None,
                restore: None,
                duration_ms: 1.0,
                extensions_ms: None,
                billed_ms: 1,
                memory_mib: request.function.memory_mib,
                ephemeral_mib: request.function.ephemeral_mib,
                max_memory_mib: 30,
                error_type: None,
                timed_out: false,
                out_of_memory: false,
            };
            self.asked.lock().push(request);
            Ok(Invocation { outcome, log_tail: b"START\nEND\n".to_vec(), record })
        })
    }

    fn expect(&self, function: Needs) {
        self.expected.lock().push(function.runtime);
    }

    fn compile<'a>(
        &'a self,
        function: &'a FunctionSpec,
        into: std::fs::File,
    ) -> BoxFuture<'a, Result<u64, InvokeError>> {
        Box::pin(async move {
            let mut into = into;
            self.compiled.lock().push(function.key.revision.clone());
            into.write_all(b"compiled").unwrap();
            Ok(8)
        })
    }

    fn limit_unreserved(&self, _: &Place, limit: usize) {
        *self.unreserved.lock() = Some(limit);
    }

    fn provision(&self, _: &Place, name: &str, wanted: Vec<(Arc<FunctionSpec>, usize)>) {
        let mut provisioned = self.provisioned.lock();
        provisioned.retain(|known, _| !known.starts_with(&format!("{name}:")));
        for (spec, wanted) in wanted {
            let there = Provisioned { wanted: u32::try_from(wanted).unwrap(), ..Provisioned::default() };
            provisioned.insert(format!("{name}:{}", spec.key.version), there);
        }
    }

    fn provisioned(&self, _: &Place, name: &str, version: &str) -> Option<Provisioned> {
        self.provisioned.lock().get(&format!("{name}:{version}")).cloned()
    }

    fn retire<'a>(&'a self, _: &'a Place, name: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.retired.lock().push(name.to_owned()) })
    }

    fn retire_version<'a>(&'a self, _: &'a Place, name: &'a str, version: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.retired.lock().push(format!("{name}:{version}")) })
    }
}

/// Objects by bucket and key.
#[derive(Default)]
pub(crate) struct FakeObjects(pub(crate) Mutex<HashMap<(String, String), Bytes>>);

impl FetchObject for FakeObjects {
    fn fetch<'a>(
        &'a self,
        _: &'a Authorized,
        object: &'a ObjectName,
    ) -> BoxFuture<'a, Result<Body, FetchError>> {
        Box::pin(async {
            let objects = self.0.lock();
            let found = objects.get(&(object.bucket.clone(), object.key.clone()));
            found.cloned().map(Body::from).ok_or_else(|| FetchError::Refused {
                code: "NoSuchKey".to_owned(),
                message: "The specified key does not exist.".to_owned(),
            })
        })
    }
}
