//! Nodes that cannot run the function of a mapping, as it is for another processor: they let others have the mapping.
//!
//! A row says which nodes have tried in vain, with what the function was then. A mapping that no node at work can run stays
//! where it is, and says so.

use std::collections::BTreeMap;
use std::time::Duration;

use lambent_base::Arn;
use lambent_bus::{NodeId, Nodes};
use lambent_store::{Txn, Watch};
use serde::{Deserialize, Serialize};

use crate::engine::Inner;
use crate::error::MappingError;
use crate::keys;
use crate::lane::Common;
use crate::rows::{Mapping, check_holder};
use crate::source::SourceError;

/// How long nobody tries, if nothing changes.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(15 * 60);

/// What is known of nodes, by their ids.
type Unable = BTreeMap<String, Tried>;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tried {
    /// What the function was.
    basis: String,
    why: String,
    /// In milliseconds since 1970; 0 in rows from before there was a time.
    #[serde(default)]
    at_ms: i64,
}

/// Leaves out what says nothing any more: of nodes that are gone, of what the function was before, and what is so old that
/// the node may try again.
fn forget(unable: &mut Unable, at_work: &[String], basis: &str, now_ms: i64) {
    unable.retain(|node, tried| {
        let age = Duration::from_millis(now_ms.saturating_sub(tried.at_ms).max(0).unsigned_abs());
        at_work.contains(node) && tried.basis == basis && age < TRIED_AGAIN_AFTER
    });
}

impl Inner {
    /// Lets another node have the mapping if one may be able to run it; else stays, until something changes.
    pub(crate) async fn hand_over(
        &self,
        common: &Common,
        why: &str,
        changed: &mut Watch,
    ) -> Result<(), MappingError> {
        let Common { mapping, holder, function, .. } = common;
        let (mut changes, mut freed) = (self.functions.changes(), self.nodes.freed());
        let basis = self.basis(function).await?;
        let tried = &Tried { basis, why: why.to_owned(), at_ms: self.clock.unix_ms() };
        let rests = tokio::time::sleep(TRIED_AGAIN_AFTER);
        tokio::pin!(rests);
        loop {
            let kept = self.db.run(|txn| async move {
                check_holder(&txn, &mapping.uuid, *holder).await?;
                self.note(&txn, mapping, tried).await
            });
            let is_given_away = kept.await?;
            self.stepped();
            if is_given_away {
                return Err(MappingError::Deposed);
            }
            tokio::select! {
                // A node may have come.
                () = freed.changed() => {}
                () = changed.changed() => return Ok(()),
                told = changes.changed() => {
                    // Most changes are of other functions.
                    if told.is_err() || self.basis(function).await? != tried.basis {
                        return Ok(());
                    }
                }
                () = &mut rests => return Ok(()),
            }
        }
    }

    async fn basis(&self, function: &Arn) -> Result<String, MappingError> {
        let basis = self.functions.basis(function).await;
        Ok(basis.map_err(|error| SourceError::Failed(error.to_string()))?)
    }

    /// Notes that this node cannot; whether another one may have the mapping now.
    async fn note(&self, txn: &Txn, mapping: &Mapping, tried: &Tried) -> Result<bool, MappingError> {
        let key = keys::unable(&mapping.uuid);
        let row = txn.get(&key).await?;
        let mut unable: Unable = row.map(|row| serde_json::from_slice(&row)).transpose()?.unwrap_or_default();
        let at_work: Vec<String> = Nodes::all(txn).await?.iter().map(NodeId::to_string).collect();
        forget(&mut unable, &at_work, &tried.basis, self.clock.unix_ms());
        unable.insert(self.nodes.id().to_string(), tried.clone());
        txn.put(&key, &serde_json::to_vec(&unable)?);
        if at_work.iter().any(|node| !unable.contains_key(node)) {
            self.nodes.give_away(txn, &keys::lease(&mapping.uuid)).await?;
            return Ok(true);
        }
        mapping.put_result(txn, &format!("PROBLEM: No node can run the function. {}", tried.why));
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_tried_is_not_known_for_ever() {
        let now_ms = 1_700_000_000_000;
        let row = format!(
            r#"{{
            "now": {{"basis": "b", "why": "", "at_ms": {now_ms}}},
            "long-ago": {{"basis": "b", "why": "", "at_ms": {}}},
            "without-a-time": {{"basis": "b", "why": ""}},
            "another-basis": {{"basis": "a", "why": "", "at_ms": {now_ms}}},
            "gone": {{"basis": "b", "why": "", "at_ms": {now_ms}}}
        }}"#,
            now_ms - 15 * 60 * 1000
        );
        let mut unable: Unable = serde_json::from_str(&row).unwrap();
        let at_work = ["now", "long-ago", "without-a-time", "another-basis"].map(str::to_owned);
        forget(&mut unable, &at_work, "b", now_ms);
        assert_eq!(unable.keys().collect::<Vec<_>>(), ["now"]);
    }
}
