//! Where exports and imports lie in the store.
//!
//! | key | value |
//! |---|---|
//! | `dynamodb/export/` account, region, id | [`ExportRow`](super::export::ExportRow) |
//! | `dynamodb/import/` account, region, id | [`ImportRow`](super::import::ImportRow) |
//! | `dynamodb/source/` account, region, import, number | [`SourceRow`](super::import_job::SourceRow): an object to import |
//! | `dynamodb/exported/` COPY, number | a line of the export's list of files |
//! | `dynamodb/delta/` COPY, hash, the item's keys | what an item was before an incremental export (of [`lambent_store::large`]) |
//! | `dynamodb/asked/` account, region, `export` or `import`, digest of the client token | [`Asked`](super::tokens::Asked) |
//! | `dynamodb/asked-end/` time (`i64`), account, region, `export` or `import`, digest of the client token | empty |

use lambent_base::Place;
use lambent_store::{Key, KeyError, KeyRange, KeyReader};

const EXPORT: &[u8] = b"dynamodb/export/";
const IMPORT: &[u8] = b"dynamodb/import/";
const SOURCE: &[u8] = b"dynamodb/source/";
const EXPORTED: &[u8] = b"dynamodb/exported/";
const DELTA: &[u8] = b"dynamodb/delta/";
const ASKED: &[u8] = b"dynamodb/asked/";
const ASKED_END: &[u8] = b"dynamodb/asked-end/";

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

/// An object that an import reads.
pub(super) fn source(place: &Place, import: &str, number: u64) -> Key {
    of_place(SOURCE, place).str(import).u64(number)
}

pub(super) fn sources(place: &Place, import: &str) -> KeyRange {
    of_place(SOURCE, place).str(import).range()
}

pub(crate) fn all_exports() -> KeyRange {
    KeyRange::prefix(EXPORT)
}

pub(crate) fn all_imports() -> KeyRange {
    KeyRange::prefix(IMPORT)
}

/// The objects of all imports.
pub(crate) fn all_sources() -> KeyRange {
    KeyRange::prefix(SOURCE)
}

/// Account, region and id in a key of [`all_exports`], [`all_imports`] or [`all_sources`].
pub(crate) fn read_named(key: &[u8]) -> Result<(String, String, String), KeyError> {
    let known = [EXPORT, IMPORT, SOURCE].into_iter().find(|prefix| key.starts_with(prefix));
    let mut reader = KeyReader::new(key, known.unwrap_or(EXPORT))?;
    Ok((reader.str()?, reader.str()?, reader.str()?))
}

/// The lists of files of all exports.
pub(crate) fn all_files() -> KeyRange {
    KeyRange::prefix(EXPORTED)
}

/// What all exports note of changed items.
pub(crate) fn all_deltas() -> KeyRange {
    KeyRange::prefix(DELTA)
}

/// The copy in a key of [`all_files`] or [`all_deltas`].
pub(crate) fn read_copy(key: &[u8]) -> Result<u64, KeyError> {
    KeyReader::new(key, EXPORTED).or_else(|_| KeyReader::new(key, DELTA))?.u64()
}

/// The client tokens of all places.
pub(crate) fn all_asked() -> KeyRange {
    KeyRange::prefix(ASKED)
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

/// What an export keeps beside its copy: ranges, and whether their values are of any length.
pub(crate) fn of_copy(copy: u64) -> [(KeyRange, bool); 2] {
    [(deltas(copy), true), (files(copy), false)]
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

pub(super) fn asked_end(time_ms: i64, place: &Place, what: &str, token: &str) -> Key {
    Key::new(ASKED_END).i64(time_ms).str(&place.account).str(&place.region).str(what).str(token)
}

/// The tokens that are over at a time.
pub(super) fn asked_ends_before(time_ms: i64) -> KeyRange {
    let all = Key::new(ASKED_END);
    all.range().before(&all.i64(time_ms.saturating_add(1)))
}

/// The parts of a key of [`asked_ends_before`] after its time.
pub(super) fn read_asked_end(key: &[u8]) -> Result<KeyReader<'_>, KeyError> {
    let mut reader = KeyReader::new(key, ASKED_END)?;
    reader.i64()?;
    Ok(reader)
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
