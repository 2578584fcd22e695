//! Making an environment: credentials, variables, sandbox.

use std::sync::Arc;

use lambent_runtimes::{ENDPOINT_PORT, FunctionFacts, Launch, RUNTIME_API_PORT, Runtime, variables};
use lambent_sandbox::{Bind, Spec};

use crate::environment::Environment;
use crate::error::InvokeError;
use crate::function::{Credentials, FunctionSpec};
use crate::logs::{EnvironmentLog, LogStream};
use crate::pool::Inner;
use crate::texts;

/// Source: AWS Lambda Developer Guide, "Lambda quotas": file descriptors, and processes and threads.
const MAX_OPEN_FILES: u32 = 1_024;
const MAX_PROCESSES: u32 = 1_024;

/// Starts an environment for a function; its runtime is then on its way to ask for an event.
pub(crate) async fn start(inner: &Arc<Inner>, function: &FunctionSpec) -> Result<Environment, InvokeError> {
    let parts = &inner.parts;
    let identifier = function.runtime.clone();
    let catalogue = parts.runtimes.clone();
    // The first question looks at the disk, and may run a program.
    let resolved = blocking(move || catalogue.resolve(&identifier)).await?;
    let runtime = resolved.map_err(|error| InvokeError::RuntimeUnavailable(error.to_string()))?;
    let credentials = function.credentials.credentials().await.map_err(InvokeError::Credentials)?;
    let id = lambent_base::text::hex(&parts.random.bytes::<16>());
    let log_stream: Arc<str> = texts::stream_name(parts.clock.unix_ms(), &function.key.version, &id).into();
    let environment = environment_variables(&runtime, function, &credentials, &log_stream);
    let (data_dir, memory_mib) = (inner.config.data_dir.clone(), function.memory_mib);
    let (code_dir, scratch_mib) = (function.code_dir.clone(), function.ephemeral_mib);
    let owner = inner.clone();
    let (runtime_of_spec, at) = (runtime.clone(), parts.clock.monotonic());
    let started = blocking(move || {
        let launch =
            Launch::new(&runtime_of_spec, &data_dir, memory_mib).map_err(|error| error.to_string())?;
        let mut spec = spec_of(launch, id, environment, memory_mib, scratch_mib);
        spec.binds.push(Bind::required(code_dir, "/var/task"));
        owner.sandbox.spawn(&spec).map_err(|error| error.to_string())
    });
    let started = started.await?.map_err(InvokeError::Environment)?;
    let key = Arc::new(function.key.clone());
    let to = LogStream {
        function: key.clone(),
        group: function.log_group.as_str().into(),
        stream: log_stream.clone(),
    };
    let mut log = EnvironmentLog::new(to, parts.clock.clone());
    log.say(texts::init_start_line(&runtime.identifier, &function.key.region));
    if let Some(note) = runtime.note {
        log.say(format!("[WARN]\t{note}\n"));
    }
    Environment::adopt(started, key, log, log_stream, at, &*parts.endpoint)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, InvokeError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| InvokeError::ShuttingDown)
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

fn spec_of(
    launch: Launch,
    name: String,
    env: Vec<(String, String)>,
    memory_mib: u32,
    scratch_mib: u32,
) -> Spec {
    let bind = |(source, target, optional)| Bind { source, target, optional };
    Spec {
        name,
        binds: launch.binds.into_iter().map(bind).collect(),
        links: launch.links,
        program: launch.program,
        args: launch.args,
        env,
        working_dir: "/var/task".to_owned(),
        memory_mib,
        scratch_mib,
        max_processes: MAX_PROCESSES,
        max_open_files: MAX_OPEN_FILES,
        runtime_api_port: RUNTIME_API_PORT,
        endpoint_port: ENDPOINT_PORT,
    }
}
