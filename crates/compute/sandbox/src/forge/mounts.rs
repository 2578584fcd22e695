//! The mount calls, each with an error that says what was mounted where.
#![expect(unsafe_code, reason = "mount_setattr has no safe interface")]

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::Step;
use crate::spec::Bind;

/// What a host's folder or file has inside.
pub(super) const FOREIGN: u64 = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

pub(super) fn mount_one(
    source: Option<&str>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    options: Option<&str>,
) -> Step<()> {
    mount(source, target, kind, flags, options)
        .map_err(|error| format!("mount {} on {}: {error}", source.unwrap_or("nothing"), target.display()))
}

/// Adds attributes to a mount that is in place.
pub(super) fn set_attributes(target: &Path, attributes: u64, whole_tree: bool) -> Step<()> {
    let depth = if whole_tree { libc::AT_RECURSIVE } else { 0 };
    set(CWD, target, attributes, depth)
}

/// A copy of a host folder's mount, read-only, that is nowhere yet, and where it shall be; `None` where an optional one is
/// absent.
pub(super) fn detached(bind: &Bind, whole_tree: bool) -> Step<Option<(OwnedFd, String)>> {
    if bind.optional && fs::metadata(&bind.source).is_err() {
        return Ok(None);
    }
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mut depth = libc::AT_EMPTY_PATH;
    if whole_tree {
        flags |= OpenTreeFlags::AT_RECURSIVE;
        depth |= libc::AT_RECURSIVE;
    }
    let tree = open_tree(CWD, &bind.source, flags)
        .map_err(|error| format!("find {}: {error}", bind.source.display()))?;
    set(tree.as_fd(), Path::new(""), FOREIGN, depth)?;
    Ok(Some((tree, bind.target.clone())))
}

/// Puts a mount that is nowhere yet in its place.
pub(super) fn attach(mount: &OwnedFd, target: &str) -> Step<()> {
    move_mount(mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| format!("mount on {target}: {error}"))
}

fn set(at: BorrowedFd<'_>, path: &Path, attributes: u64, flags: i32) -> Step<()> {
    let wrong = |error: std::io::Error| {
        format!("protect mount {} (mount_setattr, in Linux since 5.12): {error}", path.display())
    };
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|error| wrong(error.into()))?;
    // Private: what the host mounts beneath later would come along, and without these attributes.
    let set =
        libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    // SAFETY: the path ends in zero and the attributes are passed with their size; both live across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const set,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(wrong(std::io::Error::last_os_error())) }
}
