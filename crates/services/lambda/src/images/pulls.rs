//! Functions that are container images.
//!
//! CreateFunction and UpdateFunctionCode find out what an image's name means, and the function names its manifest's digest
//! from then on. The image is fetched after that, into one blob, by whoever finishes the change; with it there is a row for
//! it as for a package (see [`crate::code::packages`]), and the registry is not asked again. Each node that runs it unpacks it to
//! `code/DIGEST`, a cache like unpacked packages.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::Place;
use lambent_blobs::{Blob, BlobError, BlobReader};
use lambent_images::{Blame, ImageError, Resolved};
use lambent_model_lambda::errors as model;
use lambent_pool::{FunctionSpec, Needs};
use lambent_runtimes::Image;
use lambent_wire::ApiError;
use tokio::sync::mpsc;

use crate::code::packages::{Staged, blocking};
use crate::engine::Engine;
use crate::errors::{self, LambdaError};
use crate::images::image_config;
use crate::lambda::Lambda;
use crate::rows::{self, CodeRef, CodeRow, FunctionRow, ImageRow, Settings};
use crate::{code, keys};

/// How often an image is asked for before its function fails, where nobody says that it may not be had.
const FETCH_ATTEMPTS: u32 = 3;
const FETCH_PAUSE: Duration = Duration::from_secs(1);
/// Pieces of an image that wait to be unpacked.
const PIECES_WAITING: usize = 4;
/// What people read of a function whose image cannot be had, with AWS's codes. What follows says more.
const REASONS: [(&str, &str); 3] = [
    ("The function is trying to use a deleted image", "ImageDeleted"),
    ("The function does not have permission to access the specified image", "ImageAccessDenied"),
    ("The function is using an invalid image", "InvalidImage"),
];

/// AWS's code for a reason that [`reason`] gave.
pub(crate) fn reason_code(reason: &str) -> Option<&'static str> {
    REASONS.iter().find(|(text, _)| reason.starts_with(text)).map(|(_, code)| *code)
}

/// What people read of a function that failed for this, where it is the image's fault.
pub(crate) fn reason(error: &LambdaError) -> Option<String> {
    let LambdaError::Image(error) = error else { return None };
    let text = match error.blame() {
        Blame::Missing => REASONS[0].0,
        Blame::Denied => REASONS[1].0,
        Blame::Invalid => REASONS[2].0,
        Blame::Elsewhere => "The function's image could not be fetched",
        Blame::Host => return None,
    };
    Some(format!("{text}: {error}."))
}

impl Lambda {
    /// Finds out what an image's name means, and notes it in `image`.
    pub(crate) async fn found_image(
        &self,
        uri: &str,
        architecture: &str,
        image: &mut ImageRow,
    ) -> Result<Staged<'static>, LambdaError> {
        let found = self.parts.images.resolve(uri, architecture).await;
        let found = found.map_err(|error| refused(uri, &error))?;
        uri.clone_into(&mut image.uri);
        image.resolved.clone_from(&found.uri);
        Ok(Staged::of_image(found.sha256))
    }
}

impl Engine {
    /// Fetches the image that a function names, unless it is kept already. `row` is the function's.
    pub(crate) async fn fetch_image(&self, place: &Place, row: &FunctionRow) -> Result<(), LambdaError> {
        let Some(image) = &row.settings.image else { return Ok(()) };
        let sha256 = &row.settings.code.sha256;
        let _slot = self.pull_slots.acquire().await.expect("the semaphore is never closed");
        if self.kept_image(sha256).await?.is_some() {
            return Ok(());
        }
        let mut attempt = 1;
        let blob = loop {
            match self.pull_image(image, &row.settings.architecture).await {
                Err(LambdaError::Image(error)) if error.may_pass() && attempt < FETCH_ATTEMPTS => {
                    tracing::info!(%error, image = image.resolved, "an image is asked for again");
                    tokio::time::sleep(FETCH_PAUSE * attempt).await;
                    attempt += 1;
                }
                pulled => break pulled?,
            }
        };
        self.keep_image(place, row, blob).await
    }

    /// The folder of an unpacked image; unpacks it first if need be.
    pub(crate) async fn ensure_image(&self, code: &CodeRef) -> Result<PathBuf, LambdaError> {
        let make = |scratch: PathBuf, folder: PathBuf| self.unpack_image(code, scratch, folder);
        self.ensure_folder(&code.sha256, make).await
    }

    async fn unpack_image(
        &self,
        code: &CodeRef,
        scratch: PathBuf,
        folder: PathBuf,
    ) -> Result<(), LambdaError> {
        let blob = self.kept_blob(&code.sha256).await?;
        let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
        let space = self.space();
        let tree_name = format!("root-{}", self.parts.random.uuid());
        let unpacking = blocking(move || {
            let room = || {
                space.check().map_err(|error| match error {
                    LambdaError::DiskFull { .. } => io::ErrorKind::StorageFull.into(),
                    other => io::Error::other(other.to_string()),
                })
            };
            let source = Pieces { waiting, present: Bytes::new() };
            if let Err(error) = unpack(source, &scratch, &tree_name, &room) {
                // What was unpacked is of no use, and on a full disk others need its room.
                let _ = code::remove_folder(&scratch);
                return Err(error);
            }
            code::put_in_place(&scratch, &folder)
        });
        let (unpacked, ()) = tokio::join!(unpacking, feed(blob, pieces));
        unpacked
    }

