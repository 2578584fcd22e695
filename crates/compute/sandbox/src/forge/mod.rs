//! The forge: the one helper process that holds the daemon's privileges, and whose children build environments.
//!
//! It has mounts of its own, which the host does not see and which go with it, and a single thread. It makes templates,
//! and mounts code in environments that are there already. See [`template`] for what a template does.

mod image_root;
mod init;
mod mounts;
mod restore;
mod root;
mod template;

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::{FcntlArg, fcntl};
use nix::mount::MsFlags;
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::unistd::ForkResult;
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces,
};

use crate::clone::{FIRST_OWN_FD, FORGE_ARGUMENT, OWN_NAMESPACES, adopt, fork_into, keep_only};
use crate::link::{self, Fds, Reply};
use crate::orders::{TemplateOrders, Work};
use crate::sockets::unconnected;
use crate::spec::Bind;

/// A step that failed, in words that complete "could not ...".
type Step<T> = Result<T, String>;

/// Must be the first call of `main`, before any thread is started. Returns at once in an ordinary process; in a process
/// that [`crate::Sandbox`] cloned to be its forge, never returns.
pub fn run_if_forge() {
    let name = std::env::args_os().next().unwrap_or_default();
    if name.as_bytes() == FORGE_ARGUMENT.to_bytes() {
        std::process::exit(forge());
    }
}

fn forge() -> i32 {
    let Ok(control) = take_control() else { return 1 };
    let own = match settle_down() {
        Ok(own) => own,
        Err(detail) => {
            // If even this cannot be sent, the daemon sees the socket close and says so.
            let _ = link::send_json(control.as_fd(), &Reply::Err(detail), &[]);
            return 1;
        }
    };
    serve(&control, |work, fds| match work {
        Work::Template(orders) => make_template(*orders, Fds::new(fds)),
        Work::Restore(orders) => restore::start(&orders, Fds::new(fds)),
        Work::Sockets { count } => make_sockets(count, Fds::new(fds)),
        Work::Mount { binds, whole_trees } => {
            Fds::new(fds).next().and_then(|init| mount_in(&own, &init, &binds, whole_trees))
        }
    })
}

/// Answers what comes until the other side is gone.
fn serve<T: serde::de::DeserializeOwned>(
    control: &OwnedFd,
    mut answer: impl FnMut(T, Vec<OwnedFd>) -> Reply,
) -> i32 {
    // Once for all: every page that is written to is copied with each fork.
    let mut packet = vec![0; link::MAX_PACKET];
    loop {
        let Ok((length, fds)) = link::receive_into(control.as_fd(), &mut packet) else { return 1 };
        if length == 0 {
            return 0;
        }
        let reply = match serde_json::from_slice(&packet[..length]) {
            Ok(work) => answer(work, fds),
            Err(error) => Err(format!("understand its orders: {error}")),
        };
        if link::send_json(control.as_fd(), &reply, &[]).is_err() {
            return 1;
        }
    }
}

/// Ties this process to the daemon and its mounts to itself; gives its own mount namespace, to come back to.
fn settle_down() -> Step<File> {
    tie_to_parent()?;
    ignore_children()?;
    // What the host mounts later is seen here; nothing that is mounted here is seen there.
    mounts::mount_one(None, "/".as_ref(), None, MsFlags::MS_REC | MsFlags::MS_SLAVE, None)?;
    File::open("/proc/self/ns/mnt").map_err(|error| format!("find its own mounts: {error}"))
}

fn make_template(orders: TemplateOrders, mut fds: Fds) -> Reply {
    let control = fds.next()?;
    let zygote = fds.next_if(matches!(orders.shell.boot, crate::Boot::Fork { .. }))?;
    match fork_into(OWN_NAMESPACES).map_err(|error| format!("fork a template: {error}"))? {
        ForkResult::Parent { .. } => Ok(()),
        ForkResult::Child => {
            let mut kept = vec![control.as_raw_fd()];
            kept.extend(zygote.as_ref().map(AsRawFd::as_raw_fd));
            keep_only(kept);
            std::process::exit(template::run(orders, &control, zygote))
        }
    }
}

