//! Deployment packages kept: once for equal content, as long as any function or version names them.
//!
//! The zip is a blob, unpacked by each node that runs it (see [`crate::code::folders`]). As long as there is a row for a package
//! its blob is there: a package that lost its last function loses its row first, in a transaction, and then its blob; a
//! crash in between leaves the blob to the sweep of orphans.

use lambent_api::{Body, Call};
use lambent_base::Place;
use lambent_blobs::{Blob, BlobId};
use lambent_bus::pins;
use lambent_identity::Wanted;
use lambent_model_lambda::{
    FunctionCode, LayerVersionContentInput, S3ObjectStorageMode, UpdateFunctionCodeRequest,
};
use lambent_store::{Db, ScanOptions, Txn};
use lambent_wire::ApiError;

use crate::code::spool::{self, Spool};
use crate::engine::Engine;
use crate::errors::{self, LambdaError};
use crate::lambda::Lambda;
use crate::limits::{WORK_PAGE_ROWS, ZIP_BYTES_MAX};
use crate::parts::{FetchError, ObjectName};
use crate::rows::{self, CodeRef, CodeRow, Held, Settings};
use crate::{code, keys};

/// Where a request says its package is.
pub(crate) enum PackageSource {
    Inline(bytes::Bytes),
    Object(ObjectName),
}

/// A package that was checked and is kept nowhere yet.
pub(crate) struct Checked<'a> {
    pub(crate) code: CodeRef,
    /// Bytes of all files in it.
    unpacked: u64,
    zip: Spool,
    _slot: tokio::sync::SemaphorePermit<'a>,
}

/// A package whose blob is durable, to be named by the next commit.
pub(crate) struct Staged<'a> {
    pub(crate) code: CodeRef,
    unpacked: u64,
    /// `None` for a container image, which is fetched when a function names it (see [`crate::images`]).
    blob: Option<BlobId>,
    /// The package, where the blob was there before; without it this request made the blob.
    zip: Option<Checked<'a>>,
}

impl Staged<'_> {
    /// A container image that is not fetched yet, by its manifest's digest.
    pub(crate) fn of_image(sha256: String) -> Self {
        // AWS says of every image that it has no size.
        Self { code: CodeRef { sha256, size: 0 }, unpacked: 0, blob: None, zip: None }
    }
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
    if package.blob.is_some() {
        keep_code(txn, package).await?;
    }
    hold(txn, &Held::Package(package.code.sha256.clone()), place, name);
    Ok(())
}

/// Has a package kept, in the transaction that names it.
pub(crate) async fn keep_code(txn: &Txn, package: &Staged<'_>) -> Result<(), LambdaError> {
    let CodeRef { sha256, size } = &package.code;
    let known = rows::get::<CodeRow>(txn, &keys::code(sha256)).await?;
    let blob = match (&known, package.blob) {
        (Some(row), _) => row.blob,
        (None, Some(blob)) if package.zip.is_none() => blob.to_bytes(),
        (None, _) => return Err(LambdaError::PackageGone),
    };
    if known.is_none_or(|row| row.unpacked.is_none()) {
        rows::put(txn, &keys::code(sha256), &CodeRow { blob, size: *size, unpacked: Some(package.unpacked) });
        txn.put(&keys::code_blob(BlobId::from_bytes(blob)), b"");
    }
    Ok(())
}

/// Has a function need something that is kept.
pub(crate) fn hold(txn: &Txn, what: &Held, place: &Place, name: &str) {
    match what {
        Held::Package(sha256) => {
            txn.put(&keys::code_user(sha256, place, name), b"");
            txn.delete(&keys::code_unused(sha256));
        }
        Held::LayerSet(digest) => txn.put(&keys::layer_set_user(digest, place, name), b""),
    }
}

/// Lets a function do without it, in the function's own transaction.
pub(crate) fn let_go(txn: &Txn, what: &Held, place: &Place, name: &str) {
    match what {
        Held::Package(sha256) => {
            txn.delete(&keys::code_user(sha256, place, name));
            mark_unused(txn, sha256);
        }
        Held::LayerSet(digest) => {
            txn.delete(&keys::layer_set_user(digest, place, name));
            txn.on_commit(keys::UNUSED);
        }
    }
}

/// Has a published version need what its function needs, in a transaction in which that holds it.
pub(crate) fn use_by_version(txn: &Txn, settings: &Settings, place: &Place, name: &str, number: u64) {
    for what in settings.held() {
        match what {
            Held::Package(sha256) => {
                txn.put(&keys::code_version(&sha256, place, name, number), b"");
                txn.delete(&keys::code_unused(&sha256));
            }
            Held::LayerSet(digest) => {
                txn.put(&keys::layer_set_version(&digest, place, name, number), b"");
            }
        }
    }
}

