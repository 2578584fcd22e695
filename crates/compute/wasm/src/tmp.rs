//! `/tmp` of an instance: a folder of its own, empty when the instance is made.
//!
//! Its size is EphemeralStorage, and what counts is what was ever written to it, so that nothing has to be measured: a file that
//! is written again or deleted gives nothing back before the next instance. Where instances are reused, it is measured
//! before each call.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::WasiFilesystemView;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynOutputStream, FsResult, OutputStream, Pollable, StreamError, StreamResult};

use crate::depth;
use crate::error::WasmError;
use crate::folders;
use crate::host::Host;
use crate::limits::{TMP_CLAIM_BYTES, TMP_ENTRY_BYTES, TMP_RESERVE_BYTES};

/// As in the definitions that the linker was given; those of other versions of 0.2 find it.
pub(crate) const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// Where all of them are: in a folder that this start of the platform has for itself.
pub(crate) struct Tmps {
    root: PathBuf,
    made: AtomicU64,
}

/// One of them, for instances that follow one another in one place. It goes when this does.
pub(crate) struct Tmp {
    path: PathBuf,
    limit: u64,
    /// Bytes that were written, or set aside for entries.
    used: AtomicU64,
}

impl Tmps {
    /// Throws away what platforms left that ended early: meanwhile, as there may be much.
    pub(crate) fn open(root: PathBuf) -> Result<Self, WasmError> {
        fs::create_dir_all(&root).map_err(|error| WasmError::io("make", &root, error))?;
        // Open folders are known by their whole names (see `depth`).
        let root = root.canonicalize().map_err(|error| WasmError::io("find", &root, error))?;
        let own = make_own(&root)?;
        let kept = own.clone();
        let sweep = move || sweep(&root, &kept);
        if let Err(error) = std::thread::Builder::new().name("wasm-sweep".to_owned()).spawn(sweep) {
            tracing::warn!(%error, "what components left in /tmp stays until the next start");
        }
        Ok(Self { root: own, made: AtomicU64::new(0) })
    }

    /// A new one, for a function with so much of EphemeralStorage.
    pub(crate) fn make(&self, ephemeral_mib: u32) -> Result<Arc<Tmp>, WasmError> {
        let path = self.root.join(self.made.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir(&path).map_err(|error| WasmError::io("make", &path, error))?;
        Ok(Arc::new(Tmp { path, limit: u64::from(ephemeral_mib) << 20, used: AtomicU64::new(0) }))
    }
}

impl Tmp {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Empties it for a new instance, if there is anything in it.
    pub(crate) async fn empty(self: &Arc<Self>) -> io::Result<()> {
        if self.used.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        let own = self.clone();
        let emptied = tokio::task::spawn_blocking(move || match folders::empty(&own.path) {
            // Somebody tidied up here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(&own.path),
            emptied => emptied,
        });
        emptied.await.map_err(io::Error::other)??;
        self.used.store(0, Ordering::SeqCst);
        Ok(())
    }

    /// Finds out how much is in it, for an instance that goes on.
    pub(crate) async fn measure(self: &Arc<Self>) -> io::Result<()> {
        if self.used.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        let own = self.clone();
        let measured = tokio::task::spawn_blocking(move || folders::bytes_in(&own.path)).await;
        self.used.store(measured.map_err(io::Error::other)??, Ordering::SeqCst);
        Ok(())
    }

    /// Sets bytes aside; `false` where there are none left, here or on the disk.
    fn claim(&self, bytes: u64) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::SeqCst);
        let after = before.saturating_add(bytes);
        let is_room = after <= self.limit
            // Asking the disk costs a moment.
            && (before / TMP_CLAIM_BYTES == after / TMP_CLAIM_BYTES || has_reserve(&self.path));
        if !is_room {
            self.used.fetch_sub(bytes, Ordering::SeqCst);
        }
        is_room
    }
}

impl Drop for Tmp {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        let remove = move || {
            if let Err(error) = folders::remove(&path) {
                tracing::warn!(%error, path = %path.display(), "the /tmp of a component stays until the next start");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.used.load(Ordering::SeqCst) > 0 => drop(runtime.spawn_blocking(remove)),
            _ => remove(),
        }
    }
}

fn has_reserve(path: &Path) -> bool {
    let free = rustix::fs::statvfs(path).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    free.is_ok_and(|free| free > TMP_RESERVE_BYTES)
}

/// A folder that is not there yet.
fn make_own(root: &Path) -> Result<PathBuf, WasmError> {
    let mut number = 0_u64;
    loop {
        let own = root.join(number.to_string());
        match fs::create_dir(&own) {
            Ok(()) => return Ok(own),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(WasmError::io("make", own, error)),
        }
    }
}

/// Removes all but one of the folders in the root, as far as that goes.
fn sweep(root: &Path, kept: &Path) {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| path != kept) {
        if let Err(error) = folders::remove(&path) {
            tracing::warn!(%error, path = %path.display(), "what components left in /tmp stays until the next start");
        }
    }
}

/// What an operation gives: its result or an error for the component, or what ends it.
pub(crate) type Given<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

pub(crate) fn given<T>(result: FsResult<T>) -> Given<T> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn full<T>() -> Given<T> {
    Ok((Err(ErrorCode::InsufficientSpace),))
}

