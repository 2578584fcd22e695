//! From a fork of process 1 to the runtime program.

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use landlock::{
    ABI, Access, AccessFs, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

use super::{Step, privileges};
use crate::link::{self, Report};
use crate::spec::Orders;

/// Bytes that a runtime may lock into memory; some cryptography libraries want a page or two.
const MAX_LOCKED_BYTES: u64 = 64 * 1024;

/// Returns only when there is no runtime to be: an exit code.
pub(super) fn become_runtime(orders: &Orders, control: &OwnedFd, joins: &[File]) -> i32 {
    match prepare(orders, joins) {
        Ok(()) if orders.probe => return 0,
        Ok(()) => {}
        Err(detail) => {
            let _ = link::send_json(control.as_fd(), &Report::Failed { detail }, &[]);
            return 1;
        }
    }
    let errno = execute(orders);
    let _ = link::send_json(control.as_fd(), &Report::NotExecuted { errno }, &[]);
    1
}

fn prepare(orders: &Orders, joins: &[File]) -> Step<()> {
    nix::unistd::setsid().map_err(|error| format!("lead a session: {error}"))?;
    for mut file in joins {
        file.write_all(b"0").map_err(|error| format!("join its control group: {error}"))?;
    }
    // After joining, so that the namespace's root is the environment's own group.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP)
        .map_err(|error| format!("hide the host's control groups: {error}"))?;
    limit_resources(orders)?;
    if let Some(users) = orders.users {
        // Else the function could not open /dev/stdout, which leads to this pipe.
        let (uid, gid) =
            (nix::unistd::Uid::from_raw(users.runtime), nix::unistd::Gid::from_raw(users.runtime));
        nix::unistd::fchown(std::io::stdout(), Some(uid), Some(gid))
            .map_err(|error| format!("own its output: {error}"))?;
    }
    privileges::give_up(orders.users.map(|users| users.runtime))?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    reset_signals()?;
    std::env::set_current_dir(&orders.spec.working_dir)
        .map_err(|error| format!("enter {}: {error}", orders.spec.working_dir))?;
    fence_files().map_err(|error| format!("fence its files: {error}"))?;
    crate::filter::apply(&orders.filter).map_err(|error| format!("filter its system calls: {error}"))
}

fn limit_resources(orders: &Orders) -> Step<()> {
    let spec = &orders.spec;
    let mut limits = vec![
        (Resource::RLIMIT_NOFILE, u64::from(spec.max_open_files)),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, u64::from(spec.scratch_mib) << 20),
        (Resource::RLIMIT_MEMLOCK, MAX_LOCKED_BYTES),
        (Resource::RLIMIT_MSGQUEUE, 0),
    ];
    if orders.join.is_empty() {
        limits.push((Resource::RLIMIT_NPROC, u64::from(spec.max_processes)));
    }
    for (resource, limit) in limits {
        setrlimit(resource, limit, limit).map_err(|error| format!("limit itself ({resource:?}): {error}"))?;
    }
    Ok(())
}

/// The daemon's threads block all signals for the clone, and Rust ignores SIGPIPE; programs expect neither.
fn reset_signals() -> Step<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .map_err(|error| format!("unblock signals: {error}"))?;
    // SAFETY: the default action runs no code of ours.
    #[expect(unsafe_code, reason = "signal dispositions have no safe interface")]
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }
        .map(|_| ())
        .map_err(|error| format!("reset signals: {error}"))
}

/// A second fence behind the mounts: read and execute everywhere in the small root, write in `/tmp` and to `/dev` only.
fn fence_files() -> Result<(), Box<dyn std::error::Error>> {
    let abi = ABI::V5;
    let all = AccessFs::from_all(abi);
    let devices = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    Ruleset::default()
        .set_compatibility(landlock::CompatLevel::BestEffort)
        .handle_access(all)?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new("/")?, AccessFs::from_read(abi)))?
        .add_rule(PathBeneath::new(PathFd::new("/tmp")?, all))?
        .add_rule(PathBeneath::new(PathFd::new("/dev")?, AccessFs::from_read(abi) | devices))?
        .add_rule(PathBeneath::new(PathFd::new("/proc")?, AccessFs::from_read(abi) | AccessFs::WriteFile))?
        .restrict_self()?;
    Ok(())
}

/// The errno with which `execve` failed.
fn execute(orders: &Orders) -> i32 {
    let spec = &orders.spec;
    let pairs = spec.env.iter().map(|(name, value)| format!("{name}={value}"));
    let env: Result<Vec<CString>, _> = pairs.map(CString::new).collect();
    let args: Result<Vec<CString>, _> = spec.args.iter().map(|arg| CString::new(arg.as_str())).collect();
    match (CString::new(spec.program.as_str()), args, env) {
        (Ok(program), Ok(args), Ok(env)) => {
            let Err(errno) = nix::unistd::execve(&program, &args, &env);
            errno as i32
        }
        _ => libc::EINVAL,
    }
}
