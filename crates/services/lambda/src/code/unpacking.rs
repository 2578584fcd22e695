//! Deployment packages: what a zip may hold, and its unpacking.
//!
//! A package is checked whole before anything is kept of it: every name, every link, every checksum, and the bytes that
//! really come out, counted while they do. Unpacking then repeats nothing of that, but trusts no more than the checked plan.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::code::archive::{Archive, ArchiveError, Entry, ReadAt};
use crate::code::space::Space;
use crate::errors::LambdaError;
use crate::limits::{
    CODE_DEPTH_MAX, CODE_ENTRIES_MAX, CODE_NAME_BYTES_MAX, CODE_PATH_BYTES_MAX, UNZIPPED_BYTES_LIMIT,
};

const TYPE_MASK: u32 = 0o170_000;
const TYPE_LINK: u32 = 0o120_000;
const TYPE_FOLDER: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const ANY_EXECUTE: u32 = 0o111;
const FOLDER_MODE: u32 = 0o755;
const PROGRAM_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;
/// Up to so many files are synced one by one; for more, the whole file system once is cheaper.
const FSYNC_EACH_MAX: usize = 64;

/// Why a zip is no deployment package.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodeError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("the entry `{path}` {problem}")]
    Entry { path: String, problem: &'static str },
    #[error("it has more files and folders than {CODE_ENTRIES_MAX}")]
    TooManyEntries,
    #[error("it unpacks to {UNZIPPED_BYTES_LIMIT} bytes or more")]
    TooLarge,
    #[error("it holds no file")]
    Empty,
}

/// A checked package, ready to be unpacked.
pub(crate) struct Package<S> {
    archive: Archive<S>,
    /// Parents come before what they hold.
    items: Vec<Item>,
    /// Bytes of what was read of it: of all files, after a whole check.
    pub(crate) unpacked: u64,
}

/// One thing to make beneath the package's folder.
struct Item {
    path: PathBuf,
    kind: ItemKind,
}

enum ItemKind {
    Folder,
    /// The entry's index in the archive.
    File {
        index: usize,
        mode: u32,
    },
    Link {
        target: PathBuf,
    },
}

/// How much of a zip is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// From its first byte to its last: for zips that come from outside.
    Whole,
    /// Names and links: for zips that were checked whole before. Unpacking finds out the rest.
    Names,
}

/// Checks a zip.
pub(crate) fn check<S: ReadAt>(source: S, depth: Depth) -> Result<Package<S>, CodeError> {
    let archive = Archive::open(source)?;
    let mut plan = Plan::default();
    let mut unpacked = 0_u64;
    for (index, entry) in archive.entries().iter().enumerate() {
        let path = clean_path(entry)?;
        let file_type = entry.unix_mode & TYPE_MASK;
        let is_folder = entry.path.ends_with(b"/") || file_type == TYPE_FOLDER;
        if is_folder {
            plan.add_folder(&path, entry)?;
            continue;
        }
        let mut content = Vec::new();
        if depth == Depth::Whole || file_type == TYPE_LINK {
            archive.read(entry, |piece| {
                unpacked += piece.len() as u64;
                if unpacked >= UNZIPPED_BYTES_LIMIT {
                    return Err(CodeError::TooLarge);
                }
                // Of a link, the content is needed; more of it than any path has is an error below.
                if file_type == TYPE_LINK && content.len() <= CODE_PATH_BYTES_MAX {
                    content.extend_from_slice(&piece[..piece.len().min(CODE_PATH_BYTES_MAX + 1)]);
                }
                Ok(())
            })?;
        }
        let kind = match file_type {
            TYPE_LINK => ItemKind::Link { target: checked_target(entry, &path, &content)? },
            0 | TYPE_FILE => {
                let is_program = entry.unix_mode & ANY_EXECUTE != 0;
                ItemKind::File { index, mode: if is_program { PROGRAM_MODE } else { FILE_MODE } }
            }
            _ => return Err(refused(entry, "is neither a file, a folder nor a link")),
        };
        plan.add(&path, kind, entry)?;
    }
    if !plan.items.iter().any(|item| !matches!(item.kind, ItemKind::Folder)) {
        return Err(CodeError::Empty);
    }
    Ok(Package { archive, items: plan.items, unpacked })
}

