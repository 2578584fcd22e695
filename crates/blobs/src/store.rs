//! Where blobs live.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use lambent_base::{Clock, Random};

use crate::disk::{Disk, Writers};
use crate::error::{BlobError, blocking};
use crate::far::Far;
use crate::id::{BlobId, Names};
use crate::place::Place;
use crate::reader::BlobReader;
use crate::writer::BlobWriter;

/// What an operator may tune.
#[derive(Clone, Copy, Debug)]
pub struct BlobOptions {
    /// Writes are refused while the disk has less than this, so that the store beside can still commit.
    pub reserve_bytes: u64,
}

impl Default for BlobOptions {
    fn default() -> Self {
        Self { reserve_bytes: 128 * 1024 * 1024 }
    }
}

/// Blobs in one place; clone it freely.
#[derive(Clone, Debug)]
pub struct BlobStore {
    pub(crate) kind: Kind,
    pub(crate) clock: Clock,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Disk(Arc<Disk>),
    Far(Arc<Far>),
}

impl BlobStore {
    /// Opens or makes a directory that belongs to this process, and removes what interrupted writers left; blocks while
    /// it does.
    pub fn open(root: &Path, options: BlobOptions, clock: Clock, random: Random) -> Result<Self, BlobError> {
        Self::on_disk(root, options, clock, random, Writers::One)
    }

    /// Opens or makes a directory that other processes use at the same time, perhaps on other hosts; blocks while it
    /// does. What interrupted writers left is removed when it is [`crate::limits::ORPHAN_AGE`] old.
    pub fn open_shared(
        root: &Path,
        options: BlobOptions,
        clock: Clock,
        random: Random,
    ) -> Result<Self, BlobError> {
        Self::on_disk(root, options, clock, random, Writers::Many)
    }

    /// Blobs in a place that is not a directory.
    pub fn at(place: Arc<dyn Place>, clock: Clock, random: Random) -> Self {
        let names = Names::new(clock.clone(), random);
        Self { kind: Kind::Far(Arc::new(Far { place, names })), clock }
    }

    fn on_disk(
        root: &Path,
        options: BlobOptions,
        clock: Clock,
        random: Random,
        writers: Writers,
    ) -> Result<Self, BlobError> {
        let disk = Disk::open(root, options, Names::new(clock.clone(), random), writers)?;
        Ok(Self { kind: Kind::Disk(Arc::new(disk)), clock })
    }

    /// Starts a blob. Nothing is written before the first bytes are.
    pub fn create(&self) -> BlobWriter {
        BlobWriter::new(&self.kind, None)
    }

    /// Opens a part of a blob for reading: `range` in bytes, the end exclusive, both within its length.
    ///
    /// Errors: `NotFound`, `RangeOutOfBounds`, `Damaged`, `Unreachable`, `Refused`.
    pub async fn open_range(&self, id: BlobId, range: Range<u64>) -> Result<BlobReader, BlobError> {
        BlobReader::open(&self.kind, id, range).await
    }

    /// Removes a blob that no row names any more; no harm when it is gone already. Whoever reads it from a directory of
    /// this host can finish; whoever reads it from elsewhere cannot.
    pub async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        match &self.kind {
            Kind::Disk(disk) => {
                let disk = disk.clone();
                blocking(move || disk.remove(id).map(drop)).await
            }
            Kind::Far(far) => far.place.remove(id).await,
        }
    }
}