    /// Completes what the pool is told of a function that is an image, unpacked to `folder`.
    pub(crate) fn add_image(
        &self,
        spec: &mut FunctionSpec,
        settings: &Settings,
        folder: &Path,
    ) -> Result<(), LambdaError> {
        let Some(image) = &settings.image else { return Ok(()) };
        let image = opened(image, folder, &spec.environment)?;
        spec.handler = image.handler.clone().unwrap_or_default();
        spec.extensions = crate::functions::spec::extensions_in(&image.tree.join("opt"));
        spec.image = Some(Arc::new(image));
        Ok(())
    }

    /// Has environments prepared for a function whose image was just unpacked.
    pub(crate) fn expect_image(&self, settings: &Settings, folder: &Path) {
        let Some(image) = &settings.image else { return };
        let needs = crate::functions::spec::needs(settings, &self.parts.identity).and_then(|needs| {
            let image = Some(Arc::new(opened(image, folder, &needs.environment)?));
            Ok(Needs { image, ..needs })
        });
        match needs {
            Ok(needs) => self.parts.runner.expect(needs),
            Err(error) => tracing::info!(%error, "nothing is prepared for an image's first call"),
        }
    }

    async fn kept_image(&self, sha256: &str) -> Result<Option<CodeRow>, LambdaError> {
        let key = &keys::code(sha256);
        self.db.read(|txn| async move { rows::get::<CodeRow>(&txn, key).await }).await
    }

    /// Fetches an image into a blob that nobody names yet.
    async fn pull_image(&self, image: &ImageRow, architecture: &str) -> Result<Blob, LambdaError> {
        let failed = |error| LambdaError::blob("keep", error);
        let found: Resolved = self.parts.images.resolve(&image.resolved, architecture).await?;
        let mut pull = self.parts.images.pull(&found)?;
        let mut writer = self.blobs.create();
        while let Some(piece) = pull.next().await? {
            writer.write(piece).await.map_err(failed)?;
        }
        writer.finish().await.map_err(failed)
    }

    /// Names an image's blob, as long as the function still wants it and nobody else was quicker.
    async fn keep_image(&self, place: &Place, row: &FunctionRow, blob: Blob) -> Result<(), LambdaError> {
        let (sha256, name) = (&row.settings.code.sha256, &row.name);
        let committed = self.db.run(|txn| async move {
            let key = keys::code(sha256);
            let is_wanted = txn.get(&keys::code_user(sha256, place, name)).await?.is_some();
            let is_kept = rows::get::<CodeRow>(&txn, &key).await?.is_some();
            if is_wanted && !is_kept {
                let code = CodeRow { blob: blob.id.to_bytes(), size: blob.length, unpacked: None };
                rows::put(&txn, &key, &code);
                txn.put(&keys::code_blob(blob.id), b"");
            }
            Ok::<_, LambdaError>(is_wanted && !is_kept)
        });
        if !committed.await?
            && let Err(error) = self.blobs.delete(blob.id).await
        {
            tracing::warn!(%error, "the blob of an image that nobody names stays until it is swept");
        }
        Ok(())
    }
}

fn opened(image: &ImageRow, folder: &Path, environment: &[(String, String)]) -> Result<Image, LambdaError> {
    let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    Ok(lambent_images::open(folder, &image_config::overrides(image), path)?)
}

fn unpack(
    source: Pieces,
    scratch: &Path,
    tree_name: &str,
    room: &dyn Fn() -> io::Result<()>,
) -> Result<(), LambdaError> {
    code::make_folder(scratch)?;
    Ok(lambent_images::unpack(source, scratch, tree_name, room)?)
}

/// Reads a blob for the thread that unpacks it, no faster than that.
async fn feed(blob: BlobReader, pieces: mpsc::Sender<Result<Bytes, BlobError>>) {
    let mut blob = blob;
    while let Some(piece) = blob.next().await.transpose() {
        if pieces.send(piece).await.is_err() {
            return;
        }
    }
}

/// A blob's pieces as they come, for a thread that may block.
struct Pieces {
    waiting: mpsc::Receiver<Result<Bytes, BlobError>>,
    present: Bytes,
}

impl io::Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.present.is_empty() {
            match self.waiting.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.present = piece.map_err(|error| io::Error::other(error.to_string()))?,
            }
        }
        let piece = self.present.split_to(self.present.len().min(buffer.len()));
        buffer[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

/// What the caller hears who named an image that is not to be had.
fn refused(uri: &str, error: &ImageError) -> ApiError {
    tracing::info!(%error, image = uri, "a container image was refused");
    match error.blame() {
        Blame::Missing => {
            errors::invalid(format!("Source image {uri} does not exist. Provide a valid source image."))
        }
        Blame::Denied => ApiError::new(
            "AccessDeniedException",
            403,
            format!("Lambda does not have permission to access the ECR image. Check the ECR permissions. ({error})"),
        )
        .message_in("Message"),
        Blame::Invalid => {
            errors::invalid(format!("Source image {uri} is not valid. Provide a valid source image. ({error})"))
        }
        Blame::Elsewhere => errors::invalid(format!("Source image {uri} cannot be read: {error}.")),
        Blame::Host => {
            tracing::error!(%error, "images cannot be looked up");
            model::service_exception("The service encountered an internal error. Please try again.")
        }
    }
}

impl From<ImageError> for LambdaError {
    fn from(error: ImageError) -> Self {
        Self::Image(Arc::new(error))
    }
}
