//! Making an environment of a function's own: one that is ready, or is prepared now, is assigned to it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use lambent_runtimes::{
    ENDPOINT_PORT, EXEC_WRAPPER, Family, FunctionFacts, Image, Launch, RUNTIME_API_PORT, Runtime, Start,
    matters_at_start, variables,
};
use lambent_sandbox::{Assignment, Bind, Boot, Companion, ImageRoot, OPT_DIR, Shell};
use parking_lot::Mutex;

use crate::compile::binds_of;
use crate::environment::Environment;
use crate::error::InvokeError;
use crate::extensions::{Extensions, Facts};
use crate::function::{Credentials, FunctionSpec};
use crate::logs::{EnvironmentLog, LogStream};
use crate::platform::Platform;
use crate::pool::Inner;
use crate::prepared::Prepared;
use crate::snapshots::{Attempt, start_restored};
use crate::texts;

/// Source: AWS Lambda Developer Guide, "Lambda quotas": file descriptors, and processes and threads.
const MAX_OPEN_FILES: u32 = 1_024;
const MAX_PROCESSES: u32 = 1_024;
/// Kinds whose shells are remembered; there are a few for each runtime that is in use.
const MAX_KINDS: usize = 1_000;
const SHELL: &str = "/bin/sh";
/// Executes the word after it, with those that follow.
const EXECUTE: &str = "exec \"$0\" \"$@\"";
/// What custom runtimes' programs are called.
const BOOTSTRAP: &str = "bootstrap";
const INITIALIZATION_TYPE: &str = "AWS_LAMBDA_INITIALIZATION_TYPE";
/// What it says in environments that were not started for a call.
pub(crate) const SNAP_START: &str = "snap-start";
pub(crate) const PROVISIONED: &str = "provisioned-concurrency";

const LOG_FORMAT: &str = "AWS_LAMBDA_LOG_FORMAT";
const LOG_LEVEL: &str = "AWS_LAMBDA_LOG_LEVEL";
/// Variables that extensions do not have.
const RUNTIMES_OWN: [&str; 8] = [
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
    "_LAMBDA_TELEMETRY_LOG_FD",
];

/// What the environments of some functions have in common.
pub(crate) struct Kind {
    pub(crate) runtime: Runtime,
    pub(crate) shell: Arc<Shell>,
}

/// What a function's kind depends on.
#[derive(Clone, Debug)]
pub struct Needs {
    /// A Lambda runtime identifier.
    pub runtime: String,
    pub memory_mib: u32,
    pub ephemeral_mib: u32,
    /// Environment.Variables: some make a difference while an interpreter starts.
    pub environment: Vec<(String, String)>,
    /// A container image, in place of a runtime.
    pub image: Option<Arc<Image>>,
    /// How many extensions its layers have.
    pub extensions: usize,
}

impl Needs {
    pub(crate) fn of(function: &FunctionSpec) -> Self {
        Self {
            runtime: function.runtime.clone(),
            memory_mib: function.memory_mib,
            ephemeral_mib: function.ephemeral_mib,
            environment: function.environment.clone(),
            image: function.image.clone(),
            extensions: function.extensions.len(),
        }
    }

    fn key(&self) -> KindKey {
        KindKey {
            runtime: self.runtime.clone(),
            memory_mib: self.memory_mib,
            ephemeral_mib: self.ephemeral_mib,
            with_function: self.environment.iter().any(|(name, _)| matters_at_start(name)),
            image: self.image.clone(),
            extensions: u32::try_from(self.extensions).unwrap_or(u32::MAX),
        }
    }
}

/// The same without what differs from function to function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KindKey {
    runtime: String,
    memory_mib: u32,
    ephemeral_mib: u32,
    /// Whether a variable of the function's own makes a difference while an interpreter starts, so that none is started
    /// without it.
    with_function: bool,
    image: Option<Arc<Image>>,
    extensions: u32,
}

/// Kinds that were looked up, which reads the disk.
#[derive(Default)]
pub(crate) struct Kinds {
    known: Mutex<HashMap<KindKey, Arc<Kind>>>,
}

/// Starts an environment for a function; its runtime is then on its way to ask for an event.
pub(crate) async fn start(inner: &Arc<Inner>, function: &FunctionSpec) -> Result<Environment, InvokeError> {
    start_as(inner, function, None).await
}

