//! Snapshots: a runtime that has loaded its function, from which further environments of that function are forked.
//!
//! A snapshot is an environment like any other, but that it also may, each time that it is told to and watched while it
//! does (see `forge/restore`), fork a child into namespaces of the child's own. It never serves another function.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Signal, pidfd_send_signal};

use crate::environment::{Environment, Life, Process, Resources};
use crate::error::SandboxError;
use crate::link::{self, Fds, Report};
use crate::orders::{RestoreOrders, Work};
use crate::sandbox::{Sandbox, Started};
use crate::sockets::{control_pair, output_pipe};
use crate::spec::{Boot, FIRST_RESTORED, INSIDE_UID, Shell};
use crate::users::{OwnUsers, UserBlock};
use crate::watcher::Watcher;

/// What a runtime that shall become a snapshot begins with.
pub(crate) struct Seed {
    /// Its end of the socket where it is told to fork.
    pub(crate) orders: OwnedFd,
    /// For its environments, where there is more than one user.
    pub(crate) block: Option<Arc<UserBlock>>,
}

/// What became of it.
pub(crate) struct Grown {
    /// A pidfd.
    pub(crate) process: OwnedFd,
    pub(crate) user_namespace: OwnedFd,
}

/// A runtime from which environments of its function are forked, once it has loaded it. When this is dropped its process
/// ends; what was forked from it lives on.
pub struct Snapshot {
    grown: Grown,
    orders: OwnedFd,
    block: Option<Arc<UserBlock>>,
    life: Arc<Life>,
    shell: Shell,
    restoring: Mutex<()>,
}

impl Sandbox {
    /// Makes an environment without a function, like [`Sandbox::prepare`], whose runtime shall become a snapshot once it
    /// has one. Only for [`Boot::Fork`]. Dropping what comes with it, but for the snapshot, does not end it.
    pub fn prepare_snapshot(&self, shell: &Shell) -> Result<(Started, Snapshot), SandboxError> {
        if !matches!(shell.boot, Boot::Fork { .. }) {
            return Err(SandboxError::Unsupported("this runtime cannot be forked".to_owned()));
        }
        let none = || SandboxError::Unsupported("there are as many snapshots as there may be".to_owned());
        let block = if self.is_root() { Some(Arc::new(UserBlock::take().ok_or_else(none)?)) } else { None };
        let (orders, theirs) = control_pair().map_err(SandboxError::start("make a socket for its orders"))?;
        let seed = Seed { orders: theirs, block: block.clone() };
        let (started, grown) = self.prepare_kind(shell, Some(&seed))?;
        let detail = || SandboxError::Init { detail: "tell of its process".to_owned() };
        let grown = grown.ok_or_else(detail)?;
        let (life, shell) = (started.environment.life().clone(), shell.clone());
        Ok((started, Snapshot { grown, orders, block, life, shell, restoring: Mutex::new(()) }))
    }

