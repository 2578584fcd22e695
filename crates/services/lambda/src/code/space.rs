//! Room on the disk for code. The store and the blobs keep a reserve, without which nobody could even delete anything: what is
//! only a copy of theirs must not use it up.

use std::path::PathBuf;

use crate::errors::LambdaError;

/// The file system of the code folder.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    pub(crate) root: PathBuf,
    pub(crate) reserve_bytes: u64,
}

impl Space {
    /// To be asked before each piece that is written, which is far smaller than any sensible reserve.
    ///
    /// Errors: `DiskFull` when less than the reserve is free.
    pub(crate) fn check(&self) -> Result<(), LambdaError> {
        let status = rustix::fs::statvfs(&self.root);
        let status =
            status.map_err(|error| LambdaError::io("ask for the free space of", &self.root, error.into()))?;
        if status.f_bavail.saturating_mul(status.f_frsize) < self.reserve_bytes {
            return Err(LambdaError::DiskFull { path: self.root.clone() });
        }
        Ok(())
    }
}
