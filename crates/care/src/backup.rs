//! Backups: a place holds dumps, the blobs that they name, each once, and a manifest.
//!
//! | below the place | what |
//! |---|---|
//! | `manifest` | [`Manifest`], replaced last |
//! | `rows/NAME.dump` | a [dump](crate::DumpReader) |
//! | `blobs/xx/ID` | a blob's file |
//! | `lock` | who changes a place that is no directory, and until when: see [`Turn`] |
//!
//! A dump gets its name when all its blobs are there, so what has a name can be restored whatever happened later.

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lambent_base::Clock;
use lambent_blobs::limits::ORPHAN_AGE;
use lambent_blobs::{BlobId, BlobStore};

use crate::CareError;
use crate::copy::{Copied, NamedBlob, copy_blobs};
use crate::dump::{Header, Totals};
use crate::manifest::{DumpEntry, Manifest};
use crate::rows::verify_dump;
use crate::shelf::Shelf;
use crate::turn::Turn;

/// The name of the blobs' folder in a place.
pub const BLOBS_NAME: &str = "blobs";

/// A place of backups, and what tells which blobs rows name.
pub struct Backups {
    pub shelf: Box<dyn Shelf>,
    pub blobs: BlobStore,
    pub named: &'static [NamedBlob],
}

/// What a backup did.
#[derive(Debug)]
pub struct BackedUp {
    pub dump: DumpEntry,
    pub copied: Copied,
}

/// What was thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub dumps: u64,
    pub blobs: u64,
}

/// The path of a file that is to be taken from there; what is not is removed.
pub struct Scratch(PathBuf);

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "rows of a backup that was not made stay there");
            }
            _ => {}
        }
    }
}

impl Backups {
    /// Where to write the dump that [`Backups::add`] takes.
    pub fn scratch(&self) -> Result<Scratch, CareError> {
        Ok(Scratch(self.shelf.scratch()?.join("new-rows")))
    }

    /// Refuses a place that holds backups of another cloud.
    async fn manifest_for(&self, header: &Header) -> Result<Manifest, CareError> {
        match Manifest::read(&*self.shelf).await? {
            None => Ok(Manifest::new(header.cloud_id.clone())),
            Some(manifest) if manifest.cloud_id == header.cloud_id => Ok(manifest),
            Some(manifest) => Err(CareError::OtherCloud {
                place: self.shelf.name(),
                found: manifest.cloud_id,
                wanted: header.cloud_id.clone(),
            }),
        }
    }

    /// Adds a dump, which is taken from where it was, with the blobs that it names. Nothing may remove those from `source`
    /// meanwhile: `is_held` says, when all are copied, whether that was so. Blobs that `source` has lost, or that are damaged
    /// there, are named in the outcome.
    ///
    /// Errors: `NotHeld`.
    pub async fn add(
        &self,
        turn: &Turn,
        dump: &Path,
        source: &BlobStore,
        clock: &Clock,
        progress: impl FnMut(u64, u64),
        is_held: impl Fn() -> bool,
    ) -> Result<BackedUp, CareError> {
        let (header, totals, wanted) = self.read(dump).await?;
        let mut manifest = self.manifest_for(&header).await?;
        let total = wanted.len() as u64;
        let mut progress = progress;
        let copied = copy_blobs(source, &self.blobs, &wanted, |done| progress(done, total)).await?;
        if !is_held() {
            return Err(CareError::NotHeld);
        }
        let mut entry = DumpEntry::new(clock.unix_ms(), &header, totals, total);
        entry.missing = copied.unreadable.iter().map(|(id, _)| id.to_string()).collect();
        turn.check().await?;
        self.shelf.put(&entry.file(), dump).await?;
        // Two backups of one second and one version are the same.
        manifest.dumps.retain(|other| other.name != entry.name);
        manifest.dumps.push(entry.clone());
        turn.renew().await?;
        manifest.write(&*self.shelf).await?;
        Ok(BackedUp { dump: entry, copied })
    }

    /// Keeps the newest `keep` dumps, at least one, and throws away the others with the blobs that no kept one names and
    /// that are [`ORPHAN_AGE`] old: younger ones may be those of a backup that is being made.
    pub async fn prune(&self, turn: &Turn, keep: usize) -> Result<Pruned, CareError> {
        let Some(mut manifest) = Manifest::read(&*self.shelf).await? else { return Ok(Pruned::default()) };
        let old = manifest.dumps.len().saturating_sub(keep.max(1));
        let gone: Vec<DumpEntry> = manifest.dumps.drain(..old).collect();
        // First nobody can choose it, then it goes.
        if !gone.is_empty() {
            turn.renew().await?;
            manifest.write(&*self.shelf).await?;
        }
        for dump in &gone {
            turn.check().await?;
            self.shelf.remove(&dump.file()).await?;
        }
        let mut pruned = Pruned { dumps: gone.len() as u64, blobs: 0 };
        let mut named = HashSet::new();
        for dump in &manifest.dumps {
            named.extend(self.read(&self.fetch(dump).await?).await?.2);
        }
        let named = &named;
        let kept = |ids: Vec<BlobId>| async move {
            turn.check().await?;
            Ok::<_, CareError>(ids.into_iter().filter(|id| named.contains(id)).collect())
        };
        pruned.blobs = self.blobs.sweep(kept, ORPHAN_AGE).await?.removed;
        Ok(pruned)
    }

    /// The row under a key in a dump, the newest unless one is named.
    pub async fn row(&self, wanted: Option<&str>, key: &'static [u8]) -> Result<Option<Bytes>, CareError> {
        let manifest = Manifest::read(&*self.shelf).await?;
        let manifest = manifest.ok_or_else(|| CareError::NoBackup { place: self.shelf.name() })?;
        let file = self.fetch(manifest.choose(&*self.shelf, wanted)?).await?;
        let found = Arc::new(Mutex::new(None));
        let into = found.clone();
        verify_dump(&file, move |found, row| {
            if found == key {
                *into.lock().unwrap_or_else(PoisonError::into_inner) = Some(row.clone());
            }
        })
        .await?;
        Ok(found.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    /// A file to read a dump from.
    pub(crate) async fn fetch(&self, dump: &DumpEntry) -> Result<PathBuf, CareError> {
        let file = self.shelf.get(&dump.file()).await?;
        file.ok_or_else(|| CareError::NoBackup { place: format!("{} ({})", self.shelf.name(), dump.file()) })
    }

    /// Reads a dump whole; gives the blobs that its rows name too.
    pub(crate) async fn read(&self, dump: &Path) -> Result<(Header, Totals, BTreeSet<BlobId>), CareError> {
        let (found, named) = (Arc::new(Mutex::new(BTreeSet::new())), self.named);
        let into = found.clone();
        let see = move |key: &Bytes, _: &Bytes| {
            if let Some(id) = named.iter().find_map(|named| named(key)) {
                into.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
            }
        };
        let (header, totals) = verify_dump(dump, see).await?;
        let blobs = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((header, totals, blobs))
    }
}
