//! A folder that nothing done through it leads out of: the tree of an image while it is made.
//!
//! Links are kept as they are, and are followed as the image's own programs will follow them: the folder is `/`, and `..`
//! of it is itself. The kernel sees to that (`openat2`, Linux 5.6), for every path anew.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// What folders have that a layer implies without an entry of their own.
const FOLDER_MODE: u32 = 0o755;

/// See the module.
pub(crate) struct Beneath {
    root: OwnedFd,
    path: PathBuf,
    /// The folder that was last asked for, as entries of one folder follow each other.
    last: Option<Folder>,
}

/// A folder of the tree.
pub(crate) struct Folder {
    asked: PathBuf,
    fd: OwnedFd,
    /// Where it really is, links resolved, from the tree's root.
    real: PathBuf,
}

impl Folder {
    /// From the tree's root, without links.
    pub(crate) fn real(&self) -> &Path {
        &self.real
    }
}

impl Beneath {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let root = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = fs::read_link(format!("/proc/self/fd/{}", root.as_raw_fd()))?;
        Ok(Self { root, path, last: None })
    }

    /// A folder, made if it is not there, with those it lies in. Links on the way are followed within the tree.
    pub(crate) fn folder(&mut self, path: &Path) -> io::Result<&Folder> {
        let is_last = self.last.as_ref().is_some_and(|last| last.asked == path);
        if !is_last {
            let fd = match self.open_folder(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_folders(path)?,
                opened => opened?,
            };
            self.last = Some(self.folder_of(path, fd)?);
        }
        Ok(self.last.as_ref().expect("it was just put there"))
    }

    /// A folder that is there. Links on the way are followed within the tree.
    pub(crate) fn existing(&self, path: &Path) -> io::Result<Folder> {
        self.folder_of(path, self.open_folder(path)?)
    }

    /// Lets everyone into the tree, whatever the process's mask says.
    pub(crate) fn make_searchable(&self) -> io::Result<()> {
        let root = rustix::fs::openat(&self.root, ".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(rustix::fs::fchmod(&root, Mode::from_raw_mode(FOLDER_MODE))?)
    }

    /// Forgets which folder was last asked for: to be called when one may have been removed.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    /// A file's kind and mode, links followed within the tree.
    pub(crate) fn look_up(&self, path: &Path) -> io::Result<(FileType, u32)> {
        let fd = self.open_at(path, OFlags::PATH)?;
        let found = rustix::fs::fstat(&fd)?;
        Ok((FileType::from_raw_mode(found.st_mode), found.st_mode & 0o7777))
    }

    fn open_folder(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open_at(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    fn open_at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), how)?)
    }

    fn make_folders(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut here = self.open_folder(Path::new(""))?;
        let mut so_far = PathBuf::new();
        for name in path {
            so_far.push(name);
            here = match self.open_folder(&so_far) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    rustix::fs::mkdirat(&here, name, Mode::from_raw_mode(FOLDER_MODE))?;
                    rustix::fs::chmodat(&here, name, Mode::from_raw_mode(FOLDER_MODE), AtFlags::empty())?;
                    self.open_folder(&so_far)?
                }
                opened => opened?,
            };
        }
        Ok(here)
    }

    fn folder_of(&self, asked: &Path, fd: OwnedFd) -> io::Result<Folder> {
        let path = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
        let real = path.strip_prefix(&self.path);
        let real =
            real.map_err(|_| io::Error::other("a folder lies outside of the image's tree"))?.to_owned();
        Ok(Folder { asked: asked.to_owned(), fd, real })
    }
}

impl Folder {
    /// What a name in it is, the name itself and not what it may link to; `None` where there is nothing.
    pub(crate) fn kind_of(&self, name: &OsStr) -> io::Result<Option<FileType>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(FileType::from_raw_mode(found.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a name with all beneath it; no harm where there is nothing.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        match self.kind_of(name)? {
            None => Ok(()),
            // Within this process's own folder of descriptors, so that no link is followed on the way.
            Some(FileType::Directory) => fs::remove_dir_all(self.path_of(name)),
            Some(_) => Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?),
        }
    }

    /// The names in one of its folders.
    pub(crate) fn names_in(&self, name: &OsStr) -> io::Result<Vec<std::ffi::OsString>> {
        let listed = fs::read_dir(self.path_of(name))?;
        listed.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    /// Makes a folder, or gives one that is there another mode.
    pub(crate) fn make_folder(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        match self.kind_of(name)? {
            Some(FileType::Directory) => {}
            Some(_) => {
                self.remove(name)?;
                rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode))?;
            }
            None => rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode))?,
        }
        // The mode that mkdir takes is cut by the process's mask. It is a folder of ours and no link: nobody else is here.
        Ok(rustix::fs::chmodat(&self.fd, name, Mode::from_raw_mode(mode), AtFlags::empty())?)
    }

    /// A new, empty file in place of whatever is there.
    pub(crate) fn make_file(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        self.remove(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(mode))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(file.into())
    }

    /// A symbolic link in place of whatever is there.
    pub(crate) fn make_link(&self, name: &OsStr, target: &[u8]) -> io::Result<()> {
        self.remove(name)?;
        Ok(rustix::fs::symlinkat(OsStr::from_bytes(target), &self.fd, name)?)
    }

    /// One more name for a file, or for a symbolic link itself, in place of whatever is there.
    pub(crate) fn make_hard_link(&self, name: &OsStr, from: &Self, old: &OsStr) -> io::Result<()> {
        self.remove(name)?;
        Ok(rustix::fs::linkat(&from.fd, old, &self.fd, name, AtFlags::empty())?)
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd())).join(name)
    }
}
