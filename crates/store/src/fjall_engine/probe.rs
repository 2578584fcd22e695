//! What the database would hold if its newest journal ended earlier, found out on a copy.

use std::fs::{self, File};
use std::path::Path;

use super::tree::Tree;
use crate::error::StoreError;

/// The folder of files that never change, so that links to them will do.
const TABLES: &str = "tables";
/// Memory for the copy's blocks: next to nothing is read.
const CACHE_BYTES: u64 = 1024 * 1024;

/// The newest version without what lies in `journal` from byte `end` on; nothing in `tree` is changed. The copy is made in
/// `scratch`, and removed.
pub(super) fn version_without(
    tree: &Path,
    journal: &Path,
    end: u64,
    scratch: &Path,
) -> Result<u64, StoreError> {
    remove(scratch)?;
    copy_directory(tree, scratch)?;
    let relative = journal.strip_prefix(tree).unwrap_or(journal);
    let cut = File::options().write(true).open(scratch.join(relative)).and_then(|file| file.set_len(end));
    cut.map_err(|e| StoreError::io("shorten the copy of", journal, e))?;
    let version = Tree::open(scratch, CACHE_BYTES).and_then(|tree| tree.version());
    remove(scratch)?;
    version
}

fn copy_directory(from: &Path, to: &Path) -> Result<(), StoreError> {
    let io = |step| move |e| StoreError::io(step, from, e);
    fs::create_dir_all(to).map_err(io("copy"))?;
    let is_fixed = from.ends_with(TABLES);
    for entry in fs::read_dir(from).map_err(io("list"))? {
        let entry = entry.map_err(io("list"))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(io("look at"))?.is_dir() {
            copy_directory(&path, &target)?;
        } else if !is_fixed || fs::hard_link(&path, &target).is_err() {
            fs::copy(&path, &target).map_err(|e| StoreError::io("copy", &path, e))?;
        }
    }
    Ok(())
}

fn remove(directory: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("remove", directory, e)),
        _ => Ok(()),
    }
}
