//! What an environment shall hold and how much it may use.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One environment, as the caller wants it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Unique among live environments; letters, digits and dashes (it names the control group).
    pub name: String,
    /// What is mounted besides the base system, read-only, in order.
    pub binds: Vec<Bind>,
    /// Symbolic links to make in the root: (path, what it points to).
    pub links: Vec<(String, String)>,
    /// The program inside the environment, an absolute path, and its arguments (the first is its name).
    pub program: String,
    pub args: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    pub working_dir: String,
    pub memory_mib: u32,
    /// Size of `/tmp`.
    pub scratch_mib: u32,
    /// Processes and threads together.
    pub max_processes: u32,
    pub max_open_files: u32,
    /// TCP ports on the environment's loopback that the platform serves.
    pub runtime_api_port: u16,
    pub endpoint_port: u16,
}

/// A host folder or file shown in the environment, read-only, without set-uid and devices.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bind {
    pub source: PathBuf,
    /// An absolute path inside.
    pub target: String,
    /// Skipped, rather than an error, where the host lacks it.
    pub optional: bool,
}

impl Bind {
    /// A bind that must exist.
    pub fn required(source: impl Into<PathBuf>, target: impl Into<String>) -> Self {
        Self { source: source.into(), target: target.into(), optional: false }
    }

    /// A bind of the same path inside and outside, skipped where the host lacks it.
    pub fn same_if_there(path: &str) -> Self {
        Self { source: path.into(), target: path.to_owned(), optional: true }
    }
}

/// Memory that gives a function one whole vCPU. Source: AWS Lambda Developer Guide, "Configure Lambda function memory".
pub(crate) const MIB_PER_VCPU: u32 = 1_769;

/// The host's folders and files that every runtime needs: programs, libraries, time zones, certificates. `/usr/local`,
/// `/usr/src` and the like are left out: what an operator puts there is not a function's business.
pub(crate) const BASE_SYSTEM: [&str; 13] = [
    "/usr/bin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/usr/share/ca-certificates",
    "/usr/share/nodejs",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/alternatives",
    "/etc/ld.so.cache",
];

/// Folders that are links into `/usr` on a merged system and folders of their own on others.
pub(crate) const MERGED: [&str; 4] = ["/bin", "/lib", "/lib32", "/lib64"];

/// What the first process is told; travels over the control socket as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) spec: Spec,
    /// `None` in an unprivileged user namespace, where there is only one user.
    pub(crate) users: Option<Users>,
    /// An empty host folder to build the root on.
    pub(crate) mount_point: PathBuf,
    /// `cgroup.procs` files (v1: `tasks` files' groups) that the runtime joins.
    pub(crate) join: Vec<PathBuf>,
    /// Block device with a file system for `/tmp`; else memory.
    pub(crate) scratch_device: Option<PathBuf>,
    /// The compiled system call filter: (code, jump true, jump false, value).
    pub(crate) filter: Vec<(u16, u8, u8, u32)>,
    /// Stop, successfully, where the runtime would be executed.
    pub(crate) probe: bool,
}

/// User ids that no other environment has.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Users {
    /// Of the runtime and all that it starts.
    pub(crate) runtime: u32,
    /// Of process 1, which the runtime must not be able to signal or trace.
    pub(crate) init: u32,
}
