//! One layer over those below it. Source: OCI image specification, "Image Layer Filesystem Changeset".

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Timespec, Timestamps};
use rustix::io::Errno;

use crate::beneath::{Beneath, Folder};
use crate::error::ImageError;
use crate::fresh::Fresh;
use crate::limits::{DEPTH_MAX, ENTRIES_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX, PIECE_BYTES};
use crate::tar::{self, Entry, Kind};

/// What the name of something that hides something below begins with.
const WHITEOUT: &[u8] = b".wh.";
/// Hides all that is below in its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Old builders' notes to themselves begin with this.
const NOTES: &[u8] = b".wh..wh.";
/// No set-user-id, set-group-id or sticky bit.
const PERMISSIONS: u32 = 0o777;
/// What the platform itself needs of a file, and of a folder, where it is not root.
const OWNER_FILE: u32 = 0o400;
const OWNER_FOLDER: u32 = 0o700;

/// Lays layers over each other.
pub(crate) struct Applier<'a> {
    tree: Beneath,
    /// What the present layer has brought, and the folders that it lies in.
    fresh: Fresh,
    /// With the folders that layers imply.
    entries: usize,
    /// Fails when the disk has no more room.
    room: &'a dyn Fn() -> io::Result<()>,
    buffer: Vec<u8>,
}

impl<'a> Applier<'a> {
    pub(crate) fn new(tree: Beneath, room: &'a dyn Fn() -> io::Result<()>) -> Self {
        Self { tree, fresh: Fresh::default(), entries: 0, room, buffer: vec![0; PIECE_BYTES] }
    }

    /// Lays one more layer over what is there.
    pub(crate) fn apply<R: Read>(&mut self, layer: &mut tar::Reader<R>) -> Result<(), ImageError> {
        self.fresh.clear();
        while let Some(entry) = layer.next().map_err(|error| unreadable(&error))? {
            self.count(1)?;
            (self.room)().map_err(|error| ImageError::io("unpack", "an image", error))?;
            self.apply_one(&entry, layer)?;
        }
        layer.drain().map_err(|error| unreadable(&error))
    }

    pub(crate) fn into_tree(self) -> Beneath {
        self.tree
    }

    fn apply_one<R: Read>(&mut self, entry: &Entry, layer: &mut tar::Reader<R>) -> Result<(), ImageError> {
        let path = clean(&entry.path).map_err(|problem| refused(entry, problem))?;
        // The root itself, which is there.
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        if name.as_bytes().starts_with(WHITEOUT) {
            return self.hide(entry, parent, name.as_bytes());
        }
        let folder = self.tree.folder(parent).map_err(|error| misplaced(entry, error))?;
        let failed = |error: io::Error| ImageError::io("unpack", &path, error);
        let before = folder.kind_of(name).map_err(failed)?;
        match &entry.kind {
            Kind::Folder => {
                folder.make_folder(name, entry.mode & PERMISSIONS | OWNER_FOLDER).map_err(failed)?;
            }
            Kind::File => {
                let file = folder.make_file(name, entry.mode & PERMISSIONS | OWNER_FILE).map_err(failed)?;
                copy(layer, file, entry, (self.room, &mut self.buffer), &path)?;
            }
            Kind::SymbolicLink(target) => {
                let is_path = !target.is_empty() && target.len() <= PATH_BYTES_MAX && !target.contains(&0);
                if !is_path {
                    return Err(refused(entry, "links to no path"));
                }
                folder.make_link(name, target).map_err(failed)?;
            }
            Kind::HardLink(target) => {
                let target = clean(target).map_err(|problem| refused(entry, problem))?;
                self.link(entry, (parent, name), &target)?;
            }
            // Environments have devices of their own, and would see none of the image's.
            Kind::Special => {
                tracing::debug!(path = %path.display(), "a device or pipe of an image is left out");
                folder.remove(name).map_err(failed)?;
            }
        }
        let real = self.tree.folder(parent).map_err(failed)?.real().join(name);
        let implied = self.fresh.note(&real).saturating_sub(1);
        self.count(implied)?;
        // Paths through what was there lead elsewhere now.
        let may_lead = |kind| matches!(kind, FileType::Directory | FileType::Symlink);
        let is_same = before == Some(FileType::Directory) && entry.kind == Kind::Folder;
        if before.is_some_and(may_lead) && !is_same {
            self.tree.forget();
        }
        Ok(())
    }

