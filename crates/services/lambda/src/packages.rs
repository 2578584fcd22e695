//! Deployment packages kept: once for equal content, as long as any function names them.
//!
//! The zip is a blob, unpacked to `code/SHA256` in the data directory. A package that lost its last function is thrown
//! away in an order that a crash may cut anywhere: the mark in `lambda/code-unused/` goes last, so that the next start
//! takes it up again, and whoever brings the same content meanwhile does not trust what is marked.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use lambent_api::{Body, Call};
use lambent_base::Place;
use lambent_blobs::{Blob, BlobId};
use lambent_model_lambda::{FunctionCode, S3ObjectStorageMode, UpdateFunctionCodeRequest};
use lambent_store::{ScanOptions, Txn, Watch};
use lambent_wire::ApiError;

use crate::code::{self, Depth};
use crate::errors::{self, LambdaError};
use crate::keys;
use crate::lambda::Lambda;
use crate::limits::{SWEEP_RETRY, WORK_PAGE_ROWS, ZIP_BYTES_MAX};
use crate::parts::{FetchError, ObjectName};
use crate::rows::{self, CodeRef, CodeRow};
use crate::spool::{self, Spool};

/// Where a request says its package is.
pub(crate) enum PackageSource {
    Inline(bytes::Bytes),
    Object(ObjectName),
}

/// A package that was checked and is kept nowhere yet.
pub(crate) struct Checked<'a> {
    pub(crate) code: CodeRef,
    zip: Spool,
    _slot: tokio::sync::SemaphorePermit<'a>,
}

/// A package whose blob is durable, to be named by the next commit.
pub(crate) struct Staged<'a> {
    pub(crate) code: CodeRef,
    blob: BlobId,
    /// Whether this request made the blob.
    is_new: bool,
    _lock: tokio::sync::RwLockReadGuard<'a, ()>,
}

/// Names a package by a function, in the function's own transaction.
///
/// Where another request has brought the same content meanwhile, its blob stays and the staged one is nobody's.
pub(crate) async fn use_code(
    txn: &Txn,
    package: &Staged<'_>,
    place: &Place,
    name: &str,
) -> Result<(), LambdaError> {
    let CodeRef { sha256, size } = &package.code;
    if trusted_blob(txn, sha256).await?.is_none() {
        if let Some(old) = rows::get::<CodeRow>(txn, &keys::code(sha256)).await? {
            txn.delete(&keys::code_blob(BlobId::from_bytes(old.blob)));
        }
        rows::put(txn, &keys::code(sha256), &CodeRow { blob: package.blob.to_bytes(), size: *size });
        txn.put(&keys::code_blob(package.blob), b"");
    }
    txn.put(&keys::code_user(sha256, place, name), b"");
    txn.delete(&keys::code_unused(sha256));
    Ok(())
}

/// Lets go of a package, in the function's own transaction.
pub(crate) fn drop_code(txn: &Txn, sha256: &str, place: &Place, name: &str) {
    txn.delete(&keys::code_user(sha256, place, name));
    mark_unused(txn, sha256);
}

/// Has a package looked at, whether anybody still names it.
pub(crate) fn mark_unused(txn: &Txn, sha256: &str) {
    txn.put(&keys::code_unused(sha256), b"");
    txn.on_commit(keys::UNUSED);
}

impl PackageSource {
    /// The package of a new function; takes the zip out of the request.
    pub(crate) fn of_new(code: &mut FunctionCode) -> Result<Self, ApiError> {
        let is_image = code.image_uri.is_some();
        let object = (code.s3_bucket.take(), code.s3_key.take(), code.s3_object_version.take());
        let is_reference = code.s3_object_storage_mode == Some(S3ObjectStorageMode::Reference);
        Self::of(code.zip_file.take(), object, is_image, is_reference, code.source_kms_key_arn.is_some())
    }

