//! The daemon's side: an environment that lives.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Signal, pidfd_send_signal};

use crate::cgroups::{Group, Hierarchies};
use crate::companions;
use crate::error::SandboxError;
use crate::link;
use crate::orders::{ExecOrders, Work};
use crate::sandbox::DiskBack;
use crate::sockets::control_pair;
use crate::spec::Assignment;
use crate::templates::Template;
use crate::users::OwnUsers;
use crate::zygote::Entrance;

/// What is killed is gone in milliseconds, unless the kernel waits for a device.
const KILL_TIMEOUT_MS: u16 = 10_000;

/// A prepared environment. Dropping it kills everything in it, which blocks for some milliseconds.
pub struct Environment {
    life: Arc<Life>,
    /// The snapshot that it was forked from, with whose process 1 it would end. (Dropped after its own.)
    _above: Option<Arc<Life>>,
}

/// What ends when nobody needs it any more: neither its owner nor environments that were forked from it.
pub(crate) struct Life {
    process: Process,
    template: Arc<Template>,
    has: Resources,
}

/// What it has of the host's; each goes back when everything in the environment is gone.
pub(crate) struct Resources {
    pub(crate) group: Group,
    pub(crate) hierarchies: Arc<Hierarchies>,
    pub(crate) users: OwnUsers,
    pub(crate) disk: DiskBack,
}

impl Resources {
    /// What somebody may still use goes back to nobody.
    pub(crate) fn keep_from_others(&mut self) {
        self.users.keep();
        self.disk.keep();
    }

    fn thaw(&self) -> io::Result<()> {
        self.group.freezer.as_ref().map_or(Ok(()), |freezer| freezer.thaw())
    }
}

impl Life {
    /// Has the forge do some work.
    pub(crate) fn ask_forge(&self, work: &Work, fds: &[i32]) -> Result<(), SandboxError> {
        self.template.ask_forge(work, fds)
    }
}

/// Its first process.
pub(crate) struct Process {
    /// A pidfd.
    pub(crate) init: OwnedFd,
    /// As long as it is open, process 1 knows that the daemon wants it.
    pub(crate) _control: Option<OwnedFd>,
    /// Of a runtime that waits to be executed.
    pub(crate) orders: Option<OwnedFd>,
    /// Of companions, all of whom listen to it: each packet is taken by one.
    pub(crate) companions: Option<OwnedFd>,
    /// The companions, as the daemon numbers them.
    pub(crate) companion_pids: Vec<i32>,
}

impl Environment {
    pub(crate) fn new(process: Process, template: Arc<Template>, has: Resources) -> Self {
        Self { life: Arc::new(Life { process, template, has }), _above: None }
    }

    /// One that was forked from a snapshot.
    pub(crate) fn beneath(above: Arc<Life>, process: Process, has: Resources) -> Self {
        let template = above.template.clone();
        Self { life: Arc::new(Life { process, template, has }), _above: Some(above) }
    }

    pub(crate) fn life(&self) -> &Arc<Life> {
        &self.life
    }

    pub(crate) fn init(&self) -> &OwnedFd {
        &self.life.process.init
    }

    /// Has the zygote of its kind fork its runtime; see [`crate::zygote::Zygote::fork`].
    pub(crate) fn fork_runtime(&self, entrance: &Entrance<'_>) -> Result<Option<OwnedFd>, SandboxError> {
        self.life.template.zygote.as_ref().map_or(Ok(None), |zygote| zygote.fork(entrance))
    }

    /// Gives the environment its function: bounds, code, and, to a program that waits to be executed, its variables. Where
    /// there are companions they are started now, and the program only by [`Environment::execute`]. Once only. Blocks for
    /// some hundred microseconds.
    pub fn assign(&self, assignment: &Assignment) -> Result<(), SandboxError> {
        self.life.has.hierarchies.limit(&self.life.has.group, assignment.memory_mib)?;
        self.life.template.mount(&self.life.process.init, &assignment.binds)?;
        let Some(orders) =
            self.life.process.companions.as_ref().filter(|_| !assignment.companions.is_empty())
        else {
            return self.execute(assignment);
        };
        for companion in &assignment.companions {
            link::send_json(orders.as_fd(), companion, &[])
                .map_err(SandboxError::start("have a companion executed"))?;
        }
        Ok(())
    }