/// Lets go of all that a published version needs.
pub(crate) fn drop_by_version(txn: &Txn, settings: &Settings, place: &Place, name: &str, number: u64) {
    for what in settings.held() {
        match what {
            Held::Package(sha256) => {
                txn.delete(&keys::code_version(&sha256, place, name, number));
                mark_unused(txn, &sha256);
            }
            Held::LayerSet(digest) => {
                txn.delete(&keys::layer_set_version(&digest, place, name, number));
                txn.on_commit(keys::UNUSED);
            }
        }
    }
}

/// Names a package by a layer's version, in a transaction in which it is kept.
pub(crate) fn use_by_layer(txn: &Txn, sha256: &str, place: &Place, name: &str, number: u64) {
    txn.put(&keys::code_layer(sha256, place, name, number), b"");
    txn.delete(&keys::code_unused(sha256));
}

/// Lets go of a package by a layer's version.
pub(crate) fn drop_by_layer(txn: &Txn, sha256: &str, place: &Place, name: &str, number: u64) {
    txn.delete(&keys::code_layer(sha256, place, name, number));
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
        if is_image {
            return Err(errors::image_for_zip("creating"));
        }
        Self::of(code.zip_file.take(), object, is_reference)
    }

    /// The package of a function's new code; takes the zip out of the request.
    pub(crate) fn of_update(input: &mut UpdateFunctionCodeRequest) -> Result<Self, ApiError> {
        let is_image = input.image_uri.is_some();
        let object = (input.s3_bucket.take(), input.s3_key.take(), input.s3_object_version.take());
        let is_reference = input.s3_object_storage_mode == Some(S3ObjectStorageMode::Reference);
        if is_image {
            return Err(errors::image_for_zip("updating"));
        }
        Self::of(input.zip_file.take(), object, is_reference)
    }

    /// The package of a layer's new version; takes the zip out of the request.
    pub(crate) fn of_layer(content: &mut LayerVersionContentInput) -> Result<Self, ApiError> {
        let object = (content.s3_bucket.take(), content.s3_key.take(), content.s3_object_version.take());
        let is_reference = content.s3_object_storage_mode == Some(S3ObjectStorageMode::Reference);
        Self::of(content.zip_file.take(), object, is_reference)
    }

    fn of(
        zip: Option<bytes::Bytes>,
        object: (Option<String>, Option<String>, Option<String>),
        is_reference: bool,
    ) -> Result<Self, ApiError> {
        if is_reference {
            return Err(errors::unsupported("S3ObjectStorageMode REFERENCE", "use COPY"));
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
            let unpacked = zip.check().map_err(refused)?;
            Ok((CodeRef { sha256, size }, unpacked, zip))
        });
        let (code, unpacked, zip) = checked.await?;
        Ok(Checked { code, unpacked, zip, _slot: slot })
    }

    /// Makes a package durable, unless the same content is kept already.
    pub(crate) async fn keep<'a>(
        &self,
        call: &Call,
        checked: Checked<'a>,
    ) -> Result<Staged<'a>, LambdaError> {
        let sha256 = &checked.code.sha256;
        let kept = self.db(call).read(|txn| async move { kept_blob(&txn, sha256).await });
        match kept.await? {
            Some(blob) => {
                let (code, unpacked) = (checked.code.clone(), checked.unpacked);
                Ok(Staged { code, unpacked, blob: Some(blob), zip: Some(checked) })
            }
            None => self.write_package(call, checked).await,
        }
    }

    /// Makes a package durable after all, whose content was kept and went away before this request could name it.
    pub(crate) async fn keep_anew<'a>(
        &self,
        call: &Call,
        mut staged: Staged<'a>,
    ) -> Result<Staged<'a>, LambdaError> {
        match staged.zip.take() {
            Some(checked) => self.write_package(call, checked).await,
            None => Ok(staged),
        }
    }

    async fn write_package<'a>(&self, call: &Call, checked: Checked<'a>) -> Result<Staged<'a>, LambdaError> {
        let Checked { code, unpacked, zip, _slot } = checked;
        Ok(Staged { code, unpacked, blob: Some(self.write_blob(call, zip).await?.id), zip: None })
    }

    /// To be called after the commit that should have named the package.
    pub(crate) async fn settle_staged<T>(
        &self,
        call: &Call,
        staged: Staged<'_>,
        committed: &Result<T, LambdaError>,
    ) {
        // After any other error nobody knows whether the commit happened: then the blobs' own sweep decides.
        let is_settled = matches!(committed, Ok(_) | Err(LambdaError::Api(_)));
        let Some(blob) = staged.blob.filter(|_| staged.zip.is_none() && is_settled) else { return };
        let named = referenced(self.db(call), vec![blob]).await;
        if named.is_ok_and(|named| named.is_empty())
            && let Err(error) = self.blobs(call).delete(blob).await
        {
            tracing::warn!(%error, "the blob of a package that nobody names stays until it is swept");
        }
    }

    async fn open_object(&self, call: &Call, object: &ObjectName) -> Result<Body, LambdaError> {
        let ObjectName { bucket, key, version } = object;
        let action = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let wanted = Wanted::new(action, format!("arn:aws:s3:::{bucket}/{key}"));
        let proof = match call.authorize(wanted).await {
            Ok(proof) => proof,
            Err(other) if other.status != 403 => return Err(other.into()),
            Err(_) => {
                let message = format!(
                    "Your access has been denied by S3, please make sure your request credentials have permission to \
                     GetObject for {bucket}/{key}. S3 Error Code: AccessDenied. S3 Error Message: Access Denied"
                );
                return Err(ApiError::new("AccessDeniedException", 403, message)
                    .message_in("Message")
                    .into());
            }
        };
        match self.parts.objects.fetch(&proof, object).await {
            Ok(body) => Ok(body),
            Err(FetchError::Refused { code, message }) => Err(errors::invalid(format!(
                "Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"
            ))
            .into()),
            Err(FetchError::Failed(cause)) => Err(LambdaError::package("fetch", cause)),
        }
    }

    async fn write_blob(&self, call: &Call, zip: Spool) -> Result<Blob, LambdaError> {
        let failed = |error| LambdaError::blob("keep", error);
        let mut writer = self.blobs(call).create();
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
}

