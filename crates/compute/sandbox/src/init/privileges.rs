//! Giving up what foreign code must not have.
#![expect(unsafe_code, reason = "capabilities and secure bits are set through prctl and capset")]

use nix::unistd::{Gid, Uid};

use super::Step;

/// `SECBIT_NOROOT`, `SECBIT_NO_SETUID_FIXUP` and their locks: user 0 is nobody special, for good.
const SECURE_BITS: libc::c_ulong = 0b1111;
/// Bits a kernel may know; PR_CAPBSET_DROP fails beyond the last.
const MAX_CAPABILITIES: libc::c_ulong = 64;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

/// Becomes `user` (with a group of the same number), or stays who it is where there is only one; then loses every
/// capability and the means to get one back.
pub(super) fn give_up(user: Option<u32>) -> Step<()> {
    for capability in 0..MAX_CAPABILITIES {
        // SAFETY: a prctl of plain numbers.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            break;
        }
    }
    if let Some(id) = user {
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
        nix::unistd::setgroups(&[]).map_err(|error| format!("leave its groups: {error}"))?;
        nix::unistd::setresgid(gid, gid, gid).map_err(|error| format!("become group {id}: {error}"))?;
        // SAFETY: a prctl of plain numbers.
        check("lock its secure bits", unsafe { libc::prctl(libc::PR_SET_SECUREBITS, 0b0011, 0, 0, 0) })?;
        nix::unistd::setresuid(uid, uid, uid).map_err(|error| format!("become user {id}: {error}"))?;
    } else {
        // SAFETY: a prctl of plain numbers.
        check("lock its secure bits", unsafe { libc::prctl(libc::PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0) })?;
    }
    drop_capabilities()?;
    // SAFETY: a prctl of plain numbers.
    check("renounce privileges", unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
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
