//! What an environment shall hold and how much it may use.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What environments of one kind have in common before they have a function: equal shells are interchangeable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shell {
    /// What is mounted besides the base system, read-only, in order.
    pub binds: Vec<Bind>,
    /// Symbolic links to make in the root: (path, what it points to).
    pub links: Vec<(String, String)>,
    pub boot: Boot,
    /// Size of `/tmp`.
    pub scratch_mib: u32,
    /// Processes and threads together.
    pub max_processes: u32,
    pub max_open_files: u32,
    /// TCP ports on the environment's loopback that the platform serves.
    pub runtime_api_port: u16,
    pub endpoint_port: u16,
    /// Whether it has a network device, whose descriptor comes with [`crate::Started::tun`].
    pub egress: bool,
    /// How many programs run beside the runtime, each as confined as that is.
    pub companions: u32,
    /// What is its root in place of the host's base system.
    pub image: Option<ImageRoot>,
}

/// A container image, unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageRoot {
    /// Shown read-only, without set-uid and devices. It has real folders where something is mounted: `/dev`, `/proc`, `/tmp`,
    /// `/var/empty`, the binds' targets; and the files `/etc/hosts` and `/etc/resolv.conf`.
    pub tree: PathBuf,
    /// An absolute path inside, where the program starts.
    pub work_dir: String,
}

/// How the runtime's program comes to life. Programs are absolute paths inside; the first argument is the program's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Boot {
    /// Executed at once; it waits for its function by itself.
    Now { program: String, args: Vec<String>, env: Vec<(String, String)> },
    /// Executed when it has a function.
    Later { program: String, args: Vec<String> },
    /// Forked from an interpreter that was started once for all: a trusted program that takes requests to fork on its
    /// standard input (see [`crate::zygote`]), and whose children wait for their functions by themselves.
    Fork { program: String, args: Vec<String>, env: Vec<(String, String)> },
}

/// The function that a prepared environment shall run.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Its code and layers, mounted read-only.
    pub binds: Vec<Bind>,
    /// What is executed instead of the shell's own program ([`Boot::Later`] only): a path inside, and the arguments.
    pub instead: Option<(String, Vec<String>)>,
    /// The whole environment of a program that is executed now ([`Boot::Later`]); others get theirs from the Runtime API.
    pub env: Vec<(String, String)>,
    pub memory_mib: u32,
    /// What runs beside the runtime; as many as the shell says.
    pub companions: Vec<Companion>,
}

/// A program that runs beside the runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// What reports call it.
    pub name: String,
    /// An absolute path inside.
    pub program: String,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
}

/// A host folder or file shown in the environment, read-only, without set-uid and devices.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// Where a function's package is mounted, and where its program starts.
pub const TASK_DIR: &str = "/var/task";

/// Where a function's layers are mounted.
pub const OPT_DIR: &str = "/opt";

/// Memory that gives a function one whole vCPU. Source: AWS Lambda Developer Guide, "Configure Lambda function memory".
pub(crate) const MIB_PER_VCPU: u32 = 1_769;

/// The one user inside an environment, as on AWS (`sbx_user1051`). Outside it is a number that no other environment has.
pub(crate) const INSIDE_UID: u32 = 993;
pub(crate) const INSIDE_GID: u32 = 990;
/// Inside a snapshot: the first of the users and groups that its environments have.
pub(crate) const FIRST_RESTORED: u32 = 2_000;

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

/// A compiled system call filter, in a form that travels as JSON: (code, jump true, jump false, value).
pub(crate) type Filter = Vec<(u16, u8, u8, u32)>;

/// Outside ids that no other environment has.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Users {
    /// Of the runtime and all that it starts.
    pub(crate) runtime: u32,
    /// Of process 1, which the runtime must not be able to signal or trace.
    pub(crate) init: u32,
}
