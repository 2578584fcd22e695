//! One process for one data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::directory::create_directory;
use crate::error::StoreError;

const FILE_NAME: &str = "LOCK";
/// How long to wait for what a process that is gone has left behind.
const HEIRS_MAX: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(10);

/// Holds the directory until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Locks the directory, and makes it if there is none.
    ///
    /// Errors: `Locked`, naming the process that holds the directory.
    pub fn acquire(directory: &Path) -> Result<Self, StoreError> {
        create_directory(directory)?;
        let path = directory.join(FILE_NAME);
        let io = |step| {
            let path = path.clone();
            move |e| StoreError::io(step, &path, e)
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(io("open"))?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(e)) => return Err(io("lock")(e)),
                Err(TryLockError::WouldBlock) => {}
            }
            let holder = holder(&mut file);
            // A killed process's children that were just starting hold its files for a moment longer.
            let is_gone = holder.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
            if !is_gone || waited >= HEIRS_MAX {
                let holder = holder.map_or("another process".to_owned(), |pid| format!("process {pid}"));
                return Err(StoreError::Locked { directory: directory.to_owned(), holder });
            }
            std::thread::sleep(RETRY);
            waited += RETRY;
        }
        file.set_len(0).map_err(io("truncate"))?;
        file.rewind().map_err(io("rewind"))?;
        writeln!(file, "{}", std::process::id()).map_err(io("write"))?;
        Ok(Self { _file: file })
    }
}

/// The process that wrote its id into the file; only for decisions that may be wrong.
fn holder(file: &mut File) -> Option<u32> {
    let mut pid = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut pid).ok()?;
    pid.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_first() {
        let directory = tempfile::tempdir().unwrap();
        let first = DataLock::acquire(directory.path()).unwrap();
        let refused = DataLock::acquire(directory.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        DataLock::acquire(directory.path()).unwrap();
    }
}
