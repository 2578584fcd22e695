//! Making an environment: credentials, variables, sandbox.

use std::sync::Arc;

use bytes::Bytes;
use lambent_runtimes::{ENDPOINT_PORT, FunctionFacts, Launch, RUNTIME_API_PORT, Runtime, Start, variables};
use lambent_sandbox::{Assignment, Bind, Boot, Shell, TASK_DIR};

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
    let variables = environment_variables(&runtime, function, &credentials, &log_stream);
    let (shell, at) = (shell_of(inner, &runtime, function)?, parts.clock.monotonic());
    let waits = matches!(shell.boot, Boot::Now { .. } | Boot::Fork { .. });
    let told = Bytes::from(serde_json::json!({ "env": variables_object(&variables) }).to_string());
    let assignment = Assignment {
        binds: vec![Bind::required(&function.code_dir, TASK_DIR)],
        env: variables,
        memory_mib: function.memory_mib,
    };
    let owner = inner.clone();
    let started = blocking(move || {
        let started = owner.sandbox.prepare(&shell)?;
        started.environment.assign(&assignment)?;
        Ok(started)
    });
    let started = started
        .await?
        .map_err(|error: lambent_sandbox::SandboxError| InvokeError::Environment(error.to_string()))?;
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
    let mut environment = Environment::adopt(started, key, log, log_stream, at, &*parts.endpoint)?;
    if waits {
        environment.api.give_function(told);
    } else {
        environment.api.end_handover();
    }
    Ok(environment)
}

fn variables_object(variables: &[(String, String)]) -> serde_json::Map<String, serde_json::Value> {
    variables.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
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

/// The kind of environment that a function runs in.
fn shell_of(inner: &Inner, runtime: &Runtime, function: &FunctionSpec) -> Result<Shell, InvokeError> {
    let launch = Launch::new(runtime, &inner.config.data_dir, function.memory_mib, &function.environment)
        .map_err(|error| InvokeError::Environment(error.to_string()))?;
    let Launch { binds, links, start, program, args, env } = launch;
    let bind = |(source, target, optional)| Bind { source, target, optional };
    Ok(Shell {
        binds: binds.into_iter().map(bind).collect(),
        links,
        boot: match start {
            Start::Ahead => Boot::Now { program, args, env },
            Start::Forked => Boot::Fork { program, args, env },
            Start::With => Boot::Later { program, args },
        },
        scratch_mib: function.ephemeral_mib,
        max_processes: MAX_PROCESSES,
        max_open_files: MAX_OPEN_FILES,
        runtime_api_port: RUNTIME_API_PORT,
        endpoint_port: ENDPOINT_PORT,
        egress: false,
    })
}