    /// Has a program that waits for it executed ([`crate::Boot::Later`]); others run already.
    pub fn execute(&self, assignment: &Assignment) -> Result<(), SandboxError> {
        if let Some(orders) = &self.life.process.orders {
            let order = ExecOrders { instead: assignment.instead.clone(), env: assignment.env.clone() };
            link::send_json(orders.as_fd(), &order, &[])
                .map_err(SandboxError::start("have its program executed"))?;
        }
        Ok(())
    }

    /// TCP sockets of its network that are connected to nothing yet, non-blocking. Blocks for a millisecond.
    pub fn sockets(&self, count: usize) -> Result<Vec<OwnedFd>, SandboxError> {
        let (ours, theirs) = control_pair().map_err(SandboxError::start("make a control socket"))?;
        let fds = [theirs.as_raw_fd(), self.life.process.init.as_raw_fd()];
        self.life.ask_forge(&Work::Sockets { count }, &fds)?;
        drop(theirs);
        let heard = link::receive(ours.as_fd(), link::MAX_REPORT);
        let (packet, sockets) = heard.map_err(SandboxError::start("hear of its sockets"))?;
        let reply: link::Reply = serde_json::from_slice(&packet)
            .unwrap_or_else(|_| Err("stay alive while it made sockets".to_owned()));
        reply.map(|()| sockets).map_err(|detail| SandboxError::Init { detail })
    }

    /// Stops everything in it until it is thawed; nothing happens where the host cannot freeze.
    pub fn freeze(&self) -> io::Result<()> {
        self.life.has.group.freezer.as_ref().map_or(Ok(()), |freezer| freezer.freeze())
    }

    /// Lets everything in it go on.
    pub fn thaw(&self) -> io::Result<()> {
        self.life.has.thaw()
    }

    /// Kills its runtime and whatever else is not a companion, or was started by one, and waits until it is gone. False
    /// where that cannot be done: there are no control groups, or no companions, or it grows faster than it is killed.
    /// Blocks for some milliseconds.
    pub fn kill_runtime(&self) -> bool {
        companions::kill_others(&self.life.has.group, &self.life.process.companion_pids)
    }

    /// Asks its runtime to end (`SIGTERM`), and whatever else nobody in it but process 1 is the parent of; companions are
    /// not asked. False where nobody could be asked: there are no control groups, or the runtime is gone.
    pub fn terminate_runtime(&self) -> bool {
        companions::terminate_others(&self.life.has.group, &self.life.process.companion_pids)
    }

    /// Process 1 of the environment, as the host numbers it; `None` once it is gone.
    pub fn pid(&self) -> Option<i32> {
        pid_of(&self.life.process.init)
    }

    /// The most memory the environment ever used, in bytes; `None` where the host does not count it.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        self.life.has.group.peak_bytes()
    }

    /// Whether the kernel killed a process of the environment for want of memory.
    pub fn oom_killed(&self) -> bool {
        self.life.has.group.oom_kills() > 0
    }

    /// Kills everything in the environment at once and waits until it is gone: some milliseconds, blocking.
    pub fn kill(self) {
        drop(self);
    }
}

/// The number of a process, from its pidfd; `None` once it is gone.
pub(crate) fn pid_of(process: &OwnedFd) -> Option<i32> {
    let path = format!("/proc/self/fdinfo/{}", process.as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    (pid > 0).then_some(pid)
}

impl Process {
    /// Kills the environment; whether it ended in time. The kernel kills every process of the namespace with its
    /// process 1, and ends that one after them.
    fn end(&self) -> bool {
        // Fails only when it is gone already.
        let _ = pidfd_send_signal(&self.init, Signal::KILL);
        let mut fds = [PollFd::new(self.init.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut fds, PollTimeout::from(KILL_TIMEOUT_MS)) {
                Err(nix::errno::Errno::EINTR) => {}
                found => return found.is_ok_and(|found| found > 0),
            }
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.has.group.freezer.as_ref().is_some_and(|freezer| freezer.must_thaw_to_kill) {
            // If it cannot be thawed it dies when it can.
            let _ = self.has.thaw();
        }
        if !self.process.end() {
            tracing::error!(
                pid = pid_of(&self.process.init),
                "the kernel does not end an environment; its user and disk are not used again"
            );
            self.has.keep_from_others();
        }
        self.has.group.remove();
    }
}