/// The same with another initialization type than on-demand.
pub(crate) async fn start_as(
    inner: &Arc<Inner>,
    function: &FunctionSpec,
    initialization: Option<&'static str>,
) -> Result<Environment, InvokeError> {
    let at = inner.parts.clock.monotonic();
    let kind = kind_of(inner, Needs::of(function)).await?;
    let mut note = None;
    if function.snap_start && initialization.is_none() && !function.extensions.is_empty() {
        note = Some("it has extensions, whose processes are not part of a snapshot".to_owned());
    } else if function.snap_start && initialization.is_none() {
        match start_restored(inner, function, &kind).await? {
            Attempt::Started(environment) => return Ok(*environment),
            Attempt::Ordinary(why) => note = why,
        }
    }
    // Until it is over the kind is not let go, although nothing may be ready of it.
    let (ready, _under_way) = inner.ready.begin(&kind.shell, at);
    let prepared = async {
        match ready {
            Some(ready) => Ok((ready, true)),
            None => prepare(inner, &kind.shell).await.map(|new| (new, false)),
        }
    };
    let (prepared, opening) = tokio::join!(prepared, Opening::of(inner, function, &kind, initialization));
    let (prepared, was_ready) = prepared?;
    let opening = match opening {
        Ok(opening) => opening,
        Err(error) => {
            inner.end(vec![prepared]);
            return Err(error);
        }
    };
    let variables = opening.variables.clone();
    let mut assigned_at = inner.parts.clock.monotonic();
    let assigned = match assign(prepared, function, variables.clone()).await {
        // It died, or was broken, while it waited; that is no reason for the call to fail.
        Err(_) if was_ready => {
            let prepared = prepare(inner, &kind.shell).await?;
            assigned_at = inner.parts.clock.monotonic();
            assign(prepared, function, variables).await?
        }
        assigned => assigned?,
    };
    let mut environment = opening.environment(inner, assigned, false)?;
    (environment.started_at, environment.init_since) = (at, assigned_at);
    if let Some(why) = note {
        environment.log.say(format!("[WARN]\tSnapStart: this version starts without a snapshot: {why}\n"));
    }
    Ok(environment)
}

/// What a function's environment is given besides its code: its log stream, credentials and variables.
pub(crate) struct Opening<'a> {
    function: &'a FunctionSpec,
    kind: &'a Kind,
    log_stream: Arc<str>,
    initialization: &'static str,
    pub(crate) variables: Vec<(String, String)>,
}

impl<'a> Opening<'a> {
    pub(crate) async fn of(
        inner: &Inner,
        function: &'a FunctionSpec,
        kind: &'a Kind,
        initialization: Option<&'static str>,
    ) -> Result<Self, InvokeError> {
        let credentials = function.credentials.credentials().await.map_err(InvokeError::Credentials)?;
        let parts = &inner.parts;
        let id = lambent_base::text::hex(&parts.random.bytes::<16>());
        let stream = texts::stream_name(parts.clock.unix_ms(), &function.key.version, &id);
        let mut variables = environment_variables(&kind.runtime, function, &credentials, &stream);
        if let Some(initialization) = initialization {
            variables.retain(|(name, _)| name != INITIALIZATION_TYPE);
            variables.push((INITIALIZATION_TYPE.to_owned(), initialization.to_owned()));
        }
        if let Some(json) = &function.logging.json {
            variables.push((LOG_FORMAT.to_owned(), "JSON".to_owned()));
            variables.push((LOG_LEVEL.to_owned(), json.application_level.clone()));
        }
        let initialization = initialization.unwrap_or(texts::ON_DEMAND);
        Ok(Self { function, kind, log_stream: stream.into(), initialization, variables })
    }

