//! Watching a snapshot fork, and its child give up what the fork gave it.
//!
//! Whoever makes a user namespace has every capability in it, and here that is foreign code. So the child is traced from
//! its birth: each of its system calls is looked at before it is done, and only those get through that lose rights (and
//! the few that Python cannot do without). It is let go when the kernel says that it has no capability left.
#![expect(unsafe_code, reason = "ptrace has no safe interface")]

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::Step;
use crate::filter::RESTORE_FLAGS;

const OPTIONS: libc::c_int = libc::PTRACE_O_EXITKILL
    | libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE;

/// What a child may do while it is watched: take its descriptors, become its user, fence and empty itself; and what memory
/// and the interpreter's lock need.
const ALLOWED: [libc::c_long; 17] = [
    libc::SYS_recvmsg,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_landlock_restrict_self,
    libc::SYS_capset,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_rt_sigprocmask,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_restart_syscall,
    libc::SYS_exit_group,
];

/// Lines of `/proc/PID/status` that say whether anything is left to abuse.
const MUST_BE: [(&str, &str); 7] = [
    ("CapInh:", "0000000000000000"),
    ("CapPrm:", "0000000000000000"),
    ("CapEff:", "0000000000000000"),
    ("CapAmb:", "0000000000000000"),
    ("NoNewPrivs:", "1"),
    ("Seccomp:", "2"),
    ("Threads:", "1"),
];
const STATUS_BYTES: usize = 4096;

/// `struct ptrace_syscall_info` of the kernel's `linux/ptrace.h`.
#[repr(C)]
#[derive(Default)]
struct CallInfo {
    op: u8,
    _pad: [u8; 3],
    _arch: u32,
    _instruction: u64,
    _stack: u64,
    /// At an entry the call's number and arguments; at an exit the first is its result.
    words: [u64; 8],
}

const ENTRY: u8 = 1;
const EXIT: u8 = 2;
const SECCOMP: u8 = 3;

enum Stop {
    /// A new tracee before its first instruction.
    Born,
    Forked,
    Filtered,
    Call,
    Signal(i32),
}

/// Begins to trace a snapshot. Should this process end without another word, so does the snapshot.
pub(super) fn seize(process: i32) -> Step<()> {
    request(libc::PTRACE_SEIZE, process, i64::from(OPTIONS))
        .map_err(|error| format!("trace its snapshot: {error}"))
}

/// Lets a snapshot that was told to fork do so, once, and in the one way that it may. Gives the child, stopped before its
/// first instruction; the snapshot is stopped, too.
pub(super) fn let_fork(snapshot: i32) -> Step<i32> {
    let mut may_fork = false;
    loop {
        match wait(snapshot)? {
            Stop::Filtered => {
                let CallInfo { op, words, .. } = call_of(snapshot)?;
                let flags = u64::from(RESTORE_FLAGS.cast_unsigned());
                let is_fork = op == SECCOMP && is(words[0], libc::SYS_clone) && words[1] == flags;
                if may_fork || !is_fork {
                    return Err("keep its snapshot from other calls than one fork".to_owned());
                }
                may_fork = true;
                go_on(snapshot, libc::PTRACE_SYSCALL, 0)?;
            }
            Stop::Forked if may_fork => break,
            Stop::Call if may_fork => {
                let error = std::io::Error::from_raw_os_error(-result_of(&call_of(snapshot)?));
                return Err(format!("fork its snapshot (new namespaces are refused): {error}"));
            }
            Stop::Signal(signal) => go_on(snapshot, libc::PTRACE_CONT, signal)?,
            _ => return Err("have its snapshot fork as it was told".to_owned()),
        }
    }
    let mut child: libc::c_ulong = 0;
    // SAFETY: the kernel writes one word.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, snapshot, 0, &raw mut child) };
    check(result).map_err(|error| format!("find its process: {error}"))?;
    let child = i32::try_from(child).map_err(|error| format!("find its process: {error}"))?;
    match wait(child)? {
        Stop::Born => Ok(child),
        _ => Err("stop its process at its birth".to_owned()),
    }
}

