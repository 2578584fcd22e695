//! Who owns the cloud, and the key under which its secrets are sealed.
//!
//! The owner is a row of the store, `cloud/owner`, sealed with the master key: every node that has the master key finds
//! the same root key, account and region. The master key is never in the store. It lies in the data directory, or is
//! given by environment where several nodes need the same one.

use lambent_base::text::hex;
use lambent_base::{Random, env};
use lambent_identity::{MasterKey, RootKey};
use lambent_store::{Db, StoreError};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::data_dir::{DataDir, DataDirError, MASTER_KEY, ROOT_KEY};
use crate::keyring::{self, KeyBytes, Keyring};

pub(crate) const ROW: &[u8] = b"cloud/owner";
/// What the row is sealed for.
const PURPOSE: &[u8] = b"cloud/owner";

const ACCOUNT_DEFAULT: &str = "000000000000";
const REGION_DEFAULT: &str = "us-east-1";
const KEY_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Taken from the environment, or made, at first start. `root-key.json` is a copy for the commands on this host.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Owner {
    access_key_id: String,
    secret_access_key: String,
    account: String,
    pub(crate) region: String,
}

/// Why it is not known who owns the cloud.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Directory(#[from] DataDirError),
    #[error("expected {name} to be {expected}, got `{found}`")]
    Environment { name: &'static str, expected: &'static str, found: String },
    #[error(
        "expected the master key with which this store's secrets are sealed, but {found}: copy the file `{MASTER_KEY}` from \
         the data directory of another node or from a backup, or set {} to what it holds (where it was replaced since, {} to \
         what it replaced); if it is lost for good, start once with --new-keys --keys-lost",
        env::MASTER_KEY,
        env::MASTER_KEY_OLD
    )]
    MasterKey { found: &'static str },
    #[error(
        "expected no other node to work with this store, since the master key is replaced, and one does; stop all of them \
         first, and start them with the new key"
    )]
    NodesAtWork,
    #[error(
        "expected to replace the master key, but {0} gives it: set {0} to another one (64 hexadecimal digits) and {1} to \
         the one of now, on every node",
        env::MASTER_KEY,
        env::MASTER_KEY_OLD
    )]
    GivenKey,
    #[error(
        "expected the master key under which this store's secrets are sealed, so that they can be sealed under a new one, \
         but no key at hand opens them: set {} to it; if it is lost for good, add --keys-lost: access keys and functions' \
         variables are lost with it",
        env::MASTER_KEY_OLD
    )]
    KeysLost,
}

/// The owner and the master key of a cloud; makes both at the first start. Where the owner is sealed under a key that
/// another has replaced, the other one takes over.
pub(crate) async fn join(
    db: &Db,
    directory: &DataDir,
    random: &Random,
) -> Result<(Owner, MasterKey), OwnerError> {
    let ring = Keyring::read(directory)?;
    let row = row(db).await?;
    let (master, is_made) = match (ring.current(), &row) {
        (Some(master), _) => (master, false),
        (None, Some(sealed)) if open_with_any(&ring.replaced(), sealed).is_none() => {
            return Err(OwnerError::MasterKey { found: "this node has none" });
        }
        // Durable before the row that is sealed with it.
        (None, _) => (MasterKey::new(*make_master_key(directory, random)?), true),
    };
    let sealed = match row {
        Some(sealed) => sealed,
        None => first_owner(db, directory, random, &master).await?,
    };
    let owner = match (open(&master, &sealed), open_with_any(&ring.replaced(), &sealed)) {
        (Some(owner), _) => owner,
        (None, Some(owner)) => take_over(db, &sealed, owner, &master, random).await?,
        (None, None) if is_made => {
            // Another node was first, with a key of its own.
            directory.remove(MASTER_KEY)?;
            return Err(OwnerError::MasterKey { found: "this node has none" });
        }
        (None, None) => return Err(OwnerError::MasterKey { found: "this node has another one" }),
    };
    if directory.root_key::<Owner>()?.as_ref() != Some(&owner) {
        directory.keep_root_key(&owner)?;
    }
    Ok((owner, master))
}

