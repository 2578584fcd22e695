//! The pool itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lambent_base::{Clock, Random};

use crate::error::{InvokeError, PoolError};
use crate::invocation::{Invocation, InvokeRequest};
use crate::parts::{Endpoint, LogSink, Recorder};

/// Limits and places of a pool.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The platform's data directory: runtimes are read from `runtimes/`, sandboxes keep their state in `sandbox/`.
    pub data_dir: PathBuf,
    /// The account's concurrency: environments alive at once, over all functions.
    pub max_environments: usize,
    /// Calls that may wait for an environment, over all functions.
    pub max_waiting: usize,
    /// How long a call may wait for an environment before it is throttled.
    pub max_wait: Duration,
    /// An environment unused for so long is stopped.
    pub idle_timeout: Duration,
    /// An environment this old is replaced before its next call, so that its credentials stay valid.
    pub max_environment_age: Duration,
    /// Log bytes held for a slow sink before functions are made to wait.
    pub log_buffer_bytes: usize,
    /// Run functions even where the host cannot isolate them fully (`lambent doctor` names what is missing).
    pub allow_weak_isolation: bool,
}

impl PoolConfig {
    /// The defaults, for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            max_environments: 1_000,
            max_waiting: 1_000,
            max_wait: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(300),
            max_environment_age: Duration::from_secs(6 * 3600),
            log_buffer_bytes: 16 << 20,
            allow_weak_isolation: false,
        }
    }
}

/// The other parts that a pool works with.
#[derive(Clone)]
pub struct PoolParts {
    pub clock: Clock,
    pub random: Random,
    pub runtimes: Arc<lambent_runtimes::Catalogue>,
    pub endpoint: Arc<dyn Endpoint>,
    pub logs: Arc<dyn LogSink>,
    pub recorder: Arc<dyn Recorder>,
}

/// How many environments there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Waiting for a call.
    pub idle: usize,
    /// Running one, or starting for one.
    pub busy: usize,
    /// Calls waiting for an environment.
    pub waiting: usize,
}

/// Execution environments of all functions. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    config: Arc<PoolConfig>,
    parts: PoolParts,
}

impl Pool {
    /// A pool without environments; clears away what an earlier, killed process left behind.
    pub fn new(config: PoolConfig, parts: PoolParts) -> Result<Self, PoolError> {
        Ok(Self { config: Arc::new(config), parts })
    }

    /// Runs one call to its end. When the caller goes away the call still runs on, as on AWS.
    pub async fn invoke(&self, request: InvokeRequest) -> Result<Invocation, InvokeError> {
        let _ = (&self.config, &self.parts, request);
        Err(InvokeError::ShuttingDown)
    }

    /// Retires every environment of a function, at once when idle, after its call when busy: for DeleteFunction.
    /// (Updates need no call: a new revision in [`crate::FunctionKey`] retires the older ones.)
    pub async fn retire(&self, account: &str, region: &str, name: &str) {
        let _ = (account, region, name);
    }

    /// Counts for metrics and `lambent top`.
    pub fn stats(&self) -> PoolStats {
        PoolStats::default()
    }

    /// Refuses new calls, stops every environment, and writes the last log lines.
    pub async fn shutdown(&self) {}
}
