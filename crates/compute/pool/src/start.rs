//! Making an environment of a function's own: one that is ready, or is prepared now, is assigned to it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use lambent_runtimes::{ENDPOINT_PORT, FunctionFacts, Launch, RUNTIME_API_PORT, Runtime, Start, variables};
use lambent_sandbox::{Assignment, Bind, Boot, Shell, TASK_DIR};
use parking_lot::Mutex;

use crate::environment::Environment;
use crate::error::InvokeError;
use crate::function::{Credentials, FunctionSpec};
use crate::logs::{EnvironmentLog, LogStream};
use crate::pool::Inner;
use crate::prepared::Prepared;
use crate::texts;

/// Source: AWS Lambda Developer Guide, "Lambda quotas": file descriptors, and processes and threads.
const MAX_OPEN_FILES: u32 = 1_024;
const MAX_PROCESSES: u32 = 1_024;
/// Kinds whose shells are remembered; there are a few for each runtime that is in use.
const MAX_KINDS: usize = 1_000;

/// What the environments of some functions have in common.
pub(crate) struct Kind {
    pub(crate) runtime: Runtime,
    pub(crate) shell: Arc<Shell>,
}

/// What a function's kind depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Needs {
    /// A Lambda runtime identifier.
    pub runtime: String,
    pub memory_mib: u32,
    pub ephemeral_mib: u32,
    /// Environment.Variables: some make a difference while an interpreter starts.
    pub environment: Vec<(String, String)>,
}

impl Needs {
    fn of(function: &FunctionSpec) -> Self {
        Self {
            runtime: function.runtime.clone(),
            memory_mib: function.memory_mib,
            ephemeral_mib: function.ephemeral_mib,
            environment: function.environment.clone(),
        }
    }
}

/// Kinds that were looked up, which reads the disk.
#[derive(Default)]
pub(crate) struct Kinds {
    known: Mutex<HashMap<Needs, Arc<Kind>>>,
}

/// Starts an environment for a function; its runtime is then on its way to ask for an event.
pub(crate) async fn start(inner: &Arc<Inner>, function: &FunctionSpec) -> Result<Environment, InvokeError> {
    let parts = &inner.parts;
    let at = parts.clock.monotonic();
    let kind = kind_of(inner, Needs::of(function)).await?;
    let ready = inner.ready.take(&kind.shell, at);
    let prepared = async {
        match ready {
            Some(ready) => Ok((ready, true)),
            None => prepare(inner, &kind.shell).await.map(|new| (new, false)),
        }
    };
    let (prepared, credentials) = tokio::join!(prepared, function.credentials.credentials());
    let (prepared, was_ready) = prepared?;
    let credentials = match credentials {
        Ok(credentials) => credentials,
        Err(error) => {
            inner.end(vec![prepared]);
            return Err(InvokeError::Credentials(error));
        }
    };
    let id = lambent_base::text::hex(&parts.random.bytes::<16>());
    let log_stream: Arc<str> = texts::stream_name(parts.clock.unix_ms(), &function.key.version, &id).into();
    let variables = environment_variables(&kind.runtime, function, &credentials, &log_stream);
    let assigned = match assign(prepared, function, variables.clone()).await {
        // It died, or was broken, while it waited; that is no reason for the call to fail.
        Err(_) if was_ready => assign(prepare(inner, &kind.shell).await?, function, variables).await?,
        assigned => assigned?,
    };
    let key = Arc::new(function.key.clone());
    let to = LogStream {
        function: key.clone(),
        group: function.log_group.as_str().into(),
        stream: log_stream.clone(),
    };
    let mut log = EnvironmentLog::new(to, parts.clock.clone());
    log.say(texts::init_start_line(&kind.runtime.identifier, &function.key.region));
    if let Some(note) = &kind.runtime.note {
        log.say(format!("[WARN]\t{note}\n"));
    }
    Environment::of(assigned, key, log, log_stream, at, inner)
}

/// The kind of environment that a function needs.
pub(crate) async fn kind_of(inner: &Arc<Inner>, needs: Needs) -> Result<Arc<Kind>, InvokeError> {
    if let Some(known) = inner.kinds.known.lock().get(&needs) {
        return Ok(known.clone());
    }
    let (owner, asked) = (inner.clone(), needs.clone());
    // The first question looks at the disk, and may run a program.
    let found = blocking(move || {
        let resolved = owner.parts.runtimes.resolve(&asked.runtime);
        let runtime = resolved.map_err(|error| InvokeError::RuntimeUnavailable(error.to_string()))?;
        let launch = Launch::new(&runtime, &owner.config.data_dir, asked.memory_mib, &asked.environment)
            .map_err(|error| InvokeError::Environment(error.to_string()))?;
        let shell = shell_of(launch, asked.ephemeral_mib, owner.parts.egress.is_some());
        Ok(Arc::new(Kind { runtime, shell: Arc::new(shell) }))
    });
    let kind = found.await??;
    let mut known = inner.kinds.known.lock();
    if known.len() >= MAX_KINDS {
        known.clear();
    }
    Ok(known.entry(needs).or_insert(kind).clone())
}

/// Prepares an environment that has no function yet.
pub(crate) async fn prepare(inner: &Arc<Inner>, shell: &Arc<Shell>) -> Result<Prepared, InvokeError> {
    let (owner, kind) = (inner.clone(), shell.clone());
    let started = blocking(move || owner.sandbox.prepare(&kind)).await?;
    let started = started.map_err(|error| InvokeError::Environment(error.to_string()))?;
    Prepared::adopt(started, shell.clone())
        .map_err(|error| InvokeError::Environment(format!("watch it: {error}")))
}

async fn assign(
    prepared: Prepared,
    function: &FunctionSpec,
    variables: Vec<(String, String)>,
) -> Result<Prepared, InvokeError> {
    let by_itself = !matches!(prepared.shell.boot, Boot::Later { .. });
    let (told, env) = if by_itself { (Some(as_json(variables)), Vec::new()) } else { (None, variables) };
    let assignment = Assignment {
        binds: vec![Bind::required(&function.code_dir, TASK_DIR)],
        env,
        memory_mib: function.memory_mib,
    };
    let mut prepared = prepared;
    // A thread that may block, also for the end of one that cannot be assigned.
    let assigned = blocking(move || match prepared.assign(&assignment, told) {
        Ok(()) => Ok(prepared),
        Err(error) => {
            drop(prepared);
            Err(InvokeError::Environment(error.to_string()))
        }
    });
    assigned.await?
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, InvokeError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| InvokeError::ShuttingDown)
}

/// What a waiting bootstrap is told of its function.
fn as_json(variables: Vec<(String, String)>) -> Bytes {
    let env: serde_json::Map<String, serde_json::Value> =
        variables.into_iter().map(|(name, value)| (name, value.into())).collect();
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
    variables(runtime, &facts)
}

fn shell_of(launch: Launch, scratch_mib: u32, egress: bool) -> Shell {
    let Launch { binds, links, start, program, args, env } = launch;
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
    }
}
