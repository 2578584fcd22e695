//! Fetching an image whole, as the one archive that is kept of it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::archive::{INDEX_FILE, LAYOUT, LAYOUT_FILE, blob_path, index_of};
use crate::digest::Digest;
use crate::error::ImageError;
use crate::limits::{PIECE_BYTES, PULL_BYTES_PER_S_MIN, PULL_PATIENCE};
use crate::manifest::MANIFEST_TYPES;
use crate::reference::Reference;
use crate::sources::{Images, Resolved, Source};
use crate::tar::{BLOCK_BYTES, header_of, padding_of};

/// Of the end of a tar file.
const END_BYTES: usize = 2 * BLOCK_BYTES;

/// The archive of an image, piece by piece. A piece is handed out before the digest of what it belongs to is known; an
/// error says that all of them are worth nothing.
pub struct Pull<'a> {
    source: Source<'a>,
    parts: VecDeque<Part>,
    current: Option<Transfer>,
    bytes: u64,
    allowed: Duration,
    deadline: Instant,
}

enum Part {
    Ready(Bytes),
    Layer { digest: Digest, size: u64 },
}

/// A layer that is coming in.
struct Transfer {
    from: From,
    digest: Digest,
    size: u64,
    left: u64,
    hasher: Sha256,
}

enum From {
    Registry(Response),
    Disk(tokio::fs::File),
}

impl Images {
    /// Begins to fetch an image that was found.
    pub fn pull(&self, resolved: &Resolved) -> Result<Pull<'_>, ImageError> {
        let reference = Reference::parse(&resolved.uri)?;
        let source = self.source(&reference.place)?;
        let Resolved { digest, manifest_bytes, manifest, config_bytes, .. } = resolved;
        // An image manifest of either kind: readers look into it.
        let index = index_of(digest, manifest_bytes.len(), MANIFEST_TYPES[1]);
        let small = [
            (LAYOUT_FILE.to_owned(), Bytes::from_static(LAYOUT.as_bytes())),
            (INDEX_FILE.to_owned(), index.into()),
            (blob_path(digest), manifest_bytes.clone()),
            (blob_path(&manifest.config.digest), config_bytes.clone()),
        ];
        let mut parts: VecDeque<Part> =
            small.iter().map(|(path, content)| Part::Ready(whole_file(path, content))).collect();
        for layer in &manifest.layers {
            let header = header_of(&blob_path(&layer.digest), layer.size);
            parts.push_back(Part::Ready(Bytes::copy_from_slice(&header)));
            parts.push_back(Part::Layer { digest: layer.digest, size: layer.size });
            parts.push_back(Part::Ready(zeros(padding_of(layer.size))));
        }
        parts.push_back(Part::Ready(Bytes::from_static(&[0; END_BYTES])));
        let bytes = manifest.packed_bytes();
        let allowed = time_for(bytes);
        Ok(Pull { source, parts, current: None, bytes, allowed, deadline: Instant::now() + allowed })
    }
}

impl Pull<'_> {
    /// The next piece; `None` at the end.
    ///
    /// Errors: among others `TooSlow`, when all of it has taken longer than it may.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ImageError> {
        let (bytes, seconds) = (self.bytes, self.allowed.as_secs());
        let too_slow = || ImageError::TooSlow { bytes, seconds };
        // What is there at once would be given however late it is.
        if Instant::now() >= self.deadline {
            return Err(too_slow());
        }
        let next = tokio::time::timeout_at(self.deadline, self.next_piece());
        next.await.map_err(|_| too_slow())?
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, ImageError> {
        loop {
            if let Some(transfer) = &mut self.current {
                match transfer.next(&self.source).await? {
                    Some(piece) => return Ok(Some(piece)),
                    None => self.current = None,
                }
            }
            match self.parts.pop_front() {
                None => return Ok(None),
                Some(Part::Ready(bytes)) if bytes.is_empty() => {}
                Some(Part::Ready(bytes)) => return Ok(Some(bytes)),
                Some(Part::Layer { digest, size }) => {
                    self.current = Some(Transfer::begin(&self.source, digest, size).await?);
                }
            }
        }
    }
}