    /// One more name for a file that an entry before brought, or a layer before.
    fn link(
        &mut self,
        entry: &Entry,
        (parent, name): (&Path, &OsStr),
        target: &Path,
    ) -> Result<(), ImageError> {
        let nothing = || refused(entry, "is a hard link to nothing, or to a folder");
        let (Some(from), Some(old)) = (target.parent(), target.file_name()) else { return Err(nothing()) };
        let from = self.tree.existing(from).map_err(|_| nothing())?;
        let folder = self.tree.folder(parent).map_err(|error| misplaced(entry, error))?;
        let kind = from.kind_of(old).map_err(|_| nothing())?;
        if kind.is_none_or(|kind| kind == FileType::Directory) {
            return Err(nothing());
        }
        if (from.real(), old) == (folder.real(), name) {
            return Ok(());
        }
        let linked = folder.make_hard_link(name, &from, old);
        linked.map_err(|error| ImageError::io("link", folder.real().join(name), error))
    }

    /// Removes what a name of the whiteout form hides: things of the layers below, not of this one.
    fn hide(&mut self, entry: &Entry, parent: &Path, name: &[u8]) -> Result<(), ImageError> {
        let Ok(folder) = self.tree.existing(parent) else { return Ok(()) };
        self.tree.forget();
        let failed = |error: io::Error| ImageError::io("hide what is beneath", folder.real(), error);
        if name == OPAQUE {
            let names = folder.names_in(OsStr::new(".")).map_err(failed)?;
            return names.iter().try_for_each(|name| self.remove_below(&folder, name)).map_err(failed);
        }
        if name.starts_with(NOTES) {
            return Ok(());
        }
        match &name[WHITEOUT.len()..] {
            b"" | b"." | b".." => Err(refused(entry, "hides nothing")),
            hidden => self.remove_below(&folder, OsStr::from_bytes(hidden)).map_err(failed),
        }
    }

    fn remove_below(&self, folder: &Folder, name: &OsStr) -> io::Result<()> {
        let path = folder.real().join(name);
        if !self.fresh.contains(&path) {
            return folder.remove(name);
        }
        if folder.kind_of(name)? != Some(FileType::Directory) {
            return Ok(());
        }
        let inner = self.tree.existing(&path)?;
        let names = inner.names_in(OsStr::new("."))?;
        names.iter().try_for_each(|name| self.remove_below(&inner, name))
    }

    fn count(&mut self, more: usize) -> Result<(), ImageError> {
        self.entries += more;
        if self.entries > ENTRIES_MAX {
            return Err(ImageError::TooMany { what: "files, folders and links", max: ENTRIES_MAX });
        }
        Ok(())
    }
}

fn copy<R: Read>(
    layer: &mut tar::Reader<R>,
    mut file: std::fs::File,
    entry: &Entry,
    (room, buffer): (&dyn Fn() -> io::Result<()>, &mut [u8]),
    path: &Path,
) -> Result<(), ImageError> {
    let failed = |error: io::Error| ImageError::io("write", path, error);
    loop {
        let count = layer.read_content(buffer).map_err(|error| unreadable(&error))?;
        if count == 0 {
            break;
        }
        room().map_err(failed)?;
        file.write_all(&buffer[..count]).map_err(failed)?;
    }
    // Compiled code of interpreters is found good by the time of its source.
    let time = Timespec { tv_sec: entry.modified, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::futimens(&file, &times).map_err(|error| failed(error.into()))
}

/// A path beneath the root.
fn clean(raw: &[u8]) -> Result<PathBuf, &'static str> {
    if raw.len() > PATH_BYTES_MAX {
        return Err("has too long a path");
    }
    if raw.contains(&0) {
        return Err("has a zero byte in its path");
    }
    let mut path = PathBuf::new();
    let mut depth = 0;
    for part in raw.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err("leads out of the image"),
            _ if part.len() > NAME_BYTES_MAX => return Err("has too long a name"),
            _ => path.push(OsStr::from_bytes(part)),
        }
        depth += 1;
    }
    if depth > DEPTH_MAX { Err("lies too deep") } else { Ok(path) }
}

pub(crate) fn refused(entry: &Entry, problem: &'static str) -> ImageError {
    ImageError::Entry { path: String::from_utf8_lossy(&entry.path).into_owned(), problem }
}

/// A folder that cannot be had: what is on the way to it is a file, or a link that leads nowhere or in circles.
fn misplaced(entry: &Entry, error: io::Error) -> ImageError {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::NotFound => {
            refused(entry, "lies in something that is no folder")
        }
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            refused(entry, "lies behind links in circles")
        }
        _ => ImageError::io("make the folders of", String::from_utf8_lossy(&entry.path).into_owned(), error),
    }
}

/// What reading a layer failed for: its content, or where that is kept.
pub(crate) fn unreadable(error: &io::Error) -> ImageError {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidData
        | ErrorKind::InvalidInput
        | ErrorKind::UnexpectedEof
        | ErrorKind::FileTooLarge => ImageError::malformed("a layer", error),
        kind => ImageError::io("read", "a layer", io::Error::new(kind, error.to_string())),
    }
}
