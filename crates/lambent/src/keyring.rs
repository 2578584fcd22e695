//! The master keys that this node has at hand: the one in force, and those that it took the place of.
//!
//! A key is replaced in steps, each durable before the next: the old key goes to the retired ones, the new one into force,
//! then everything that the old one sealed is sealed anew, and only then is the old one forgotten. Whatever start comes
//! after a crash in between goes on where it ended.

use lambent_base::env;
use lambent_base::text::unhex;
use lambent_identity::{Identity, MasterKey};
use lambent_store::Db;
use zeroize::Zeroizing;

use crate::cloud::StartError;
use crate::data_dir::{DataDir, RETIRED_KEYS};
use crate::owner::OwnerError;

const MASTER_KEY_BYTES: usize = 32;

/// Wiped from memory when it is dropped.
pub(crate) type KeyBytes = Zeroizing<[u8; MASTER_KEY_BYTES]>;

/// See the module.
pub(crate) struct Keyring {
    /// None before the first start.
    pub(crate) current: Option<KeyBytes>,
    /// Under which something may still be sealed; nothing is opened with them but to be sealed anew.
    replaced: Vec<KeyBytes>,
    /// Whether the environment gave `current`, so that this program cannot replace it.
    pub(crate) is_given: bool,
}

impl Keyring {
    /// Where both have one, the environment's key counts and the data directory's is one that it replaced.
    pub(crate) fn read(directory: &DataDir) -> Result<Self, OwnerError> {
        let kept = directory.master_key()?.map(Zeroizing::new);
        let mut replaced: Vec<_> = directory.retired_keys()?.into_iter().map(Zeroizing::new).collect();
        replaced.extend(given(env::MASTER_KEY_OLD)?);
        let Some(given) = given(env::MASTER_KEY)? else {
            return Ok(Self { current: kept, replaced, is_given: false });
        };
        replaced.extend(kept.filter(|kept| *kept != given));
        Ok(Self { current: Some(given), replaced, is_given: true })
    }

    pub(crate) fn current(&self) -> Option<MasterKey> {
        self.current.as_deref().map(|key| MasterKey::new(*key))
    }

    pub(crate) fn replaced(&self) -> Vec<MasterKey> {
        self.replaced.iter().map(|key| MasterKey::new(**key)).collect()
    }
}

/// The key of hexadecimal digits, as files and the environment have it.
pub(crate) fn from_hex(text: &str) -> Option<KeyBytes> {
    let bytes = Zeroizing::new(unhex(text.trim())?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}

fn given(name: &'static str) -> Result<Option<KeyBytes>, OwnerError> {
    let Some(text) = env::var(name).map(Zeroizing::new) else { return Ok(None) };
    let expected = "64 hexadecimal digits";
    let found = || format!("{} characters", text.len());
    from_hex(&text).map(Some).ok_or_else(|| OwnerError::Environment { name, expected, found: found() })
}

/// Seals whatever replaced keys sealed under the one in force, and forgets those of the data directory then.
pub(crate) async fn seal_anew(db: &Db, directory: &DataDir, identity: &Identity) -> Result<(), StartError> {
    let replaced = Keyring::read(directory)?.replaced();
    if replaced.is_empty() {
        return Ok(());
    }
    identity.reseal(&replaced).await?;
    lambent_lambda::reseal(db, identity, &replaced).await?;
    Ok(directory.remove(RETIRED_KEYS)?)
}
