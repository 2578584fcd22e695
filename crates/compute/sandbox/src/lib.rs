//! Isolated environments for foreign code: processes in their own namespaces, with bounded resources.
//!
//! [`Sandbox::spawn`] clones a child straight into new namespaces and has it execute this very binary again;
//! [`run_if_init`], the first thing that `main` calls, recognises that child and makes it process 1 of the
//! environment: it builds a read-only root, opens the environment's two listeners inside its network namespace and
//! passes them back, then forks the runtime, which gives up every privilege before it executes foreign code. Process
//! 1 stays to reap and to report how the runtime ended; when it dies the kernel kills everything in the environment,
//! and it dies with the daemon.
//!
//! This is the only crate of the platform with `unsafe` code and the only one that makes processes.

mod capabilities;
mod cgroups;
mod clone;
mod error;
mod filter;
mod init;
mod link;
mod scratch;
mod spawn;
mod spec;

pub use capabilities::{Capabilities, Capability};
pub use error::SandboxError;
pub use init::run_if_init;
pub use link::{ExitStatus, MAX_REPORT, Report};
pub use spawn::{Environment, Sandbox, SandboxConfig, Started};
pub use spec::{Bind, Spec};
