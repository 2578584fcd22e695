//! The ways to make a child.
//!
//! The forge is cloned from the daemon, sharing memory until it executes this binary again: a plain fork would copy the
//! page tables of a large daemon with many threads and leave the child with locks that nobody releases. What the forge
//! and its children make are plain forks, since they have a single thread and are small.
#![expect(unsafe_code, reason = "clone, and what runs between clone and execve, has no safe interface")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::unistd::{ForkResult, Pid};

/// The first argument by which [`crate::run_if_forge`] knows what it is.
pub(crate) const FORGE_ARGUMENT: &CStr = c"lambent-forge";

/// Enough for the system calls below; the child calls nothing deep.
const STACK_BYTES: usize = 64 * 1024;

/// Enough for one system call.
const SMALL_STACK_BYTES: usize = 4 * 1024;

/// Descriptors below this belong to the programs that are executed: input, output, error, log.
pub(crate) const FIRST_OWN_FD: i32 = 10;

/// What a forge, template or environment has of its own besides its mounts.
pub(crate) const OWN_NAMESPACES: i32 =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWNET;

/// What the child needs before `execve`; lives on the parent's stack, which waits (CLONE_VFORK).
struct Setup<'a> {
    control: i32,
    /// Contents for `uid_map` and `gid_map` in a new user namespace.
    maps: Option<(&'a [u8], &'a [u8])>,
    argv: [*const libc::c_char; 2],
    envp: [*const libc::c_char; 1],
}

/// Clones a child with mounts of its own that executes this binary, with `control` as standard input; what it prints is
/// the caller's standard error. The caller must wait for it. Without `user_namespace` the caller must be root.
pub(crate) fn spawn_forge(control: BorrowedFd<'_>, user_namespace: bool) -> io::Result<Pid> {
    let uid_map = format!("0 {} 1", nix::unistd::geteuid());
    let gid_map = format!("0 {} 1", nix::unistd::getegid());
    let mut setup = Setup {
        control: control.as_raw_fd(),
        maps: user_namespace.then_some((uid_map.as_bytes(), gid_map.as_bytes())),
        argv: [FORGE_ARGUMENT.as_ptr(), std::ptr::null()],
        envp: [std::ptr::null()],
    };
    let mut flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD | libc::CLONE_NEWNS;
    if user_namespace {
        flags |= libc::CLONE_NEWUSER;
    }
    let mut stack = vec![0u128; STACK_BYTES / size_of::<u128>()];
    // SAFETY: the child runs `child_main` on its own stack, whose top is 16-byte aligned and outlives it, because
    // CLONE_VFORK holds this thread until the child has executed or exited. `setup` outlives it likewise.
    let pid = unsafe {
        libc::clone(child_main, stack.as_mut_ptr_range().end.cast(), flags, (&raw mut setup).cast())
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(pid))
}