    /// Forks an environment from a snapshot, which must have asked for it. Its runtime then asks the Runtime API for what
    /// differs from the snapshot's. Blocks for some milliseconds, at most 5 seconds. After an error the snapshot is of no
    /// more use.
    pub fn restore(&self, snapshot: &Snapshot, memory_mib: u32) -> Result<Started, SandboxError> {
        let none = || SandboxError::Unsupported("a snapshot has as many environments as it may".to_owned());
        let (place, users) = match &snapshot.block {
            Some(block) => block.lend().map(|(place, users)| (Some(place), users)).ok_or_else(none)?,
            None => (None, OwnUsers::only_one()),
        };
        let shell = &snapshot.shell;
        let disk = self.disk(shell, users.users.runtime)?;
        let group = self.hierarchies.create(&self.next_name(), shell)?;
        self.hierarchies.limit(&group, memory_mib)?;
        let joins = group.joins()?;
        let (output, their_output) = output_pipe().map_err(SandboxError::start("make an output pipe"))?;
        let (disk, backing) = disk.map(|disk| (disk.mount, disk.backing)).unzip();
        let order = RestoreOrders {
            process: snapshot.process()?,
            user_in_snapshot: place.map_or(INSIDE_UID, |place| FIRST_RESTORED + place),
            user: users.users.runtime,
            scratch_mib: shell.scratch_mib,
            runtime_api_port: shell.runtime_api_port,
            endpoint_port: shell.endpoint_port,
            egress: shell.egress,
            has_disk: disk.is_some(),
            joins: joins.len(),
        };
        let mut fds = vec![
            snapshot.grown.user_namespace.as_raw_fd(),
            snapshot.orders.as_raw_fd(),
            their_output.as_raw_fd(),
        ];
        fds.extend(disk.as_ref().map(AsRawFd::as_raw_fd));
        fds.extend(joins.iter().map(AsRawFd::as_raw_fd));
        let mut has =
            Resources { group, hierarchies: self.hierarchies.clone(), users, disk: self.disk_back(backing) };
        // One that never said who it is may still live, and cannot be killed.
        let (report, mut fds) = snapshot.fork(order, fds).inspect_err(|_| has.keep_from_others())?;
        let mut take = || fds.next().map_err(|detail| SandboxError::Init { detail });
        let (runtime_api, endpoint, init) = (take()?, take()?, take()?);
        let tun = if report { Some(take()?) } else { None };
        let watched = init.try_clone();
        let companion_pids = Vec::new();
        let process = Process { init, _control: None, orders: None, companions: None, companion_pids };
        // From here on whatever fails ends it.
        let environment = Environment::beneath(snapshot.life.clone(), process, has);
        let (reports, ended) = UnixDatagram::pair().map_err(SandboxError::start("make a report socket"))?;
        reports.set_nonblocking(true).map_err(SandboxError::start("make a report socket"))?;
        let watched = watched.map_err(SandboxError::start("watch its process"))?;
        self.watch_end(watched, ended.into())?;
        let (runtime_api, endpoint) = (runtime_api.into(), endpoint.into());
        Ok(Started { environment, runtime_api, endpoint, output, companions_output: None, reports, tun })
    }

    fn watch_end(&self, process: OwnedFd, report: OwnedFd) -> Result<(), SandboxError> {
        let wrong = SandboxError::start("watch its process");
        let watcher = match self.watcher.get() {
            Some(watcher) => watcher,
            None => {
                let new = Watcher::new().map_err(&wrong)?;
                self.watcher.get_or_init(|| new)
            }
        };
        watcher.watch(process, report).map_err(wrong)
    }
}

impl Snapshot {
    /// Its process, as the daemon numbers it.
    fn process(&self) -> Result<i32, SandboxError> {
        let gone = || SandboxError::Init { detail: "find its snapshot alive".to_owned() };
        crate::environment::pid_of(&self.grown.process).ok_or_else(gone)
    }

    /// Whether it has a network device, and what comes with an environment.
    fn fork(&self, order: RestoreOrders, fds: Vec<i32>) -> Result<(bool, Fds), SandboxError> {
        let (control, theirs) = control_pair().map_err(SandboxError::start("make a control socket"))?;
        let mut all = vec![theirs.as_raw_fd()];
        all.extend(fds);
        let _one_at_a_time = self.restoring.lock().unwrap_or_else(PoisonError::into_inner);
        self.life.ask_forge(&Work::Restore(order), &all)?;
        drop(theirs);
        let heard = link::receive(control.as_fd(), link::MAX_REPORT);
        let (packet, fds) = heard.map_err(SandboxError::start("hear from the helper that restores it"))?;
        match Report::read(&packet) {
            Report::Ready { tun, .. } => Ok((tun, Fds::new(fds))),
            Report::Failed { detail } => Err(SandboxError::Init { detail }),
            other => Err(SandboxError::Init { detail: format!("be restored in time: {other:?}") }),
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // Its process 1 stays for those that were forked from it.
        let _ = pidfd_send_signal(&self.grown.process, Signal::KILL);
    }
}
