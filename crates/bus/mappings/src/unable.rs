//! Nodes that cannot run the function of a mapping, as it is for another processor: they let others have the mapping.
//!
//! A row says which nodes have tried in vain, with what the function was then. A mapping that no node at work can run stays
//! where it is, and says so.

use std::collections::BTreeMap;
use std::time::Duration;

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

#[derive(Debug, Serialize, Deserialize)]
struct Tried {
    /// What the function was.
    basis: String,
    why: String,
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
        let basis = self.functions.basis(function).await;
        let basis = &basis.map_err(|error| SourceError::Failed(error.to_string()))?;
        let rests = tokio::time::sleep(TRIED_AGAIN_AFTER);
        tokio::pin!(rests);
        loop {
            let kept = self.db.run(|txn| async move {
                check_holder(&txn, &mapping.uuid, *holder).await?;
                self.note(&txn, mapping, basis, why).await
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
                _ = changes.changed() => return Ok(()),
                () = &mut rests => return Ok(()),
            }
        }
    }

    /// Notes that this node cannot; whether another one may have the mapping now.
    async fn note(&self, txn: &Txn, mapping: &Mapping, basis: &str, why: &str) -> Result<bool, MappingError> {
        let key = keys::unable(&mapping.uuid);
        let row = txn.get(&key).await?;
        let mut unable: Unable = row.map(|row| serde_json::from_slice(&row)).transpose()?.unwrap_or_default();
        let at_work: Vec<String> = Nodes::all(txn).await?.iter().map(NodeId::to_string).collect();
        unable.retain(|node, tried| at_work.contains(node) && tried.basis == basis);
        let tried = Tried { basis: basis.to_owned(), why: why.to_owned() };
        unable.insert(self.nodes.id().to_string(), tried);
        txn.put(&key, &serde_json::to_vec(&unable)?);
        if at_work.iter().any(|node| !unable.contains_key(node)) {
            self.nodes.give_away(txn, &keys::lease(&mapping.uuid)).await?;
            return Ok(true);
        }
        mapping.put_result(txn, &format!("PROBLEM: No node can run the function. {why}"));
        Ok(false)
    }
}