    /// The package of a function's new code; takes the zip out of the request.
    pub(crate) fn of_update(input: &mut UpdateFunctionCodeRequest) -> Result<Self, ApiError> {
        let is_image = input.image_uri.is_some();
        let object = (input.s3_bucket.take(), input.s3_key.take(), input.s3_object_version.take());
        let is_reference = input.s3_object_storage_mode == Some(S3ObjectStorageMode::Reference);
        Self::of(input.zip_file.take(), object, is_image, is_reference, input.source_kms_key_arn.is_some())
    }

    fn of(
        zip: Option<bytes::Bytes>,
        object: (Option<String>, Option<String>, Option<String>),
        is_image: bool,
        is_reference: bool,
        is_encrypted: bool,
    ) -> Result<Self, ApiError> {
        if is_image {
            return Err(errors::unsupported("ImageUri", "deploy a zip file"));
        }
        if is_reference {
            return Err(errors::unsupported("S3ObjectStorageMode REFERENCE", "use COPY"));
        }
        if is_encrypted {
            return Err(errors::unsupported("SourceKMSKeyArn", "leave it out"));
        }
        match (zip, object) {
            (Some(zip), (None, None, None)) => Ok(Self::Inline(zip)),
            (None, (Some(bucket), Some(key), version)) => {
                Ok(Self::Object(ObjectName { bucket, key, version }))
            }
            (Some(_), _) => Err(errors::invalid(
                "Please do not provide other FunctionCode parameters when providing a ZipFile.",
            )),
            (None, _) => Err(errors::invalid("Please provide a source for function code.")),
        }
    }
}

