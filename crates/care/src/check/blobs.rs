//! Blobs against the rows that name them.

use std::collections::HashMap;
use std::time::Duration;

use lambent_blobs::limits::ORPHAN_AGE;
use lambent_blobs::{BlobError, BlobId, BlobStore};
use tokio::task::JoinSet;

use super::Checker;
use super::findings::{Findings, Mend};
use crate::CareError;

/// Blobs that are looked at at once.
const AT_ONCE: usize = 8;
const SERVICE: &str = "blobs";

pub(super) async fn check(
    checker: &Checker<'_>,
    findings: &mut Findings,
    progress: impl Fn(u64, u64),
) -> Result<(), CareError> {
    let mut young = 0_u64;
    for directory in 0..=u8::MAX {
        for id in checker.blobs.ids(directory).await? {
            findings.blobs += 1;
            if !findings.named.contains_key(&id) {
                young += u64::from(!orphan(checker, findings, id));
            }
        }
    }
    if young > 0 {
        let hours = ORPHAN_AGE.as_secs() / 3600;
        findings.note(format!("{young} blobs younger than {hours} h are named by no row yet"));
    }
    look_at_named(checker, findings, progress).await
}

/// Says that no row names a blob, if it is old enough for that to be wrong.
fn orphan(checker: &Checker<'_>, findings: &mut Findings, id: BlobId) -> bool {
    let age_ms = checker.clock.unix_ms().saturating_sub(id.created_ms());
    let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
    if age < ORPHAN_AGE {
        return false;
    }
    // What an unreadable row names is not known, so nothing is thrown away then.
    if findings.is_all_known() {
        let days = age.as_secs() / 86_400;
        findings.problem(
            SERVICE,
            format!("blob {id} is {days} days old and named by no row"),
            vec![Mend::Blob(id)],
        );
    } else {
        findings.note(format!("blob {id} stays: no row names it, but some rows cannot be read"));
    }
    true
}

async fn look_at_named(
    checker: &Checker<'_>,
    findings: &mut Findings,
    progress: impl Fn(u64, u64),
) -> Result<(), CareError> {
    let named = std::mem::take(&mut findings.named);
    let total = named.len() as u64;
    let mut ids: Vec<BlobId> = named.keys().copied().collect();
    ids.sort_unstable();
    let (mut left, mut running, mut done) = (ids.into_iter(), JoinSet::new(), 0);
    loop {
        while running.len() < AT_ONCE {
            let Some(id) = left.next() else { break };
            let (blobs, deep) = (checker.blobs.clone(), checker.deep);
            running.spawn(async move { (id, look(&blobs, id, deep).await) });
        }
        let Some(finished) = running.join_next().await else { break };
        let (id, seen) = finished.map_err(|_| CareError::CutOff)?;
        judge(findings, &named, id, seen)?;
        done += 1;
        progress(done, total);
    }
    findings.named = named;
    Ok(())
}

fn judge(
    findings: &mut Findings,
    named: &HashMap<BlobId, super::findings::Named>,
    id: BlobId,
    seen: Result<u64, BlobError>,
) -> Result<(), CareError> {
    let Some(named) = named.get(&id) else { return Ok(()) };
    // What waits for its removal may be gone already.
    let Some(by) = &named.by else { return Ok(()) };
    let what = match (seen, named.length) {
        (Ok(found), Some(expected)) if found != expected => {
            format!("{by}: blob {id} has {found} bytes, expected {expected}; restore it from a backup")
        }
        (Ok(_), _) => return Ok(()),
        (Err(BlobError::NotFound(_)), _) => format!("{by}: blob {id} is missing; restore it from a backup"),
        (Err(error @ BlobError::Damaged { .. }), _) => format!("{by}: {error}"),
        (Err(error), _) => return Err(error.into()),
    };
    findings.problem(SERVICE, what, Vec::new());
    Ok(())
}

/// The length of a blob whose trailer is whole; `deep` reads all of it.
async fn look(blobs: &BlobStore, id: BlobId, deep: bool) -> Result<u64, BlobError> {
    let length = blobs.open_range(id, 0..0).await?.blob_length();
    if deep {
        let mut reader = blobs.open_range(id, 0..length).await?;
        while reader.next().await?.is_some() {}
    }
    Ok(length)
}
