//! Marks for the items that were there before time to live was turned on.

use lambent_base::text;
use lambent_expressions::item_bytes;
use lambent_store::{ScanOptions, Txn};

use super::sweep::skipped;
use super::{TtlRow, keys, put_mark};
use crate::keys::ItemKey;
use crate::table::Table;
use crate::{DynamoError, rows};

/// How many items one transaction looks at, and how many where that was too much; and how many bytes of them.
const STEP_ROWS: usize = 500;
const FEW_ROWS: usize = 3;
const STEP_BYTES: usize = 1 << 20;

/// Marks some items, and writes down how far it came; `true` when there may be more.
pub(super) async fn step(
    txn: &Txn,
    table: &Table,
    ttl: u64,
    row: &TtlRow,
    (now_s, is_crowded): (i64, bool),
) -> Result<bool, DynamoError> {
    let Some(attribute) = &table.ttl else { return Ok(false) };
    let after = row.after.as_deref().and_then(text::unhex);
    let range = crate::keys::items(table.id);
    let range = match &after {
        Some(after) => range.after(after),
        None => range,
    };
    // The commit depends on what it saw: an item that changes meanwhile has its mark from its writer, and this step is
    // made again.
    let count = if is_crowded { FEW_ROWS } else { STEP_ROWS };
    let page = txn.scan(&range, ScanOptions::rows(count).max_bytes(STEP_BYTES)).await?;
    // A row in chunks is as long as its mark to a scan.
    let (mut bytes, mut last, mut is_more) = (0, None, page.more.is_some());
    for (key, value) in &page.rows {
        if bytes >= STEP_BYTES {
            is_more = true;
            break;
        }
        last = Some(key);
        let item = match rows::stored(txn, key, value.clone()).await {
            Ok(stored) => stored.item,
            Err(error) if error.is_damage() => {
                skipped(key, &error, "an item that may expire");
                continue;
            }
            Err(error) => return Err(error),
        };
        bytes += item_bytes(&item);
        if let Some(expiry_s) = attribute.expiry_s(&item) {
            put_mark(txn, attribute, expiry_s, &ItemKey::found(key.clone()), now_s);
        }
    }
    let after = last.map(|key| text::hex(key));
    let row = TtlRow { filled: !is_more, after: after.filter(|_| is_more), ..row.clone() };
    txn.put(&keys::expiring(ttl), &rows::encode(&row));
    if !is_more {
        let mut table = table.clone();
        table.ttl = Some(crate::table::TtlAttribute { filling: false, ..attribute.clone() });
        rows::put_table(txn, &table);
    }
    Ok(is_more)
}
