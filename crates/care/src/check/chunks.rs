//! Chunks of large values that no value has.

use bytes::Bytes;
use lambent_store::{Export, KeyRange, ScanOptions, StoreError, chunk_owner, limits};

use super::findings::{Findings, Mend};

pub(super) async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    let mut left = Some(KeyRange::prefix(&[limits::FIRST_RESERVED_BYTE]));
    // Chunks of one value follow each other.
    let mut owner: (Bytes, u32) = (Bytes::new(), 0);
    while let Some(range) = left {
        let page = view.page(&range, ScanOptions::default().keys_only()).await?;
        for (key, _) in &page.rows {
            let Some((row, index)) = chunk_owner(key) else {
                findings.problem("store", stray(key, "it belongs to no row"), vec![Mend::Chunk(key.clone())]);
                continue;
            };
            if row != owner.0 {
                owner = (Bytes::copy_from_slice(row), view.chunk_count(row).await?);
            }
            if index >= owner.1 {
                let found = format!("its row {} has {}", row.escape_ascii(), owner.1);
                findings.problem("store", stray(key, &found), vec![Mend::Chunk(key.clone())]);
            }
        }
        left = range.rest(&page, false);
    }
    Ok(())
}

fn stray(key: &[u8], found: &str) -> String {
    format!("the chunk {} of a large value is left over: {found}", key.escape_ascii())
}