    /// The function's environment; its log begins with the runtime's identifier and region.
    pub(crate) fn environment(
        self,
        inner: &Inner,
        assigned: Prepared,
        is_restored: bool,
    ) -> Result<Environment, InvokeError> {
        let Self { function, kind, log_stream, initialization, .. } = self;
        let key = Arc::new(function.key.clone());
        let to = LogStream {
            function: key.clone(),
            group: function.log_group.as_str().into(),
            stream: log_stream.clone(),
        };
        let log = EnvironmentLog::new(to, inner.parts.clock.clone());
        let mut log = log.with(function.logging.clone(), Some(Arc::default()));
        let (identifier, region) = (kind.runtime.identifier.as_str(), function.key.region.as_str());
        let (name, version) = (function.key.name.as_str(), function.key.version.as_str());
        // An image has no runtime with a version.
        let identifier = Some(identifier).filter(|_| function.image.is_none());
        log.tell(&if is_restored {
            Platform::RestoreStart { identifier, region, name, version }
        } else {
            Platform::InitStart { initialization, identifier, region, name, version }
        });
        if let Some(note) = &kind.runtime.note {
            log.say(format!("[WARN]\t{note}\n"));
        }
        let now = inner.parts.clock.monotonic();
        let mut environment = Environment::of(assigned, key, log, log_stream, now, inner)?;
        environment.initialization = initialization;
        let facts = Facts {
            name: name.to_owned(),
            version: version.to_owned(),
            handler: function.handler.clone(),
            account: function.key.account.clone(),
        };
        environment.extensions = Extensions::new(facts, function.extensions.clone());
        Ok(environment)
    }
}

/// The kind of environment that a function needs.
pub(crate) async fn kind_of(inner: &Arc<Inner>, needs: Needs) -> Result<Arc<Kind>, InvokeError> {
    let key = needs.key();
    if let Some(known) = inner.kinds.known.lock().get(&key) {
        return Ok(known.clone());
    }
    let (owner, asked) = (inner.clone(), key.clone());
    // The first question looks at the disk, and may run a program.
    let found = blocking(move || {
        let data_dir = &owner.config.data_dir;
        let (runtime, launch) = match &asked.image {
            Some(image) => (image.runtime(), Launch::of_image(image, data_dir, asked.memory_mib)),
            None => {
                let resolved = owner.parts.runtimes.resolve(&asked.runtime);
                let runtime = resolved.map_err(|error| InvokeError::RuntimeUnavailable(error.to_string()))?;
                let launch = Launch::new(&runtime, data_dir, asked.memory_mib, asked.with_function);
                (runtime, launch)
            }
        };
        let launch = launch.map_err(|error| InvokeError::Environment(error.to_string()))?;
        let mut shell = shell_of(launch, asked.ephemeral_mib, owner.parts.egress.is_some());
        shell.companions = asked.extensions;
        Ok(Arc::new(Kind { runtime, shell: Arc::new(shell) }))
    });
    let kind = found.await??;
    let mut known = inner.kinds.known.lock();
    if known.len() >= MAX_KINDS {
        known.clear();
    }
    Ok(known.entry(key).or_insert(kind).clone())
}

/// Prepares an environment that has no function yet.
pub(crate) async fn prepare(inner: &Arc<Inner>, shell: &Arc<Shell>) -> Result<Prepared, InvokeError> {
    let (owner, kind) = (inner.clone(), shell.clone());
    let started = blocking(move || owner.sandbox.prepare(&kind)).await?;
    let started = started.map_err(|error| InvokeError::Environment(error.to_string()))?;
    Prepared::adopt(started, shell.clone()).map_err(failed)
}

/// What a prepared environment that cannot be watched is for its call.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(crate) fn failed(error: std::io::Error) -> InvokeError {
    InvokeError::Environment(format!("watch it: {error}"))
}

pub(crate) async fn assign(
    prepared: Prepared,
    function: &FunctionSpec,
    variables: Vec<(String, String)>,
) -> Result<Prepared, InvokeError> {
    // Our bootstraps ask for their function even if they are started with it; nobody else may be told.
    let is_ours = match &function.image {
        Some(image) => image.interpreter.is_some(),
        None => Family::of(&function.runtime) != Some(Family::Provided),
    };
    let told = is_ours.then(|| told(&variables));
    let companions = companions(function, &variables);
    let with_function = matches!(prepared.shell.boot, Boot::Later { .. });
    let env = if with_function { variables } else { Vec::new() };
    let wrapped = match &prepared.shell.boot {
        Boot::Later { program, args } if is_ours && function.image.is_none() => {
            let wrapper = env.iter().find(|(name, _)| name == EXEC_WRAPPER);
            wrapper.map(|(_, wrapper)| wrapped(wrapper, program, args))
        }
        _ => None,
    };
    let layered = if is_ours { None } else { function.opt_dir.clone().zip(Some(function.code_dir.clone())) };
    let mut assignment = Assignment {
        binds: binds_of(function),
        instead: None,
        env,
        memory_mib: function.memory_mib,
        companions,
    };
    let mut prepared = prepared;
    // A thread that may block, also for the end of one that cannot be assigned.
    let assigned = blocking(move || {
        let layered = layered.and_then(|(opt_dir, code_dir)| layers_bootstrap(&opt_dir, &code_dir));
        assignment.instead = wrapped.or(layered);
        match prepared.assign(&assignment, told) {
            Ok(()) => Ok(prepared),
            Err(error) => {
                drop(prepared);
                Err(InvokeError::Environment(error.to_string()))
            }
        }
    });
    assigned.await?
}