/// Unpacks a package to `folder`, which does not exist or is whole: it appears at once, by a rename from `scratch`
/// (beside it, not existing either), after everything in it is on disk.
pub(crate) fn unpack<S: ReadAt>(
    package: &Package<S>,
    scratch: &Path,
    folder: &Path,
    space: &Space,
) -> Result<(), LambdaError> {
    if let Err(error) = fill(package, scratch, space) {
        // What was unpacked is of no use, and on a full disk others need its room.
        let _ = remove_folder(scratch);
        return Err(error);
    }
    put_in_place(scratch, folder)
}

/// Lets a folder appear at once, whose content is durable.
pub(crate) fn put_in_place(scratch: &Path, folder: &Path) -> Result<(), LambdaError> {
    match fs::rename(scratch, folder) {
        Ok(()) => {}
        // Somebody else unpacked the same content meanwhile.
        Err(_) if folder.is_dir() => remove_folder(scratch)?,
        Err(error) => return Err(LambdaError::io("rename", scratch, error)),
    }
    folder.parent().map_or(Ok(()), sync)
}

/// Makes all that a package holds in a new folder, and makes it durable.
fn fill<S: ReadAt>(package: &Package<S>, scratch: &Path, space: &Space) -> Result<(), LambdaError> {
    make_folder(scratch)?;
    let files = package.items.iter().filter(|item| matches!(item.kind, ItemKind::File { .. })).count();
    let sync_each = files <= FSYNC_EACH_MAX;
    for item in &package.items {
        let path = scratch.join(&item.path);
        space.check()?;
        match &item.kind {
            ItemKind::Folder => make_folder(&path)?,
            ItemKind::Link { target } => {
                symlink(target, &path).map_err(|error| LambdaError::io("link", path, error))?;
            }
            ItemKind::File { index, mode } => {
                let entry = &package.archive.entries()[*index];
                write_file(package, entry, &path, *mode, space)?;
                if sync_each {
                    sync(&path)?;
                }
            }
        }
    }
    sync_folders(package, scratch, sync_each)
}

/// Removes a folder with all it holds; no harm when there is none.
pub(crate) fn remove_folder(folder: &Path) -> Result<(), LambdaError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LambdaError::io("remove", folder, error))
        }
        _ => Ok(()),
    }
}

/// Makes what a folder says, or a file, durable.
fn sync(path: &Path) -> Result<(), LambdaError> {
    let opened = File::open(path).map_err(|error| LambdaError::io("open", path, error))?;
    opened.sync_all().map_err(|error| LambdaError::io("sync", path, error))
}

/// What is planned so far, by path.
#[derive(Default)]
struct Plan {
    items: Vec<Item>,
    /// Whether the path is a folder.
    taken: HashMap<PathBuf, bool>,
}

impl Plan {
    fn add(&mut self, path: &Path, kind: ItemKind, entry: &Entry) -> Result<(), CodeError> {
        if let Some(parent) = path.parent() {
            self.add_folder(parent, entry)?;
        }
        if self.taken.contains_key(path) {
            return Err(refused(entry, "comes twice"));
        }
        self.push(path, kind)
    }

    /// Adds a folder and those it lies in, as far as they are not there yet.
    fn add_folder(&mut self, path: &Path, entry: &Entry) -> Result<(), CodeError> {
        let mut missing = Vec::new();
        for folder in path.ancestors().filter(|folder| *folder != Path::new("")) {
            match self.taken.get(folder) {
                Some(true) => break,
                Some(false) => return Err(refused(entry, "lies in something that is no folder")),
                None => missing.push(folder),
            }
        }
        for folder in missing.into_iter().rev() {
            self.push(folder, ItemKind::Folder)?;
        }
        Ok(())
    }

    fn push(&mut self, path: &Path, kind: ItemKind) -> Result<(), CodeError> {
        if self.items.len() >= CODE_ENTRIES_MAX {
            return Err(CodeError::TooManyEntries);
        }
        self.taken.insert(path.to_owned(), matches!(kind, ItemKind::Folder));
        self.items.push(Item { path: path.to_owned(), kind });
        Ok(())
    }
}