/// Forks this process, which must have a single thread, into new namespaces.
pub(crate) fn fork_into(namespaces: i32) -> io::Result<ForkResult> {
    let flags = libc::c_long::from(namespaces | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and a stack this is fork; with a single thread the child may go on as it is.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match i32::try_from(pid) {
        Ok(0) => Ok(ForkResult::Child),
        Ok(pid) if pid > 0 => Ok(ForkResult::Parent { child: Pid::from_raw(pid) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ids of a user namespace: `count` from `inside` on are those from `outside` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) inside: u32,
    pub(crate) outside: u32,
    pub(crate) count: u32,
}

/// As it is written to `uid_map` and `gid_map`.
pub(crate) fn id_map(extents: &[Extent]) -> String {
    let line = |one: &Extent| format!("{} {} {}\n", one.inside, one.outside, one.count);
    extents.iter().map(line).collect()
}

/// A user namespace with these users and groups, in which nothing else exists. `proc` is a writable `/proc` of this
/// process's own pid namespace. Root must be able to change its effective user without losing capabilities: the namespace
/// belongs to the first of the users, as it is outside, since the kernel counts what is used in it (watches, pending
/// signals) against its owner's limits, too, and root's are everybody's.
pub(crate) fn user_namespace(
    proc: BorrowedFd<'_>,
    users: &[Extent],
    groups: &[Extent],
) -> io::Result<OwnedFd> {
    // Left behind: the child may need its stack for a moment longer than this takes, and nobody waits for it here.
    let stack = Box::leak(Box::new([0u128; SMALL_STACK_BYTES / size_of::<u128>()]));
    let flags = libc::CLONE_VM | libc::CLONE_NEWUSER | libc::SIGCHLD;
    let own = nix::unistd::geteuid();
    nix::unistd::seteuid(nix::unistd::Uid::from_raw(users.first().map_or(0, |first| first.outside)))?;
    // SAFETY: the child only waits, on a stack of its own that is never freed.
    let child = unsafe {
        libc::clone(wait_for_ever, stack.as_mut_ptr_range().end.cast(), flags, std::ptr::null_mut())
    };
    let cloned = if child < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    nix::unistd::seteuid(own)?;
    cloned?;
    let made = map_ids(proc, child, users, groups);
    // SAFETY: a signal to our own child, which is reaped with the others.
    unsafe { libc::kill(child, libc::SIGKILL) };
    made
}

fn map_ids(proc: BorrowedFd<'_>, child: i32, users: &[Extent], groups: &[Extent]) -> io::Result<OwnedFd> {
    use nix::fcntl::{OFlag, openat};
    use nix::sys::stat::Mode;
    let open = |name: &str, flags: OFlag| {
        let path = format!("{child}/{name}");
        openat(proc, path.as_str(), flags | OFlag::O_CLOEXEC, Mode::empty())
    };
    for (name, extents) in [("uid_map", users), ("gid_map", groups)] {
        let map = open(name, OFlag::O_WRONLY)?;
        nix::unistd::write(&map, id_map(extents).as_bytes())?;
    }
    Ok(open("ns/user", OFlag::O_RDONLY)?)
}

extern "C" fn wait_for_ever(_: *mut libc::c_void) -> libc::c_int {
    loop {
        // SAFETY: takes nothing, changes nothing.
        unsafe { libc::pause() };
    }
}

/// Runs in the child. Only system calls: memory is the parent's, and so are its locks.
extern "C" fn child_main(setup: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the parent passes a valid `Setup` and waits, so nobody else touches it; every call below is a bare
    // system call with descriptors and constant strings that live in it.
    unsafe {
        let setup = &*setup.cast::<Setup<'_>>();
        if let Some((uid_map, gid_map)) = setup.maps {
            write_file(c"/proc/self/setgroups", b"deny");
            if !(write_file(c"/proc/self/uid_map", uid_map) && write_file(c"/proc/self/gid_map", gid_map)) {
                libc::_exit(EXIT_NO_MAP);
            }
        }
        libc::dup2(setup.control, 0);
        libc::dup2(2, 1);
        libc::syscall(libc::SYS_close_range, FIRST_FREE_FD, u32::MAX, 0);
        libc::execve(c"/proc/self/exe".as_ptr(), setup.argv.as_ptr(), setup.envp.as_ptr());
        libc::_exit(EXIT_NO_EXEC);
    }
}

const FIRST_FREE_FD: i32 = 3;
const EXIT_NO_MAP: i32 = 81;
const EXIT_NO_EXEC: i32 = 82;

/// Whether all of `bytes` was written to the file.
///
/// # Safety
/// Called between clone and execve, where only system calls are allowed; it makes no others.
unsafe fn write_file(path: &CStr, bytes: &[u8]) -> bool {
    // SAFETY: bare system calls on a constant path and a live slice.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        libc::close(fd);
        usize::try_from(written) == Ok(bytes.len())
    }
}

/// In a child that was just forked: closes all descriptors but these and those that belong to the programs that are
/// executed. What else the parent had is none of the child's business; nothing of it may be used or dropped here any more.
pub(crate) fn keep_only(mut kept: Vec<i32>) {
    kept.sort_unstable();
    let mut from = FIRST_OWN_FD;
    for fd in kept.into_iter().filter(|fd| *fd >= FIRST_OWN_FD).chain([i32::MAX]) {
        if from < fd {
            // SAFETY: the caller promises not to use what is closed.
            unsafe { libc::syscall(libc::SYS_close_range, from, fd - 1, 0) };
        }
        from = fd.saturating_add(1);
    }
}

/// A descriptor of this process by its number.
pub(crate) fn adopt(fd: i32) -> OwnedFd {
    // SAFETY: called with descriptors that were just made by number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
