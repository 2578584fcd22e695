//! Compiled code of Node.js functions: `code/SHA256.compiled/KEY` beside the unpacked package, gone when that goes.
//!
//! Made in the background when a function has new code or another amount of memory, in an environment of that function, by the
//! node that takes up the change. Without it a function starts more slowly and is the same.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use lambent_base::Place;
use lambent_pool::FunctionSpec;
use lambent_runtimes::{CODE_CACHE_EXTENSIONS, CODE_CACHE_FILE, code_cache_key};

use crate::code::folders::{COMPILED, UNPACKING};
use crate::code::packages::blocking;
use crate::code::spool;
use crate::engine::Engine;
use crate::errors::LambdaError;
use crate::names::{FunctionName, function_arn};
use crate::rows::{CodeRef, Settings};

/// Code with fewer bytes than this is compiled so quickly that nothing is gained.
const SOURCE_BYTES_MIN: u64 = 64 << 10;
/// Forms of one package's compiled code that are kept, for functions and versions that have it with other amounts of memory.
const FORMS_MAX: usize = 4;

impl Engine {
    /// Where the compiled code of these settings is, or would be; `None` where there is never any. May block for a moment.
    pub(crate) fn code_cache(&self, settings: &Settings) -> Option<PathBuf> {
        if !settings.runtime.starts_with("nodejs") {
            return None;
        }
        let runtime = self.parts.runtimes.resolve(&settings.runtime).ok()?;
        let own: Vec<(String, String)> = settings.variables(&self.parts.identity).ok()?.into_iter().collect();
        let key = code_cache_key(&runtime, settings.memory_mib.unsigned_abs(), &own)?;
        Some(self.compiled_root(&settings.code).join(key))
    }

    /// Compiles what a function runs now, unless that was done or is not worth it.
    pub(crate) async fn compile_code(&self, place: &Place, name: &str) -> Result<(), LambdaError> {
        let name = FunctionName { place: place.clone(), name: name.to_owned(), qualifier: None };
        let Some(settings) = self.row(&self.db, &name).await?.runnable().cloned() else { return Ok(()) };
        let (lambda, code_dir) = (self.clone(), self.code_root().join(&settings.code.sha256));
        let worth_it = blocking(move || match lambda.code_cache(&settings) {
            Some(folder) => {
                Ok(folder.exists() || source_bytes(&code_dir, SOURCE_BYTES_MIN)? >= SOURCE_BYTES_MIN)
            }
            None => Ok(false),
        });
        if !worth_it.await? {
            return Ok(());
        }
        let _slot = self.compile_slots.acquire().await.expect("the semaphore is never closed");
        // As long as there is this, the code stays.
        let Some(spec) = self.load(&name).await?.and_then(|loaded| loaded.spec.clone()) else {
            return Ok(());
        };
        let row = self.row(&self.db, &name).await?;
        let of_spec = |settings: &&Settings| settings.run_revision == spec.key.revision;
        let Some(settings) = row.runnable().filter(of_spec).cloned() else { return Ok(()) };
        let compiled = self.compile_spec(settings, &spec).await;
        // Another function with the same code may have been quicker, so this does not ask who it was.
        self.forget(&function_arn(&name.place, &name.name));
        compiled
    }

    async fn compile_spec(&self, settings: Settings, spec: &Arc<FunctionSpec>) -> Result<(), LambdaError> {
        let lambda = self.clone();
        let scratch = self.code_root().join(format!("{UNPACKING}{}", self.parts.random.uuid()));
        let (root, at) = (self.compiled_root(&settings.code), scratch.clone());
        let made = blocking(move || match lambda.code_cache(&settings) {
            Some(folder) if !folder.exists() => {
                lambda.space().check()?;
                Ok(Some((make_scratch(&at)?, folder)))
            }
            _ => Ok(None),
        });
        let Some((file, folder)) = made.await? else { return Ok(()) };
        let compiled = self.parts.runner.compile(spec, file).await;
        let is_good = match &compiled {
            Ok(length) => *length > 0,
            Err(error) => {
                tracing::info!(%error, function = spec.key.name, "a function does without compiled code");
                false
            }
        };
        let _lock = self.folder_lock.read().await;
        blocking(move || {
            let placed = if is_good { put(&scratch, &root, &folder) } else { Ok(()) };
            if scratch.exists() {
                crate::code::remove_folder(&scratch)?;
            }
            placed
        })
        .await
    }

    fn compiled_root(&self, code: &CodeRef) -> PathBuf {
        self.code_root().join(format!("{}{COMPILED}", code.sha256))
    }
}

/// Bytes of the code beneath a folder that can be compiled, or so many that it is `enough`.
fn source_bytes(folder: &Path, enough: u64) -> Result<u64, LambdaError> {
    let failed = |error: io::Error| LambdaError::io("look through", folder, error);
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let path = entry.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if kind.is_dir() {
            bytes += source_bytes(&path, enough.saturating_sub(bytes))?;
        } else if kind.is_file() && extension.is_some_and(|it| CODE_CACHE_EXTENSIONS.contains(&it)) {
            bytes += entry.metadata().map_err(failed)?.len();
        }
        if bytes >= enough {
            break;
        }
    }
    Ok(bytes)
}

/// A folder for compiled code that nobody sees yet, and the file in it.
fn make_scratch(scratch: &Path) -> Result<File, LambdaError> {
    make_folder(scratch)?;
    let path = scratch.join(CODE_CACHE_FILE);
    let made = File::create_new(&path).and_then(|file| {
        // Functions run as users who own nothing.
        file.set_permissions(Permissions::from_mode(0o644))?;
        Ok(file)
    });
    made.map_err(|error| LambdaError::io("make", path, error))
}

/// Moves what is whole to its place, and makes it durable first. The code it was made of is there, or was thrown away
/// meanwhile: then nothing would remove it, and it is not kept either.
fn put(scratch: &Path, root: &Path, folder: &Path) -> Result<(), LambdaError> {
    let code_dir = root.with_extension("");
    if !code_dir.is_dir() || folder.exists() {
        return Ok(());
    }
    let file = scratch.join(CODE_CACHE_FILE);
    let synced = File::open(&file).and_then(|file| file.sync_all());
    synced.map_err(|error| LambdaError::io("sync", &file, error))?;
    if !root.is_dir() {
        make_folder(root)?;
    }
    forget_oldest(root)?;
    fs::rename(scratch, folder).map_err(|error| LambdaError::io("rename", scratch, error))
}

/// Makes room for one more form. (Environments that have one mounted go on without it.)
fn forget_oldest(root: &Path) -> Result<(), LambdaError> {
    let failed = |error: io::Error| LambdaError::io("list", root, error);
    let mut forms: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        forms.push((entry.metadata().and_then(|found| found.modified()).map_err(failed)?, entry.path()));
    }
    forms.sort();
    let over = (forms.len() + 1).saturating_sub(FORMS_MAX);
    forms.iter().take(over).try_for_each(|(_, path)| {
        let trash = root.with_extension("forgotten");
        spool::remove_by_rename(path, &trash)
    })
}

fn make_folder(path: &Path) -> Result<(), LambdaError> {
    let made = fs::create_dir(path).and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)));
    made.map_err(|error| LambdaError::io("make the folder", path, error))
}
