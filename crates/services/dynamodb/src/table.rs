//! What a table is: its schema, its indexes and its settings.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use lambent_base::Place;
use lambent_expressions::{Item, Value};
use serde::{Deserialize, Serialize};

use crate::items::checks::may_be_key;
use crate::keys::ItemKey;
use crate::settings::{Insights, Scaling};

/// A table, as it is stored under `dynamodb/table/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Names the table in the keys of its items.
    pub(crate) id: u64,
    /// AWS's TableId.
    pub(crate) uuid: String,
    #[serde(with = "PlaceRow")]
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) created_ms: i64,
    #[serde(default)]
    pub(crate) status: Status,
    pub(crate) key: KeySchema,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) locals: Vec<Index>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) globals: Vec<Index>,
    pub(crate) billing: Billing,
    pub(crate) throughput: Throughput,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<TableClass>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encryption: Option<Encryption>,
    #[serde(default)]
    pub(crate) deletion_protection: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<TtlAttribute>,
    /// When time to live was last turned on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl_changed_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<StreamSpec>,
    /// The label of the last stream, also when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stream_label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) journal: Option<Journal>,
    /// Where what items were is kept: for point-in-time recovery, and for copies that are being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<Log>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restored: Option<Restored>,
    /// By the names of indexes; the table's own under an empty one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) insights: BTreeMap<String, Insights>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scaling: Option<Scaling>,
}

/// [`Place`], as rows have it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Place")]
struct PlaceRow {
    account: String,
    region: String,
}

/// Whether a table takes requests. Work that is quick is done before its answer; these are the states that last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    #[default]
    Active,
    /// Being filled by a restore or an import.
    Creating,
}

/// The attributes that name an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeySchema {
    pub(crate) hash: KeyAttribute,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) range: Option<KeyAttribute>,
    /// Further attributes of the partition and of the sort key, as global indexes may have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) more_hashes: Vec<KeyAttribute>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) more_ranges: Vec<KeyAttribute>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyAttribute {
    pub(crate) name: String,
    pub(crate) kind: KeyKind,
}

/// The types that keys may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyKind {
    S,
    N,
    B,
}

/// A secondary index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Index {
    /// Names the index in the keys of its rows.
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) key: KeySchema,
    pub(crate) projection: Projected,
    #[serde(default)]
    pub(crate) status: IndexState,
    #[serde(default)]
    pub(crate) is_local: bool,
    /// Of global indexes.
    #[serde(default)]
    pub(crate) throughput: Throughput,
}

/// What an index holds of an item besides the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Projected {
    All,
    KeysOnly,
    Include(Vec<String>),
}

/// What an index is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IndexState {
    #[default]
    Active,
    /// Kept up by writers, while a job adds what was there before.
    Creating,
    /// Neither kept up nor read; a job removes its rows.
    Deleting,
}

/// How a table is paid for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Billing {
    pub(crate) mode: BillingMode,
    /// When the table last became PAY_PER_REQUEST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_demand_since_ms: Option<i64>,
    /// When it became so in the last day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) switches_ms: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BillingMode {
    Provisioned,
    OnDemand,
}

/// What a table or a global index may take: units, all zero when paid by request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Throughput {
    #[serde(default)]
    pub(crate) read_units: i64,
    #[serde(default)]
    pub(crate) write_units: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_increase_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_decrease_ms: Option<i64>,
    /// On the day (UTC) of `last_decrease_ms`.
    #[serde(default)]
    pub(crate) decreases: i64,
    /// Request units a second that an on-demand table is held to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_read_units: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_write_units: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warm_read_units: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warm_write_units: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableClass {
    /// `STANDARD` or `STANDARD_INFREQUENT_ACCESS`.
    pub(crate) class: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changed_ms: Option<i64>,
}

/// Encryption with a key that the caller names; the store encrypts nothing by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Encryption {
    /// `KMS`.
    pub(crate) kind: String,
    pub(crate) key_arn: String,
}

/// Time to live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TtlAttribute {
    /// Names this time to live in the keys of its marks.
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Whether items that were there before still lack their marks.
    #[serde(default)]
    pub(crate) filling: bool,
}

/// A stream that is on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StreamSpec {
    pub(crate) id: u64,
    /// As `2026-11-22T12:34:56.789`.
    pub(crate) label: String,
    pub(crate) view: StreamView,
    pub(crate) shards: u16,
}

/// What a stream's records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StreamView {
    KeysOnly,
    NewImage,
    OldImage,
    NewAndOldImages,
}

/// Point-in-time recovery that is on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Journal {
    pub(crate) since_ms: i64,
    pub(crate) days: u32,
}

/// The changes of a table's items that are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Log {
    pub(crate) id: u64,
    /// Copies that are being made: the table is not deleted meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) copies: Vec<u64>,
}

/// Where a restored table came from: RestoreSummary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Restored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backup_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) table_arn: Option<String>,
    pub(crate) to_ms: i64,
    pub(crate) under_way: bool,
}

/// An item as the store holds it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) item: Item,
    /// Its row, from which the store knows what else must go with it.
    pub(crate) row: Bytes,
}

