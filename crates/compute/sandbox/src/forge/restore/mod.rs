//! Restoring: a helper that has a snapshot fork one environment, and completes it around the child.
//!
//! A fork of the forge for one restore only, so that it can enter the child's namespaces one after the other and need not
//! come back. If it fails, or takes too long, it ends, and the kernel ends the snapshot and the child that it traces.

mod tracer;

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::path::Path;

use nix::mount::MsFlags;
use nix::sys::wait::WaitStatus;
use nix::unistd::{ForkResult, Gid, Uid};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space};

use super::init::{fence, network, proc, tun};
use super::mounts::{attach, mount_one};
use super::{Step, enter, reset_signals, tie_to_parent};
use crate::clone::{Extent, adopt, fork_into, id_map};
use crate::link::{self, Fds, Reply, Report};
use crate::orders::RestoreOrders;
use crate::spec::{INSIDE_GID, INSIDE_UID};

/// A snapshot that has not forked by then, or a child that has not let go of its privileges, is given up.
const LONGEST_S: u32 = 5;

struct Given {
    report: OwnedFd,
    user_namespace: OwnedFd,
    orders: OwnedFd,
    output: OwnedFd,
    disk: Option<OwnedFd>,
    joins: Vec<OwnedFd>,
}

/// What the daemon gets.
struct Restored {
    process: OwnedFd,
    api: OwnedFd,
    endpoint: OwnedFd,
    tun: Option<OwnedFd>,
}

/// Starts the helper.
pub(super) fn start(orders: &RestoreOrders, fds: Fds) -> Reply {
    let given = Given::take(orders, fds)?;
    match fork_into(0).map_err(|error| format!("fork a helper: {error}"))? {
        ForkResult::Parent { .. } => Ok(()),
        ForkResult::Child => std::process::exit(run(orders, &given)),
    }
}

fn run(orders: &RestoreOrders, given: &Given) -> i32 {
    let (report, restored) = match restore(orders, given) {
        Ok(restored) => (Report::Ready { tun: restored.tun.is_some(), fence: false }, Some(restored)),
        Err(detail) => (Report::Failed { detail }, None),
    };
    let mut fds = Vec::new();
    if let Some(restored) = &restored {
        fds.extend([&restored.api, &restored.endpoint, &restored.process].map(AsRawFd::as_raw_fd));
        fds.extend(restored.tun.as_ref().map(AsRawFd::as_raw_fd));
    }
    i32::from(link::send_json(given.report.as_fd(), &report, &fds).is_err())
}

impl Given {
    fn take(orders: &RestoreOrders, mut fds: Fds) -> Step<Self> {
        Ok(Self {
            report: fds.next()?,
            user_namespace: fds.next()?,
            orders: fds.next()?,
            output: fds.next()?,
            disk: fds.next_if(orders.has_disk)?,
            joins: fds.take(orders.joins)?,
        })
    }
}