/// Seals the owner's row under the key that replaced the one of `before`; nobody may work with that one meanwhile.
async fn take_over(
    db: &Db,
    before: &bytes::Bytes,
    owner: Owner,
    master: &MasterKey,
    random: &Random,
) -> Result<Owner, OwnerError> {
    expect_no_other_node(db).await?;
    let sealed = &owner.sealed(master, random);
    let written = db.run(|txn| async move {
        let now = txn.get(ROW).await?;
        if now.as_ref() == Some(before) {
            txn.put(ROW, sealed);
            return Ok(None);
        }
        Ok::<_, StoreError>(now)
    });
    match written.await? {
        None => Ok(owner),
        // Another node was quicker, with the same new key if all is well.
        Some(now) => open(master, &now).ok_or(OwnerError::MasterKey { found: "this node has another one" }),
    }
}

async fn expect_no_other_node(db: &Db) -> Result<(), OwnerError> {
    let is_shared = db.is_shared();
    if is_shared && lambent_bus::is_any_node_at_work(db).await? {
        Err(OwnerError::NodesAtWork)
    } else {
        Ok(())
    }
}

async fn row(db: &Db) -> Result<Option<bytes::Bytes>, StoreError> {
    db.read(|txn| async move { txn.get(ROW).await }).await
}

/// Whether the store says who owns the cloud.
pub(crate) async fn is_known(db: &Db) -> Result<bool, StoreError> {
    Ok(row(db).await?.is_some())
}

/// The owner in a row that this key seals.
fn open(master: &MasterKey, sealed: &[u8]) -> Option<Owner> {
    serde_json::from_slice(&Zeroizing::new(master.open(PURPOSE, sealed)?)).ok()
}

fn open_with_any(keys: &[MasterKey], sealed: &[u8]) -> Option<Owner> {
    keys.iter().find_map(|key| open(key, sealed))
}

/// The key of this node, in the form in which it is given to others, if it opens the owner's row; a cloud without an owner
/// is opened by any.
pub(crate) fn key_to(sealed: Option<&[u8]>, directory: &DataDir) -> Result<String, OwnerError> {
    let key = master_key(directory)?.ok_or(OwnerError::MasterKey { found: "this node has none" })?;
    match sealed {
        Some(sealed) if open(&MasterKey::new(*key), sealed).is_none() => {
            Err(OwnerError::MasterKey { found: "this node has another one" })
        }
        _ => Ok(hex(&*key)),
    }
}

/// Whether a key, in the form in which it is given to others, opens the owner's row.
pub(crate) fn opens(key: &str, sealed: &[u8]) -> bool {
    keyring::from_hex(key).is_some_and(|key| open(&MasterKey::new(*key), sealed).is_some())
}

/// Makes room for new keys: for a root key, and for the master key under which [`join`] seals everything anew.
///
/// Errors: `NodesAtWork`, `GivenKey`; `KeysLost` where no key at hand opens what is sealed, unless that is known (`are_lost`).
pub(crate) async fn renew(db: &Db, directory: &DataDir, are_lost: bool) -> Result<(), OwnerError> {
    expect_replaceable(db, directory, are_lost).await?;
    forget(db, directory).await
}

/// Makes room for a new master key; the owner stays.
///
/// Errors: as [`renew`].
pub(crate) async fn retire(db: &Db, directory: &DataDir) -> Result<(), OwnerError> {
    expect_replaceable(db, directory, false).await?;
    // What the environment gives, it has replaced already.
    if !Keyring::read(directory)?.is_given {
        directory.retire_master_key()?;
    }
    Ok(())
}

async fn expect_replaceable(db: &Db, directory: &DataDir, are_lost: bool) -> Result<(), OwnerError> {
    expect_no_other_node(db).await?;
    let ring = Keyring::read(directory)?;
    let Some(sealed) = row(db).await? else { return Ok(()) };
    let by_current = ring.current().is_some_and(|key| open(&key, &sealed).is_some());
    match by_current {
        true if ring.is_given => Err(OwnerError::GivenKey),
        false if !are_lost && open_with_any(&ring.replaced(), &sealed).is_none() => Err(OwnerError::KeysLost),
        _ => Ok(()),
    }
}

