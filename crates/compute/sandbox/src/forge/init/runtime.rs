//! From a fork of process 1 to the runtime program.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::prctl;
use nix::sys::resource::setrlimit;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::{Built, Given, Step, privileges};
use crate::forge::template::Ready;
use crate::limits;
use crate::link::{self, Report};
use crate::orders::{ExecOrders, TemplateOrders};
use crate::spec::{Boot, INSIDE_GID, INSIDE_UID, Shell, TASK_DIR};

/// Standard output, standard error and the descriptor for framed log events.
const OUTPUTS: [i32; 3] = [1, 2, 3];

/// Returns only when there is no runtime to be: an exit code. It is its turn to report when the other end of `turn.0`,
/// which process 1 has, is closed (`turn.1` is this process's copy).
pub(super) fn become_runtime(
    template: &Ready,
    given: &Given,
    built: &Built,
    turn: (&OwnedFd, &OwnedFd),
) -> i32 {
    close_turn(turn.1);
    let prepared = prepare(template, given, built, &given.output);
    let report = match prepared.and_then(|()| start(&template.orders.shell, given, turn.0)) {
        Ok(report) => report,
        Err(detail) => Report::Failed { detail },
    };
    wait_for_turn(turn.0);
    let _ = link::send_json(given.control.as_fd(), &report, &[]);
    1
}

/// Closes a child's copy of what process 1 closes when it is the children's turn to report.
pub(super) fn close_turn(copy: &OwnedFd) {
    // SAFETY: this copy is never used, and the process ends without dropping it.
    #[expect(unsafe_code, reason = "the parent's value is only borrowed here")]
    unsafe {
        libc::close(copy.as_raw_fd())
    };
}

/// Returns when process 1 has said that the environment stands, or is dead.
pub(super) fn wait_for_turn(turn: &OwnedFd) {
    while let Err(nix::errno::Errno::EINTR) = nix::unistd::read(turn, &mut [0]) {}
}

/// From here to the end nothing is done for the program that it could not do itself.
pub(super) fn prepare(template: &Ready, given: &Given, built: &Built, output: &OwnedFd) -> Step<()> {
    nix::unistd::setsid().map_err(|error| format!("lead a session: {error}"))?;
    connect_output(output)?;
    for file in &given.joins {
        nix::unistd::write(file, b"0").map_err(|error| format!("join its control group: {error}"))?;
    }
    // After joining, so that the namespace's root is the environment's own group.
    // SAFETY: there is one thread, and nothing of it refers to control groups.
    #[expect(unsafe_code, reason = "unshare has no safe interface")]
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWCGROUP) }
        .map_err(|error| format!("hide the host's control groups: {error}"))?;
    limit_resources(&template.orders)?;
    if template.orders.root {
        privileges::leave_groups()?;
    }
    move_into_link_name_space(built.user_namespace.as_fd(), Some(LinkNameSpaceType::User))
        .map_err(|error| format!("enter its user namespace: {error}"))?;
    privileges::become_user(INSIDE_UID, INSIDE_GID)?;
    privileges::give_up()?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    if let Some(fence) = &built.fence {
        restrict(fence)?;
    }
    // Until it is another program, what already runs in the environment must not look into it. A change of users outside
    // would do; without root there is none.
    prctl::set_dumpable(false).map_err(|error| format!("hide its memory: {error}"))?;
    crate::filter::apply(&crate::filter::for_runtimes())
        .map_err(|error| format!("filter its system calls: {error}"))
}

fn connect_output(output: &OwnedFd) -> Step<()> {
    for fd in OUTPUTS {
        // SAFETY: of these descriptors nothing in this process is in use.
        #[expect(unsafe_code, reason = "descriptors made by number have no safe interface")]
        let made = unsafe { libc::dup2(output.as_raw_fd(), fd) };
        nix::errno::Errno::result(made).map_err(|error| format!("connect its output: {error}"))?;
    }
    Ok(())
}

fn limit_resources(orders: &TemplateOrders) -> Step<()> {
    for (resource, limit) in limits::of(&orders.shell, orders.bounds_processes) {
        setrlimit(resource, limit, limit).map_err(|error| format!("limit itself ({resource:?}): {error}"))?;
    }
    Ok(())
}

fn restrict(fence: &OwnedFd) -> Step<()> {
    // SAFETY: takes a descriptor and no flags.
    #[expect(unsafe_code, reason = "the landlock crate restricts only by its own value")]
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, fence.as_raw_fd(), 0) };
    if result == 0 { Ok(()) } else { Err(format!("fence its files: {}", std::io::Error::last_os_error())) }
}

/// Why the program could not be executed.
fn start(shell: &Shell, given: &Given, turn: &OwnedFd) -> Step<Report> {
    match (&shell.boot, &given.orders) {
        (Boot::Later { program, args }, Some(orders)) => {
            wait_for_turn(turn);
            link::send_json(given.control.as_fd(), &Report::Waiting, &[])
                .map_err(|error| format!("say that it waits: {error}"))?;
            let (packet, _) = link::receive(orders.as_fd(), link::MAX_PACKET)
                .map_err(|error| format!("wait for its function: {error}"))?;
            if packet.is_empty() {
                return Err("wait for its function: nobody has one".to_owned());
            }
            let ExecOrders { instead, env } =
                serde_json::from_slice(&packet).map_err(|error| format!("understand its orders: {error}"))?;
            let work_dir = shell.image.as_ref().map_or(TASK_DIR, |image| image.work_dir.as_str());
            if let Err(errno) = nix::unistd::chdir(work_dir) {
                return Ok(Report::NotEntered { errno: errno as i32 });
            }
            let (program, args) = instead.as_ref().map_or((program, args), |(program, args)| (program, args));
            Ok(Report::NotExecuted { errno: execute(program, args, &env) })
        }
        (Boot::Now { program, args, env } | Boot::Fork { program, args, env }, _) => {
            Ok(Report::NotExecuted { errno: execute(program, args, env) })
        }
        (Boot::Later { .. }, None) => Err("wait for its function: it has no socket".to_owned()),
    }
}

/// The errno with which `execve` failed.
pub(in crate::forge) fn execute(program: &str, args: &[String], env: &[(String, String)]) -> i32 {
    let pairs = env.iter().map(|(name, value)| format!("{name}={value}"));
    let env: Result<Vec<CString>, _> = pairs.map(CString::new).collect();
    let args: Result<Vec<CString>, _> = args.iter().map(|arg| CString::new(arg.as_str())).collect();
    match (CString::new(program), args, env) {
        (Ok(program), Ok(args), Ok(env)) => {
            let Err(errno) = nix::unistd::execve(&program, &args, &env);
            errno as i32
        }
        _ => libc::EINVAL,
    }
}
