//! What the daemon tells its helper processes, as JSON over their control sockets; descriptors travel beside.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::spec::{Bind, Shell, Users};

/// For the forge. Each is answered with a [`crate::link::Reply`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Make a template; beside it comes the template's control socket, and the zygote's where the shell has one.
    Template(Box<TemplateOrders>),
    /// Mount these in an environment, whose process 1 comes as a pidfd beside it. In a user namespace mounts beneath a
    /// folder must come along (`whole_trees`).
    Mount { binds: Vec<Bind>, whole_trees: bool },
    /// Have a snapshot fork an environment, and complete it. A helper of its own does, and reports on the socket that is
    /// the first of the descriptors beside it; the others are in [`RestoreOrders`].
    Restore(RestoreOrders),
    /// Make so many sockets in an environment's network, and send them over the first descriptor beside it; the second is
    /// the environment's process 1, as a pidfd.
    Sockets { count: usize },
}

/// For a helper that restores an environment. Beside it come, in this order, the socket for its report, the snapshot's
/// process, its user namespace, its orders socket, the pipe for the environment's output, its disk, and `joins` files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RestoreOrders {
    /// The snapshot's process, as the daemon numbers it.
    pub(crate) process: i32,
    /// The environment's only user: in the snapshot's user namespace, and as the daemon numbers it.
    pub(crate) user_in_snapshot: u32,
    pub(crate) user: u32,
    pub(crate) scratch_mib: u32,
    pub(crate) runtime_api_port: u16,
    pub(crate) endpoint_port: u16,
    pub(crate) egress: bool,
    pub(crate) has_disk: bool,
    pub(crate) joins: usize,
}

/// For a template, once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TemplateOrders {
    pub(crate) shell: Shell,
    /// An empty host folder to build the root on.
    pub(crate) mount_point: PathBuf,
    /// Whether control groups bound the number of processes.
    pub(crate) bounds_processes: bool,
    /// Whether the daemon is root: then each environment has a user id of its own.
    pub(crate) root: bool,
}

/// For a template: make an environment. Beside it come, in this order, the environment's control socket, the pipe for its
/// output, the socket on which a [`crate::Boot::Later`] program gets its variables, the socket on which companions are told
/// what they are and the pipe for their output where the shell has companions, its disk, and `joins` files.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EnvironmentOrders {
    pub(crate) users: Users,
    /// For a snapshot: the first of the ids of its environments.
    pub(crate) block: Option<u32>,
    pub(crate) is_snapshot: bool,
    pub(crate) has_orders: bool,
    pub(crate) has_disk: bool,
    /// How many `cgroup.procs` files come beside.
    pub(crate) joins: usize,
}

/// For a program that waits to be executed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecOrders {
    /// See [`crate::Assignment::instead`].
    pub(crate) instead: Option<(String, Vec<String>)>,
    pub(crate) env: Vec<(String, String)>,
}
