//! Where everything lies in the store. A chunk holds events that were written together.
//!
//! | key | value |
//! |---|---|
//! | `audit/all/` account, time of its last event (milliseconds since 1970), number | array of [`Event`](crate::Event), JSON |
//! | `audit/denied/` the same | the same, of those events in which something was denied |
//! | `audit/damaged/` key (raw) | the bytes of a chunk that could not be read |

use lambent_store::{Key, KeyError, KeyRange, KeyReader};

const ALL: &[u8] = b"audit/all/";
const DENIED: &[u8] = b"audit/denied/";
const DAMAGED: &[u8] = b"audit/damaged/";

/// Which events: all, or those with a no, which are kept a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Events {
    All,
    Denied,
}

impl Events {
    pub(crate) const BOTH: [Self; 2] = [Self::All, Self::Denied];

    fn prefix(self) -> &'static [u8] {
        match self {
            Self::All => ALL,
            Self::Denied => DENIED,
        }
    }
}

pub(crate) fn chunk(of: Events, account: &str, time_ms: i64, number: u64) -> Key {
    chunks(of, account).i64(time_ms).u64(number)
}

/// Every chunk of an account, by time.
pub(crate) fn chunks(of: Events, account: &str) -> Key {
    Key::new(of.prefix()).str(account)
}

/// Those of an account all of whose events are from before a time.
pub(crate) fn chunks_before(of: Events, account: &str, time_ms: i64) -> KeyRange {
    let chunks = chunks(of, account);
    chunks.range().before(&chunks.i64(time_ms))
}

/// Every chunk of every account.
pub(crate) fn all(of: Events) -> KeyRange {
    KeyRange::prefix(of.prefix())
}

/// Everything that was set aside.
pub(crate) fn all_damaged() -> KeyRange {
    KeyRange::prefix(DAMAGED)
}

/// Where a chunk that cannot be read is kept.
pub(crate) fn damaged(key: &[u8]) -> Key {
    Key::new(DAMAGED).raw(key)
}

/// Account, time and number of the chunk at a key.
pub(crate) fn read(of: Events, key: &[u8]) -> Result<(String, i64, u64), KeyError> {
    let mut reader = KeyReader::new(key, of.prefix())?;
    let read = (reader.str()?, reader.i64()?, reader.u64()?);
    reader.end()?;
    Ok(read)
}
