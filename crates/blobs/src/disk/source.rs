//! Reading a blob's file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;

use super::Disk;
use crate::cursor::Cursor;
use crate::error::BlobError;
use crate::format::Trailer;
use crate::id::BlobId;
use crate::limits::READ_BYTES;

/// An open file and what is still to be read of it.
pub(crate) struct DiskSource {
    file: File,
    path: PathBuf,
    pub(crate) cursor: Cursor,
}

impl DiskSource {
    pub(crate) fn open(disk: &Disk, id: BlobId, wanted: Option<Range<u64>>) -> Result<Self, BlobError> {
        let path = disk.path(id);
        let mut file = File::open(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => BlobError::NotFound(id),
            _ => BlobError::io("open", &path, e),
        })?;
        let trailer = Trailer::read(&file).map_err(|e| BlobError::io("read", &path, e))?;
        let trailer = trailer.map_err(|what| BlobError::Damaged { id, what })?;
        let cursor = Cursor::new(id, trailer, wanted, READ_BYTES)?;
        if let Some(first) = cursor.next() {
            file.seek(SeekFrom::Start(first.start)).map_err(|e| BlobError::io("seek in", &path, e))?;
        }
        Ok(Self { file, path, cursor })
    }

    pub(crate) fn read(mut self) -> Result<(Bytes, Option<Self>), BlobError> {
        let Some(next) = self.cursor.next() else { return Ok((Bytes::new(), None)) };
        let bytes = next.end - next.start;
        let mut piece = Vec::with_capacity(usize::try_from(bytes).expect("a piece is at most READ_BYTES"));
        let read = (&mut self.file).take(bytes).read_to_end(&mut piece);
        read.map_err(|e| BlobError::io("read", &self.path, e))?;
        let piece = self.cursor.accept(&Bytes::from(piece))?;
        let more = self.cursor.next().is_some();
        Ok((piece, more.then_some(self)))
    }
}
