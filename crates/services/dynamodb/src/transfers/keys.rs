//! Where exports and imports lie in the store.
//!
//! | key | value |
//! |---|---|
//! | `dynamodb/export/` account, region, id | [`ExportRow`](super::export::ExportRow) |
//! | `dynamodb/import/` account, region, id | [`ImportRow`](super::import::ImportRow) |
//! | `dynamodb/exported/` COPY, number | a line of the export's list of files |
//! | `dynamodb/delta/` COPY, hash, the item's keys | what an item was before an incremental export (of [`lambent_store::large`]) |
//! | `dynamodb/asked/` account, region, `export` or `import`, client token | [`Asked`](super::tokens::Asked) |

use lambent_base::Place;
use lambent_store::{Key, KeyError, KeyRange, KeyReader};

const EXPORT: &[u8] = b"dynamodb/export/";
const IMPORT: &[u8] = b"dynamodb/import/";
const EXPORTED: &[u8] = b"dynamodb/exported/";
const DELTA: &[u8] = b"dynamodb/delta/";
const ASKED: &[u8] = b"dynamodb/asked/";

pub(super) fn export(place: &Place, id: &str) -> Key {
    of_place(EXPORT, place).str(id)
}

pub(super) fn exports(place: &Place) -> KeyRange {
    of_place(EXPORT, place).range()
}

pub(super) fn import(place: &Place, id: &str) -> Key {
    of_place(IMPORT, place).str(id)
}

pub(super) fn imports(place: &Place) -> KeyRange {
    of_place(IMPORT, place).range()
}

/// The id in a key of [`exports`].
pub(super) fn read_export(key: &[u8]) -> Result<String, KeyError> {
    read_id(key, EXPORT)
}

/// The id in a key of [`imports`].
pub(super) fn read_import(key: &[u8]) -> Result<String, KeyError> {
    read_id(key, IMPORT)
}

pub(super) fn file(copy: u64, number: u64) -> Key {
    Key::new(EXPORTED).u64(copy).u64(number)
}

pub(super) fn files(copy: u64) -> KeyRange {
    Key::new(EXPORTED).u64(copy).range()
}

/// The place of an item, as its key has it after the table.
pub(super) fn delta(copy: u64, within_table: &[u8]) -> Key {
    Key::new(DELTA).u64(copy).raw(within_table)
}

pub(super) fn deltas(copy: u64) -> KeyRange {
    Key::new(DELTA).u64(copy).range()
}

/// What comes after the copy in a key of [`deltas`].
pub(super) fn read_delta(key: &[u8]) -> Result<&[u8], KeyError> {
    let mut reader = KeyReader::new(key, DELTA)?;
    reader.u64()?;
    Ok(reader.rest())
}

pub(super) fn asked(place: &Place, what: &str, token: &str) -> Key {
    of_place(ASKED, place).str(what).str(token)
}

pub(super) fn all_asked(place: &Place, what: &str) -> KeyRange {
    of_place(ASKED, place).str(what).range()
}

fn of_place(prefix: &[u8], place: &Place) -> Key {
    Key::new(prefix).str(&place.account).str(&place.region)
}

fn read_id(key: &[u8], prefix: &[u8]) -> Result<String, KeyError> {
    let mut reader = KeyReader::new(key, prefix)?;
    reader.str()?;
    reader.str()?;
    reader.str()
}
