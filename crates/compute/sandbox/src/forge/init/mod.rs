//! Process 1 of an environment: completes it, starts the runtime, reaps, reports.

mod companions;
pub(super) mod fence;
pub(super) mod network;
mod privileges;
pub(super) mod proc;
mod runtime;
pub(super) mod tun;

use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::mount::MsFlags;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, wait, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, pipe2};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::mounts::{attach, mount_one};
use super::template::Ready;
use super::{Step, reset_signals, tie_to_parent};
use crate::clone::{Extent, fork_into, user_namespace};
use crate::link::{self, ExitStatus, Fds, Report};
use crate::orders::EnvironmentOrders;
use crate::spec::{Boot, FIRST_RESTORED, INSIDE_GID, INSIDE_UID, Users};
use crate::users::BLOCK;

pub(super) use privileges::keep_for_zygote;
pub(super) use runtime::execute;

/// Companions that the daemon is told of: with all else as many descriptors as travel beside one packet.
const MAX_TOLD: usize = 10;

/// What came beside the orders.
struct Given {
    control: OwnedFd,
    output: OwnedFd,
    orders: Option<OwnedFd>,
    /// Where companions are told what they are, and their output.
    companions: Option<(OwnedFd, OwnedFd)>,
    disk: Option<OwnedFd>,
    /// Control group files that the runtime joins by writing `0`.
    joins: Vec<OwnedFd>,
}

/// What the runtime needs of a finished environment.
struct Built {
    own: OwnedFd,
    api: TcpListener,
    endpoint: TcpListener,
    tun: Option<OwnedFd>,
    user_namespace: OwnedFd,
    fence: Option<OwnedFd>,
}

/// Gives an exit code when the environment has come to its end.
pub(super) fn run(template: &Ready, order: &EnvironmentOrders, fds: Fds) -> i32 {
    let Ok(given) = Given::take(template, order, fds) else { return 1 };
    match live(template, order, &given) {
        Ok(()) => 0,
        Err(detail) => {
            // If even this cannot be sent, the daemon sees the socket close and says so.
            let _ = link::send_json(given.control.as_fd(), &Report::Failed { detail }, &[]);
            1
        }
    }
}

fn live(template: &Ready, order: &EnvironmentOrders, given: &Given) -> Step<()> {
    let built = build(template, order, given)?;
    let (turn, mine) = pipe2(OFlag::O_CLOEXEC).map_err(|error| format!("make a pipe: {error}"))?;
    let runtime = match &template.orders.shell.boot {
        Boot::Fork { .. } => None,
        _ => Some(start(template, given, &built, (&turn, &mine))?),
    };
    let companions = companions::start(template, given, &built, (&turn, &mine))?;
    let pointers = point_at(&companions)?;
    settle(template, order, given)?;
    // Only now, so that no function is there before this process can do nothing else any more.
    tell(template, given, &built, &pointers)?;
    drop(pointers);
    // From now on the runtime may report, too.
    drop((mine, built));
    let Some(runtime) = runtime.filter(|_| companions.is_empty()) else {
        reap_for_ever(given, runtime, &companions)
    };
    tell_end(given, &Report::Exited(reap_until(runtime)));
    Ok(())
}

impl Given {
    fn take(template: &Ready, order: &EnvironmentOrders, mut fds: Fds) -> Step<Self> {
        let has_companions = template.orders.shell.companions > 0;
        Ok(Self {
            control: fds.next()?,
            output: fds.next()?,
            orders: fds.next_if(order.has_orders)?,
            companions: fds.next_if(has_companions)?.zip(fds.next_if(has_companions)?),
            disk: fds.next_if(order.has_disk)?,
            joins: fds.take(order.joins)?,
        })
    }
}

/// Completes the environment around this process, and tells the daemon.
fn build(template: &Ready, order: &EnvironmentOrders, given: &Given) -> Step<Built> {
    // Lost when privileges are given up, so set again in `settle`.
    tie_to_parent()?;
    reset_signals()?;
    let shell = &template.orders.shell;
    let proc = proc::mount()?;
    mount_scratch(shell.scratch_mib, order.users, given.disk.as_ref())?;
    network::raise_loopback()?;
    let api = network::listen(shell.runtime_api_port)?;
    let endpoint = network::listen(shell.endpoint_port)?;
    nix::unistd::sethostname("lambda").map_err(|error| format!("set its host name: {error}"))?;
    let Users { runtime, .. } = order.users;
    privileges::keep_capabilities()?;
    let ids = |inside| {
        let own = Extent { inside, outside: runtime, count: 1 };
        let block = order.block.map(|outside| Extent { inside: FIRST_RESTORED, outside, count: BLOCK });
        [own].into_iter().chain(block).collect::<Vec<_>>()
    };
    let user_namespace = user_namespace(proc.as_fd(), &ids(INSIDE_UID), &ids(INSIDE_GID))
        .map_err(|error| format!("make its user namespace: {error}"))?;
    // Else the function could not open /dev/stdout, which leads to this pipe.
    let (uid, gid) = (Uid::from_raw(runtime), Gid::from_raw(runtime));
    for output in std::iter::once(&given.output).chain(given.companions.iter().map(|(_, output)| output)) {
        nix::unistd::fchown(output, Some(uid), Some(gid))
            .map_err(|error| format!("own its output: {error}"))?;
    }
    // Writes to /proc, too.
    let tun = template.tun.as_ref().map(tun::open_tun).transpose()?;
    proc::close()?;
    let fence = if order.is_snapshot { fence::build_loose() } else { fence::build() };
    let fence = fence.map_err(|error| format!("fence its files: {error}"))?;
    let own =
        pidfd_open(getpid(), PidfdFlags::empty()).map_err(|error| format!("point at itself: {error}"))?;
    Ok(Built { own, api, endpoint, tun, user_namespace, fence })
}