/// Why an item has no key in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoKey<'a> {
    Missing(&'a KeyAttribute),
    Type { key: &'a KeyAttribute, found: &'static str },
}

impl KeyKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
        }
    }

    pub(crate) fn fits(self, value: &Value) -> bool {
        matches!((self, value), (Self::S, Value::S(_)) | (Self::N, Value::N(_)) | (Self::B, Value::B(_)))
    }
}

impl KeyAttribute {
    /// The attribute of an item, if it is there and has the key's type.
    pub(crate) fn of<'a>(&self, item: &'a Item) -> Option<&'a Value> {
        item.get(&self.name).filter(|value| self.kind.fits(value))
    }

    fn expect<'a, 'b>(&'b self, item: &'a Item) -> Result<&'a Value, NoKey<'b>> {
        match item.get(&self.name) {
            None => Err(NoKey::Missing(self)),
            Some(value) if self.kind.fits(value) => Ok(value),
            Some(value) => Err(NoKey::Type { key: self, found: value.type_name() }),
        }
    }
}

impl KeySchema {
    /// The key's attributes, partition key first.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        self.hashes().chain(self.ranges())
    }

    /// The attributes that make the partition key: one, but in some global indexes.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.hash).chain(&self.more_hashes)
    }

    /// The attributes that make the sort key, the first one sorting first.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = &KeyAttribute> {
        self.range.iter().chain(&self.more_ranges)
    }

    /// Whether partition and sort key have one attribute at most.
    pub(crate) fn is_simple(&self) -> bool {
        self.more_hashes.is_empty() && self.more_ranges.is_empty()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name == name)
    }
}

impl Table {
    /// The key of an item, or of the key attributes alone.
    pub(crate) fn key_of(&self, item: &Item) -> Result<ItemKey, NoKey<'_>> {
        let partition = self.key.hash.expect(item)?;
        let sort = self.key.range.as_ref().map(|range| range.expect(item)).transpose()?;
        Ok(ItemKey::new(self.id, partition, sort))
    }

    /// All indexes, local ones first.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = &Index> {
        self.locals.iter().chain(&self.globals)
    }

    pub(crate) fn index(&self, name: &str) -> Option<&Index> {
        self.indexes().find(|index| index.name == name)
    }

    /// The key attributes of an item: `Keys` of a stream record, `LastEvaluatedKey` of a scan.
    pub(crate) fn keys_of(&self, item: &Item) -> Item {
        let attributes = self.key.attributes();
        attributes
            .filter_map(|attribute| {
                item.get(&attribute.name).map(|value| (attribute.name.clone(), value.clone()))
            })
            .collect()
    }

    /// Names and types of all key attributes, each once, by name: AttributeDefinitions.
    pub(crate) fn attributes(&self) -> Vec<&KeyAttribute> {
        let mut seen = HashSet::new();
        let keys = std::iter::once(&self.key).chain(self.indexes().map(|index| &index.key));
        let mut all: Vec<_> =
            keys.flat_map(KeySchema::attributes).filter(|one| seen.insert(&one.name)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub(crate) fn index_arn(&self, index: &str) -> String {
        format!("{}/index/{index}", self.arn)
    }
}

impl Index {
    /// A global index that is ready, with no rows.
    pub(crate) fn new(id: u64, name: String, key: KeySchema, projection: Projected) -> Self {
        let (status, throughput) = (IndexState::Active, Throughput::default());
        Self { id, name, key, projection, status, is_local: false, throughput }
    }

    /// The same index of another table, with no rows.
    pub(crate) fn anew(&self, id: u64) -> Self {
        let (is_local, throughput) = (self.is_local, self.throughput.clone());
        Self {
            is_local,
            throughput,
            ..Self::new(id, self.name.clone(), self.key.clone(), self.projection.clone())
        }
    }

    /// What this index holds of an item: `None` where the item is not in it (a key attribute missing, of another type, empty
    /// or too long: items may be older than the index).
    pub(crate) fn row_key(&self, item: &Item, key: &ItemKey) -> Option<Vec<u8>> {
        let partition: Vec<&Value> = self.key.hashes().map(|hash| hash.of(item)).collect::<Option<_>>()?;
        let sort: Vec<&Value> = self.key.ranges().map(|range| range.of(item)).collect::<Option<_>>()?;
        if !may_be_key(&partition, true) || !may_be_key(&sort, false) {
            return None;
        }
        Some(crate::keys::index_row(self.id, &partition, &sort, key))
    }

    /// Whether an attribute is held by this index.
    pub(crate) fn holds(&self, table: &KeySchema, name: &str) -> bool {
        match &self.projection {
            Projected::All => true,
            Projected::KeysOnly => table.has(name) || self.key.has(name),
            Projected::Include(names) => {
                table.has(name) || self.key.has(name) || names.iter().any(|one| one == name)
            }
        }
    }

    /// Whether writers keep the index's rows.
    pub(crate) fn is_kept(&self) -> bool {
        self.status != IndexState::Deleting
    }
}
