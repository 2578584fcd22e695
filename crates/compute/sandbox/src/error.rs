//! Why an environment could not be made.

/// A step that failed while an environment was made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The host lacks what an isolated environment needs.
    #[error("this host cannot isolate functions: {0}; see `lambent doctor`")]
    Unsupported(String),
}
