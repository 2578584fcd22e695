//! Where backups lie in the store. `LOG` is a random number, drawn each time when a table's changes begin to be kept; `COPY`
//! names a copy of a table.
//!
//! | key | value |
//! |---|---|
//! | `dynamodb/journal/` LOG STAMP part | what an item was before a [change](super::journal), or a part of it |
//! | `dynamodb/journals/` LOG | [`LogRow`](super::journal::LogRow): whose changes these are |
//! | `dynamodb/journaled/` LOG | the stamp that the log begins at: all before it is gone |
//! | `dynamodb/fence/` COPY STAMP | empty: when the copy was asked for |
//! | `dynamodb/copy/` COPY, hash, the item's keys | an item (of [`lambent_store::large`]) |
//! | `dynamodb/backup/` account, region, id | [`BackupRow`](super::on_demand::BackupRow) |
//! | `dynamodb/backup-end/` time (`i64`), account, region, id | empty: when a system backup is over |

use lambent_base::Place;
use lambent_store::{Key, KeyError, KeyRange, KeyReader};

use crate::keys::ItemKey;

/// Woken when a log is over.
pub(crate) const SWEEP_TOPIC: &[u8] = b"dynamodb/journals/sweep";

const JOURNAL: &[u8] = b"dynamodb/journal/";
const JOURNALS: &[u8] = b"dynamodb/journals/";
const JOURNALED: &[u8] = b"dynamodb/journaled/";
const FENCE: &[u8] = b"dynamodb/fence/";
const COPY: &[u8] = b"dynamodb/copy/";
const BACKUP: &[u8] = b"dynamodb/backup/";
const BACKUP_END: &[u8] = b"dynamodb/backup-end/";

/// The prefix of a log's records.
pub(crate) fn journal(log: u64) -> Key {
    Key::new(JOURNAL).u64(log)
}

/// The records of all logs.
pub(crate) fn all_records() -> KeyRange {
    KeyRange::prefix(JOURNAL)
}

/// The log in the key of a record's part, or of a log's beginning.
pub(crate) fn read_owner(key: &[u8]) -> Result<u64, KeyError> {
    KeyReader::new(key, JOURNAL).or_else(|_| KeyReader::new(key, JOURNALED))?.u64()
}

/// Where all logs begin.
pub(crate) fn all_starts() -> KeyRange {
    KeyRange::prefix(JOURNALED)
}

pub(crate) fn log(log: u64) -> Key {
    Key::new(JOURNALS).u64(log)
}

pub(crate) fn all_logs() -> KeyRange {
    KeyRange::prefix(JOURNALS)
}

pub(crate) fn read_log(key: &[u8]) -> Result<u64, KeyError> {
    KeyReader::new(key, JOURNALS)?.u64()
}

pub(crate) fn log_start(log: u64) -> Key {
    Key::new(JOURNALED).u64(log)
}

pub(crate) fn fence(copy: u64) -> Key {
    Key::new(FENCE).u64(copy)
}

/// An item in a copy.
pub(crate) fn copied(copy: u64, item: &ItemKey) -> Key {
    copied_at(copy, item.within_table())
}

/// Like [`copied`], by what the item's key has after its table.
pub(crate) fn copied_at(copy: u64, within_table: &[u8]) -> Key {
    Key::new(COPY).u64(copy).raw(within_table)
}

pub(crate) fn copy(copy: u64) -> KeyRange {
    Key::new(COPY).u64(copy).range()
}

/// Every item of every copy.
pub(crate) fn all_copies() -> KeyRange {
    KeyRange::prefix(COPY)
}

pub(crate) fn all_fences() -> KeyRange {
    KeyRange::prefix(FENCE)
}

/// The copy in the key of one of its items, or of its fence.
pub(crate) fn read_copy(key: &[u8]) -> Result<u64, KeyError> {
    KeyReader::new(key, COPY).or_else(|_| KeyReader::new(key, FENCE))?.u64()
}

/// The backups of all places.
pub(crate) fn all_backups() -> KeyRange {
    KeyRange::prefix(BACKUP)
}

/// Account, region and id in a key of [`all_backups`].
pub(crate) fn read_named(key: &[u8]) -> Result<(String, String, String), KeyError> {
    let mut reader = KeyReader::new(key, BACKUP)?;
    Ok((reader.str()?, reader.str()?, reader.str()?))
}

pub(crate) fn backup(place: &Place, id: &str) -> Key {
    Key::new(BACKUP).str(&place.account).str(&place.region).str(id)
}

pub(crate) fn backup_end(time_ms: i64, place: &Place, id: &str) -> Key {
    Key::new(BACKUP_END).i64(time_ms).str(&place.account).str(&place.region).str(id)
}

/// When system backups are over, the first one first.
pub(crate) fn all_backup_ends() -> KeyRange {
    KeyRange::prefix(BACKUP_END)
}

/// Time, place and id in a key of [`all_backup_ends`].
pub(crate) fn read_backup_end(key: &[u8]) -> Result<(i64, Place, String), KeyError> {
    let mut reader = KeyReader::new(key, BACKUP_END)?;
    let time_ms = reader.i64()?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    Ok((time_ms, place, reader.str()?))
}

/// The id in a key of [`backups`].
pub(crate) fn read_backup(key: &[u8]) -> Result<String, KeyError> {
    let mut reader = KeyReader::new(key, BACKUP)?;
    reader.str()?;
    reader.str()?;
    reader.str()
}

pub(crate) fn backups(place: &Place) -> KeyRange {
    Key::new(BACKUP).str(&place.account).str(&place.region).range()
}
