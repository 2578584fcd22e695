//! Why an environment could not be made.

use std::io;
use std::path::PathBuf;

/// A step that failed while an environment was made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The host lacks what an isolated environment needs.
    #[error("this host cannot isolate functions: {0}; `lambent doctor` lists what holds")]
    Unsupported(String),
    /// The daemon's side of a start failed.
    #[error("expected to {step} for a new environment: {source}")]
    Start { step: &'static str, source: io::Error },
    /// The environment's first process failed; `detail` is its own words.
    #[error("the environment's first process could not {detail}")]
    Init { detail: String },
    /// A control group could not be made or written.
    #[error("expected to write control group file {}: {source}", path.display())]
    Cgroup { path: PathBuf, source: io::Error },
    /// A file or folder of the sandbox's own state could not be made.
    #[error("expected to make {}: {source}", path.display())]
    State { path: PathBuf, source: io::Error },
}

impl SandboxError {
    /// Whether a helper process that should have answered is no more, or does not answer.
    pub(crate) fn is_gone(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, WouldBlock};
        let gone = |kind| matches!(kind, BrokenPipe | ConnectionReset | WouldBlock);
        matches!(self, Self::Start { source, .. } if gone(source.kind()))
    }

    pub(crate) fn start(step: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Start { step, source }
    }
}
