//! Zips on their way: in memory as they came with a request, or in a temporary file.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use lambent_api::Body;
use lambent_base::text;
use lambent_blobs::BlobReader;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use crate::code::archive::ReadAt;
use crate::code::packages::blocking;
use crate::code::space::Space;
use crate::code::{self, CodeError, Depth};
use crate::errors::{self, LambdaError};
use crate::limits::UNZIPPED_BYTES_LIMIT;

/// How much of a file is handled at a time, in bytes.
const PIECE_BYTES: usize = 512 << 10;
/// Hexadecimal digits of a SHA-256: the names of unpacked packages.
const DIGEST_LENGTH: usize = 64;

/// A whole zip.
pub(crate) enum Spool {
    Memory(Bytes),
    File(SpoolFile),
}

/// A zip in a file that is gone when this is.
pub(crate) struct SpoolFile(NamedTempFile);

impl Spool {
    /// The zip's SHA-256 in hexadecimal, and its bytes. Blocks.
    pub(crate) fn digest(&self) -> Result<(String, u64), LambdaError> {
        let mut hasher = Sha256::new();
        match self {
            Self::Memory(bytes) => hasher.update(bytes),
            Self::File(file) => file.each_piece(|piece| hasher.update(piece))?,
        }
        Ok((text::hex(&hasher.finalize()), self.length()))
    }

    /// Checks the zip whole, and gives the bytes of all files in it. Blocks.
    pub(crate) fn check(&self) -> Result<u64, CodeError> {
        match self {
            Self::Memory(bytes) => Ok(code::check(bytes.clone(), Depth::Whole)?.unpacked),
            Self::File(file) => {
                let again = file.0.reopen().map_err(crate::code::archive::ArchiveError::from)?;
                Ok(code::check(again, Depth::Whole)?.unpacked)
            }
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(file) => file.0.as_file().length(),
        }
    }
}

impl SpoolFile {
    fn new(space: &Space) -> Result<Self, LambdaError> {
        space.check()?;
        let made = NamedTempFile::new_in(&space.root);
        Ok(Self(made.map_err(|error| LambdaError::io("make a file in", &space.root, error))?))
    }

    /// The open file, whose name is gone.
    pub(crate) fn into_file(self) -> File {
        self.0.into_file()
    }

    fn writer(&self) -> Result<tokio::fs::File, LambdaError> {
        let file = self.0.as_file().try_clone().map_err(|error| self.failed("open", error))?;
        Ok(tokio::fs::File::from_std(file))
    }

    fn each_piece(&self, mut take: impl FnMut(&[u8])) -> Result<(), LambdaError> {
        let mut file = self.0.as_file();
        file.seek(SeekFrom::Start(0)).map_err(|error| self.failed("seek in", error))?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match file.read(&mut piece).map_err(|error| self.failed("read", error))? {
                0 => return Ok(()),
                count => take(&piece[..count]),
            }
        }
    }

    fn failed(&self, step: &'static str, error: io::Error) -> LambdaError {
        LambdaError::io(step, self.0.path(), error)
    }
}

/// Takes a zip off the network.
pub(crate) async fn receive(space: &Space, mut body: Body) -> Result<SpoolFile, LambdaError> {
    let spool = SpoolFile::new(space)?;
    let mut writer = spool.writer()?;
    let mut length = 0_u64;
    while let Some(piece) = body.next().await {
        let piece = piece?;
        length += piece.len() as u64;
        // What is larger than this as a zip is larger unpacked, or close to it.
        if length >= UNZIPPED_BYTES_LIMIT {
            return Err(errors::unzipped_too_large(UNZIPPED_BYTES_LIMIT).into());
        }
        space.check()?;
        writer.write_all(&piece).await.map_err(|error| spool.failed("write", error))?;
    }
    writer.flush().await.map_err(|error| spool.failed("write", error))?;
    Ok(spool)
}

/// Copies a blob to where it can be read at any place.
pub(crate) async fn copy_blob(space: &Space, mut blob: BlobReader) -> Result<SpoolFile, LambdaError> {
    let spool = SpoolFile::new(space)?;
    let mut writer = spool.writer()?;
    while let Some(piece) = blob.next().await.map_err(|error| LambdaError::package("read", error))? {
        space.check()?;
        writer.write_all(&piece).await.map_err(|error| spool.failed("write", error))?;
    }
    writer.flush().await.map_err(|error| spool.failed("write", error))?;
    Ok(spool)
}

/// A file's bytes, one piece after the other.
pub(crate) struct Pieces(Option<SpoolFile>, u64);

impl Pieces {
    pub(crate) fn of(file: SpoolFile) -> Self {
        Self(Some(file), 0)
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, LambdaError> {
        let Some(file) = self.0.take() else { return Ok(None) };
        let at = self.1;
        let (file, piece) = blocking(move || {
            let left = file.0.as_file().length().saturating_sub(at);
            let mut piece = vec![0; usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES)];
            file.0.as_file().read_at(at, &mut piece).map_err(|error| file.failed("read", error))?;
            Ok((file, piece))
        })
        .await?;
        self.0 = Some(file);
        self.1 += piece.len() as u64;
        Ok((!piece.is_empty()).then(|| piece.into()))
    }
}

/// Makes the code folder, and lists all in it: unpacked packages by their digests, and what else was left there.
pub(crate) fn prepare(root: &Path) -> Result<Vec<String>, LambdaError> {
    fs::create_dir_all(root).map_err(|error| LambdaError::io("make the folder", root, error))?;
    let listed = fs::read_dir(root).map_err(|error| LambdaError::io("list", root, error))?;
    let mut names = Vec::new();
    for entry in listed {
        let entry = entry.map_err(|error| LambdaError::io("list", root, error))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    // What can never be a package comes first: it is what takes room for nothing.
    names.sort_by_key(|name| name.len() == DIGEST_LENGTH);
    Ok(names)
}

/// Removes a folder so that it is either whole or gone at its name.
pub(crate) fn remove_by_rename(folder: &Path, trash: &Path) -> Result<(), LambdaError> {
    match fs::rename(folder, trash) {
        Ok(()) => code::remove_folder(trash),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(LambdaError::io("rename", folder, error)),
    }
}

/// Removes a file; no harm when there is none.
pub(crate) fn remove_file(path: &Path) -> Result<(), LambdaError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LambdaError::io("remove", path, error)),
        _ => Ok(()),
    }
}