impl Transfer {
    async fn begin(source: &Source<'_>, digest: Digest, size: u64) -> Result<Self, ImageError> {
        let from = match source {
            Source::Registry(registry) => From::Registry(registry.blob(&digest).await?),
            Source::Layout(layout) => From::Disk(tokio::fs::File::from_std(layout.blob(&digest)?)),
        };
        Ok(Self { from, digest, size, left: size, hasher: Sha256::new() })
    }

    async fn next(&mut self, source: &Source<'_>) -> Result<Option<Bytes>, ImageError> {
        let piece = match (&mut self.from, source) {
            (From::Registry(response), Source::Registry(registry)) => registry.more(response).await?,
            (From::Disk(file), _) => read_piece(file).await?,
            (From::Registry(_), Source::Layout(_)) => None,
        };
        let Some(piece) = piece else { return self.end().map(|()| None) };
        let left = self.left.checked_sub(piece.len() as u64);
        self.left = left.ok_or_else(|| self.wrong_length("more"))?;
        self.hasher.update(&piece);
        Ok(Some(piece))
    }

    fn end(&mut self) -> Result<(), ImageError> {
        if self.left > 0 {
            return Err(self.wrong_length("fewer"));
        }
        let got = Digest::finish(std::mem::take(&mut self.hasher));
        if got == self.digest {
            return Ok(());
        }
        let (expected, got) = (self.digest.to_string(), got.to_string());
        Err(ImageError::WrongDigest { what: "a layer".to_owned(), expected, got })
    }

    fn wrong_length(&self, how: &str) -> ImageError {
        ImageError::malformed(
            format!("the layer {}", self.digest),
            format!("it has {how} bytes than {}", self.size),
        )
    }
}

/// How long an image may take to come whose layers have so many bytes.
fn time_for(bytes: u64) -> Duration {
    PULL_PATIENCE + Duration::from_secs(bytes / PULL_BYTES_PER_S_MIN)
}

async fn read_piece(file: &mut tokio::fs::File) -> Result<Option<Bytes>, ImageError> {
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    let count = file.read_buf(&mut piece).await.map_err(|error| ImageError::io("read", "a layer", error))?;
    Ok((count > 0).then(|| piece.freeze()))
}

fn whole_file(path: &str, content: &Bytes) -> Bytes {
    let length = content.len() as u64;
    [header_of(path, length).as_slice(), content, &zeros(padding_of(length))].concat().into()
}

/// Less than a block of them.
fn zeros(length: u64) -> Bytes {
    const ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
    Bytes::from_static(&ZEROS).slice(..usize::try_from(length).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Place;
    use crate::sources::ImagesConfig;

    #[test]
    fn more_bytes_have_more_time() {
        assert_eq!(time_for(0), PULL_PATIENCE);
        assert_eq!(time_for(100 * PULL_BYTES_PER_S_MIN), PULL_PATIENCE + Duration::from_secs(100));
    }

    #[tokio::test]
    async fn what_does_not_come_in_time_is_given_up() {
        let folder = tempfile::TempDir::new().unwrap();
        let digest = Digest::of(b"layer");
        let path = folder.path().join("app").join(blob_path(&digest));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"layer").unwrap();
        let config = ImagesConfig { folder: Some(folder.path().to_owned()), ..ImagesConfig::default() };
        let images = Images::new(config).unwrap();
        let pull = |deadline| {
            let source = images.source(&Place::Layout("app".to_owned())).unwrap();
            let parts = [Part::Layer { digest, size: 5 }].into();
            Pull { source, parts, current: None, bytes: 5, allowed: PULL_PATIENCE, deadline }
        };
        let mut late = pull(Instant::now());
        let error = late.next().await.unwrap_err();
        assert!(
            matches!(error, ImageError::TooSlow { bytes: 5, seconds: 300 }) && !error.may_pass(),
            "{error}"
        );
        let mut timely = pull(Instant::now() + PULL_PATIENCE);
        assert_eq!(timely.next().await.unwrap().as_deref(), Some(&b"layer"[..]));
        assert_eq!(timely.next().await.unwrap(), None);
    }
}