/// Has all that makes files longer, or makes new ones, ask for room first.
pub(crate) fn bound(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    bound_writes(linker)?;
    bound_entries(linker)?;
    depth::bound_renames(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// A handle of the component's to a file or a folder.
pub(crate) type File = Resource<Descriptor>;

fn bound_writes(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async(
        "[method]descriptor.write",
        |mut store: StoreContextMut<'_, Host>, (file, bytes, offset): (File, Vec<u8>, u64)| {
            Box::new(async move {
                let host = store.data_mut();
                let gap = offset.saturating_sub(size_of(host, &file).await?);
                if !host.tmp().claim(gap.saturating_add(bytes.len() as u64)) {
                    return full();
                }
                given(host.filesystem().write(file, bytes, offset).await)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.set-size",
        |mut store: StoreContextMut<'_, Host>, (file, size): (File, u64)| {
            Box::new(async move {
                let host = store.data_mut();
                let more = size.saturating_sub(size_of(host, &file).await?);
                if !host.tmp().claim(more) {
                    return full();
                }
                given(host.filesystem().set_size(file, size).await)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.write-via-stream",
        |mut store: StoreContextMut<'_, Host>, (file, offset): (File, u64)| {
            Box::new(async move {
                let host = store.data_mut();
                let gap = offset.saturating_sub(size_of(host, &file).await?);
                if !host.tmp().claim(gap) {
                    return full();
                }
                let stream = given(host.filesystem().write_via_stream(file, offset));
                counted(host, stream)
            })
        },
    )?;
    types.func_wrap("[method]descriptor.append-via-stream", |mut store, (file,): (File,)| {
        let host: &mut Host = store.data_mut();
        let stream = given(host.filesystem().append_via_stream(file));
        counted(host, stream)
    })
}

fn bound_entries(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    type Opening = (File, PathFlags, String, OpenFlags, DescriptorFlags);
    types.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store: StoreContextMut<'_, Host>, (folder, follow, path, how, flags): Opening| {
            Box::new(async move {
                let host = store.data_mut();
                if how.contains(OpenFlags::CREATE) && !host.tmp().claim(TMP_ENTRY_BYTES) {
                    return full();
                }
                given(host.filesystem().open_at(folder, follow, path, how, flags).await)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.create-directory-at",
        |mut store: StoreContextMut<'_, Host>, (folder, path): (File, String)| {
            Box::new(async move {
                let host = store.data_mut();
                if depth::is_too_deep(host, &folder, &path).await? || !host.tmp().claim(TMP_ENTRY_BYTES) {
                    return full();
                }
                given(host.filesystem().create_directory_at(folder, path).await)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.symlink-at",
        |mut store: StoreContextMut<'_, Host>, (folder, from, to): (File, String, String)| {
            Box::new(async move {
                let host = store.data_mut();
                if !host.tmp().claim(TMP_ENTRY_BYTES) {
                    return full();
                }
                given(host.filesystem().symlink_at(folder, from, to).await)
            })
        },
    )?;
    type Linking = (File, PathFlags, String, File, String);
    types.func_wrap_async(
        "[method]descriptor.link-at",
        |mut store: StoreContextMut<'_, Host>, (folder, follow, from, into, to): Linking| {
            Box::new(async move {
                let host = store.data_mut();
                if !host.tmp().claim(TMP_ENTRY_BYTES) {
                    return full();
                }
                given(host.filesystem().link_at(folder, follow, from, into, to).await)
            })
        },
    )
}

/// Bytes of a file; of what has no size, none.
async fn size_of(host: &mut Host, file: &File) -> wasmtime::Result<u64> {
    let asked = Resource::new_borrow(file.rep());
    let (found,) = given(host.filesystem().stat(asked).await)?;
    Ok(found.map_or(0, |stat| stat.size))
}

/// The same stream, whose writes ask for room.
fn counted(host: &mut Host, stream: Given<Resource<DynOutputStream>>) -> Given<Resource<DynOutputStream>> {
    let Ok(stream) = stream?.0 else {
        return Ok((Err(ErrorCode::NotPermitted),));
    };
    let tmp = host.tmp().clone();
    let table = host.filesystem().table;
    let inner = table.delete(stream)?;
    let counted: DynOutputStream = Box::new(Counted { inner, tmp });
    Ok((Ok(table.push(counted)?),))
}

/// A stream into a file.
struct Counted {
    inner: DynOutputStream,
    tmp: Arc<Tmp>,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Counted {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Counted {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !self.tmp.claim(bytes.len() as u64) {
            let full = io::Error::from(io::ErrorKind::StorageFull);
            return Err(StreamError::LastOperationFailed(full.into()));
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_made_again_when_it_is_gone() {
        let held = tempfile::tempdir().unwrap();
        let tmps = Tmps::open(held.path().join("tmp")).unwrap();
        let tmp = tmps.make(512).unwrap();
        assert!(tmp.claim(1));
        fs::remove_dir_all(tmp.path()).unwrap();
        tmp.empty().await.unwrap();
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_platform_left_goes_and_what_this_one_has_stays() {
        let held = tempfile::tempdir().unwrap();
        let root = held.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("0/1/left")).unwrap();
        let own = make_own(&root).unwrap();
        assert_eq!(own, root.join("1"));
        fs::create_dir(own.join("0")).unwrap();
        sweep(&root, &own);
        assert!(!root.join("0").exists());
        assert!(own.join("0").exists());
    }
}