/// Pidfds of the companions, if there are not too many to tell of.
fn point_at(companions: &[Pid]) -> Step<Vec<OwnedFd>> {
    let told = companions.iter().filter(|_| companions.len() <= MAX_TOLD);
    let pid = |one: &Pid| rustix::process::Pid::from_raw(one.as_raw()).ok_or(rustix::io::Errno::SRCH);
    let pointers = told.map(|one| pidfd_open(pid(one)?, PidfdFlags::empty()));
    pointers.collect::<Result<_, _>>().map_err(|error| format!("point at a companion: {error}"))
}

/// What the daemon gets: both listeners, this process, the network device, for a zygote's child what it shall enter, and
/// the companions.
fn tell(template: &Ready, given: &Given, built: &Built, companions: &[OwnedFd]) -> Step<()> {
    let mut fds = vec![built.api.as_raw_fd(), built.endpoint.as_raw_fd(), built.own.as_raw_fd()];
    fds.extend(built.tun.as_ref().map(AsRawFd::as_raw_fd));
    let mut report = Report::Ready { tun: built.tun.is_some(), fence: false };
    if let (Report::Ready { fence, .. }, Boot::Fork { .. }) = (&mut report, &template.orders.shell.boot) {
        fds.push(built.user_namespace.as_raw_fd());
        *fence = built.fence.is_some();
        fds.extend(built.fence.as_ref().map(AsRawFd::as_raw_fd));
    }
    fds.extend(companions.iter().map(AsRawFd::as_raw_fd));
    link::send_json(given.control.as_fd(), &report, &fds)
        .map_err(|error| format!("pass its listeners to the daemon: {error}"))
}

fn mount_scratch(scratch_mib: u32, users: Users, disk: Option<&OwnedFd>) -> Step<()> {
    if let Some(disk) = disk {
        return attach(disk, "/tmp");
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
    let owner = users.runtime;
    let options = format!("mode=700,size={scratch_mib}m,uid={owner},gid={owner}");
    mount_one(Some("tmpfs"), Path::new("/tmp"), Some("tmpfs"), flags, Some(&options))
}

/// Forks the runtime, or what will become it.
fn start(template: &Ready, given: &Given, built: &Built, turn: (&OwnedFd, &OwnedFd)) -> Step<Pid> {
    match fork_into(0).map_err(|error| format!("fork the runtime: {error}"))? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => std::process::exit(runtime::become_runtime(template, given, built, turn)),
    }
}

/// What process 1 gives up once nothing is left to build.
fn settle(template: &Ready, order: &EnvironmentOrders, given: &Given) -> Step<()> {
    if template.orders.root {
        let id = order.users.init;
        privileges::leave_groups()?;
        privileges::become_user(id, id)?;
    }
    privileges::give_up()?;
    prctl::set_dumpable(false).map_err(|error| format!("hide its memory: {error}"))?;
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("tie itself to the daemon: {error}"))?;
    crate::filter::apply(&crate::filter::for_init())
        .map_err(|error| format!("filter its system calls: {error}"))?;
    // Had the daemon died before the line above, no signal would ever come.
    let daemon_is_there = !hung_up(given.control.as_fd());
    daemon_is_there.then_some(()).ok_or_else(|| "find the daemon alive".to_owned())
}

/// Reaps until the runtime has ended.
fn reap_until(runtime: Pid) -> ExitStatus {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid == runtime => return ExitStatus::Code(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == runtime => {
                return ExitStatus::Signal(signal as i32);
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return ExitStatus::Code(1),
        }
    }
}

/// Nobody listens any more when the daemon has given the environment up.
fn tell_end(given: &Given, report: &Report) {
    let _ = link::send_json(given.control.as_fd(), report, &[]);
}

/// Reaps until this process is killed, and reports the ends of the runtime, where it is a child of this process, and of
/// companions: these have something left to do when the runtime has ended.
fn reap_for_ever(given: &Given, runtime: Option<Pid>, companions: &[Pid]) -> ! {
    let mut ended = SigSet::empty();
    ended.add(Signal::SIGCHLD);
    // Blocked, it is kept until it is waited for, also when it comes between the two calls below.
    let _ = ended.thread_block();
    loop {
        loop {
            let (ended, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(ended, code)) => (ended, ExitStatus::Code(code)),
                Ok(WaitStatus::Signaled(ended, signal, _)) => (ended, ExitStatus::Signal(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(_) => break,
                Ok(_) => continue,
            };
            if Some(ended) == runtime {
                tell_end(given, &Report::Exited(status));
            } else if let Some(index) = companions.iter().position(|one| *one == ended) {
                tell_end(given, &Report::CompanionExited { index, status });
            }
        }
        let _ = ended.wait();
    }
}

fn hung_up(control: BorrowedFd<'_>) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut fds = [PollFd::new(control, PollFlags::empty())];
    let found = poll(&mut fds, PollTimeout::ZERO).unwrap_or(0);
    found > 0
}