/// Lets a child go on until it has no rights left, then lets it go. `status` is its file in `/proc`.
pub(super) fn watch(child: i32, status: &File, user: u32, has_fence: bool) -> Step<()> {
    let (mut number, mut fenced) = (0, !has_fence);
    loop {
        go_on(child, libc::PTRACE_SYSCALL, 0)?;
        match wait(child)? {
            Stop::Filtered => {}
            Stop::Call => {
                let call = call_of(child)?;
                match call.op {
                    ENTRY => {
                        number = call.words[0];
                        let secures = is(number, libc::SYS_prctl)
                            && call.words[1] == u64::from(libc::PR_SET_SECUREBITS.cast_unsigned());
                        if !secures && !ALLOWED.iter().any(|allowed| is(number, *allowed)) {
                            return Err(format!("let it make call {number} with privileges"));
                        }
                    }
                    EXIT if is(number, libc::SYS_landlock_restrict_self) => fenced |= result_of(&call) == 0,
                    EXIT if is(number, libc::SYS_capset) => break,
                    _ => {}
                }
            }
            _ => return Err("let it give up its privileges undisturbed".to_owned()),
        }
    }
    if !fenced {
        return Err("see it fence its files".to_owned());
    }
    has_nothing(status, user)?;
    release(child)
}

/// Ends the tracing of a process that is stopped.
pub(super) fn release(process: i32) -> Step<()> {
    request(libc::PTRACE_DETACH, process, 0).map_err(|error| format!("let it go: {error}"))
}

fn has_nothing(status: &File, user: u32) -> Step<()> {
    let mut text = [0; STATUS_BYTES];
    let length = status.read_at(&mut text, 0).map_err(|error| format!("read what rights it has: {error}"))?;
    let text = String::from_utf8_lossy(&text[..length]);
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    for (name, wanted) in MUST_BE {
        if value(name) != wanted {
            return Err(format!("see it without rights: {name} {}", value(name)));
        }
    }
    for name in ["Uid:", "Gid:"] {
        if value(name).split_whitespace().any(|id| id != user.to_string()) {
            return Err(format!("see it become its own user {user}: {name} {}", value(name)));
        }
    }
    Ok(())
}

fn is(number: u64, call: libc::c_long) -> bool {
    i64::try_from(number) == Ok(call)
}

/// What a call gave: an errno is negative.
fn result_of(call: &CallInfo) -> i32 {
    i32::try_from(call.words[0].cast_signed()).unwrap_or(i32::MAX)
}

fn wait(process: i32) -> Step<Stop> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one word.
        let found = unsafe { libc::waitpid(process, &raw mut status, libc::__WALL) };
        if found == process {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(format!("wait for its process: {error}"));
        }
    }
    if !libc::WIFSTOPPED(status) {
        return Err("keep its process alive".to_owned());
    }
    let event = status >> 16;
    Ok(match (libc::WSTOPSIG(status), event) {
        (_, libc::PTRACE_EVENT_STOP) => Stop::Born,
        (_, libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE) => Stop::Forked,
        (_, libc::PTRACE_EVENT_SECCOMP) => Stop::Filtered,
        (signal, _) if signal == libc::SIGTRAP | 0x80 => Stop::Call,
        (signal, _) => Stop::Signal(signal),
    })
}

fn call_of(process: i32) -> Step<CallInfo> {
    let mut info = CallInfo::default();
    // SAFETY: the kernel writes at most the size that it is told.
    let length =
        unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, process, size_of::<CallInfo>(), &raw mut info) };
    check(length).map_err(|error| format!("look at its calls (Linux 5.3): {error}"))?;
    Ok(info)
}

fn go_on(process: i32, how: libc::c_uint, signal: i32) -> Step<()> {
    request(how, process, i64::from(signal)).map_err(|error| format!("let it go on: {error}"))
}

fn request(what: libc::c_uint, process: i32, data: i64) -> std::io::Result<()> {
    // SAFETY: these requests take plain numbers.
    check(unsafe { libc::ptrace(what, process, 0, data) })
}

fn check(result: libc::c_long) -> std::io::Result<()> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
