//! Process 1 of an environment: builds it, starts the runtime, reaps, reports.

mod mounts;
mod network;
mod privileges;
mod runtime;

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{ForkResult, Pid};

use crate::clone::INIT_ARGUMENT;
use crate::link::{self, ExitStatus, Report};
use crate::spec::Orders;

/// A step that failed, in words that complete "could not ...".
type Step<T> = Result<T, String>;

/// Descriptors below this belong to the runtime: input, output, error, log.
const FIRST_OWN_FD: i32 = 10;

/// Where the platform looks first for memory when the host runs out: at functions, before everything else.
const OOM_SCORE: &str = "800";

/// Must be the first call of `main`, before any thread is started. Returns at once in an ordinary process; in a process
/// that [`crate::Sandbox`] cloned to be the first of an environment, never returns.
pub fn run_if_init() {
    let name = std::env::args_os().next().unwrap_or_default();
    if name.as_bytes() == INIT_ARGUMENT.to_bytes() {
        std::process::exit(init());
    }
}

fn init() -> i32 {
    let Ok(control) = take_control() else { return 1 };
    let orders = match receive_orders(&control) {
        Ok(orders) => orders,
        Err(detail) => return fail(&control, detail),
    };
    let started = build(&orders, &control).and_then(|joins| start(&orders, &control, &joins));
    let runtime = match started {
        Ok(None) => return 0,
        Ok(Some(runtime)) => runtime,
        Err(detail) => return fail(&control, detail),
    };
    if let Err(detail) = settle(&orders, &control) {
        return fail(&control, detail);
    }
    let status = reap_until(runtime);
    // Nobody listens any more when the daemon has given the environment up.
    let _ = link::send_json(control.as_fd(), &Report::Exited(status), &[]);
    0
}

/// Builds the environment around this process; returns the open control group files that the runtime shall join.
fn build(orders: &Orders, control: &OwnedFd) -> Step<Vec<File>> {
    // Lost when privileges are given up, so set again in `settle`.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("tie itself to the daemon: {error}"))?;
    std::fs::write("/proc/self/oom_score_adj", OOM_SCORE)
        .map_err(|error| format!("offer itself to the out-of-memory killer: {error}"))?;
    let joins = open_joins(orders)?;
    network::raise_loopback()?;
    let api = network::listen(orders.spec.runtime_api_port)?;
    let endpoint = network::listen(orders.spec.endpoint_port)?;
    nix::unistd::sethostname("lambda").map_err(|error| format!("set its host name: {error}"))?;
    mounts::build_root(orders)?;
    let fds = [api.as_raw_fd(), endpoint.as_raw_fd()];
    link::send_json(control.as_fd(), &Report::Ready, &fds)
        .map_err(|error| format!("pass its listeners to the daemon: {error}"))?;
    Ok(joins)
}

/// Forks the runtime; `None` when this was only a probe.
fn start(orders: &Orders, control: &OwnedFd, joins: &[File]) -> Step<Option<Pid>> {
    // SAFETY: this process has a single thread, so the child may use all of the standard library.
    #[expect(unsafe_code, reason = "fork has no safe interface")]
    let forked = unsafe { nix::unistd::fork() }.map_err(|error| format!("fork the runtime: {error}"))?;
    match forked {
        ForkResult::Parent { .. } if orders.probe => {
            let ended = wait().map_err(|error| format!("wait for the probe: {error}"))?;
            match ended {
                WaitStatus::Exited(_, 0) => Ok(None),
                other => Err(format!("run the probe to its end: {other:?}")),
            }
        }
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => std::process::exit(runtime::become_runtime(orders, control, joins)),
    }
}

/// What process 1 gives up once nothing is left to build.
fn settle(orders: &Orders, control: &OwnedFd) -> Step<()> {
    privileges::give_up(orders.users.map(|users| users.init))?;
    prctl::set_dumpable(false).map_err(|error| format!("hide its memory: {error}"))?;
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("tie itself to the daemon: {error}"))?;
    crate::filter::apply(&orders.filter).map_err(|error| format!("filter its system calls: {error}"))?;
    // Had the daemon died before the line above, no signal would ever come.
    let daemon_is_there = !hung_up(control.as_fd());
    daemon_is_there.then_some(()).ok_or_else(|| "find the daemon alive".to_owned())
}

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

/// Moves the control socket from standard input to where no runtime will find it.
fn take_control() -> Result<OwnedFd, nix::errno::Errno> {
    let stdin = std::io::stdin();
    let fd = fcntl(stdin.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(FIRST_OWN_FD))?;
    let null = File::open("/dev/null").map_err(|_| nix::errno::Errno::ENOENT)?;
    nix::unistd::dup2_stdin(&null)?;
    // SAFETY: fcntl has just made this descriptor for us.
    #[expect(unsafe_code, reason = "descriptors made by number have no safe interface")]
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
}

fn receive_orders(control: &OwnedFd) -> Step<Orders> {
    let (packet, _) = link::receive(control.as_fd(), link::MAX_PACKET)
        .map_err(|error| format!("read its orders: {error}"))?;
    serde_json::from_slice(&packet).map_err(|error| format!("understand its orders: {error}"))
}

fn open_joins(orders: &Orders) -> Step<Vec<File>> {
    let open = |path: &std::path::PathBuf| {
        let opened = OpenOptions::new().write(true).open(path);
        opened.map_err(|error| format!("open control group file {}: {error}", path.display()))
    };
    orders.join.iter().map(open).collect()
}

fn hung_up(control: BorrowedFd<'_>) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut fds = [PollFd::new(control, PollFlags::empty())];
    let found = poll(&mut fds, PollTimeout::ZERO).unwrap_or(0);
    found > 0
}

fn fail(control: &OwnedFd, detail: String) -> i32 {
    // If even this cannot be sent, the daemon sees the socket close and says so.
    let _ = link::send_json(control.as_fd(), &Report::Failed { detail }, &[]);
    1
}
