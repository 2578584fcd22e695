//! Time to live: items that name their own end are deleted when it has come.
//!
//! While it is on, each item whose attribute is a number has a mark under the time when it is due, written in the transaction
//! that writes the item; marks of what was there before are added by the [sweeper](sweep), which then deletes what is due. A
//! mark says where to look, and no more: the item itself decides, in the transaction that deletes it.

mod api;
mod fill;
mod keys;
mod sweep;
#[cfg(test)]
mod tests;

use lambent_expressions::{Item, Value};
use lambent_store::Txn;
use serde::{Deserialize, Serialize};

pub(crate) use api::describe;

use crate::keys::ItemKey;
use crate::table::{Table, TtlAttribute};

/// Items that expired longer ago are left alone. Source: Developer Guide, "Time to Live", five years.
const TOO_OLD_S: i64 = 5 * 365 * 24 * 3600;
/// What is due within this time wakes the sweeper, which looks at least this often while there is something to expire.
const SOON_S: i64 = 600;

/// What the sweeper knows of a table whose time to live is on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TtlRow {
    account: String,
    region: String,
    table: String,
    /// Whether all items that were there before have their marks.
    #[serde(default)]
    filled: bool,
    /// The last item that got its mark, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// Brings an item's mark from what it was to what it must be.
pub(crate) fn mark(
    txn: &Txn,
    table: &Table,
    key: &ItemKey,
    old: Option<&Item>,
    new: Option<&Item>,
    at_ms: i64,
) {
    let Some(ttl) = &table.ttl else { return };
    let (was, is) = (old.and_then(|old| ttl.expiry_s(old)), new.and_then(|new| ttl.expiry_s(new)));
    if was == is {
        return;
    }
    if let Some(was) = was {
        txn.delete(&keys::mark(ttl.id, was, key));
    }
    if let Some(is) = is {
        put_mark(txn, ttl, is, key, at_ms.div_euclid(1000));
    }
}

/// Marks are never put behind the sweeper: what expired before it was written is due now. (The mark then goes when it is
/// swept, also if the item was changed meanwhile.)
fn put_mark(txn: &Txn, ttl: &TtlAttribute, expiry_s: i64, key: &ItemKey, now_s: i64) {
    if is_too_old(expiry_s, now_s) {
        return;
    }
    let due_s = expiry_s.max(now_s);
    txn.put(&keys::mark(ttl.id, due_s, key), b"");
    if due_s <= now_s + SOON_S {
        txn.on_commit(keys::SWEEP_TOPIC);
    }
}

fn is_too_old(expiry_s: i64, now_s: i64) -> bool {
    expiry_s < now_s - TOO_OLD_S
}

/// Has what a deleted table leaves behind swept.
pub(crate) fn table_deleted(txn: &Txn, table: &Table) {
    if table.ttl.is_some() {
        txn.on_commit(keys::SWEEP_TOPIC);
    }
}

impl TtlAttribute {
    /// When the item expires, in seconds since 1970; `None` when the attribute is no number.
    fn expiry_s(&self, item: &Item) -> Option<i64> {
        let Some(Value::N(number)) = item.get(&self.name) else { return None };
        number.as_i64().or_else(|| {
            let seconds: f64 = number.to_string().parse().ok()?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "what is out of range becomes the nearest in it"
            )]
            let whole = seconds.floor() as i64;
            Some(whole)
        })
    }

    /// Whether the item has expired, and not too long ago.
    fn is_due(&self, item: &Item, now_s: i64) -> bool {
        self.expiry_s(item).is_some_and(|expiry_s| expiry_s <= now_s && !is_too_old(expiry_s, now_s))
    }
}
