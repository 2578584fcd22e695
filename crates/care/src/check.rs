//! Whether everything fits together: rows with each other, and rows with blobs.

mod blobs;
mod chunks;
mod findings;
mod mend;

use lambent_base::{BoxFuture, Clock};
use lambent_blobs::BlobStore;
use lambent_store::{Db, Export, KeyRange, ScanOptions, StoreError};

pub use findings::{Findings, Mend, Problem};
pub use mend::Mended;

use crate::CareError;

/// Reads the rows of one service and says what is wrong with them, and which blobs they name.
pub type CheckRows = for<'a> fn(&'a Export, &'a mut Findings) -> BoxFuture<'a, Result<(), StoreError>>;

/// What is checked.
pub struct Checker<'a> {
    pub db: &'a Db,
    pub blobs: &'a BlobStore,
    pub clock: &'a Clock,
    pub services: &'a [CheckRows],
    /// Whether every byte of every blob is read.
    pub deep: bool,
}

/// Where a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStep {
    /// Of the services.
    Rows {
        done: u64,
        total: u64,
    },
    Blobs {
        done: u64,
        total: u64,
    },
}

impl Checker<'_> {
    /// Looks at everything and changes nothing. Where others use the store and the blobs, the caller sees to it that no
    /// blob is removed meanwhile.
    pub async fn check(&self, progress: impl Fn(CheckStep)) -> Result<Findings, CareError> {
        let view = self.db.export().await?;
        let mut findings = Findings::default();
        findings.rows = count(&view).await?;
        // First: whatever was set aside may have named anything.
        let aside = KeyRange::prefix(findings::ASIDE);
        view.for_each(aside, |key, _| findings.set_aside_before("check", key)).await?;
        let total = self.services.len() as u64;
        for (done, check) in (0..).zip(self.services) {
            progress(CheckStep::Rows { done, total });
            check(&view, &mut findings).await?;
        }
        chunks::check(&view, &mut findings).await?;
        drop(view);
        let step = |done, total| progress(CheckStep::Blobs { done, total });
        blobs::check(self, &mut findings, step).await?;
        Ok(findings)
    }

    /// Mends what can be mended without losing what a better repair could need. Nobody else may use the store.
    pub async fn mend(&self, findings: &Findings) -> Result<Mended, CareError> {
        mend::mend(self.db, self.blobs, findings).await
    }
}

async fn count(view: &Export) -> Result<u64, StoreError> {
    let mut rows = 0;
    let mut left = Some(Export::all());
    while let Some(range) = left {
        let page = view.page(&range, ScanOptions::rows(usize::MAX).keys_only()).await?;
        rows += page.rows.len() as u64;
        left = range.rest(&page, false);
    }
    Ok(rows)
}
