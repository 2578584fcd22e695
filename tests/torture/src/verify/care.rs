//! Rows and blobs against each other, as `lambent check` sees them.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::cloud::Place;

/// What the note on blobs says that no row names and that are too young to be swept.
const YOUNG: &str = "are named by no row yet";

/// Checks everything, every byte of each blob too; says how many blobs no row names. More than `unanswered`, one for each
/// request that was cut off, would mean that blobs are left behind by requests that were answered.
///
/// All such blobs are named by nothing at all, so the sweep takes them once they are old enough.
pub(crate) fn care(place: &Place, unanswered: usize) -> anyhow::Result<String> {
    let mut command = Command::new(&place.binary);
    command.args(["check", "--deep", "--json", "--data"]).arg(&place.data).stdin(Stdio::null());
    command.args(&place.options).envs(place.variables.iter().copied());
    let output = command.output().context("could not start `lambent check`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = || {
        format!(
            "`lambent check` ended with {}: {text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    };
    if !output.status.success() {
        bail!(said());
    }
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).with_context(said)?;
    if found["problems"].as_array().is_none_or(|problems| !problems.is_empty()) {
        bail!(said());
    }
    let notes = found["notes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let young = notes.iter().filter_map(serde_json::Value::as_str).find(|note| note.contains(YOUNG));
    let orphans = young.and_then(|note| note.split(' ').next()?.parse().ok()).unwrap_or(0);
    if orphans > unanswered {
        bail!("{orphans} blobs are named by no row, but only {unanswered} requests were cut off: {text}");
    }
    Ok(format!(
        "{} rows and {} blobs fit together, {orphans} blobs wait for the sweep",
        found["rows"], found["blobs"]
    ))
}
