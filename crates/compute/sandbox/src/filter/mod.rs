//! System call filters: what is not allowed fails with ENOSYS, which programs take as "an older kernel" and work around
//! (clone3, io_uring), or report (mount, ptrace, bpf).
//!
//! The kernel checks, converts and compiles a filter anew for every process that takes one, so it must be short: allowed
//! calls are tested by ranges of their numbers, which makes some 120 instructions of what would be 700 with a test for each.

mod calls;

use std::collections::BTreeSet;

use libc::{BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W};

use crate::spec::Filter;

/// `struct seccomp_data` of the kernel's `linux/seccomp.h`.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;
/// The lower half of the argument; both architectures here are little-endian.
const fn argument_at(index: u32) -> u32 {
    16 + 8 * index
}

/// `AUDIT_ARCH_*` of the kernel's `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7;

const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP;
/// A child of the caller's parent: that is the platform's, which has other things to do than to reap it.
const CLONE_REFUSED: i32 = NAMESPACES | libc::CLONE_PARENT;
/// Would put words into the mouth of whoever reads a terminal.
const TERMINAL_INPUT: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// All socket types but streams (1), datagrams (2) and raw ones (3, which need a capability).
const UNUSUAL_TYPES: i32 = 0b1100;
/// Of the kernel's `linux/prctl.h`.
const PR_SET_MEMORY_MERGE: i32 = 67;

type Step = (u16, u8, u8, u32);

/// How a snapshot forks an environment: into new namespaces of every sort, and with the thread's number where the C
/// library expects it.
pub(crate) const RESTORE_FLAGS: i32 =
    NAMESPACES | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;

/// For runtimes and all that they start.
pub(crate) fn for_runtimes() -> Filter {
    let mut program = beginning();
    // Each block ends for its own call, or jumps over itself for others.
    program.extend(only_for(libc::SYS_clone, &clone_without_namespaces()));
    program.extend(other_calls());
    program
}

/// For snapshots and what is forked from them: the same, but for three calls that a tracer lets through. Without one they
/// fail as all that is not allowed; see `forge/restore`.
pub(crate) fn for_snapshots() -> Filter {
    let mut program = beginning();
    program.extend(only_for(libc::SYS_clone, &clone_as_traced()));
    program.extend(only_for(libc::SYS_capset, &[TRACE]));
    program.extend(only_for(libc::SYS_landlock_restrict_self, &[TRACE]));
    program.extend(other_calls());
    program
}

fn other_calls() -> Filter {
    let mut program = Vec::new();
    program.extend(only_for(libc::SYS_socket, &usual_sockets()));
    program.extend(only_for(
        libc::SYS_socketpair,
        &[load(argument_at(0)), equal(libc::AF_UNIX, 0, 1), ALLOW, DENY],
    ));
    program.extend(only_for(libc::SYS_ioctl, &no_terminal_input()));
    program.extend(only_for(libc::SYS_prctl, &usual_prctl()));
    program.extend(only_for(libc::SYS_mmap, &without_huge_pages(3, libc::MAP_HUGETLB)));
    program.extend(only_for(libc::SYS_memfd_create, &without_huge_pages(1, libc::MFD_HUGETLB.cast_signed())));
    program.extend(allow(calls::ALLOWED));
    program
}

/// For process 1 of an environment, once it is built.
pub(crate) fn for_init() -> Filter {
    let mut program = beginning();
    program.extend(allow(calls::OF_INIT));
    program
}