impl Lambda {
    /// Gets a package and checks it whole.
    pub(crate) async fn checked(
        &self,
        call: &Call,
        source: PackageSource,
    ) -> Result<Checked<'_>, LambdaError> {
        let slot = self.check_slots.acquire().await.expect("the semaphore is never closed");
        let zip = match source {
            PackageSource::Inline(zip) if zip.len() >= ZIP_BYTES_MAX => {
                return Err(errors::zip_too_large(ZIP_BYTES_MAX).into());
            }
            PackageSource::Inline(zip) => Spool::Memory(zip),
            PackageSource::Object(object) => {
                let body = self.open_object(call, &object).await?;
                Spool::File(spool::receive(&self.space(), body).await?)
            }
        };
        let checked = blocking(move || {
            let (sha256, size) = zip.digest()?;
            zip.check().map_err(refused)?;
            Ok((CodeRef { sha256, size }, zip))
        });
        let (code, zip) = checked.await?;
        Ok(Checked { code, zip, _slot: slot })
    }

    /// Makes a package durable, unless the same content is kept already.
    pub(crate) async fn keep(&self, checked: Checked<'_>) -> Result<Staged<'_>, LambdaError> {
        let lock = self.code_lock.read().await;
        let Checked { code, zip, _slot } = checked;
        let sha256 = &code.sha256;
        let kept = self.parts.db.read(|txn| async move { trusted_blob(&txn, sha256).await });
        let (blob, is_new) = match kept.await? {
            Some(blob) => (blob, false),
            None => (self.write_blob(zip).await?.id, true),
        };
        Ok(Staged { code, blob, is_new, _lock: lock })
    }

    /// To be called after the commit that should have named the package.
    pub(crate) async fn settle_staged<T>(&self, staged: Staged<'_>, committed: &Result<T, LambdaError>) {
        // After any other error nobody knows whether the commit happened: then the blobs' own sweep decides.
        let is_settled = matches!(committed, Ok(_) | Err(LambdaError::Api(_)));
        if !staged.is_new || !is_settled {
            return;
        }
        let named = self.referenced_blobs(vec![staged.blob]).await;
        if named.is_ok_and(|named| named.is_empty())
            && let Err(error) = self.parts.blobs.delete(staged.blob).await
        {
            tracing::warn!(%error, "the blob of a package that nobody names stays until it is swept");
        }
    }

    /// The folder of an unpacked package; unpacks it first if need be.
    pub(crate) async fn ensure_unpacked(&self, code: &CodeRef) -> Result<PathBuf, LambdaError> {
        let folder = self.code_root().join(&code.sha256);
        if tokio::fs::try_exists(&folder).await.unwrap_or(false) {
            return Ok(folder);
        }
        let _slot = self.unpack_slots.acquire().await.expect("the semaphore is never closed");
        let key = keys::code(&code.sha256);
        let key = &key;
        let row = self.parts.db.read(|txn| async move { rows::get::<CodeRow>(&txn, key).await }).await?;
        let row = row.ok_or_else(|| LambdaError::package("unpack", "its row is missing"))?;
        let blob = self.parts.blobs.open_range(BlobId::from_bytes(row.blob), 0..row.size).await;
        let blob = blob.map_err(|error| LambdaError::package("read", error))?;
        let zip = spool::copy_blob(&self.space(), blob).await?;
        let space = self.space();
        let scratch = self.code_root().join(format!(".new-{}", self.parts.random.uuid()));
        blocking(move || {
            let package = code::check(zip.into_file(), Depth::Names);
            let package = package.map_err(|error| LambdaError::package("unpack", error))?;
            code::unpack(&package, &scratch, &folder, &space)?;
            Ok(folder)
        })
        .await
    }

    /// Which of these blobs hold deployment packages: for the blobs' sweep.
    pub async fn referenced_blobs(
        &self,
        ids: Vec<BlobId>,
    ) -> Result<std::collections::HashSet<BlobId>, LambdaError> {
        let ids = &ids;
        let read = self.parts.db.read(|txn| async move {
            let mut referenced = std::collections::HashSet::new();
            for id in ids {
                if txn.get(&keys::code_blob(*id)).await?.is_some() {
                    referenced.insert(*id);
                }
            }
            Ok(referenced)
        });
        read.await
    }

    /// Removes what nobody names from the code folder: remains of unpackings that a crash cut off.
    pub(crate) async fn remove_leftovers(self: &Arc<Self>) -> Result<(), LambdaError> {
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

    pub(crate) async fn remove_leftover(&self, name: String) -> Result<(), LambdaError> {
        let _lock = self.code_lock.write().await;
        let key = keys::code(&name);
        let key = &key;
        let row = self.parts.db.read(|txn| async move { rows::get::<CodeRow>(&txn, key).await }).await?;
        if row.is_some() {
            return Ok(());
        }
        let path = self.code_root().join(name);
        blocking(move || if path.is_dir() { code::remove_folder(&path) } else { spool::remove_file(&path) })
            .await
    }

    async fn open_object(&self, call: &Call, object: &ObjectName) -> Result<Body, LambdaError> {
        let ObjectName { bucket, key, version } = object;
        let action = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        if let Err(denied) = call.authorize(action, format!("arn:aws:s3:::{bucket}/{key}")).await {
            if denied.status != 403 {
                return Err(denied.into());
            }
            let message = format!(
                "Your access has been denied by S3, please make sure your request credentials have permission to \
                 GetObject for {bucket}/{key}. S3 Error Code: AccessDenied. S3 Error Message: Access Denied"
            );
            return Err(ApiError::new("AccessDeniedException", 403, message).message_in("Message").into());
        }
        match self.parts.objects.fetch(call.place(), object).await {
            Ok(body) => Ok(body),
            Err(FetchError::Refused { code, message }) => Err(errors::invalid(format!(
                "Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"
            ))
            .into()),
            Err(FetchError::Failed(cause)) => Err(LambdaError::package("fetch", cause)),
        }
    }

    async fn write_blob(&self, zip: Spool) -> Result<Blob, LambdaError> {
        let failed = |error| LambdaError::blob("keep", error);
        let mut writer = self.parts.blobs.create();
        match zip {
            Spool::Memory(bytes) => writer.write(bytes).await.map_err(failed)?,
            Spool::File(file) => {
                let mut pieces = spool::Pieces::of(file);
                while let Some(piece) = pieces.next().await? {
                    writer.write(piece).await.map_err(failed)?;
                }
            }
        }
        writer.finish().await.map_err(failed)
    }

    /// Throws unused packages away; whether some are still in use by environments that have not ended yet.
    pub(crate) async fn sweep(&self) -> Result<bool, LambdaError> {
        let mut is_any_live = false;
        let mut left = Some(keys::all_code_unused().range());
        while let Some(range) = left {
            let step = &range;
            let page = self
                .parts
                .db
                .read(|txn| async move {
                    Ok::<_, LambdaError>(txn.scan(step, ScanOptions::rows(WORK_PAGE_ROWS)).await?)
                })
                .await?;
            for (key, _) in &page.rows {
                let sha256 = keys::read_code_unused(key).map_err(LambdaError::row)?;
                is_any_live |= self.sweep_one(&sha256).await?;
            }
            left = range.rest(&page, false);
        }
        Ok(is_any_live)
    }

    /// Throws one package away, if nothing names it; whether an environment still runs it.
    async fn sweep_one(&self, sha256: &str) -> Result<bool, LambdaError> {
        let lock = self.code_lock.write().await;
        let read = self.parts.db.read(|txn| async move {
            let row = rows::get::<CodeRow>(&txn, &keys::code(sha256)).await?;
            Ok::<_, LambdaError>((row, has_users(&txn, sha256).await?))
        });
        let (row, is_used) = read.await?;
        if !is_used {
            if self.is_live(sha256) {
                return Ok(true);
            }
            let folder = self.code_root().join(sha256);
            let trash = self.code_root().join(format!(".old-{}", self.parts.random.uuid()));
            blocking(move || spool::remove_by_rename(&folder, &trash)).await?;
            if let Some(row) = &row {
                let deleted = self.parts.blobs.delete(BlobId::from_bytes(row.blob)).await;
                deleted.map_err(|error| LambdaError::package("throw away", error))?;
            }
        }
        let row = row.as_ref();
        self.parts
            .db
            .run(|txn| async move {
                if !has_users(&txn, sha256).await?
                    && let Some(row) = row
                {
                    txn.delete(&keys::code(sha256));
                    txn.delete(&keys::code_blob(BlobId::from_bytes(row.blob)));
                }
                txn.delete(&keys::code_unused(sha256));
                Ok::<_, LambdaError>(())
            })
            .await?;
        drop(lock);
        Ok(false)
    }
}

/// Sweeps once now, and whenever a commit leaves something to sweep.
pub(crate) async fn sweep_on_change(lambda: Weak<Lambda>, mut unused: Watch) {
    loop {
        let is_any_live = {
            let Some(lambda) = lambda.upgrade() else { return };
            lambda.sweep().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "unused deployment packages stay for now");
                true
            })
        };
        if is_any_live {
            // Environments end without a word to the store, so this one case needs a look at the clock.
            let _ = tokio::time::timeout(SWEEP_RETRY, unused.changed()).await;
        } else {
            unused.changed().await;
        }
    }
}

