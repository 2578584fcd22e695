//! Isolated environments for foreign code: processes in their own namespaces, with bounded resources.
//!
//! [`Sandbox::prepare`] makes an environment of a kind ([`Shell`]) that has no function yet; [`Environment::assign`] gives
//! it one. Three helper processes stand between the daemon and an environment, all of them this very binary, which
//! [`run_if_forge`], the first thing that `main` calls, recognises:
//!
//! ```text
//! daemon ── forge          holds the privileges; mounts code in environments
//!             └─ template  one for each kind: has the finished read-only root
//!                  ├─ zygote       where the kind has one: an interpreter that runtimes are forked from
//!                  └─ process 1    of an environment: completes it, reaps, reports, and may do nothing else
//!                       ├─ runtime the foreign code (forked by process 1 or by the zygote)
//!                       └─ companions, where the kind has any: programs that run beside it, no less confined
//! ```
//!
//! When the daemon dies the kernel kills the forge, and so everything below it.
//!
//! This is the only crate of the platform with `unsafe` code and the only one that makes processes.

mod capabilities;
mod cgroups;
mod clone;
mod companions;
mod environment;
mod error;
mod filter;
mod forge;
mod freezer;
mod limits;
mod link;
mod orders;
mod sandbox;
mod scratch;
mod snapshots;
mod sockets;
mod spec;
mod templates;
mod users;
mod watcher;
mod zygote;

pub use capabilities::{Capabilities, Capability};
pub use environment::Environment;
pub use error::SandboxError;
pub use forge::run_if_forge;
pub use link::{ExitStatus, MAX_REPORT, Report};
pub use sandbox::{Sandbox, SandboxConfig, Started};
pub use snapshots::Snapshot;
pub use spec::{Assignment, Bind, Boot, Companion, ImageRoot, OPT_DIR, Shell, TASK_DIR};
