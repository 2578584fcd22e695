//! What a tree must have so that it can be an environment's root: places to mount on, which are what they seem to be.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use rustix::fs::FileType;

use crate::beneath::Beneath;
use crate::error::ImageError;

/// Folders that environments mount something on, or bring something of the platform's in.
const FOLDERS: [&str; 6] = ["dev", "proc", "tmp", "etc", "var/empty", "var/rapid"];
/// Files that environments have of their own.
const FILES: [&str; 2] = ["etc/hosts", "etc/resolv.conf"];
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Makes all of them, in place of links and whatever else has their names.
pub(crate) fn make(tree: &mut Beneath) -> Result<(), ImageError> {
    for path in FOLDERS {
        let mut parent = Path::new("").to_owned();
        for name in Path::new(path) {
            let is_last = parent.join(name) == Path::new(path);
            make_folder(tree, &parent, name, is_last)?;
            parent.push(name);
        }
    }
    for path in FILES.map(Path::new) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
        let failed = |error: io::Error| ImageError::io("make", path, error);
        let folder = tree.folder(parent).map_err(failed)?;
        if folder.kind_of(name).map_err(failed)? != Some(FileType::RegularFile) {
            folder.make_file(name, FILE_MODE).map_err(failed)?;
        }
    }
    Ok(())
}

/// A folder on the way that is a link would lead mounts elsewhere.
fn make_folder(tree: &mut Beneath, parent: &Path, name: &OsStr, may_replace: bool) -> Result<(), ImageError> {
    let path = parent.join(name);
    let failed = |error: io::Error| ImageError::io("make", &path, error);
    let folder = tree.folder(parent).map_err(failed)?;
    match folder.kind_of(name).map_err(failed)? {
        Some(FileType::Directory) => Ok(()),
        Some(_) if !may_replace => {
            let path = path.to_string_lossy().into_owned();
            Err(ImageError::Entry { path, problem: "should be a folder" })
        }
        _ => {
            folder.make_folder(name, FOLDER_MODE).map_err(failed)?;
            tree.forget();
            Ok(())
        }
    }
}