/// Mounts host folders in the environment of `init`.
fn mount_in(own: &File, init: &OwnedFd, binds: &[Bind], whole_trees: bool) -> Reply {
    let detached: Step<Vec<_>> = binds.iter().map(|bind| mounts::detached(bind, whole_trees)).collect();
    let detached = detached?;
    enter(init, ThreadNameSpaceType::MOUNT).map_err(|error| format!("enter its mounts: {error}"))?;
    let mounted = detached.iter().flatten().try_for_each(|(mount, target)| mounts::attach(mount, target));
    if let Err(error) = move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Mount)) {
        // Nothing more could be done right from inside the environment.
        return Err(lost(&error));
    }
    mounted
}

/// Has a helper enter the environment's network, which need not come back.
fn make_sockets(count: usize, mut fds: Fds) -> Reply {
    let (report, init) = (fds.next()?, fds.next()?);
    match fork_into(0).map_err(|error| format!("fork a helper: {error}"))? {
        ForkResult::Parent { .. } => Ok(()),
        ForkResult::Child => {
            let entered = enter(&init, ThreadNameSpaceType::NETWORK)
                .map_err(|error| format!("enter its network: {error}"))
                .and_then(|()| unconnected(count).map_err(|error| format!("make sockets: {error}")));
            let (reply, sockets): (Reply, _) = match entered {
                Ok(sockets) => (Ok(()), sockets),
                Err(detail) => (Err(detail), Vec::new()),
            };
            let numbers: Vec<i32> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
            let sent = link::send_json(report.as_fd(), &reply, &numbers);
            std::process::exit(i32::from(sent.is_err()))
        }
    }
}

fn lost(error: &rustix::io::Errno) -> String {
    eprintln!("lambent: the process that builds environments cannot leave one, and ends: {error}");
    std::process::exit(1)
}

/// Moves this process into namespaces of another.
fn enter(process: &OwnedFd, which: ThreadNameSpaceType) -> rustix::io::Result<()> {
    move_into_thread_name_spaces(process.as_fd(), which)
}

fn tie_to_parent() -> Step<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("tie itself to the daemon: {error}"))
}

/// Children vanish by themselves when they end: the daemon watches them otherwise.
fn ignore_children() -> Step<()> {
    // SAFETY: ignoring a signal runs no code of ours.
    #[expect(unsafe_code, reason = "signal dispositions have no safe interface")]
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }
        .map(|_| ())
        .map_err(|error| format!("let its children go: {error}"))
}

/// What a child must undo before it waits for its own children, or executes a program. The daemon's threads block all
/// signals for the clone, and Rust ignores SIGPIPE; programs expect neither.
fn reset_signals() -> Step<()> {
    let wrong = |error: nix::errno::Errno| format!("reset signals: {error}");
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).map_err(wrong)?;
    for usual in [Signal::SIGPIPE, Signal::SIGCHLD] {
        // SAFETY: the default action runs no code of ours.
        #[expect(unsafe_code, reason = "signal dispositions have no safe interface")]
        unsafe { signal(usual, SigHandler::SigDfl) }.map_err(wrong)?;
    }
    Ok(())
}

/// Moves the control socket from standard input to where no program will find it, and takes the places below, so that
/// nothing else that comes lies where programs expect their own.
fn take_control() -> Result<OwnedFd, nix::errno::Errno> {
    let stdin = std::io::stdin();
    let fd = fcntl(stdin.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(FIRST_OWN_FD))?;
    let null = File::open("/dev/null").map_err(|_| nix::errno::Errno::ENOENT)?;
    nix::unistd::dup2_stdin(&null)?;
    // For good: they are never used, and never free.
    let mut taken = null.into_raw_fd();
    while taken < FIRST_OWN_FD - 1 {
        taken = fcntl(std::io::stdin().as_fd(), FcntlArg::F_DUPFD_CLOEXEC(0))?;
    }
    Ok(adopt(fd))
}
