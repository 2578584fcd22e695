//! Whose a directory is.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Disk;
use crate::error::BlobError;
use crate::place_mark::MARK_NAME;

impl Disk {
    pub(crate) fn mark(&self) -> Result<Option<String>, BlobError> {
        let path = self.root.join(MARK_NAME);
        match std::fs::read_to_string(&path) {
            Ok(mark) => Ok(Some(mark.trim_end().to_owned())),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(BlobError::io("read", &path, e)),
        }
    }

    pub(crate) fn set_mark(&self, mark: &str) -> Result<bool, BlobError> {
        let draft = self.temporary_path();
        write_durably(&draft, mark).map_err(|e| BlobError::io("write", &draft, e))?;
        // A link is made by one only, on network file systems too, and of a file that is whole.
        let path = self.root.join(MARK_NAME);
        let linked = std::fs::hard_link(&draft, &path);
        std::fs::remove_file(&draft).map_err(|e| BlobError::io("remove", &draft, e))?;
        let made = match linked {
            Ok(()) => true,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => false,
            Err(e) => return Err(BlobError::io("link", &path, e)),
        };
        // Also when another made it: that one may have ended before this line.
        self.sync_root()?;
        Ok(made)
    }
}

fn write_durably(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
