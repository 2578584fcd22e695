//! Stopping everything in an environment, and letting it go on.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// The file that freezes a control group. Version 2 lets frozen processes be killed; version 1 does not.
#[derive(Debug)]
pub(crate) struct Freezer {
    file: File,
    freeze: &'static [u8],
    thaw: &'static [u8],
    pub(crate) must_thaw_to_kill: bool,
}

impl Freezer {
    /// The freezer of a control group, if it has one.
    pub(crate) fn find(folder: &Path) -> Option<Self> {
        let open = |name: &str| OpenOptions::new().write(true).open(folder.join(name)).ok();
        if let Some(file) = open("cgroup.freeze") {
            return Some(Self { file, freeze: b"1", thaw: b"0", must_thaw_to_kill: false });
        }
        let file = open("freezer.state")?;
        Some(Self { file, freeze: b"FROZEN", thaw: b"THAWED", must_thaw_to_kill: true })
    }

    /// Returns at once; what runs just now stops within the next moment.
    pub(crate) fn freeze(&self) -> std::io::Result<()> {
        (&self.file).write_all(self.freeze)
    }

    pub(crate) fn thaw(&self) -> std::io::Result<()> {
        (&self.file).write_all(self.thaw)
    }
}
