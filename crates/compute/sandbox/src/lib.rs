//! Isolated environments for foreign code: processes in their own namespaces, with bounded resources.

mod error;

pub use error::SandboxError;
