//! Whether the rows of mappings can be read, and belong together.

use std::collections::HashSet;

use lambent_care::Findings;
use lambent_store::{Export, ScanOptions, StoreError};

use crate::keys;
use crate::rows::{self, LaneRow};

const SERVICE: &str = "mapping";

/// Reads all mappings and their lanes.
pub async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    let mut known = HashSet::new();
    view.for_each(keys::all_rows(), |key, row| match rows::read(row) {
        Ok(mapping) => {
            known.insert(mapping.uuid);
        }
        Err(why) => {
            let what = format!("the event source mapping {} cannot be read: {why}", key.escape_ascii());
            findings.unreadable(SERVICE, what, (key, row), None);
        }
    })
    .await?;
    let mut left = Some(keys::all_lanes());
    while let Some(range) = left {
        let page = view.page(&range, ScanOptions::default()).await?;
        for (key, row) in &page.rows {
            let of = keys::read_lane(key);
            let shown = key.escape_ascii();
            match (&of, view.load_large(key, row).await) {
                (Ok((uuid, ..)), _) if !known.contains(uuid) => {
                    findings.stray(
                        SERVICE,
                        format!("the lane {shown} belongs to no event source mapping"),
                        (key, row),
                    );
                }
                (Ok(_), Ok(value)) if serde_json::from_slice::<LaneRow>(&value).is_ok() => {}
                _ => {
                    let what = format!("the position of a lane, {shown}, cannot be read");
                    findings.unreadable(SERVICE, what, (key, row), None);
                }
            }
        }
        left = range.rest(&page, false);
    }
    Ok(())
}
