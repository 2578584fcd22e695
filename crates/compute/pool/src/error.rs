//! Why a call did not run. What goes wrong inside a function is an [`crate::Outcome`], not one of these.

/// Why the pool could not run a call.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// 429 TooManyRequestsException.
    #[error("Rate Exceeded.")]
    Throttled(ThrottleReason),
    /// The host has nothing that can run this runtime; the text says what to install.
    #[error("{0}")]
    RuntimeUnavailable(String),
    /// The function's role gave no credentials.
    #[error("expected credentials for the function's role: {0}")]
    Credentials(String),
    /// The environment could not be built; the text names the step.
    #[error("the function's environment could not be started: {0}")]
    Environment(String),
    /// The platform is stopping.
    #[error("the platform is shutting down: try again when it is back")]
    ShuttingDown,
}

/// The `Reason` member of TooManyRequestsException.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThrottleReason {
    /// All that the account's functions without reserved concurrency may run is under way.
    ConcurrentInvocationLimitExceeded,
    /// The function asks for more new environments at a time than it may.
    FunctionInvocationRateLimitExceeded,
    ReservedFunctionConcurrentInvocationLimitExceeded,
}

impl ThrottleReason {
    /// As it stands in the error's `Reason` member.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConcurrentInvocationLimitExceeded => "ConcurrentInvocationLimitExceeded",
            Self::FunctionInvocationRateLimitExceeded => "FunctionInvocationRateLimitExceeded",
            Self::ReservedFunctionConcurrentInvocationLimitExceeded => {
                "ReservedFunctionConcurrentInvocationLimitExceeded"
            }
        }
    }
}

/// Why a pool could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error(transparent)]
    Sandbox(#[from] lambent_sandbox::SandboxError),
    #[error("expected to write {path}: {source}")]
    Write { path: std::path::PathBuf, source: std::io::Error },
}
