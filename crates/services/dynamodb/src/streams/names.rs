//! Names of streams and of their shards.

use lambent_base::Place;

use super::rows::StreamRow;
use crate::names::in_dynamodb;

/// A stream's place, table and label: its ARN in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamName {
    pub place: Place,
    pub table: String,
    pub label: String,
}

impl StreamName {
    /// Reads `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL`.
    pub fn parse(arn: &str) -> Option<Self> {
        let (place, resource) = in_dynamodb(arn)?;
        let (table, label) = resource.strip_prefix("table/")?.split_once("/stream/")?;
        let is_name = !table.contains('/') && !label.contains('/');
        let (table, label) = (table.to_owned(), label.to_owned());
        is_name.then_some(Self { place, table, label })
    }

    pub fn arn(&self) -> String {
        format!("{}/stream/{}", crate::names::table_arn(&self.place, &self.table), self.label)
    }
}

/// Ids of a stream's shards are in the order of their numbers.
pub(crate) fn shard_id(row: &StreamRow, shard: u16) -> String {
    let number = row.created_ms + i64::from(shard);
    let [_, _, _, _, a, b, c, d] = row.id.to_be_bytes();
    format!("shardId-{number:020}-{:08x}", u32::from_be_bytes([a, b, c, d]))
}

/// The number of the shard with this id.
pub(crate) fn shard_of_id(row: &StreamRow, id: &str) -> Option<u16> {
    (0..row.shards).find(|shard| shard_id(row, *shard) == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_read_and_written() {
        let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/Music/stream/2026-11-22T10:00:00.123";
        let name = StreamName::parse(arn).unwrap();
        assert_eq!((&name.table[..], &name.label[..]), ("Music", "2026-11-22T10:00:00.123"));
        assert_eq!(name.arn(), arn);
        assert_eq!(StreamName::parse(&arn.replace("aws", "x")), None);
        for wrong in ["arn:aws:dynamodb:us-east-1:000000000000:table/Music", "Music", ""] {
            assert_eq!(StreamName::parse(wrong), None);
        }
    }
}
