//! What a key condition spans: a partition, or a part of it.

use lambent_expressions::{Invalid, KeyCondition, RangeTest, Value, ordered};
use lambent_store::{KeyRange, prefix_end};

use crate::keys;
use crate::table::{Index, KeySchema, Table};

const NOT_SUPPORTED: &str = "Query key condition not supported";

/// The rows of one partition whose sort keys begin with some values, and go on as a test wants.
#[derive(Clone, Debug)]
pub(crate) struct Span<'a> {
    /// One value for each attribute of the partition key.
    pub(crate) partition: Vec<&'a Value>,
    sort: Vec<&'a Value>,
    test: Option<&'a RangeTest>,
}

impl<'a> Span<'a> {
    /// What is left of a partition whose key is one value, by a test of the sort key.
    pub(crate) fn new(partition: &'a Value, test: Option<&'a RangeTest>) -> Self {
        Self { partition: vec![partition], sort: Vec::new(), test }
    }

    /// What a condition spans, each test of which was checked by itself: all of the partition key must be given, and of the sort
    /// key as much from its beginning as is wanted, with a range as the last.
    pub(crate) fn of(schema: &KeySchema, keys: &'a KeyCondition) -> Result<Self, Invalid> {
        let mut span = Self { partition: Vec::new(), sort: Vec::new(), test: None };
        for hash in schema.hashes() {
            let Some(RangeTest::Eq(value)) = keys.test_of(&hash.name) else {
                return Err(Invalid::new(NOT_SUPPORTED));
            };
            span.partition.push(value);
        }
        let mut is_open = true;
        for range in schema.ranges() {
            let test = keys.test_of(&range.name);
            match (test, span.test) {
                (Some(_), _) if !is_open => return Err(Invalid::new(NOT_SUPPORTED)),
                (Some(_), Some(RangeTest::Eq(value))) => {
                    span.sort.push(value);
                    span.test = test;
                }
                (Some(_), None) => span.test = test,
                (Some(_), Some(_)) => return Err(Invalid::new(NOT_SUPPORTED)),
                (None, _) => is_open = false,
            }
        }
        match keys.names().find(|name| !schema.has(name)) {
            Some(_) => {
                let missed = schema.ranges().find(|range| keys.test_of(&range.name).is_none());
                let missed = missed.map_or(NOT_SUPPORTED.to_owned(), |range| {
                    format!("Query condition missed key schema element: {}", range.name)
                });
                Err(Invalid::new(missed))
            }
            None => Ok(span),
        }
    }

    /// The rows, in the table or in an index.
    pub(crate) fn range(&self, table: &Table, index: Option<&Index>) -> KeyRange {
        let mut start = match index {
            None => self.partition.first().map_or_else(Vec::new, |hash| keys::item_partition(table.id, hash)),
            Some(index) => keys::index_partition(index.id, &self.partition),
        };
        self.sort.iter().for_each(|value| ordered::push(value, &mut start));
        match self.test {
            None => KeyRange::prefix(&start),
            Some(test) => sorted(&start, test),
        }
    }
}

/// The part of the rows that begin so, whose next value passes the test.
fn sorted(start: &[u8], test: &RangeTest) -> KeyRange {
    let at = |value: &Value| {
        let mut key = start.to_vec();
        ordered::push(value, &mut key);
        key
    };
    let all = KeyRange::prefix(start);
    match test {
        RangeTest::Eq(value) => KeyRange::prefix(&at(value)),
        RangeTest::Lt(value) => KeyRange::new(all.start, at(value)),
        RangeTest::Le(value) => KeyRange::new(all.start, prefix_end(&at(value))),
        RangeTest::Gt(value) => KeyRange::new(prefix_end(&at(value)), all.end),
        RangeTest::Ge(value) => KeyRange::new(at(value), all.end),
        RangeTest::Between(low, high) => KeyRange::new(at(low), prefix_end(&at(high))),
        RangeTest::BeginsWith(beginning) => {
            let mut key = start.to_vec();
            ordered::push_prefix(beginning, &mut key);
            KeyRange::prefix(&key)
        }
        // No key passes what cannot be looked up; the key condition's own check has said so.
        RangeTest::NotIndexable => KeyRange::new("", ""),
    }
}