impl Engine {
    /// Which of these blobs hold deployment packages: for the blobs' sweep.
    pub async fn referenced_blobs(
        &self,
        ids: Vec<BlobId>,
    ) -> Result<std::collections::HashSet<BlobId>, LambdaError> {
        referenced(&self.db, ids).await
    }

    /// Throws away the packages that nothing names.
    pub(crate) async fn sweep(&self) -> Result<(), LambdaError> {
        let mut left = Some(keys::all_code_unused().range());
        while let Some(range) = left {
            let step = &range;
            let page = self
                .db
                .read(|txn| async move {
                    Ok::<_, LambdaError>(txn.scan(step, ScanOptions::rows(WORK_PAGE_ROWS)).await?)
                })
                .await?;
            for (key, _) in &page.rows {
                self.sweep_one(&keys::read_code_unused(key).map_err(LambdaError::row)?).await?;
            }
            left = range.rest(&page, false);
        }
        Ok(())
    }

    /// Throws one package away, if nothing names it.
    async fn sweep_one(&self, sha256: &str) -> Result<(), LambdaError> {
        let now_ms = self.parts.clock.unix_ms();
        let swept = self.db.run(|txn| async move {
            txn.frees_space();
            txn.delete(&keys::code_unused(sha256));
            if has_users(&txn, sha256).await? {
                return Ok(None);
            }
            let Some(row) = rows::get::<CodeRow>(&txn, &keys::code(sha256)).await? else { return Ok(None) };
            let blob = BlobId::from_bytes(row.blob);
            txn.delete(&keys::code(sha256));
            txn.delete(&keys::code_blob(blob));
            // Every node has a look at its folders.
            txn.on_commit(keys::UNUSED);
            // A backup whose rows still name the blob may yet copy it; later the sweep of orphans finds it.
            let is_pinned = pins::pinned_until(&txn, now_ms).await?.is_some();
            Ok::<_, LambdaError>((!is_pinned).then_some(blob))
        });
        if let Some(blob) = swept.await?
            && let Err(error) = self.blobs.delete(blob).await
        {
            tracing::warn!(%error, %blob, "the blob of an unused package stays until the next sweep of orphans");
        }
        Ok(())
    }
}

async fn referenced(db: &Db, ids: Vec<BlobId>) -> Result<std::collections::HashSet<BlobId>, LambdaError> {
    let ids = &ids;
    let read = db.read(|txn| async move {
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

/// Runs disk and processor work on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LambdaError> + Send + 'static,
) -> Result<T, LambdaError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(LambdaError::Worker(error.to_string())),
    }
}

/// The blob of a package that is kept already.
async fn kept_blob(txn: &Txn, sha256: &str) -> Result<Option<BlobId>, LambdaError> {
    let row = rows::get::<CodeRow>(txn, &keys::code(sha256)).await?;
    Ok(row.map(|row| BlobId::from_bytes(row.blob)))
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
