//! Whether the audit log can be read.

use lambent_care::Findings;
use lambent_store::{Export, StoreError};

use crate::event::Event;
use crate::keys::{self, Events};

const SERVICE: &str = "audit";

/// Reads all events.
pub async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    view.for_each(keys::all_damaged(), |key, _| findings.set_aside_before(SERVICE, key)).await?;
    for of in Events::EACH {
        view.for_each(keys::all(of), |key, row| {
            if let Err(why) = serde_json::from_slice::<Vec<Event>>(row) {
                let what = format!("events of the audit log {} cannot be read: {why}", key.escape_ascii());
                findings.unreadable(SERVICE, what, (key, row), Some(keys::damaged(key).into_bytes()));
            }
        })
        .await?;
    }
    Ok(())
}