/// Forgets who owned the cloud and the keys of this node, so that [`join`] makes keys as at a first start. The master key
/// stays among the retired until what was sealed under it is sealed anew.
pub(crate) async fn forget(db: &Db, directory: &DataDir) -> Result<(), OwnerError> {
    directory.remove(ROOT_KEY)?;
    directory.retire_master_key()?;
    let forgotten = db.run(|txn| async move {
        txn.delete(ROW);
        Ok::<_, StoreError>(())
    });
    Ok(forgotten.await?)
}

/// Writes the owner's row, unless another node was first; gives the one that stays.
async fn first_owner(
    db: &Db,
    directory: &DataDir,
    random: &Random,
    master: &MasterKey,
) -> Result<bytes::Bytes, OwnerError> {
    let owner = match directory.root_key()? {
        Some(owner) => owner,
        None => Owner::from_environment(random)?,
    };
    let sealed = &owner.sealed(master, random);
    let written = db.run(|txn| async move {
        if let Some(first) = txn.get(ROW).await? {
            return Ok(first);
        }
        txn.put(ROW, sealed);
        Ok::<_, StoreError>(sealed.clone())
    });
    Ok(written.await?)
}

/// The key that this node has: where both are there, the environment counts and not the data directory.
pub(crate) fn master_key(directory: &DataDir) -> Result<Option<KeyBytes>, OwnerError> {
    Ok(Keyring::read(directory)?.current)
}

fn make_master_key(directory: &DataDir, random: &Random) -> Result<KeyBytes, OwnerError> {
    let key = Zeroizing::new(random.bytes());
    directory.keep_master_key(&Zeroizing::new(hex(&*key)))?;
    Ok(key)
}

impl Owner {
    fn from_environment(random: &Random) -> Result<Self, OwnerError> {
        let key = (env::var(env::ROOT_ACCESS_KEY_ID), env::var(env::ROOT_SECRET_ACCESS_KEY));
        let (access_key_id, secret_access_key) = match key {
            (Some(id), Some(secret)) => (id, secret),
            (None, None) => {
                (format!("AKIA{}", random.string(KEY_ALPHABET, 16)), random.string(SECRET_ALPHABET, 40))
            }
            (Some(_), None) => return Err(missing(env::ROOT_SECRET_ACCESS_KEY)),
            (None, Some(_)) => return Err(missing(env::ROOT_ACCESS_KEY_ID)),
        };
        let account = env::var(env::ACCOUNT_ID).unwrap_or_else(|| ACCOUNT_DEFAULT.to_owned());
        if account.len() != 12 || !account.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(OwnerError::Environment {
                name: env::ACCOUNT_ID,
                expected: "twelve digits",
                found: account,
            });
        }
        let region = env::var(env::REGION).unwrap_or_else(|| REGION_DEFAULT.to_owned());
        Ok(Self { access_key_id, secret_access_key, account, region })
    }

    fn sealed(&self, master: &MasterKey, random: &Random) -> bytes::Bytes {
        let plain = Zeroizing::new(serde_json::to_vec(self).expect("four strings are JSON"));
        bytes::Bytes::from(master.seal(random, PURPOSE, &plain))
    }

    pub(crate) fn root_key(&self) -> RootKey {
        RootKey {
            account: self.account.clone(),
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
        }
    }
}

fn missing(name: &'static str) -> OwnerError {
    let expected = "set, since the other half of the root key is";
    OwnerError::Environment { name, expected, found: String::new() }
}

#[cfg(test)]
mod tests {
    use lambent_base::Clock;

    use super::*;

    fn directory() -> (tempfile::TempDir, DataDir) {
        let at = tempfile::tempdir().unwrap();
        let opened = DataDir::open(at.path()).unwrap();
        (at, opened)
    }

