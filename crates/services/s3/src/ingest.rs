//! Bodies on their way in: counted, hashed, checked against every claim, and put where they stay.

use bytes::Bytes;
use lambent_api::{ApiError, Body, Call};
use lambent_blobs::BlobId;
use lambent_checksums::{Algorithm, Checksum, Hasher};

use crate::checksums::{self, Claims, Computed, Digests};
use crate::errors::{self, S3Error};
use crate::limits;
use crate::service::S3;

/// What is wanted of a body.
pub(crate) struct Intake<'a> {
    pub claims: &'a Claims,
    /// Computed besides what the claims need.
    pub also: Option<Algorithm>,
    /// Whether the body is an object and not a part of one: a small one is then kept in memory, for its row, and S3 words
    /// one error in another way.
    pub whole_object: bool,
}

/// A body that came whole and as claimed. Its blob is on disk and named by no row yet.
pub(crate) struct Taken {
    pub place: Place,
    pub size: u64,
    pub computed: Computed,
    /// What the client claimed of the bytes, by header or behind the body.
    pub claimed: Option<Checksum>,
}

impl Taken {
    /// The checksum of this algorithm, which must be among those that were to be computed.
    pub(crate) fn checksum(&self, algorithm: Algorithm) -> Checksum {
        self.computed
            .get(algorithm)
            .expect("the claims' algorithms, the default and `also` are always computed")
    }
}

/// Where the bytes are.
pub(crate) enum Place {
    Memory(Bytes),
    Blob(BlobId),
}

impl S3 {
    /// Takes a body in.
    ///
    /// Errors: `MissingContentLength`, `EntityTooLarge`, `IncompleteBody`, `BadDigest`, and those of the stream.
    pub(crate) async fn take(
        &self,
        call: &Call,
        body: &mut Body,
        intake: Intake<'_>,
    ) -> Result<Taken, S3Error> {
        let size = body.length().ok_or_else(errors::missing_content_length)?;
        if size > limits::SINGLE_PUT_MAX_BYTES {
            return Err(errors::entity_too_large(size, limits::SINGLE_PUT_MAX_BYTES).into());
        }
        let mut digests = Digests::new(intake.claims, intake.also);
        let place = if intake.whole_object && size <= limits::INLINE_MAX_BYTES {
            let limit = usize::try_from(size).expect("inline bodies are small");
            let bytes = body.collect(limit, errors::incomplete_body).await?;
            if bytes.len() != limit {
                return Err(errors::incomplete_body().into());
            }
            digests.update(&bytes);
            Place::Memory(bytes)
        } else {
            Place::Blob(self.write_blob(call, body, size, &mut digests).await?)
        };
        let trailing = checksums::trailing(body);
        match self.judge(call, &intake, trailing, &place, digests.finish(), size).await {
            Ok((computed, claimed)) => Ok(Taken { place, size, computed, claimed }),
            Err(error) => {
                self.forget(call, &place).await;
                Err(error)
            }
        }
    }

    /// Removes the blob of a body that will not be published after all.
    pub(crate) async fn forget(&self, call: &Call, place: &Place) {
        if let Place::Blob(blob) = place
            && let Err(failure) = self.blobs(call).delete(*blob).await
        {
            tracing::warn!(%failure, %blob, "an unpublished blob stays until the next sweep of orphans");
        }
    }

    async fn write_blob(
        &self,
        call: &Call,
        body: &mut Body,
        size: u64,
        digests: &mut Digests,
    ) -> Result<BlobId, S3Error> {
        let mut writer = self.blobs(call).create();
        while let Some(piece) = body.next().await {
            let piece = piece?;
            if writer.length() + piece.len() as u64 > size {
                return Err(errors::incomplete_body().into());
            }
            digests.update(&piece);
            writer.write(piece).await?;
        }
        if writer.length() != size {
            return Err(errors::incomplete_body().into());
        }
        Ok(writer.finish().await?.id)
    }

    /// Checks every claim, the one behind the body included.
    async fn judge(
        &self,
        call: &Call,
        intake: &Intake<'_>,
        trailing: Result<Option<Checksum>, ApiError>,
        place: &Place,
        mut computed: Computed,
        size: u64,
    ) -> Result<(Computed, Option<Checksum>), S3Error> {
        let trailing = trailing?;
        if let Some(trailing) = &trailing
            && computed.get(trailing.algorithm()).is_none()
        {
            // Nothing announced this algorithm, so the bytes must be read again.
            computed.add(self.hash_again(call, place, size, trailing.algorithm()).await?);
        }
        let claims = intake.claims;
        if let Some(claimed) = &claims.content_md5 {
            computed.check_md5(claimed, intake.whole_object)?;
        }
        for claimed in [&claims.checksum, &trailing].into_iter().flatten() {
            computed.check(claimed)?;
        }
        Ok((computed, claims.checksum.or(trailing)))
    }

    async fn hash_again(
        &self,
        call: &Call,
        place: &Place,
        size: u64,
        algorithm: Algorithm,
    ) -> Result<Checksum, S3Error> {
        let mut hasher = Hasher::new(algorithm);
        match place {
            Place::Memory(bytes) => hasher.update(bytes),
            Place::Blob(blob) => {
                let mut reader = self.blobs(call).open_range(*blob, 0..size).await?;
                while let Some(piece) = reader.next().await? {
                    hasher.update(&piece);
                }
            }
        }
        Ok(hasher.finish())
    }
}
