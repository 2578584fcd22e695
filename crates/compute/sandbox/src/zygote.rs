//! An interpreter that was started once, and from which runtimes are forked: the daemon's side.
//!
//! The zygote takes requests on its standard input, a socket of packets. The first tells it the bounds of its children
//! (see [`Bounds`]). Each further one asks for a child: beside it come the environment's process 1, its user namespace, its
//! report socket, its output pipe, its landlock rules if there are any, the control group files to join, and, for one that
//! shall become a snapshot, the socket where it is told to fork. The child enters all that, gives up its privileges, and
//! asks the Runtime API for its function. The zygote answers `{"Ok": null}` (for a snapshot with its pidfd beside) or
//! `{"Err": "..."}`, and sends a [`Report::Exited`](crate::Report) on the report socket when the child has ended.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use serde::Serialize;

use crate::error::SandboxError;
use crate::filter;
use crate::limits;
use crate::link::{self, Channel};
use crate::spec::{Filter, INSIDE_GID, INSIDE_UID, Shell};

/// What all children of a zygote have in common.
#[derive(Serialize)]
struct Bounds {
    filter: Filter,
    snapshot_filter: Filter,
    uid: u32,
    gid: u32,
    /// Whether it is root, and can leave its groups.
    root: bool,
    /// Numbers of the kernel's `RLIMIT_`, and what they are limited to.
    limits: Vec<(u32, u64)>,
}

#[derive(Serialize)]
struct Request {
    fence: bool,
    joins: usize,
    snapshot: bool,
}

/// What a child enters.
pub(crate) struct Entrance<'a> {
    pub(crate) init: &'a OwnedFd,
    pub(crate) user_namespace: &'a OwnedFd,
    pub(crate) report: &'a OwnedFd,
    pub(crate) output: &'a OwnedFd,
    pub(crate) fence: Option<&'a OwnedFd>,
    pub(crate) joins: &'a [File],
    /// For a snapshot: where it is told to fork.
    pub(crate) orders: Option<&'a OwnedFd>,
}

/// The daemon's end of a zygote.
pub(crate) struct Zygote(Channel);

impl Zygote {
    /// Tells a zygote that is starting the bounds of its children.
    pub(crate) fn new(
        control: OwnedFd,
        shell: &Shell,
        root: bool,
        bounds_processes: bool,
    ) -> Result<Self, SandboxError> {
        let limits = limits::of(shell, bounds_processes);
        let bounds = Bounds {
            filter: filter::for_runtimes(),
            snapshot_filter: filter::for_snapshots(),
            uid: INSIDE_UID,
            gid: INSIDE_GID,
            root,
            limits: limits.into_iter().map(|(resource, limit)| (resource as u32, limit)).collect(),
        };
        link::send_json(control.as_fd(), &bounds, &[])
            .map_err(SandboxError::start("tell their zygote its bounds"))?;
        Ok(Self(Channel::new(control)))
    }

    /// Has it fork a child into an environment; gives a pidfd of a child that shall become a snapshot.
    pub(crate) fn fork(&self, entrance: &Entrance<'_>) -> Result<Option<OwnedFd>, SandboxError> {
        let request = Request {
            fence: entrance.fence.is_some(),
            joins: entrance.joins.len(),
            snapshot: entrance.orders.is_some(),
        };
        let always = [entrance.init, entrance.user_namespace, entrance.report, entrance.output];
        let mut fds: Vec<i32> = always.into_iter().map(AsRawFd::as_raw_fd).collect();
        fds.extend(entrance.fence.map(AsRawFd::as_raw_fd));
        fds.extend(entrance.joins.iter().map(AsRawFd::as_raw_fd));
        fds.extend(entrance.orders.map(AsRawFd::as_raw_fd));
        let reply = self.0.ask_for_fds(&request, &fds);
        let (reply, beside) = reply.map_err(SandboxError::start("reach their zygote"))?;
        reply.map_err(|detail| SandboxError::Init { detail })?;
        Ok(beside.into_iter().next())
    }
}
