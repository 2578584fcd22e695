//! The folder that the demonstration leaves.

use std::fs;
use std::path::{Path, PathBuf};

use crate::CliError;

/// Also for those who do by hand what the demonstration does.
pub(super) const TRUST: &str = include_str!("../../../../../examples/photos/trust.json");
pub(super) const POLICY: &str = include_str!("../../../../../examples/photos/role-policy.json");
pub(super) const NOTIFICATION: &str = include_str!("../../../../../examples/photos/notification.json");

pub(super) struct Files {
    root: PathBuf,
}

impl Files {
    /// Makes the folder, or uses the one of an earlier demonstration.
    pub(super) fn create(root: &Path) -> Result<Self, CliError> {
        let files = Self { root: root.to_owned() };
        for folder in ["photos", "thumbnails"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(CliError::disk("make", path))?;
        }
        for (name, text) in
            [("trust.json", TRUST), ("policy.json", POLICY), ("notification.json", NOTIFICATION)]
        {
            files.write(name, text.as_bytes())?;
        }
        Ok(files)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), CliError> {
        let path = self.root.join(name);
        fs::write(&path, bytes).map_err(CliError::disk("write", path))
    }
}