/// The entry's path beneath the package's folder.
fn clean_path(entry: &Entry) -> Result<PathBuf, CodeError> {
    let raw = &entry.path;
    if raw.len() > CODE_PATH_BYTES_MAX {
        return Err(refused(entry, "has a longer path than a deployment package may have"));
    }
    if raw.starts_with(b"/") {
        return Err(refused(entry, "has an absolute path"));
    }
    if raw.contains(&0) {
        return Err(refused(entry, "has a zero byte in its path"));
    }
    let mut path = PathBuf::new();
    for part in raw.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(refused(entry, "leads out of the package")),
            _ if part.len() > CODE_NAME_BYTES_MAX => return Err(refused(entry, "has too long a name")),
            _ => path.push(OsStr::from_bytes(part)),
        }
    }
    if path.components().count() > CODE_DEPTH_MAX {
        return Err(refused(entry, "lies too deep"));
    }
    let is_folder = raw.ends_with(b"/") || entry.unix_mode & TYPE_MASK == TYPE_FOLDER;
    if path.as_os_str().is_empty() && !is_folder {
        return Err(refused(entry, "has no name"));
    }
    Ok(path)
}

/// A link's target that stays in the package.
///
/// `..` may only come first, where the way up is through folders that are no links: then the target lies inside
/// whatever links the rest of it passes, as those lie inside too.
fn checked_target(entry: &Entry, path: &Path, content: &[u8]) -> Result<PathBuf, CodeError> {
    if content.is_empty() || content.len() > CODE_PATH_BYTES_MAX || content.contains(&0) {
        return Err(refused(entry, "links to no path"));
    }
    if content.starts_with(b"/") {
        return Err(refused(entry, "links to an absolute path"));
    }
    let depth = path.components().count() - 1;
    let (mut ups, mut is_going_down) = (0, false);
    for part in content.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if is_going_down => return Err(refused(entry, "links through a folder and back")),
            b".." => ups += 1,
            _ => is_going_down = true,
        }
    }
    if ups > depth {
        return Err(refused(entry, "links out of the package"));
    }
    Ok(PathBuf::from(OsStr::from_bytes(content)))
}

fn refused(entry: &Entry, problem: &'static str) -> CodeError {
    CodeError::Entry { path: String::from_utf8_lossy(&entry.path).into_owned(), problem }
}

pub(crate) fn make_folder(path: &Path) -> Result<(), LambdaError> {
    let made = fs::create_dir(path).and_then(|()| {
        // The mode that mkdir takes is cut by the process's mask.
        fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE))
    });
    made.map_err(|error| LambdaError::io("make the folder", path, error))
}

fn write_file<S: ReadAt>(
    package: &Package<S>,
    entry: &Entry,
    path: &Path,
    mode: u32,
    space: &Space,
) -> Result<(), LambdaError> {
    let failed = |step| move |error| LambdaError::io(step, path, error);
    let options = fs::OpenOptions::new().write(true).create_new(true).mode(mode).clone();
    let mut file = options.open(path).map_err(failed("make"))?;
    let mut left = entry.claimed;
    package.archive.read(entry, |piece| {
        // The zip was checked, but its file may have changed since.
        left = left.checked_sub(piece.len() as u64).ok_or_else(|| changed(path))?;
        space.check()?;
        file.write_all(piece).map_err(failed("write"))
    })?;
    file.set_permissions(Permissions::from_mode(mode)).map_err(failed("set the mode of"))
}

fn changed(path: &Path) -> LambdaError {
    LambdaError::package("unpack", format!("{} changed since it was checked", path.display()))
}

fn sync_folders<S>(package: &Package<S>, scratch: &Path, synced_each: bool) -> Result<(), LambdaError> {
    if !synced_each {
        let opened = File::open(scratch).map_err(|error| LambdaError::io("open", scratch, error))?;
        return rustix::fs::syncfs(&opened).map_err(|error| LambdaError::io("sync", scratch, error.into()));
    }
    for item in package.items.iter().filter(|item| matches!(item.kind, ItemKind::Folder)) {
        sync(&scratch.join(&item.path))?;
    }
    sync(scratch)
}

impl From<ArchiveError> for LambdaError {
    fn from(error: ArchiveError) -> Self {
        Self::package("unpack", error)
    }
}
