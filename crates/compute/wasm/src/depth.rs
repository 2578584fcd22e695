//! How deep folders in a `/tmp` may be: each level costs whoever measures it a descriptor.

use std::os::fd::AsRawFd;
use std::path::Path;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
};

use crate::host::Host;
use crate::limits::TMP_DEPTH_MAX;
use crate::tmp::{File, TYPES, given};

/// Has a folder stay where it is rather than move further down: what is in it may be deep already. Programs copy across devices,
/// which makes every folder anew.
pub(crate) fn bound_renames(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    type Renaming = (File, String, File, String);
    linker.instance(TYPES)?.func_wrap_async(
        "[method]descriptor.rename-at",
        |mut store: StoreContextMut<'_, Host>, (folder, from, into, to): Renaming| {
            Box::new(async move {
                let host = store.data_mut();
                if is_folder(host, &folder, &from).await?
                    && level(host, &into, &to).await? > level(host, &folder, &from).await?
                {
                    return Ok((Err(ErrorCode::CrossDevice),));
                }
                given(host.filesystem().rename_at(folder, from, into, to).await)
            })
        },
    )
}

/// Whether a folder made there would be deeper than any may be.
pub(crate) async fn is_too_deep(host: &mut Host, folder: &File, path: &str) -> wasmtime::Result<bool> {
    Ok(level(host, folder, path).await? > TMP_DEPTH_MAX)
}

async fn is_folder(host: &mut Host, folder: &File, path: &str) -> wasmtime::Result<bool> {
    let asked = Resource::new_borrow(folder.rep());
    let found = host.filesystem().stat_at(asked, PathFlags::empty(), path.to_owned()).await;
    let (found,) = given(found)?;
    Ok(found.is_ok_and(|stat| stat.type_ == DescriptorType::Directory))
}

/// How many folders down from `/tmp` a path is, its links resolved: 1 for what is in `/tmp` itself. 0 where its parent cannot be
/// opened, so that nothing can be made there either.
async fn level(host: &mut Host, folder: &File, path: &str) -> wasmtime::Result<usize> {
    let Some(parent) = parent_of(path) else {
        return Ok(level_within(host, folder)? + 1);
    };
    let asked = Resource::new_borrow(folder.rep());
    let (how, flags) = (OpenFlags::DIRECTORY, DescriptorFlags::READ);
    let opened =
        host.filesystem().open_at(asked, PathFlags::SYMLINK_FOLLOW, parent.to_owned(), how, flags).await;
    let (Ok(opened),) = given(opened)? else {
        return Ok(0);
    };
    let level = level_within(host, &opened);
    host.filesystem().table.delete(opened)?;
    Ok(level? + 1)
}

/// The level of an open folder, by the name that it has now.
fn level_within(host: &mut Host, folder: &File) -> wasmtime::Result<usize> {
    let Descriptor::Dir(open) = host.filesystem().table.get(folder)? else {
        return Ok(0);
    };
    let name = std::fs::read_link(format!("/proc/self/fd/{}", open.dir.as_raw_fd()));
    // Without a name that can be told it is too long for one.
    let name = name.unwrap_or_default();
    Ok(levels_between(host.tmp().path(), &name))
}

fn levels_between(root: &Path, folder: &Path) -> usize {
    folder.strip_prefix(root).map_or(TMP_DEPTH_MAX, |within| within.components().count())
}

/// The part of a path before its last name; none for a name alone.
fn parent_of(path: &str) -> Option<&str> {
    let mut path = path.trim_end_matches('/');
    while let Some(shorter) = path.strip_suffix("/.") {
        path = shorter.trim_end_matches('/');
    }
    path.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_from_the_root() {
        let root = Path::new("/data/tmp/0/1");
        assert_eq!(levels_between(root, root), 0);
        assert_eq!(levels_between(root, &root.join("a/b")), 2);
        assert_eq!(levels_between(root, Path::new("")), TMP_DEPTH_MAX);
        assert_eq!(levels_between(root, Path::new("/data/tmp/0/12")), TMP_DEPTH_MAX);
    }

    #[test]
    fn the_last_name_of_a_path_is_what_is_made() {
        let parents = ["a", "a/", "a/.", "/a", "a/b", "a//b/./", "a/../b/c"].map(parent_of);
        assert_eq!(parents, [None, None, None, None, Some("a"), Some("a/"), Some("a/../b")]);
    }
}