    #[tokio::test]
    async fn a_node_with_the_master_key_finds_the_owner_and_one_without_does_not() {
        let (db, random) = (Db::memory(Clock::system(), Random::system()), Random::system());
        let (first_at, first) = directory();
        let (owner, _) = join(&db, &first, &random).await.unwrap();
        let (again, _) = join(&db, &first, &random).await.unwrap();
        assert!(owner == again);

        let (second_at, second) = directory();
        let refused = join(&db, &second, &random).await.err().unwrap().to_string();
        assert!(refused.contains("this node has none"), "{refused}");
        std::fs::write(second_at.path().join(MASTER_KEY), hex(&[7; 32])).unwrap();
        let refused = join(&db, &second, &random).await.err().unwrap().to_string();
        assert!(refused.contains("this node has another one"), "{refused}");
        std::fs::copy(first_at.path().join(MASTER_KEY), second_at.path().join(MASTER_KEY)).unwrap();
        let (found, _) = join(&db, &second, &random).await.unwrap();
        assert!(owner == found);
        let copies = [first_at, second_at].map(|at| std::fs::read(at.path().join(ROOT_KEY)).unwrap());
        assert_eq!(copies[0], copies[1]);
    }

    #[tokio::test]
    async fn lost_keys_are_made_anew_when_asked() {
        let (db, random) = (Db::memory(Clock::system(), Random::system()), Random::system());
        let (_at, first) = directory();
        let (owner, _) = join(&db, &first, &random).await.unwrap();
        let (second_at, second) = directory();
        std::fs::write(second_at.path().join(MASTER_KEY), hex(&[7; 32])).unwrap();
        let refused = renew(&db, &second, false).await.unwrap_err().to_string();
        assert!(refused.contains("no key at hand opens them"), "{refused}");
        renew(&db, &second, true).await.unwrap();
        let (other, _) = join(&db, &second, &random).await.unwrap();
        assert!(owner != other);
        assert_ne!(
            second.master_key().unwrap(),
            Some([7; 32]),
            "a key that may have leaked is not used again"
        );
        assert!(join(&db, &first, &random).await.is_err());
    }

    #[tokio::test]
    async fn only_a_key_that_opens_the_owners_row_goes_into_a_backup() {
        let (db, random) = (Db::memory(Clock::system(), Random::system()), Random::system());
        let (first_at, first) = directory();
        join(&db, &first, &random).await.unwrap();
        let sealed = db.read(|txn| async move { txn.get(ROW).await }).await.unwrap().unwrap();
        let kept = std::fs::read_to_string(first_at.path().join(MASTER_KEY)).unwrap();
        assert_eq!(key_to(Some(&sealed), &first).unwrap(), kept);
        let (second_at, second) = directory();
        let refused = key_to(Some(&sealed), &second).unwrap_err().to_string();
        assert!(refused.contains("this node has none"), "{refused}");
        std::fs::write(second_at.path().join(MASTER_KEY), hex(&[7; 32])).unwrap();
        let refused = key_to(Some(&sealed), &second).unwrap_err().to_string();
        assert!(refused.contains("this node has another one"), "{refused}");
        assert!(opens(&format!("{kept}\n"), &sealed));
        assert!(!opens(&hex(&[7; 32]), &sealed) && !opens("no key", &sealed));
        assert_eq!(key_to(None, &second).unwrap(), hex(&[7; 32]));
    }

    #[tokio::test]
    async fn a_replaced_key_gives_way_and_a_crash_in_between_does_no_harm() {
        let (db, random) = (Db::memory(Clock::system(), Random::system()), Random::system());
        let (at, first) = directory();
        let (owner, _) = join(&db, &first, &random).await.unwrap();
        let old = std::fs::read_to_string(at.path().join(MASTER_KEY)).unwrap();
        retire(&db, &first).await.unwrap();
        assert!(first.master_key().unwrap().is_none(), "as after a crash, before a new one is there");
        let (again, _) = join(&db, &first, &random).await.unwrap();
        assert!(owner == again);
        let sealed = row(&db).await.unwrap().unwrap();
        let new = std::fs::read_to_string(at.path().join(MASTER_KEY)).unwrap();
        assert!(opens(&new, &sealed) && !opens(&old, &sealed));
        assert_eq!(first.retired_keys().unwrap().len(), 1, "until all is sealed anew");
        assert!(join(&db, &first, &random).await.unwrap().0 == owner);
    }
}
