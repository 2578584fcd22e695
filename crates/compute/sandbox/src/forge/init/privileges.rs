//! Giving up what foreign code must not have.
#![expect(unsafe_code, reason = "capabilities and secure bits are set through prctl and capset")]

use nix::unistd::{Gid, Uid};

use super::Step;

/// `SECBIT_NOROOT`, `SECBIT_NO_SETUID_FIXUP` and their locks: user 0 is nobody special, for good.
const SECURE_BITS: libc::c_ulong = 0b1111;
const NO_SETUID_FIXUP: libc::c_ulong = 0b0100;
/// Bits a kernel may know; PR_CAPBSET_DROP fails beyond the last.
const MAX_CAPABILITIES: libc::c_ulong = 64;
/// Of the kernel's `linux/capability.h`: CHOWN and the rest are not among them.
const ZYGOTE_NEEDS: [libc::c_ulong; 6] =
    [CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_CHROOT, CAP_SYS_PTRACE, CAP_SYS_ADMIN];
const CAP_SETGID: libc::c_ulong = 6;
const CAP_SETUID: libc::c_ulong = 7;
const CAP_SETPCAP: libc::c_ulong = 8;
const CAP_SYS_CHROOT: libc::c_ulong = 18;
const CAP_SYS_PTRACE: libc::c_ulong = 19;
const CAP_SYS_ADMIN: libc::c_ulong = 21;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

/// For root, before it becomes somebody else; nobody else may.
pub(super) fn leave_groups() -> Step<()> {
    nix::unistd::setgroups(&[]).map_err(|error| format!("leave its groups: {error}"))
}

/// From now on a change of users changes nothing else.
pub(super) fn keep_capabilities() -> Step<()> {
    // SAFETY: a prctl of plain numbers.
    check("keep its capabilities", unsafe { libc::prctl(libc::PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0) })
}

/// Becomes another user, and for now keeps its capabilities.
pub(super) fn become_user(uid: u32, gid: u32) -> Step<()> {
    // SAFETY: a prctl of plain numbers.
    check("lock its secure bits", unsafe { libc::prctl(libc::PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0) })?;
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    nix::unistd::setresgid(group, group, group).map_err(|error| format!("become group {gid}: {error}"))?;
    nix::unistd::setresuid(user, user, user).map_err(|error| format!("become user {uid}: {error}"))
}

/// Loses every capability and the means to get one back.
pub(super) fn give_up() -> Step<()> {
    for capability in 0..MAX_CAPABILITIES {
        // SAFETY: a prctl of plain numbers.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            past_the_last("drop a capability")?;
            break;
        }
    }
    drop_capabilities()?;
    // SAFETY: a prctl of plain numbers.
    check("renounce privileges", unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Leaves a program that is executed next, as root, only what it takes to send its children into environments.
pub(in crate::forge) fn keep_for_zygote() -> Step<()> {
    for capability in 0..MAX_CAPABILITIES {
        if ZYGOTE_NEEDS.contains(&capability) {
            continue;
        }
        // SAFETY: a prctl of plain numbers.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            return past_the_last("limit the zygote's capabilities");
        }
    }
    Ok(())
}

/// A capability that the kernel does not know ends the list; anything else is an error.
fn past_the_last(what: &str) -> Step<()> {
    let error = std::io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(format!("{what}: {error}")) }
}

fn drop_capabilities() -> Step<()> {
    let header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    // Effective, permitted and inheritable, each in two words: all zero.
    let none = [0u32; 6];
    // SAFETY: capset reads one header and, for version 3, two triples of words; both live across the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    check("drop its capabilities", i32::try_from(result).unwrap_or(-1))
}

fn check(what: &str, result: i32) -> Step<()> {
    if result == 0 { Ok(()) } else { Err(format!("{what}: {}", std::io::Error::last_os_error())) }
}
