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
}

/// For a template, once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TemplateOrders {
    pub(crate) shell: Shell,
    /// An empty host folder to build the root on.
    pub(crate) mount_point: PathBuf,
    /// Whether the daemon is root: then each environment has a user id of its own.
    pub(crate) root: bool,
}

/// For a template: make an environment. Beside it come, in this order, the environment's control socket, the pipe for its
/// output, the socket on which a [`crate::Boot::Later`] program gets its variables, its disk, and `joins` files.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EnvironmentOrders {
    pub(crate) users: Users,
    pub(crate) has_orders: bool,
    pub(crate) has_disk: bool,
    /// How many `cgroup.procs` files come beside.
    pub(crate) joins: usize,
}

/// For a program that waits to be executed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecOrders {
    pub(crate) env: Vec<(String, String)>,
}