/// Puts a filter on the calling thread, for good.
#[expect(unsafe_code, reason = "prctl takes a pointer to the program")]
pub(crate) fn apply(filter: &[Step]) -> std::io::Result<()> {
    let mut steps: Vec<libc::sock_filter> =
        filter.iter().map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
    let length = u16::try_from(steps.len()).map_err(std::io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: steps.as_mut_ptr() };
    // SAFETY: the program and its steps live across the call, which copies them.
    let result =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[expect(clippy::cast_possible_truncation, reason = "operation codes have 16 bits")]
const fn step(code: u32, jt: u8, jf: u8, k: u32) -> Step {
    (code as u16, jt, jf, k)
}

const ALLOW: Step = step(BPF_RET | BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW);
const DENY: Step = step(BPF_RET | BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs());
const TRACE: Step = step(BPF_RET | BPF_K, 0, 0, libc::SECCOMP_RET_TRACE);
const KILL: Step = step(BPF_RET | BPF_K, 0, 0, libc::SECCOMP_RET_KILL_PROCESS);

const fn load(at: u32) -> Step {
    step(BPF_LD | BPF_W | BPF_ABS, 0, 0, at)
}

/// Jumps over so many steps when what was loaded equals the value, or does not.
const fn equal(value: i32, if_so: u8, if_not: u8) -> Step {
    step(BPF_JMP | BPF_JEQ | BPF_K, if_so, if_not, value.cast_unsigned())
}

/// Jumps over so many steps when what was loaded has one of these bits, or has none.
const fn has_any(bits: i32, if_so: u8, if_not: u8) -> Step {
    step(BPF_JMP | BPF_JSET | BPF_K, if_so, if_not, bits.cast_unsigned())
}

/// Refuses calls of another architecture's numbering, which would be read as others than they are; then loads the number.
fn beginning() -> Filter {
    vec![load(ARCH_AT), equal(ARCH.cast_signed(), 1, 0), KILL, load(NUMBER_AT)]
}

/// Steps for one call alone, after which the number is loaded again for the others.
fn only_for(call: libc::c_long, steps: &[Step]) -> Filter {
    let length = u8::try_from(steps.len()).expect("a handful of steps");
    let mut block = vec![equal(i32::try_from(call).expect("call numbers are small"), 0, length)];
    block.extend(steps);
    block
}

fn clone_without_namespaces() -> [Step; 4] {
    let refused = has_any(CLONE_REFUSED, 1, 0);
    [load(argument_at(0)), refused, ALLOW, DENY]
}

fn clone_as_traced() -> [Step; 6] {
    let refused = has_any(CLONE_REFUSED, 1, 0);
    [load(argument_at(0)), equal(RESTORE_FLAGS, 3, 0), refused, ALLOW, DENY, TRACE]
}

/// Internet sockets only of the usual types and protocols (others have code of their own in the kernel, or load it; and
/// an old type means packets of any kind); netlink only for routes and addresses, which `getaddrinfo` asks for.
fn usual_sockets() -> [Step; 15] {
    [
        load(argument_at(0)),
        equal(libc::AF_UNIX, 11, 0),
        equal(libc::AF_INET, 4, 0),
        equal(libc::AF_INET6, 3, 0),
        equal(libc::AF_NETLINK, 0, 9),
        load(argument_at(2)),
        equal(libc::NETLINK_ROUTE, 6, 7),
        load(argument_at(1)),
        has_any(UNUSUAL_TYPES, 5, 0),
        load(argument_at(2)),
        equal(0, 2, 0),
        equal(libc::IPPROTO_TCP, 1, 0),
        equal(libc::IPPROTO_UDP, 0, 1),
        ALLOW,
        DENY,
    ]
}

/// Nothing by which one function would slow or watch others: cores for itself, memory merged with theirs.
fn usual_prctl() -> [Step; 6] {
    [
        load(argument_at(0)),
        equal(libc::PR_SCHED_CORE, 3, 0),
        equal(PR_SET_MEMORY_MERGE, 2, 0),
        equal(libc::PR_SET_MM, 1, 0),
        ALLOW,
        DENY,
    ]
}

/// Huge pages that an operator set aside are counted by nothing that bounds a function.
fn without_huge_pages(argument: u32, flag: i32) -> [Step; 4] {
    [load(argument_at(argument)), has_any(flag, 1, 0), ALLOW, DENY]
}

fn no_terminal_input() -> [Step; 5] {
    let value = |at: usize| i32::try_from(TERMINAL_INPUT[at]).expect("request numbers have 32 bits");
    [load(argument_at(1)), equal(value(0), 2, 0), equal(value(1), 1, 0), ALLOW, DENY]
}

/// Allows the calls, and nothing else.
fn allow(calls: &[libc::c_long]) -> Filter {
    let numbers: BTreeSet<u32> =
        calls.iter().map(|call| u32::try_from(*call).expect("call numbers are small")).collect();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let mut program = Vec::new();
    for (first, last) in ranges {
        // Below this range and above the one before: not allowed. Above it: the next range.
        program.push(step(BPF_JMP | BPF_JGE | BPF_K, 1, 0, first));
        program.push(DENY);
        program.push(step(BPF_JMP | BPF_JGT | BPF_K, 1, 0, last));
        program.push(ALLOW);
    }
    program.push(DENY);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do with a call.
    fn run(filter: &[Step], arch: u32, number: libc::c_long, arguments: [u64; 6]) -> u32 {
        let word = |at: u32| match at {
            NUMBER_AT => u32::try_from(number).unwrap(),
            ARCH_AT => arch,
            _ => u32::try_from(arguments[usize::try_from((at - 16) / 8).unwrap()] & 0xFFFF_FFFF).unwrap(),
        };
        let (mut at, mut loaded) = (0, 0);
        loop {
            let (code, jt, jf, k) = filter[at];
            let jump = |taken: bool| usize::from(if taken { jt } else { jf });
            at += 1;
            match u32::from(code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => loaded = word(k),
                code if code == BPF_JMP | BPF_JEQ | BPF_K => at += jump(loaded == k),
                code if code == BPF_JMP | BPF_JGE | BPF_K => at += jump(loaded >= k),
                code if code == BPF_JMP | BPF_JGT | BPF_K => at += jump(loaded > k),
                code if code == BPF_JMP | BPF_JSET | BPF_K => at += jump(loaded & k != 0),
                code if code == BPF_RET | BPF_K => return k,
                other => panic!("no such step: {other}"),
            }
        }
    }

    fn verdict(filter: &[Step], number: libc::c_long, arguments: &[i64]) -> bool {
        let mut all = [0; 6];
        for (to, from) in all.iter_mut().zip(arguments) {
            *to = from.cast_unsigned();
        }
        let result = run(filter, ARCH, number, all);
        assert!([ALLOW.3, DENY.3].contains(&result), "{result}");
        result == ALLOW.3
    }

    #[test]
    fn each_call_is_allowed_or_not_as_the_list_says() {
        for (filter, allowed) in [(for_runtimes(), calls::ALLOWED), (for_init(), calls::OF_INIT)] {
            let judged = [
                libc::SYS_clone,
                libc::SYS_socket,
                libc::SYS_socketpair,
                libc::SYS_ioctl,
                libc::SYS_prctl,
                libc::SYS_mmap,
                libc::SYS_memfd_create,
            ];
            for number in (0..1_000).filter(|number| !judged.contains(number)) {
                assert_eq!(verdict(&filter, number, &[]), allowed.contains(&number), "{number}");
            }
        }
        assert!(!verdict(&for_init(), libc::SYS_execve, &[]));
    }

    #[test]
    fn arguments_decide_where_they_must() {
        let filter = for_runtimes();
        let socket = |family: i32, protocol: i32| {
            verdict(&filter, libc::SYS_socket, &[family.into(), 1, protocol.into()])
        };
        assert!(socket(libc::AF_UNIX, 0) && socket(libc::AF_INET, 6) && socket(libc::AF_INET6, 17));
        assert!(socket(libc::AF_NETLINK, libc::NETLINK_ROUTE));
        assert!(!socket(libc::AF_NETLINK, libc::NETLINK_AUDIT));
        for protocol in [libc::IPPROTO_ICMP, libc::IPPROTO_UDPLITE, libc::IPPROTO_SCTP, libc::IPPROTO_MPTCP] {
            assert!(!socket(libc::AF_INET, protocol) && !socket(libc::AF_INET6, protocol), "{protocol}");
        }
        assert!(socket(libc::AF_UNIX, 5), "protocols mean nothing there");
        assert!(!socket(libc::AF_PACKET, 0) && !socket(libc::AF_VSOCK, 0));
        assert!(verdict(&filter, libc::SYS_socketpair, &[libc::AF_UNIX.into()]));
        assert!(!verdict(&filter, libc::SYS_socketpair, &[libc::AF_INET.into()]));
        let clone = |flags: i32| verdict(&filter, libc::SYS_clone, &[flags.into()]);
        assert!(clone(libc::CLONE_VM | libc::CLONE_THREAD | libc::SIGCHLD));
        for bit in 0..31 {
            let flag = 1 << bit;
            assert_eq!(clone(flag), flag & CLONE_REFUSED == 0, "{flag:x}");
        }
        for kind in 0..16 {
            let opened = verdict(&filter, libc::SYS_socket, &[libc::AF_INET.into(), kind | 0o2_004_000, 0]);
            assert_eq!(opened, kind < 4, "{kind}");
        }
        assert!(verdict(&filter, libc::SYS_mmap, &[0, 4096, 3, 0x22, -1, 0]));
        assert!(!verdict(&filter, libc::SYS_mmap, &[0, 4096, 3, 0x22 | 0x40000, -1, 0]));
        assert!(verdict(&filter, libc::SYS_prctl, &[15]) && !verdict(&filter, libc::SYS_prctl, &[62]));
        assert!(verdict(&filter, libc::SYS_ioctl, &[1, 0x5401]));
        assert!(!verdict(&filter, libc::SYS_ioctl, &[1, 0x5412]));
        // What lies above the lower half makes no difference to the kernel either.
        assert!(!verdict(&filter, libc::SYS_ioctl, &[1, 0x5412 | 1 << 40]));
    }

    #[test]
    fn a_snapshot_may_no_more_than_a_runtime_without_its_tracer() {
        let (filter, usual) = (for_snapshots(), for_runtimes());
        let traced = [libc::SYS_capset, libc::SYS_landlock_restrict_self];
        for number in (0..1_000).filter(|number| !traced.contains(number)) {
            assert_eq!(verdict(&filter, number, &[]), verdict(&usual, number, &[]), "{number}");
        }
        let clone = |flags: i32| {
            let flags = u64::from(flags.cast_unsigned());
            run(&filter, ARCH, libc::SYS_clone, [flags, 0, 0, 0, 0, 0])
        };
        assert_eq!(clone(RESTORE_FLAGS), TRACE.3);
        for bit in 0..31 {
            let other = clone(RESTORE_FLAGS ^ (1 << bit));
            assert_eq!(other, DENY.3, "{bit}: one flag more or less");
        }
        assert_eq!(clone(libc::SIGCHLD), ALLOW.3);
        for number in traced {
            assert_eq!(run(&filter, ARCH, number, [0; 6]), TRACE.3);
        }
    }

    #[test]
    fn another_architectures_calls_end_the_process() {
        assert_eq!(run(&for_runtimes(), 0x4000_0003, libc::SYS_read, [0; 6]), KILL.3);
    }

    #[test]
    fn filters_are_short() {
        assert!(for_runtimes().len() < 256, "{}", for_runtimes().len());
        assert!(for_init().len() < 64, "{}", for_init().len());
    }
}
