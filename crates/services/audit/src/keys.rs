//! Where everything lies in the store. A chunk holds events that were written together.
//!
//! | key | value |
//! |---|---|
//! | `audit/all/` account, time of its last event (milliseconds since 1970), number | array of [`Event`](crate::Event), JSON |
//! | `audit/denied/` the same | the same, of those events in which something was denied |
//! | `audit/foreign/`, `audit/foreign-denied/` the same | the same, of events whose caller is of no account or of another |
//! | `audit/bytes/` `all`, `denied`, `foreign` or `foreign-denied`, account | bytes of these chunks (a counter) |
//! | `audit/damaged/` key (raw) | the bytes of a chunk that could not be read |

use lambent_store::{Key, KeyError, KeyRange, KeyReader};

const ALL: &[u8] = b"audit/all/";
const DENIED: &[u8] = b"audit/denied/";
const FOREIGN: &[u8] = b"audit/foreign/";
const FOREIGN_DENIED: &[u8] = b"audit/foreign-denied/";
const BYTES: &[u8] = b"audit/bytes/";
const DAMAGED: &[u8] = b"audit/damaged/";

/// Which events: all, or those with a no, which are kept a second time; either of the account's own callers, or of others.
/// What others do lies apart, so that however much it is, it pushes out nothing of the account's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Events {
    All,
    Denied,
    Foreign,
    ForeignDenied,
}

impl Events {
    pub(crate) const EACH: [Self; 4] = [Self::All, Self::Denied, Self::Foreign, Self::ForeignDenied];

    /// Where an event belongs: with those who did it, and there a second time if something was denied.
    pub(crate) fn places(is_foreign: bool, is_denied: bool) -> impl Iterator<Item = Self> {
        let [all, denied] =
            if is_foreign { [Self::Foreign, Self::ForeignDenied] } else { [Self::All, Self::Denied] };
        std::iter::once(all).chain(is_denied.then_some(denied))
    }

    fn prefix(self) -> &'static [u8] {
        match self {
            Self::All => ALL,
            Self::Denied => DENIED,
            Self::Foreign => FOREIGN,
            Self::ForeignDenied => FOREIGN_DENIED,
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

/// How many bytes the chunks of an account have.
pub(crate) fn bytes(of: Events, account: &str) -> Key {
    let which = match of {
        Events::All => "all",
        Events::Denied => "denied",
        Events::Foreign => "foreign",
        Events::ForeignDenied => "foreign-denied",
    };
    Key::new(BYTES).str(which).str(account)
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
