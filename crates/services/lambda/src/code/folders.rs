//! Unpacked packages: `code/SHA256` in the data directory of each node that runs one. A cache of the blobs, made anew where
//! it is missing.

use std::path::{Path, PathBuf};

use lambent_blobs::{BlobId, BlobReader};
use lambent_store::{ScanOptions, Watch};

use crate::code::packages::blocking;
use crate::code::{self, Depth, spool};
use crate::engine::{Engine, WeakEngine};
use crate::errors::LambdaError;
use crate::keys;
use crate::limits::SWEEP_RETRY;
use crate::rows::{self, CodeRef, CodeRow, Held};

/// What an unpacking that goes on, and a removal that does, are called at their beginning.
pub(crate) const UNPACKING: &str = ".new-";
const REMOVING: &str = ".old-";
/// What follows a package's name in that of the folder with its compiled code (see [`crate::code::compiled`]).
pub(crate) const COMPILED: &str = ".compiled";
/// What follows the digest of a function's layers in the name of the folder in which they are merged (see
/// [`crate::layers::folders`]).
pub(crate) const MERGED: &str = ".opt";

impl Engine {
    /// The folder of an unpacked package; unpacks it first if need be.
    pub(crate) async fn ensure_unpacked(&self, code: &CodeRef) -> Result<PathBuf, LambdaError> {
        let make = |scratch: PathBuf, folder: PathBuf| async move {
            let zip = spool::copy_blob(&self.space(), self.kept_blob(&code.sha256).await?).await?;
            let space = self.space();
            blocking(move || {
                let package = code::check(zip.into_file(), Depth::Names);
                let package = package.map_err(|error| LambdaError::package("unpack", error))?;
                code::unpack(&package, &scratch, &folder, &space)
            })
            .await
        };
        self.ensure_folder(&code.sha256, make).await
    }

    /// A folder of the code folder. Where it is not there `make` makes it: in the first place that it is given, which has no
    /// other use, and puts it into the second when it is whole.
    pub(crate) async fn ensure_folder<F>(
        &self,
        name: &str,
        make: impl FnOnce(PathBuf, PathBuf) -> F,
    ) -> Result<PathBuf, LambdaError>
    where
        F: Future<Output = Result<(), LambdaError>>,
    {
        let folder = self.code_root().join(name);
        if is_there(&folder).await {
            return Ok(folder);
        }
        let _slot = self.unpack_slots.acquire().await.expect("the semaphore is never closed");
        // Whoever had the slot before may have wanted the same.
        if !is_there(&folder).await {
            let scratch = self.code_root().join(format!("{UNPACKING}{}", self.parts.random.uuid()));
            make(scratch, folder.clone()).await?;
        }
        Ok(folder)
    }

    /// The blob of a package or an image that is kept.
    pub(crate) async fn kept_blob(&self, sha256: &str) -> Result<BlobReader, LambdaError> {
        let key = &keys::code(sha256);
        let row = self.db.read(|txn| async move { rows::get::<CodeRow>(&txn, key).await }).await?;
        let row = row.ok_or_else(|| LambdaError::package("unpack", "its row is missing"))?;
        let blob = self.blobs.open_range(BlobId::from_bytes(row.blob), 0..row.size).await;
        blob.map_err(|error| LambdaError::package("read", error))
    }

    /// Removes what nobody names from the code folder: remains of unpackings that a crash cut off, and packages that were
    /// thrown away meanwhile. Before anything else works here.
    pub(crate) async fn remove_leftovers(&self) -> Result<(), LambdaError> {
        let root = self.code_root();
        let names = blocking(move || spool::prepare(&root)).await?;
        if names.is_empty() {
            return Ok(());
        }
        let lambda = self.clone();
        tokio::spawn(async move {
            for name in names {
                if let Err(error) = lambda.remove_leftover(name).await {
                    tracing::warn!(%error, "a leftover of the code folder stays until the next start");
                }
            }
        });
        Ok(())
    }

    /// Removes one, if it is no package that is kept or runs; whether it is one that only runs, or may.
    pub(crate) async fn remove_leftover(&self, name: String) -> Result<bool, LambdaError> {
        // Nobody begins to use a folder between the look at its row and its end. Nor does anybody wait for this.
        let Ok(_lock) = self.folder_lock.try_write() else { return Ok(true) };
        let held = match name.strip_suffix(MERGED) {
            Some(digest) => Held::LayerSet(digest.to_owned()),
            None => Held::Package(name.strip_suffix(COMPILED).unwrap_or(&name).to_owned()),
        };
        if self.is_needed(&held).await? {
            return Ok(false);
        }
        if self.is_live(&held) {
            return Ok(true);
        }
        let path = self.code_root().join(name);
        let trash = self.code_root().join(format!("{REMOVING}{}", self.parts.random.uuid()));
        let removed = blocking(move || {
            if path.is_dir() { spool::remove_by_rename(&path, &trash) } else { spool::remove_file(&path) }
        });
        removed.await.map(|()| false)
    }

    async fn is_needed(&self, held: &Held) -> Result<bool, LambdaError> {
        let read = self.db.read(|txn| async move {
            match held {
                Held::Package(sha256) => Ok(rows::get::<CodeRow>(&txn, &keys::code(sha256)).await?.is_some()),
                Held::LayerSet(digest) => {
                    let users = keys::layer_set_users(digest).range();
                    let page = txn.scan(&users, ScanOptions::rows(1).keys_only()).await?;
                    Ok::<_, LambdaError>(!page.rows.is_empty())
                }
            }
        });
        read.await
    }

    /// Removes the folders of packages that were thrown away; whether some are still in use by environments.
    pub(crate) async fn tidy_folders(&self) -> Result<bool, LambdaError> {
        let root = self.code_root();
        let names = blocking(move || spool::prepare(&root)).await?;
        let mut is_any_live = false;
        for name in names.into_iter().filter(|name| !name.starts_with('.')) {
            is_any_live |= self.remove_leftover(name).await?;
        }
        Ok(is_any_live)
    }
}

/// Whether a folder is unpacked already.
pub(crate) async fn is_there(folder: &Path) -> bool {
    tokio::fs::try_exists(folder).await.unwrap_or(false)
}

/// Looks after the folders whenever packages may have been thrown away.
pub(crate) async fn tidy_on_change(engine: WeakEngine, mut unused: Watch) {
    let mut is_any_live = false;
    loop {
        if is_any_live {
            // Environments end without a word to the store, so this one case needs a look at the clock.
            let _ = tokio::time::timeout(SWEEP_RETRY, unused.changed()).await;
        } else {
            unused.changed().await;
        }
        let Some(lambda) = engine.upgrade() else { return };
        is_any_live = lambda.tidy_folders().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the folders of unused deployment packages stay for now");
            true
        });
    }
}
