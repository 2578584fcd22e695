//! Blobs that nothing names any more.

use std::collections::HashSet;

use lambent_base::Clock;
use lambent_blobs::{BlobId, BlobStore};
use lambent_bus::pins;
use lambent_lambda::{Engine, LambdaError};
use lambent_store::Db;

/// Removes the blobs that no row names and no backup may be about to copy.
pub(crate) async fn sweep(db: &Db, clock: &Clock, blobs: &BlobStore, engine: &Engine) {
    let kept = |ids: Vec<BlobId>| async move {
        let asked = ids.clone();
        let named = async move {
            let mut named: HashSet<BlobId> = lambent_s3::referenced(db, &asked).await?;
            named.extend(engine.referenced_blobs(asked).await?);
            Ok(named)
        };
        kept(db, clock, ids, named).await
    };
    match blobs.sweep(kept, lambent_blobs::limits::ORPHAN_AGE).await {
        Ok(report) => tracing::debug!(?report, "looked for blobs that nothing names"),
        Err(error) => tracing::warn!(%error, "blobs that nothing names could not be looked for"),
    }
}

/// Those of `ids` that stay: the `named` ones, and all of them while a pin stands.
///
/// Pins are asked for last: a backup that sets one later copies rows that are at least as new as those that were asked,
/// and so names none of the others.
async fn kept(
    db: &Db,
    clock: &Clock,
    ids: Vec<BlobId>,
    named: impl Future<Output = Result<HashSet<BlobId>, LambdaError>>,
) -> Result<HashSet<BlobId>, LambdaError> {
    let named = named.await?;
    let now_ms = clock.unix_ms();
    let pinned_until = db.read(|txn| async move { pins::pinned_until(&txn, now_ms).await }).await?;
    Ok(if pinned_until.is_some() { ids.into_iter().collect() } else { named })
}

#[cfg(test)]
mod tests {
    use lambent_base::Random;

    use super::*;

    #[tokio::test]
    async fn a_pin_that_is_set_while_references_are_asked_for_keeps_everything() {
        let (clock, hand) = Clock::manual(1_790_000_000_000);
        let db = &Db::memory(clock.clone(), Random::seeded(1));
        let [named, other] = [1, 2].map(|byte| BlobId::from_bytes([byte; 16]));
        let ids = || vec![named, other];
        let references = async |is_pinned| {
            if is_pinned {
                pins::set(db, &[7; 16], clock.unix_ms()).await?;
            }
            Ok(HashSet::from([named]))
        };
        let stays = kept(db, &clock, ids(), references(false)).await.unwrap();
        assert_eq!(stays, HashSet::from([named]));
        let stays = kept(db, &clock, ids(), references(true)).await.unwrap();
        assert_eq!(stays, HashSet::from([named, other]));
        // By the clock of the cloud it falls.
        hand.advance(pins::STANDS_FOR);
        let stays = kept(db, &clock, ids(), references(false)).await.unwrap();
        assert_eq!(stays, HashSet::from([named]));
    }
}
