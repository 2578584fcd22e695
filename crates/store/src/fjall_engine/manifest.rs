//! What must be there, whole, before fjall may open a database.
//!
//! Each of its two keyspaces has a file `current`, the number of the newest manifest (`u64`), that file's XXH3 (`u128`) and
//! the kind of sum (0), all little-endian; the manifest `vNUMBER` names the tables. fjall does not compare the sum: of a
//! damaged manifest it would read fewer tables, or give up in the middle. Without one of its files it takes the database
//! for new, and removes what it then does not know: the rows.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use crate::directory::exists;
use crate::error::StoreError;

const NEEDED_FILES: [&str; 2] = ["version", "keyspaces/1/tables"];
/// fjall's own keyspace and the one of the rows.
const KEYSPACES: [&str; 2] = ["keyspaces/0", "keyspaces/1"];
const CURRENT: &str = "current";
const XXH3: u8 = 0;

/// Makes sure that fjall will find everything where it left it.
///
/// Errors: `Corrupt`, naming what is missing or damaged.
pub(super) fn check(directory: &Path) -> Result<(), StoreError> {
    for needed in NEEDED_FILES {
        let path = directory.join(needed);
        if !exists(&path)? {
            return Err(missing(&path));
        }
    }
    for keyspace in KEYSPACES {
        check_keyspace(&directory.join(keyspace))?;
    }
    Ok(())
}

fn check_keyspace(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join(CURRENT);
    let current = read(&path)?;
    let damaged = |path: &Path| StoreError::Corrupt(format!("{} is damaged", path.display()));
    let Some((number, sum)) = current.split_first_chunk::<8>() else { return Err(damaged(&path)) };
    let Some((sum, [XXH3])) = sum.split_first_chunk::<16>() else { return Err(damaged(&path)) };
    let manifest = directory.join(format!("v{}", u64::from_le_bytes(*number)));
    if xxh3_128(&read(&manifest)?) != u128::from_le_bytes(*sum) {
        return Err(StoreError::Corrupt(format!("{} or {} is damaged", manifest.display(), path.display())));
    }
    Ok(())
}

/// A file of a few KiB.
fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => missing(path),
        _ => StoreError::io("read", path, e),
    })
}

fn missing(path: &Path) -> StoreError {
    StoreError::Corrupt(format!("{} is missing", path.display()))
}
