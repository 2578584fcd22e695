//! Whether the outbox can be read, and events have their payloads.

use std::collections::HashSet;

use lambent_care::Findings;
use lambent_store::{Export, ScanOptions, StoreError};

use crate::event::decode;
use crate::keys;

const SERVICE: &str = "bus";

/// Reads all events, those that were given up included, and the payloads that have rows of their own.
pub async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    let mut wanted = HashSet::new();
    let unaddressed = keys::dead_prefix("");
    // Wherever an event may be: one that is left out here looks like a payload without an event, which a repair removes.
    for range in [keys::all_ready(), keys::all_wait(), keys::all_later(), keys::dead_letters(None)] {
        view.for_each(range, |key, row| match decode(row) {
            Ok((header, _)) => wanted.extend(header.body.map(|body| keys::body(body).into_bytes())),
            // It was found unreadable before, and is kept there.
            Err(_) if key.starts_with(&unaddressed) => findings.set_aside_before(SERVICE, key),
            Err(why) => {
                let what = format!("event {} cannot be read: {why}", key.escape_ascii());
                findings.unreadable(SERVICE, what, (key, row), None);
            }
        })
        .await?;
    }
    let mut left = Some(keys::bodies());
    while let Some(range) = left {
        let page = view.page(&range, ScanOptions::default()).await?;
        for (key, row) in &page.rows {
            if !wanted.remove(key) {
                let what = format!("the payload {} belongs to no event", key.escape_ascii());
                findings.stray(SERVICE, what, (key, row));
            } else if let Err(why) = view.load_large(key, row).await {
                let what = format!("the payload {} of an event cannot be read: {why}", key.escape_ascii());
                findings.problem(SERVICE, what, Vec::new());
            }
        }
        left = range.rest(&page, false);
    }
    for key in wanted {
        let what = format!("the payload {} of an event is missing", key.escape_ascii());
        findings.problem(SERVICE, what, Vec::new());
    }
    Ok(())
}
