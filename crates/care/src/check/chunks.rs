//! Chunks of large values that no value has.

use bytes::Bytes;
use lambent_store::{Export, KeyRange, ScanOptions, StoreError, chunk_owner, limits};

use super::findings::{Findings, Mend};

/// Runs after all services: only then it is known whether every row can be read.
pub(super) async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    let mut left = Some(KeyRange::prefix(&[limits::FIRST_RESERVED_BYTE]));
    // Chunks of one value follow each other. Without a number, its row is no large value any more.
    let mut owner: (Bytes, Option<u32>) = (Bytes::new(), None);
    while let Some(range) = left {
        let page = view.page(&range, ScanOptions::default().keys_only()).await?;
        for (key, _) in &page.rows {
            let Some((row, index)) = chunk_owner(key) else {
                stray(findings, key, "it belongs to no row");
                continue;
            };
            if row != owner.0 {
                let count = match view.chunk_count(row).await {
                    Ok(count) => Some(count),
                    Err(StoreError::Corrupt(_)) => None,
                    Err(failure) => return Err(failure),
                };
                owner = (Bytes::copy_from_slice(row), count);
            }
            match owner.1 {
                Some(count) if index < count => {}
                Some(count) => {
                    stray(findings, key, &format!("its row {} has {count}", row.escape_ascii()));
                }
                // The only copy of what the row held.
                None => findings.note(format!(
                    "store: the chunk {} of a large value stays: its row cannot be read as one",
                    key.escape_ascii()
                )),
            }
        }
        left = range.rest(&page, false);
    }
    Ok(())
}

fn stray(findings: &mut Findings, key: &Bytes, found: &str) {
    let what = format!("the chunk {} of a large value is left over: {found}", key.escape_ascii());
    if findings.is_all_known() {
        findings.problem("store", what, vec![Mend::Chunk(key.clone())]);
    } else {
        // A row that was set aside may have had it.
        findings.note(format!("store: {what}; it stays, as some rows cannot be read"));
    }
}
