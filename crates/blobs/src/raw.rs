//! Blobs as they are, under the names that they have: for copies from one place to another.

use bytes::Bytes;

use crate::error::{BlobError, blocking};
use crate::id::BlobId;
use crate::reader::BlobReader;
use crate::store::{BlobStore, Kind};
use crate::writer::{BlobWriter, Wished};

/// A blob's whole file on its way; every piece is checked before it is handed out.
pub struct RawReader {
    id: BlobId,
    reader: BlobReader,
    /// What the file ends with, until it is handed out.
    trailer: Option<Bytes>,
    file_bytes: u64,
}

impl RawReader {
    /// The size of the file, its trailer included.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The next piece of the file, never empty; `None` at the end. After an error there is nothing more.
    ///
    /// Errors: `Damaged`.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        match self.reader.next().await? {
            Some(piece) => Ok(Some(piece)),
            None => Ok(self.trailer.take()),
        }
    }
}

impl BlobStore {
    /// The blobs in one of the 256 directories, in order: all whose ids end with this byte.
    pub async fn ids(&self, directory: u8) -> Result<Vec<BlobId>, BlobError> {
        let mut ids = match &self.kind {
            Kind::Disk(disk) => {
                let disk = disk.clone();
                blocking(move || disk.ids(directory)).await?
            }
            Kind::Far(far) => far.place.list(directory).await?.iter().map(|stored| stored.id).collect(),
        };
        ids.sort_unstable();
        Ok(ids)
    }

    /// What a file ends with: its length, and the checksums of all its blocks. Files of the same trailer are the same, unless
    /// one was damaged since it was written.
    ///
    /// Errors: `NotFound`, `Damaged`.
    pub async fn trailer(&self, id: BlobId) -> Result<Bytes, BlobError> {
        BlobReader::open_trailer(&self.kind, id).await
    }

    /// Opens a whole file. Who reads it to its end has checked all of it.
    ///
    /// Errors: `NotFound`, `Damaged`.
    pub async fn read_raw(&self, id: BlobId) -> Result<RawReader, BlobError> {
        let (reader, trailer) = BlobReader::open_whole(&self.kind, id).await?;
        let file_bytes = reader.blob_length() + trailer.len() as u64;
        Ok(RawReader { id, reader, trailer: Some(trailer), file_bytes })
    }

    /// Writes a file that was opened in another place, under the id that it has there; returns its size. It is not there
    /// before it is whole and durable. A file of this id is replaced, by the same since blobs never change.
    ///
    /// The id keeps its time: an old blob that no row names yet would be swept, so nobody may sweep the place meanwhile.
    ///
    /// Errors: those of reading and writing; `Damaged` when the bytes written are not those that the trailer speaks of.
    pub async fn write_raw(&self, file: RawReader) -> Result<u64, BlobError> {
        let RawReader { id, mut reader, trailer, file_bytes } = file;
        let Some(trailer) = trailer else { return Err(BlobError::CutOff) };
        let mut writer = BlobWriter::new(&self.kind, Some(Wished { id, trailer }));
        while let Some(piece) = reader.next().await? {
            writer.write(piece).await?;
        }
        writer.finish().await?;
        Ok(file_bytes)
    }
}