/// A wrapper that is to execute a program. By a shell, so that one that is not there, or cannot be executed, ends like any
/// program's: with 127 or 126, and a line in the log.
fn wrapped(wrapper: &str, program: &str, args: &[String]) -> (String, Vec<String>) {
    let words = [SHELL, "-c", EXECUTE, wrapper, program].map(str::to_owned);
    (SHELL.to_owned(), words.into_iter().chain(args.iter().skip(1).cloned()).collect())
}

/// The function's extensions, which have its variables but for those that are the runtime's business.
/// Source: AWS Lambda Developer Guide, "Using the Lambda Extensions API", "Environment variables".
fn companions(function: &FunctionSpec, variables: &[(String, String)]) -> Vec<Companion> {
    let env: Vec<_> =
        variables.iter().filter(|(name, _)| !RUNTIMES_OWN.contains(&name.as_str())).cloned().collect();
    let start = |name: &String| Companion {
        name: name.clone(),
        program: format!("{OPT_DIR}/extensions/{name}"),
        env: env.clone(),
    };
    function.extensions.iter().map(start).collect()
}

/// The program of a custom runtime that comes in a layer, for a function that brings none itself.
fn layers_bootstrap(opt_dir: &Path, code_dir: &Path) -> Option<(String, Vec<String>)> {
    let is_there = |folder: &Path| folder.join(BOOTSTRAP).is_file();
    let program = format!("{OPT_DIR}/{BOOTSTRAP}");
    (!is_there(code_dir) && is_there(opt_dir)).then(|| (program.clone(), vec![program]))
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, InvokeError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| InvokeError::ShuttingDown)
}

/// What a waiting bootstrap is told of its function.
pub(crate) fn told(variables: &[(String, String)]) -> Bytes {
    let env: serde_json::Map<String, serde_json::Value> =
        variables.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    serde_json::json!({ "env": env }).to_string().into()
}

fn environment_variables(
    runtime: &Runtime,
    function: &FunctionSpec,
    credentials: &Credentials,
    log_stream: &str,
) -> Vec<(String, String)> {
    let facts = FunctionFacts {
        name: &function.key.name,
        version: &function.key.version,
        handler: &function.handler,
        region: &function.key.region,
        memory_mib: function.memory_mib,
        log_group: &function.log_group,
        log_stream,
        access_key_id: &credentials.access_key_id,
        secret_access_key: &credentials.secret_access_key,
        session_token: &credentials.session_token,
        own: &function.environment,
    };
    match &function.image {
        Some(image) => image.variables(&facts),
        None => variables(runtime, &facts),
    }
}

fn shell_of(launch: Launch, scratch_mib: u32, egress: bool) -> Shell {
    let Launch { binds, links, start, program, args, env, root } = launch;
    let bind = |(source, target, optional)| Bind { source, target, optional };
    Shell {
        binds: binds.into_iter().map(bind).collect(),
        links,
        boot: match start {
            Start::Ahead => Boot::Now { program, args, env },
            Start::Forked => Boot::Fork { program, args, env },
            Start::With => Boot::Later { program, args },
        },
        scratch_mib,
        max_processes: MAX_PROCESSES,
        max_open_files: MAX_OPEN_FILES,
        runtime_api_port: RUNTIME_API_PORT,
        endpoint_port: ENDPOINT_PORT,
        egress,
        image: root.map(|(tree, work_dir)| ImageRoot { tree, work_dir }),
        companions: 0,
    }
}
