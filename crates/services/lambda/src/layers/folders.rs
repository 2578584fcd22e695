//! The folder that a function's environments have as `/opt`.
//!
//! Of a single layer it is its unpacked package. Several are merged into `code/DIGEST.opt`, where DIGEST is that of the
//! ordered list of their packages, by hard links: later layers lie over earlier ones. It is a cache like the packages
//! themselves, and goes when no function has these layers in this order.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::code;
use crate::code::folders::MERGED;
use crate::code::packages::blocking;
use crate::code::space::Space;
use crate::engine::Engine;
use crate::errors::LambdaError;
use crate::rows::Settings;

impl Engine {
    /// The folders of a function's package and of its layers, if it has some; makes them first if need be.
    pub(crate) async fn ensure_ready(
        &self,
        settings: &Settings,
    ) -> Result<(PathBuf, Option<PathBuf>), LambdaError> {
        if settings.image.is_some() {
            return Ok((self.ensure_image(&settings.code).await?, None));
        }
        let code_dir = self.ensure_unpacked(&settings.code).await?;
        let mut layers = Vec::new();
        for layer in &settings.layers {
            layers.push(self.ensure_unpacked(&layer.code).await?);
        }
        let opt_dir = match settings.layer_set() {
            Some(digest) => Some(self.ensure_merged(&digest, layers).await?),
            None => layers.pop(),
        };
        Ok((code_dir, opt_dir))
    }

    async fn ensure_merged(&self, digest: &str, layers: Vec<PathBuf>) -> Result<PathBuf, LambdaError> {
        let space = self.space();
        let make = |scratch: PathBuf, folder: PathBuf| {
            blocking(move || {
                if let Err(error) = merge(&layers, &scratch, &space) {
                    let _ = code::remove_folder(&scratch);
                    return Err(error);
                }
                code::put_in_place(&scratch, &folder)
            })
        };
        self.ensure_folder(&format!("{digest}{MERGED}"), make).await
    }
}

/// Makes one folder of several, on disk when this returns.
fn merge(layers: &[PathBuf], into: &Path, space: &Space) -> Result<(), LambdaError> {
    code::make_folder(into)?;
    for layer in layers {
        overlay(layer, into, space)?;
    }
    let opened = fs::File::open(into).map_err(|error| LambdaError::io("open", into, error))?;
    rustix::fs::syncfs(&opened).map_err(|error| LambdaError::io("sync", into, error.into()))
}

/// Lays what a folder holds over what another holds: folders join, all else takes the place of what was there.
///
/// No path here leads through a link: where a link and a folder meet, one of them goes.
fn overlay(from: &Path, into: &Path, space: &Space) -> Result<(), LambdaError> {
    let failed = |error: io::Error| LambdaError::io("list", from, error);
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (source, target) = (entry.path(), into.join(entry.file_name()));
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        space.check()?;
        let there = fs::symlink_metadata(&target).ok();
        match there {
            Some(there) if there.is_dir() && is_folder => {}
            Some(there) => {
                remove(&target, there.is_dir())?;
                place(&source, &target, is_folder)?;
            }
            None => place(&source, &target, is_folder)?,
        }
        if is_folder {
            overlay(&source, &target, space)?;
        }
    }
    Ok(())
}

fn remove(path: &Path, is_folder: bool) -> Result<(), LambdaError> {
    if is_folder {
        return code::remove_folder(path);
    }
    fs::remove_file(path).map_err(|error| LambdaError::io("remove", path, error))
}

fn place(source: &Path, target: &Path, is_folder: bool) -> Result<(), LambdaError> {
    if is_folder {
        return code::make_folder(target);
    }
    let linked = match fs::hard_link(source, target) {
        Err(error) if is_no_link(error.kind()) => copy(source, target),
        linked => linked,
    };
    linked.map_err(|error| LambdaError::io("link", target, error))
}

/// A file has as many names as it may have, or the file system has no such links.
fn is_no_link(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::TooManyLinks | ErrorKind::PermissionDenied | ErrorKind::Unsupported)
}

fn copy(source: &Path, target: &Path) -> io::Result<()> {
    if fs::symlink_metadata(source)?.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(source)?, target);
    }
    fs::copy(source, target).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(root: &Path, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = root.join(name);
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn later_layers_lie_over_earlier_ones() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let first = layer(root, "1", &[("python/a.py", "1"), ("python/b.py", "1"), ("thing", "file")]);
        let second = layer(root, "2", &[("python/b.py", "2"), ("bin/tool", "2"), ("thing/inside", "2")]);
        let third = layer(root, "3", &[("bin", "a file now")]);
        let into = root.join("merged");
        let space = Space { root: root.to_owned(), reserve_bytes: 0 };
        merge(&[first.clone(), second, third], &into, &space).unwrap();
        let text = |path: &str| fs::read_to_string(into.join(path)).unwrap();
        assert_eq!((text("python/a.py"), text("python/b.py")), ("1".to_owned(), "2".to_owned()));
        assert_eq!((text("thing/inside"), text("bin")), ("2".to_owned(), "a file now".to_owned()));
        // What a layer holds is left alone.
        assert_eq!(fs::read_to_string(first.join("thing")).unwrap(), "file");
    }

    #[test]
    fn no_path_leads_through_another_layers_link() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let outside = layer(root, "outside", &[("kept", "kept")]);
        let first = layer(root, "1", &[("real/x", "1")]);
        std::os::unix::fs::symlink(&outside, first.join("lib")).unwrap();
        let second = layer(root, "2", &[("lib/kept", "changed")]);
        let into = root.join("merged");
        let space = Space { root: root.to_owned(), reserve_bytes: 0 };
        merge(&[first, second], &into, &space).unwrap();
        assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "kept");
        assert!(!fs::symlink_metadata(into.join("lib")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(into.join("lib/kept")).unwrap(), "changed");
    }
}
