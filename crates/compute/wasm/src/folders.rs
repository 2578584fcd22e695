//! What components leave in their folders: however deep it is, few descriptors and no stack are needed to remove it.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::limits::{TMP_DEPTH_MAX, TMP_ENTRY_BYTES};

/// Removes all that is in a folder. Folders within folders are first moved up into it, so that none is looked for deeper
/// than one level.
pub(crate) fn empty(folder: &Path) -> io::Result<()> {
    let root = open(CWD, folder)?;
    let mut moved = 0;
    // What is moved while a listing is read may be missing from it.
    while flatten(&root, &mut moved)? {}
    Ok(())
}

/// Removes a folder with all that is in it.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    empty(folder)?;
    fs::remove_dir(folder)
}

/// What is set aside for all that a folder holds. No link is followed. Fails where it is deeper than components make it.
pub(crate) fn bytes_in(folder: &Path) -> io::Result<u64> {
    bytes_within(folder, TMP_DEPTH_MAX)
}

fn bytes_within(folder: &Path, levels: usize) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        let content = match (found.is_dir(), levels.checked_sub(1)) {
            (false, _) => found.len(),
            (true, Some(levels)) => bytes_within(&entry.path(), levels)?,
            (true, None) => {
                let deep = format!("expected at most {TMP_DEPTH_MAX} levels of folders in /tmp, found more");
                return Err(io::Error::other(deep));
            }
        };
        bytes += TMP_ENTRY_BYTES + content;
    }
    Ok(bytes)
}

/// Removes each entry of the root; whether there was any.
fn flatten(root: &OwnedFd, moved: &mut u64) -> io::Result<bool> {
    let mut any = false;
    for entry in Dir::read_from(root)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_dots(name) {
            continue;
        }
        any = true;
        if is_unlinked(root, name)? {
            continue;
        }
        lift_folders(&open(root, name)?, root, moved)?;
        match rustix::fs::unlinkat(root, name, AtFlags::REMOVEDIR) {
            // Who was ended may have written until now: the next round finds it.
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(any)
}

/// Empties a folder by moving its folders into the root, and removing the rest.
fn lift_folders(folder: &OwnedFd, root: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !is_dots(name) && !is_unlinked(folder, name)? {
            lift(folder, name, root, moved)?;
        }
    }
    Ok(())
}

/// Moves one folder to a name that is free in the root, or an empty folder's.
fn lift(folder: &OwnedFd, name: &CStr, root: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        match rustix::fs::renameat(folder, name, root, moved.to_string()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes what is no folder.
fn is_unlinked(folder: &OwnedFd, name: &CStr) -> io::Result<bool> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn open(folder: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, path, flags, Mode::empty())?)
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More levels than one path or, mostly, one process's descriptors have room for.
    const LEVELS: usize = 3_000;

    fn nest(root: &Path, levels: usize) {
        let mut folder = open(CWD, root).unwrap();
        for _ in 0..levels {
            rustix::fs::mkdirat(&folder, "1", Mode::RWXU).unwrap();
            rustix::fs::symlinkat("/", &folder, "link").unwrap();
            folder = open(&folder, "1").unwrap();
        }
    }

    #[test]
    fn folders_of_any_depth_are_removed() {
        let held = tempfile::tempdir().unwrap();
        let root = held.path().join("root");
        fs::create_dir(&root).unwrap();
        // Names that those which are moved would get.
        fs::write(root.join("2"), "a file").unwrap();
        fs::create_dir_all(root.join("3/full")).unwrap();
        nest(&root, LEVELS);
        empty(&root).unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        nest(&root, 3);
        remove(&root).unwrap();
        assert!(!root.exists());
        assert!(held.path().exists());
    }

    #[test]
    fn folders_are_measured_as_deep_as_they_may_be() {
        let held = tempfile::tempdir().unwrap();
        nest(held.path(), TMP_DEPTH_MAX);
        let (links, folders) = (TMP_DEPTH_MAX as u64, TMP_DEPTH_MAX as u64);
        let expected = links * (TMP_ENTRY_BYTES + 1) + folders * TMP_ENTRY_BYTES;
        assert_eq!(bytes_in(held.path()).unwrap(), expected);
        empty(held.path()).unwrap();
        nest(held.path(), TMP_DEPTH_MAX + 1);
        bytes_in(held.path()).unwrap_err();
    }
}
