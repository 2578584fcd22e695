//! The layout of the engine's rows, below `mapping/`.
//!
//! | key | value |
//! |---|---|
//! | `mapping/row/` account, region, uuid | [`crate::Mapping`], JSON |
//! | `mapping/lane/` uuid, shard, index of the lane | [`crate::rows::LaneRow`], JSON, a large value: position, retries, window |
//! | `mapping/holder/` uuid | 8 random bytes of the worker whose transactions count |
//! | `mapping/result/` uuid | text: how the last batch ended |
//! | `mapping/unable/` uuid | which nodes cannot run the function, JSON, see [`crate::unable`] |
//!
//! Topics: `mapping/changed` for all mappings, `mapping/row/` uuid for one.

use lambent_base::Place;
use lambent_store::{Key, KeyError, KeyRange, KeyReader};

const ROW: &[u8] = b"mapping/row/";
const LANE: &[u8] = b"mapping/lane/";
const HOLDER: &[u8] = b"mapping/holder/";
const RESULT: &[u8] = b"mapping/result/";
const UNABLE: &[u8] = b"mapping/unable/";
/// Woken when a mapping was made, changed or removed.
pub(crate) const CHANGED: &[u8] = b"mapping/changed";

pub(crate) fn row(place: &Place, uuid: &str) -> Key {
    of_place(place).str(uuid)
}

/// The mappings of a place.
pub(crate) fn of_place(place: &Place) -> Key {
    Key::new(ROW).str(&place.account).str(&place.region)
}

pub(crate) fn all_rows() -> KeyRange {
    KeyRange::prefix(ROW)
}

/// Wakes who works on a mapping.
pub(crate) fn topic(uuid: &str) -> Key {
    Key::new(ROW).str(uuid)
}

pub(crate) fn lane(uuid: &str, shard: &str, index: u64) -> Key {
    lanes(uuid).str(shard).u64(index)
}

/// The lanes of a mapping.
pub(crate) fn lanes(uuid: &str) -> Key {
    Key::new(LANE).str(uuid)
}

pub(crate) fn all_lanes() -> KeyRange {
    KeyRange::prefix(LANE)
}

/// The uuid, the shard and the index in the key of a lane.
pub(crate) fn read_lane(key: &[u8]) -> Result<(String, String, u64), KeyError> {
    let mut reader = KeyReader::new(key, LANE)?;
    let parts = (reader.str()?, reader.str()?, reader.u64()?);
    reader.end()?;
    Ok(parts)
}

pub(crate) fn holder(uuid: &str) -> Key {
    Key::new(HOLDER).str(uuid)
}

pub(crate) fn result(uuid: &str) -> Key {
    Key::new(RESULT).str(uuid)
}

pub(crate) fn unable(uuid: &str) -> Key {
    Key::new(UNABLE).str(uuid)
}

/// The lease of a mapping.
pub(crate) fn lease(uuid: &str) -> String {
    format!("mapping/{uuid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back() {
        let key = lane("u", "shardId-7", 3);
        assert_eq!(read_lane(&key).unwrap(), ("u".to_owned(), "shardId-7".to_owned(), 3));
        assert!(lanes("u").range().contains(&key) && !lanes("v").range().contains(&key));
        let place = Place { account: "1".to_owned(), region: "r".to_owned() };
        assert!(of_place(&place).range().contains(&row(&place, "u")));
    }
}