/// Runs disk and processor work on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LambdaError> + Send + 'static,
) -> Result<T, LambdaError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(LambdaError::Worker(error.to_string())),
    }
}

/// The blob of a package that can be relied on: one that has users, or was never marked as without.
async fn trusted_blob(txn: &Txn, sha256: &str) -> Result<Option<BlobId>, LambdaError> {
    let Some(row) = rows::get::<CodeRow>(txn, &keys::code(sha256)).await? else { return Ok(None) };
    let is_marked = txn.get(&keys::code_unused(sha256)).await?.is_some();
    let is_trusted = !is_marked || has_users(txn, sha256).await?;
    Ok(is_trusted.then_some(BlobId::from_bytes(row.blob)))
}

async fn has_users(txn: &Txn, sha256: &str) -> Result<bool, LambdaError> {
    let page = txn.scan(&keys::code_users(sha256).range(), ScanOptions::rows(1).keys_only()).await?;
    Ok(!page.rows.is_empty())
}

/// What the caller hears of a package that does not pass.
fn refused(error: code::CodeError) -> LambdaError {
    tracing::info!(%error, "a deployment package was refused");
    let error = match error {
        code::CodeError::TooLarge => errors::unzipped_too_large(crate::limits::UNZIPPED_BYTES_LIMIT),
        code::CodeError::Empty => errors::empty_zip(),
        _ => errors::bad_zip(),
    };
    error.into()
}
