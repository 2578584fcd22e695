//! The one way to make a child: cloned into its namespaces, sharing memory until it executes this binary again.
//!
//! A plain fork would copy the page tables of a large daemon with many threads and leave the child with locks that
//! nobody releases. The child here runs a handful of system calls on a stack of its own, then `execve`.
#![expect(unsafe_code, reason = "clone, and what runs between clone and execve, has no safe interface")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::unistd::Pid;

/// The first argument by which [`crate::run_if_init`] knows that it is process 1 of an environment.
pub(crate) const INIT_ARGUMENT: &CStr = c"lambent-environment-init";

/// Enough for the system calls below; the child calls nothing deep.
const STACK_BYTES: usize = 64 * 1024;

/// What the child needs before `execve`; lives on the parent's stack, which waits (CLONE_VFORK).
struct Setup<'a> {
    control: i32,
    output: i32,
    /// Contents for `uid_map` and `gid_map` in a new user namespace.
    maps: Option<(&'a [u8], &'a [u8])>,
    argv: [*const libc::c_char; 2],
    envp: [*const libc::c_char; 1],
}

/// Clones a child into new namespaces and executes this binary in it, with `control` as standard input and `output` as
/// standard output, standard error and descriptor 3; the caller must wait for it. Without `user_namespace` the caller must be root.
pub(crate) fn spawn_init(
    control: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    user_namespace: bool,
) -> io::Result<Pid> {
    let uid_map = format!("0 {} 1", nix::unistd::geteuid());
    let gid_map = format!("0 {} 1", nix::unistd::getegid());
    let mut setup = Setup {
        control: control.as_raw_fd(),
        output: output.as_raw_fd(),
        maps: user_namespace.then_some((uid_map.as_bytes(), gid_map.as_bytes())),
        argv: [INIT_ARGUMENT.as_ptr(), std::ptr::null()],
        envp: [std::ptr::null()],
    };
    let mut flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    flags |=
        libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWNET;
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
        // Moved out of the way first: any of the targets may be the source of another.
        let control = libc::fcntl(setup.control, libc::F_DUPFD, FIRST_FREE_FD);
        let output = libc::fcntl(setup.output, libc::F_DUPFD, FIRST_FREE_FD);
        libc::dup2(control, 0);
        for target in 1..FIRST_FREE_FD {
            libc::dup2(output, target);
        }
        libc::syscall(libc::SYS_close_range, FIRST_FREE_FD, u32::MAX, 0);
        libc::execve(c"/proc/self/exe".as_ptr(), setup.argv.as_ptr(), setup.envp.as_ptr());
        libc::_exit(EXIT_NO_EXEC);
    }
}

const FIRST_FREE_FD: i32 = 4;
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
