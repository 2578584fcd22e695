//! What a runtime's processes may use besides what control groups bound.

use nix::sys::resource::Resource;

use crate::spec::Shell;

/// Bytes that a runtime may lock into memory; some cryptography libraries want a page or two.
const MAX_LOCKED_BYTES: u64 = 64 * 1024;
/// Signals that wait, and timers, which count as such.
const MAX_PENDING_SIGNALS: u64 = 1_024;
/// No dump of memory, not even by way of a program that the host gives dumps to, for which 0 would not do.
const NO_DUMP: u64 = 1;

/// The limits of a kind's runtimes, soft and hard alike. Where no control group counts processes, its user's are limited.
pub(crate) fn of(shell: &Shell, bounds_processes: bool) -> Vec<(Resource, u64)> {
    let mut limits = vec![
        (Resource::RLIMIT_NOFILE, u64::from(shell.max_open_files)),
        (Resource::RLIMIT_CORE, NO_DUMP),
        (Resource::RLIMIT_RTPRIO, 0),
        (Resource::RLIMIT_NICE, 0),
        (Resource::RLIMIT_FSIZE, u64::from(shell.scratch_mib) << 20),
        (Resource::RLIMIT_MEMLOCK, MAX_LOCKED_BYTES),
        (Resource::RLIMIT_MSGQUEUE, 0),
        (Resource::RLIMIT_SIGPENDING, MAX_PENDING_SIGNALS),
    ];
    if !bounds_processes {
        limits.push((Resource::RLIMIT_NPROC, u64::from(shell.max_processes)));
    }
    limits
}
