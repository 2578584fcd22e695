//! Where everything lies in the store. TABLE, INDEX and STREAM are random numbers, drawn when such a thing is created, so
//! that one which is deleted and made anew never meets rows of its former life.
//!
//! | key | value |
//! |---|---|
//! | `dynamodb/table/` account, region, name | [`Table`](crate::table::Table) as JSON |
//! | `dynamodb/item/` TABLE, hash, partition key, sort key | an item (of [`lambent_store::large`]) |
//! | `dynamodb/index/` INDEX, hash, the index's keys, the table's keys | what the index holds of an item (the same) |
//! | `dynamodb/policy/` TABLE or STREAM | the policy with its revision, as JSON |
//! | `dynamodb/count/` TABLE or INDEX | counter: items |
//! | `dynamodb/bytes/` TABLE or INDEX | counter: bytes, as AWS counts them |
//! | `dynamodb/collection/` TABLE, partition key | counter: bytes of an item collection, in tables that have local indexes |
//! | `dynamodb/token/` account, region, digest of a token | until when a ClientRequestToken counts (`i64`), and the digest of its request |
//! | `dynamodb/token-end/` time (`i64`), account, region, digest of a token | empty |
//! | `dynamodb/job/` number | [`Job`](crate::jobs::Job) as JSON |
//!
//! The hash (`u16`) of a partition key spreads items and is the order of scans, as on AWS. In an index it is of the
//! index's own partition key, which in a local one is the table's.

use bytes::Bytes;
use lambent_base::Place;
use lambent_expressions::{Value, hash_of, ordered};
use lambent_store::{Key, KeyError, KeyRange, KeyReader};
use ring::digest;

const TABLE: &[u8] = b"dynamodb/table/";
const ITEM: &[u8] = b"dynamodb/item/";
const INDEX: &[u8] = b"dynamodb/index/";
const POLICY: &[u8] = b"dynamodb/policy/";
const COUNT: &[u8] = b"dynamodb/count/";
const BYTES: &[u8] = b"dynamodb/bytes/";
const COLLECTION: &[u8] = b"dynamodb/collection/";
const TOKEN: &[u8] = b"dynamodb/token/";
const TOKEN_END: &[u8] = b"dynamodb/token-end/";
const JOB: &[u8] = b"dynamodb/job/";

/// Woken when the row of any table changes.
pub(crate) const TABLES_TOPIC: &[u8] = b"dynamodb/tables";

/// Woken when a request token was remembered.
pub(crate) const TOKENS_TOPIC: &[u8] = b"dynamodb/tokens";

/// Woken when a job was added.
pub(crate) const JOBS_TOPIC: &[u8] = b"dynamodb/jobs";

/// A partition key whose encoding is longer than this, and the table's keys at the end of an index row, are there as their
/// digest: only sort keys need an order, and the item says what they are. So no key is longer than the store allows.
const PART_BYTES_MAX: usize = 1024;
/// Starts a digest: no encoding of a value starts so.
const DIGESTED: [u8; 2] = [0x00, 0x02];
/// What comes before the partition key in a key of an item or of an index.
const ITEM_HEAD: usize = ITEM.len() + 8;
const HASH_BYTES: usize = 2;

/// The key of an item in its table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ItemKey(Bytes);

impl ItemKey {
    pub(crate) fn new(table: u64, partition: &Value, sort: Option<&Value>) -> Self {
        let mut key = head(ITEM, table, hash_of(partition));
        push_partition(&mut key, &[partition]);
        if let Some(sort) = sort {
            ordered::push(sort, &mut key);
        }
        Self(key.into())
    }

    /// The key as the store found it.
    pub(crate) fn found(key: Bytes) -> Self {
        Self(key)
    }

    /// The row's key in the store.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The key without its table: the hash, and what comes after it.
    pub(crate) fn within_table(&self) -> &[u8] {
        &self.0[ITEM_HEAD..]
    }

    /// What names the item within its table: partition and sort key.
    pub(crate) fn own_part(&self) -> &[u8] {
        &self.0[ITEM_HEAD + HASH_BYTES..]
    }
}

/// Every item of the table.
pub(crate) fn items(table: u64) -> KeyRange {
    Key::new(ITEM).u64(table).range()
}

/// The rows of the partition in a table: its items, in the order of their sort keys.
pub(crate) fn item_partition(table: u64, partition: &Value) -> Vec<u8> {
    let mut key = head(ITEM, table, hash_of(partition));
    push_partition(&mut key, &[partition]);
    key
}

/// The beginning of the keys of an index's partition.
pub(crate) fn index_partition(index: u64, partition: &[&Value]) -> Vec<u8> {
    let mut key = head(INDEX, index, hash_of_all(partition));
    push_partition(&mut key, partition);
    key
}

/// The key of an item in an index.
pub(crate) fn index_row(index: u64, partition: &[&Value], sort: &[&Value], item: &ItemKey) -> Vec<u8> {
    let mut key = index_partition(index, partition);
    sort.iter().for_each(|value| ordered::push(value, &mut key));
    push_bounded(&mut key, item.own_part());
    key
}

/// Every row of the index.
pub(crate) fn index_rows(index: u64) -> KeyRange {
    Key::new(INDEX).u64(index).range()
}

/// The items of a table whose partition keys hash to at least `from`, and below `to` (the end where `None`).
pub(crate) fn items_by_hash(table: u64, from: u16, to: Option<u16>) -> KeyRange {
    by_hash(ITEM, table, from, to)
}

/// Like [`items_by_hash`], of an index.
pub(crate) fn index_rows_by_hash(index: u64, from: u16, to: Option<u16>) -> KeyRange {
    by_hash(INDEX, index, from, to)
}