fn restore(orders: &RestoreOrders, given: &Given) -> Step<Restored> {
    tie_to_parent()?;
    reset_signals()?;
    nix::unistd::alarm::set(LONGEST_S);
    tracer::seize(orders.process)?;
    link::send(given.orders.as_fd(), b"fork", &[]).map_err(|error| format!("tell its snapshot: {error}"))?;
    let child = tracer::let_fork(orders.process)?;
    let status = File::open(format!("/proc/{child}/status")).map_err(|error| format!("see it: {error}"))?;
    // Opened now, since later this process may not look into the child any more.
    let mounts =
        File::open(format!("/proc/{child}/ns/mnt")).map_err(|error| format!("find its mounts: {error}"))?;
    for group in &given.joins {
        nix::unistd::write(group, child.to_string().as_bytes())
            .map_err(|error| format!("put it into its control group: {error}"))?;
    }
    let number = Pid::from_raw(child).ok_or("point at it")?;
    let process = pidfd_open(number, PidfdFlags::empty()).map_err(|error| format!("point at it: {error}"))?;
    let (owner, group) = (Uid::from_raw(orders.user), Gid::from_raw(orders.user));
    nix::unistd::fchown(&given.output, Some(owner), Some(group))
        .map_err(|error| format!("own its output: {error}"))?;
    let way_out = orders.egress.then(tun::find).transpose()?;
    enter(&process, ThreadNameSpaceType::NETWORK | ThreadNameSpaceType::PROCESS_ID)
        .map_err(|error| format!("enter its network: {error}"))?;
    network::raise_loopback()?;
    let api = network::listen(orders.runtime_api_port)?.into();
    let endpoint = network::listen(orders.endpoint_port)?.into();
    let tun = way_out.as_ref().map(tun::open_tun).transpose()?;
    let proc = detached_proc()?;
    map_ids(child, orders, given)?;
    let fence = mount_all(orders, given, &mounts, &proc)?;
    let mut fds = vec![given.output.as_raw_fd()];
    fds.extend(fence.as_ref().map(AsRawFd::as_raw_fd));
    link::send(given.orders.as_fd(), b"go", &fds).map_err(|error| format!("tell it: {error}"))?;
    tracer::watch(child, &status, orders.user, fence.is_some())?;
    tracer::release(orders.process)?;
    Ok(Restored { process, api, endpoint, tun })
}

/// A `/proc` of the process namespace into which this process would fork. It shows the namespace of whoever mounts it, so
/// that takes one more fork, with which the descriptor is shared.
fn detached_proc() -> Step<OwnedFd> {
    let helper = match fork_into(libc::CLONE_FILES).map_err(|error| format!("fork a helper: {error}"))? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let mounted = mount_proc().map(IntoRawFd::into_raw_fd);
            std::process::exit(mounted.unwrap_or(NO_PROC));
        }
    };
    match nix::sys::wait::waitpid(helper, None) {
        Ok(WaitStatus::Exited(_, fd)) if fd != NO_PROC => Ok(adopt(fd)),
        other => Err(format!("make its /proc: {other:?}")),
    }
}

/// An exit code; the others are descriptors, of which there are a few.
const NO_PROC: i32 = 255;

fn mount_proc() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "hidepid", "2")?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Gives the child's user namespace its one user. Only a process of the namespace above may, which this one is from now on.
fn map_ids(child: i32, orders: &RestoreOrders, given: &Given) -> Step<()> {
    move_into_link_name_space(given.user_namespace.as_fd(), Some(LinkNameSpaceType::User))
        .map_err(|error| format!("enter its snapshot's user namespace: {error}"))?;
    let outside = orders.user_in_snapshot;
    let outside_group = if outside == INSIDE_UID { INSIDE_GID } else { outside };
    for (name, inside, outside) in [("uid_map", INSIDE_UID, outside), ("gid_map", INSIDE_GID, outside_group)]
    {
        fs::write(format!("/proc/{child}/{name}"), id_map(&[Extent { inside, outside, count: 1 }]))
            .map_err(|error| format!("map its user ({name}): {error}"))?;
    }
    Ok(())
}

/// Its own `/proc` and `/tmp` over those of its snapshot, and a fence around all.
fn mount_all(orders: &RestoreOrders, given: &Given, mounts: &File, proc: &OwnedFd) -> Step<Option<OwnedFd>> {
    move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))
        .map_err(|error| format!("enter its mounts: {error}"))?;
    attach(proc, "/proc")?;
    proc::close()?;
    match &given.disk {
        Some(disk) => attach(disk, "/tmp")?,
        None => {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
            let (mib, owner) = (orders.scratch_mib, orders.user_in_snapshot);
            let group = if owner == INSIDE_UID { INSIDE_GID } else { owner };
            let options = format!("mode=700,size={mib}m,uid={owner},gid={group}");
            mount_one(Some("tmpfs"), Path::new("/tmp"), Some("tmpfs"), flags, Some(&options))?;
        }
    }
    fence::build().map_err(|error| format!("fence its files: {error}"))
}
