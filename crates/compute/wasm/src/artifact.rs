//! Compiled components: `code/SHA256.compiled/wasm-KEY` beside the unpacked package, gone when that goes.
//!
//! To map one is to run it, so only what this platform wrote is mapped. Beside the file lies a seal: a digest, under a key
//! that only the platform has, of what the kernel says of the file. A file that is replaced or written to has another inode,
//! or another time of change, which nobody can set; its content need not be read to know that. A copy is another file: it is
//! made anew.
//!
//! The key in its name is of the component's place in the package, the engine's version and its settings.

use std::fs::{self, DirBuilder, File, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use lambent_base::Random;
use lambent_base::text::{equal_in_constant_time, hex};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::WasmError;
use crate::limits::COMPONENT_BYTES_MAX;

const COMPONENT: &str = "component.cwasm";
const SEAL: &str = "seal";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Others than the owner may not write to it.
const FOREIGN_WRITE: u32 = 0o022;
/// What is not finished yet is called like what a crash left behind, and removed like it.
const UNFINISHED: &str = ".new-";
const EXTENSION: &str = "wasm";
/// A component's file begins so; a core module's with version 1 in place of the last four bytes.
const COMPONENT_MAGIC: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const MAGIC_BYTES: usize = 4;

/// The key under which files are sealed.
pub(crate) struct SealKey(pub(crate) [u8; 32]);

/// Where one component lies, and what is made of it.
pub(crate) struct Artifact {
    source: PathBuf,
    /// The folder of the compiled component.
    folder: PathBuf,
    code_dir: PathBuf,
}

impl Artifact {
    /// Finds the component that a handler names in an unpacked package.
    pub(crate) fn find(engine: &Engine, code_dir: &Path, handler: &str) -> Result<Self, WasmError> {
        let source = source(code_dir, handler)?;
        let key = Sha256::new()
            .chain_update(engine_key(engine))
            .chain_update(source.as_os_str().as_encoded_bytes());
        let folder =
            code_dir.with_extension("compiled").join(format!("wasm-{}", &hex(&key.finalize())[..32]));
        Ok(Self { source: code_dir.join(source), folder, code_dir: code_dir.to_path_buf() })
    }

    /// Maps the compiled component; `None` where there is none, or none that this platform made.
    pub(crate) fn open(&self, engine: &Engine, key: &SealKey) -> Option<Component> {
        let file = File::open(self.folder.join(COMPONENT)).ok()?;
        let found = self.seal_of(&file, key).ok()?;
        let kept = fs::read(self.folder.join(SEAL)).ok()?;
        if !equal_in_constant_time(&found, &kept) {
            tracing::warn!(
                folder = %self.folder.display(),
                "a compiled component is not as this platform left it, and is made anew"
            );
            return None;
        }
        map(engine, &file)
            .inspect_err(|error| tracing::warn!(%error, "a compiled component is not of this engine, and is made anew"))
            .ok()
    }

    /// Reads the component, compiles it and keeps the outcome. Takes seconds of a core for a large one.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        key: &SealKey,
        random: &Random,
    ) -> Result<Component, WasmError> {
        let bytes = self.read()?;
        let compiled = engine.precompile_component(&bytes);
        let compiled = compiled.map_err(|error| WasmError::Compile(format!("{error:#}")))?;
        drop(bytes);
        let root = self.code_dir.parent().unwrap_or(&self.code_dir);
        let scratch = root.join(format!("{UNFINISHED}{}", random.uuid()));
        let kept = self.keep(&compiled, &scratch, key);
        if kept.is_err() {
            // The error is told already, and what is left is removed at the next start.
            let _ = fs::remove_dir_all(&scratch);
        }
        let file = kept?;
        map(engine, &file).map_err(|error| WasmError::Compile(format!("{error:#}")))
    }

    fn read(&self) -> Result<Vec<u8>, WasmError> {
        let failed = |error| WasmError::io("read", &self.source, error);
        let file = File::open(&self.source).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length > COMPONENT_BYTES_MAX {
            return Err(WasmError::TooLarge { bytes: length, max: COMPONENT_BYTES_MAX });
        }
        let mut bytes = Vec::new();
        file.take(COMPONENT_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
        match bytes.get(..COMPONENT_MAGIC.len()) {
            Some(start) if *start == COMPONENT_MAGIC => Ok(bytes),
            Some(start) if start[..MAGIC_BYTES] == COMPONENT_MAGIC[..MAGIC_BYTES] => {
                Err(WasmError::CoreModule)
            }
            _ => Err(WasmError::NotWasm),
        }
    }

    /// Writes it beside its place, makes it durable, and moves it there; gives the open file.
    fn keep(&self, compiled: &[u8], scratch: &Path, key: &SealKey) -> Result<File, WasmError> {
        let path = scratch.join(COMPONENT);
        let failed = |error| WasmError::io("write", &path, error);
        let make = |path: &Path| {
            let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path);
            made.map_err(|error| WasmError::io("make the folder", path, error))
        };
        make(scratch)?;
        let write = |name: &str, bytes: &[u8]| {
            let mut options = File::options();
            let mut file =
                options.read(true).write(true).create_new(true).mode(FILE_MODE).open(scratch.join(name))?;
            file.write_all(bytes)?;
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            file.sync_all()?;
            Ok(file)
        };
        let file = write(COMPONENT, compiled).map_err(failed)?;
        let seal = self.seal_of(&file, key)?;
        write(SEAL, &seal).map_err(failed)?;
        if !self.code_dir.is_dir() {
            // The package was thrown away meanwhile: nothing would ever remove what is made of it.
            return fs::remove_dir_all(scratch).map(|()| file).map_err(failed);
        }
        let parent = self.folder.parent().unwrap_or(&self.folder);
        make(parent)?;
        if self.folder.exists() {
            let old = scratch.with_extension("old");
            fs::rename(&self.folder, &old).map_err(failed)?;
            fs::remove_dir_all(&old).map_err(failed)?;
        }
        fs::rename(scratch, &self.folder).map_err(failed)?;
        Ok(file)
    }

    /// The digest of what the kernel says of the file; an error where others may write to it.
    fn seal_of(&self, file: &File, key: &SealKey) -> Result<Vec<u8>, WasmError> {
        let facts =
            file.metadata().map_err(|error| WasmError::io("look at", self.folder.join(COMPONENT), error))?;
        if facts.uid() != rustix::process::geteuid().as_raw() || facts.mode() & FOREIGN_WRITE != 0 {
            let foreign = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
            return Err(WasmError::io("trust", self.folder.join(COMPONENT), foreign));
        }
        let text = format!(
            "lambent-wasm 1 {} {} {} {}.{} {}.{}",
            self.folder.display(),
            facts.ino(),
            facts.len(),
            facts.mtime(),
            facts.mtime_nsec(),
            facts.ctime(),
            facts.ctime_nsec(),
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

/// Changes with the engine's version and settings, and with what the processor can do.
fn engine_key(engine: &Engine) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish().to_le_bytes()
}

#[expect(unsafe_code, reason = "to map compiled code is to trust it, which is this module's subject")]
fn map(engine: &Engine, file: &File) -> wasmtime::Result<Component> {
    // By its descriptor: what was looked at is what is mapped.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: the file is what `precompile_component` gave to this platform, which alone may write to it: it was written a
    // moment ago, or its seal says so.
    unsafe { Component::deserialize_file(engine, path) }
}

/// The component's path within the package.
fn source(code_dir: &Path, handler: &str) -> Result<PathBuf, WasmError> {
    let is_plain =
        |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let named = [PathBuf::from(handler), PathBuf::from(format!("{handler}.{EXTENSION}"))];
    for path in named {
        let is_wasm = path.extension().is_some_and(|extension| extension == EXTENSION);
        if is_wasm && is_plain(&path) && is_within(code_dir, &path) {
            return Ok(path);
        }
    }
    let failed = |error| WasmError::io("list", code_dir, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(code_dir).map_err(failed)? {
        let name = PathBuf::from(entry.map_err(failed)?.file_name());
        if name.extension().is_some_and(|extension| extension == EXTENSION) && is_within(code_dir, &name) {
            found.push(name);
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        _ => Err(WasmError::NoComponent { handler: handler.to_owned(), found: found.len() }),
    }
}

/// Whether it is a file of the package, also if links lead to it.
fn is_within(code_dir: &Path, path: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    match (real(code_dir), real(&code_dir.join(path))) {
        (Some(root), Some(file)) => file.starts_with(root) && file.is_file(),
        _ => false,
    }
}

impl SealKey {
    /// The key that belongs to a secret which other things are sealed with.
    pub(crate) fn of(secret: &[u8; 32]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(b"lambent compiled components");
        Self(mac.finalize().into_bytes().into())
    }
}
