//! The dump of a store, as it is made.

use std::collections::VecDeque;

use bytes::Bytes;
use lambent_store::{Export, KeyRange, ScanOptions, StoreError, limits};

use super::{DumpEncoder, Header, Totals};

/// Rows that are read at once.
const PAGE_ROWS: usize = limits::MAX_PAGE_ROWS;
/// The row that names the cloud.
const CLOUD_ID: &[u8] = b"cloud/id";

/// The bytes of a dump of one view of a store, in pieces.
pub struct DumpStream {
    export: Export,
    /// What is left to read.
    left: Option<KeyRange>,
    /// Rows that speak of running processes, and stay behind.
    without: Vec<KeyRange>,
    ready: VecDeque<Bytes>,
    encoder: Option<DumpEncoder>,
    header: Header,
    totals: Option<Totals>,
}

impl DumpStream {
    /// All rows of `export` but those in `without`.
    pub async fn new(export: Export, without: Vec<KeyRange>) -> Result<Self, StoreError> {
        let id = export.get(CLOUD_ID).await?.unwrap_or_default();
        let cloud_id = String::from_utf8_lossy(&id).into_owned();
        let header = Header { version: export.version(), cloud_id };
        let (encoder, first) = DumpEncoder::new(&header);
        let ready = VecDeque::from([first]);
        let (left, encoder) = (Some(Export::all()), Some(encoder));
        Ok(Self { export, left, without, ready, encoder, header, totals: None })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How much the dump holds; known at its end.
    pub fn totals(&self) -> Option<Totals> {
        self.totals
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            let Some(encoder) = &mut self.encoder else { return Ok(None) };
            let Some(range) = self.left.take() else {
                let (last, totals) = self.encoder.take().expect("there was one just before").finish();
                self.totals = Some(totals);
                return Ok(Some(last));
            };
            let page = self.export.page(&range, ScanOptions::rows(PAGE_ROWS)).await?;
            for (key, value) in &page.rows {
                if self.without.iter().any(|range| range.contains(key)) {
                    continue;
                }
                self.ready.extend(encoder.row(key, value));
            }
            self.left = range.rest(&page, false);
        }
    }
}