pub(crate) fn table(place: &Place, name: &str) -> Key {
    tables_prefix(place).str(name)
}

/// Every table of every place.
pub(crate) fn all_tables() -> KeyRange {
    KeyRange::prefix(TABLE)
}

/// Every item of every table.
pub(crate) fn all_items() -> KeyRange {
    KeyRange::prefix(ITEM)
}

/// Every row of every index.
pub(crate) fn all_index_rows() -> KeyRange {
    KeyRange::prefix(INDEX)
}

pub(crate) fn all_counts() -> KeyRange {
    KeyRange::prefix(COUNT)
}

pub(crate) fn all_bytes() -> KeyRange {
    KeyRange::prefix(BYTES)
}

/// The table or index in the key of an item, of an index's row, or of a counter.
pub(crate) fn owner(key: &[u8]) -> Option<u64> {
    let rest = [ITEM, INDEX, COUNT, BYTES].into_iter().find_map(|prefix| key.strip_prefix(prefix))?;
    rest.first_chunk().map(|id| u64::from_be_bytes(*id))
}

/// Every table of the account and region.
pub(crate) fn tables(place: &Place) -> KeyRange {
    tables_prefix(place).range()
}

/// The name in a key of [`tables`].
pub(crate) fn table_name(key: &[u8]) -> Result<String, KeyError> {
    let mut reader = KeyReader::new(key, TABLE)?;
    reader.str()?;
    reader.str()?;
    reader.str()
}

/// The policy of a table or of a stream.
pub(crate) fn policy(id: u64) -> Key {
    Key::new(POLICY).u64(id)
}

/// How many items a table or an index has.
pub(crate) fn count(id: u64) -> Key {
    Key::new(COUNT).u64(id)
}

/// How many bytes the items of a table or an index have.
pub(crate) fn bytes(id: u64) -> Key {
    Key::new(BYTES).u64(id)
}

/// How many bytes an item collection has.
pub(crate) fn collection(table: u64, partition: &Value) -> Key {
    let mut key = Vec::new();
    push_partition(&mut key, &[partition]);
    Key::new(COLLECTION).u64(table).raw(&key)
}

/// Every item collection of the table.
pub(crate) fn collections(table: u64) -> KeyRange {
    Key::new(COLLECTION).u64(table).range()
}

/// A request token, by the digest of its text.
pub(crate) fn token(place: &Place, digest: &[u8]) -> Key {
    Key::new(TOKEN).str(&place.account).str(&place.region).raw(digest)
}

/// When the token under a key is over.
pub(crate) fn token_end(time_ms: i64, token: &Key) -> Key {
    Key::new(TOKEN_END).i64(time_ms).raw(&token[TOKEN.len()..])
}

/// The ends of all tokens, the next one first.
pub(crate) fn token_ends() -> KeyRange {
    KeyRange::prefix(TOKEN_END)
}

/// What [`token_end`] was made of: the time, and the token's key.
pub(crate) fn read_token_end(key: &[u8]) -> Result<(i64, Vec<u8>), KeyError> {
    let mut reader = KeyReader::new(key, TOKEN_END)?;
    let time_ms = reader.i64()?;
    Ok((time_ms, [TOKEN, reader.rest()].concat()))
}

/// All that is removed with a table, but its indexes: ranges, and whether their values are of any length
/// ([`lambent_store::large`]).
pub(crate) fn contents(table: u64) -> Vec<(KeyRange, bool)> {
    vec![(items(table), true), (collections(table), false)]
}

pub(crate) fn job(id: u64) -> Key {
    Key::new(JOB).u64(id)
}

/// Every job.
pub(crate) fn jobs() -> KeyRange {
    KeyRange::prefix(JOB)
}

/// The number in a key of [`jobs`].
pub(crate) fn read_job(key: &[u8]) -> Result<u64, KeyError> {
    KeyReader::new(key, JOB)?.u64()
}

fn tables_prefix(place: &Place) -> Key {
    Key::new(TABLE).str(&place.account).str(&place.region)
}

fn head(prefix: &[u8], id: u64, hash: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + 8 + HASH_BYTES + 64);
    key.extend_from_slice(prefix);
    key.extend_from_slice(&id.to_be_bytes());
    key.extend_from_slice(&hash.to_be_bytes());
    key
}

fn by_hash(prefix: &[u8], id: u64, from: u16, to: Option<u16>) -> KeyRange {
    let all = Key::new(prefix).u64(id);
    let range = all.range().starting_at(&all.clone().raw(&from.to_be_bytes()));
    match to {
        Some(to) => range.before(&all.raw(&to.to_be_bytes())),
        None => range,
    }
}

/// The hash of a partition key of several attributes; of one, its own.
fn hash_of_all(partition: &[&Value]) -> u16 {
    const TURN: u32 = 5;
    let hashes = partition.iter().map(|value| hash_of(value));
    hashes.reduce(|all, next| all.rotate_left(TURN) ^ next).unwrap_or_default()
}

fn push_partition(key: &mut Vec<u8>, partition: &[&Value]) {
    let start = key.len();
    partition.iter().for_each(|value| ordered::push(value, key));
    if key.len() - start > PART_BYTES_MAX {
        let digest = digest::digest(&digest::SHA256, &key[start..]);
        key.truncate(start);
        key.extend_from_slice(&DIGESTED);
        key.extend_from_slice(digest.as_ref());
    }
}

fn push_bounded(key: &mut Vec<u8>, part: &[u8]) {
    // A sort key of the index that is all NUL bytes takes two bytes for each.
    if part.len() <= PART_BYTES_MAX / 2 {
        key.extend_from_slice(part);
    } else {
        key.extend_from_slice(&DIGESTED);
        key.extend_from_slice(digest::digest(&digest::SHA256, part).as_ref());
    }
}
