//! Files that are whole or not there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::CareError;

/// What a file is called until it is whole.
const PART_SUFFIX: &str = "part";

/// A file in the making, for its owner's eyes only; dropped before [`NewFile::finish`] it leaves nothing behind.
pub struct NewFile {
    file: File,
    part: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl NewFile {
    /// Begins a file that will be called `path`. What a former attempt left under the name of the part is replaced.
    pub fn create(path: &Path) -> Result<Self, CareError> {
        let mut part = path.as_os_str().to_owned();
        part.push(".");
        part.push(PART_SUFFIX);
        let part = PathBuf::from(part);
        // Never what somebody else has open, or lets others read.
        match fs::remove_file(&part) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(CareError::io("remove", &part)(error));
            }
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&part).map_err(CareError::io("create", &part))?;
        Ok(Self { file, part, path: path.to_owned(), kept: false })
    }

    /// Where to write.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it lies until it is whole.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Makes it durable under its name; a file of that name is replaced.
    pub fn finish(mut self) -> Result<(), CareError> {
        self.file.sync_all().map_err(CareError::io("sync", &self.part))?;
        fs::rename(&self.part, &self.path).map_err(CareError::io("rename", &self.part))?;
        self.kept = true;
        sync_parent(&self.path)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_file(&self.part)
        {
            tracing::warn!(path = %self.part.display(), %error, "a half written file stays");
        }
    }
}

/// Makes a directory, and those above it, durably and for their owner's eyes only.
pub fn make_directory(path: &Path) -> Result<(), CareError> {
    let is_there = |path: &Path| path.as_os_str().is_empty() || path.is_dir();
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !is_there(path)).collect();
    for path in missing.into_iter().rev() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(CareError::io("make", path))?;
        sync_parent(path)?;
    }
    Ok(())
}

/// Makes the names beside `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), CareError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(CareError::io("sync", parent))
}
