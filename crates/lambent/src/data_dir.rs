//! The data directory: where everything lives, and the few files in it that are not the store's or the blobs'.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lambent_base::text::{hex, unhex};
use lambent_base::{Random, env};
use lambent_identity::{MasterKey, RootKey};
use serde::{Deserialize, Serialize};

/// Only the owner may look into the directory or read its keys.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

const STORE_ID: &str = "store-id";
const ACCOUNT_DEFAULT: &str = "000000000000";
const REGION_DEFAULT: &str = "us-east-1";
const KEY_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A directory that holds one cloud.
pub(crate) struct DataDir {
    root: PathBuf,
}

/// Who owns the cloud: taken from the environment, or made, at first start, and kept in `root-key.json`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) account: String,
    pub(crate) region: String,
}

/// Why the data directory could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error("expected to be able to {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("expected {} to hold {expected}; restore it from a backup", path.display())]
    Damaged { path: PathBuf, expected: &'static str },
    #[error("expected {name} to be {expected}, got `{found}`")]
    Environment { name: &'static str, expected: &'static str, found: String },
}

impl DataDir {
    /// Makes the directory if it is not there.
    pub(crate) fn open(root: &Path) -> Result<Self, DataDirError> {
        let made = fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(root);
        made.and_then(|()| fs::set_permissions(root, fs::Permissions::from_mode(DIRECTORY_MODE)))
            .map_err(failed("create", root))?;
        let root = root.canonicalize().map_err(failed("find", root))?;
        Ok(Self { root })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Who owns the cloud. What was kept at first start wins over the environment of a later one.
    pub(crate) fn owner(&self, random: &Random) -> Result<Owner, DataDirError> {
        let path = self.path("root-key.json");
        if let Some(text) = read(&path)? {
            let damaged = |_| DataDirError::Damaged { path: path.clone(), expected: "the root key as JSON" };
            return serde_json::from_str(&text).map_err(damaged);
        }
        let owner = Owner::from_environment(random)?;
        let text = serde_json::to_string_pretty(&owner).expect("four strings are JSON");
        write_new(&path, text.as_bytes())?;
        Ok(owner)
    }

    /// The key under which secrets are sealed.
    pub(crate) fn master_key(&self, random: &Random) -> Result<MasterKey, DataDirError> {
        let path = self.path("master-key");
        let damaged = || DataDirError::Damaged { path: path.clone(), expected: "64 hexadecimal digits" };
        let key: [u8; 32] = match read(&path)? {
            Some(text) => unhex(text.trim()).and_then(|key| key.try_into().ok()).ok_or_else(damaged)?,
            None => {
                let key = random.bytes();
                write_new(&path, hex(&key).as_bytes())?;
                key
            }
        };
        Ok(MasterKey::new(key))
    }

    /// The name of the store that this directory belongs to; `None` before the first start.
    pub(crate) fn store_id(&self) -> Result<Option<String>, DataDirError> {
        Ok(read(&self.path(STORE_ID))?.map(|text| text.trim().to_owned()))
    }

    pub(crate) fn keep_store_id(&self, id: &str) -> Result<(), DataDirError> {
        write_new(&self.path(STORE_ID), id.as_bytes())
    }

    /// Tells the other commands where the cloud listens; taken away when it stops.
    pub(crate) fn publish_endpoint(&self, endpoint: &str) -> Result<Published, DataDirError> {
        let path = self.path("endpoint");
        write_new(&path, endpoint.as_bytes())?;
        Ok(Published { path })
    }
}

/// The file that names the endpoint, removed when this is dropped.
pub(crate) struct Published {
    path: PathBuf,
}

impl Drop for Published {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the endpoint file could not be removed");
        }
    }
}

impl Owner {
    fn from_environment(random: &Random) -> Result<Self, DataDirError> {
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
            return Err(DataDirError::Environment {
                name: env::ACCOUNT_ID,
                expected: "twelve digits",
                found: account,
            });
        }
        let region = env::var(env::REGION).unwrap_or_else(|| REGION_DEFAULT.to_owned());
        Ok(Self { access_key_id, secret_access_key, account, region })
    }

    pub(crate) fn root_key(&self) -> RootKey {
        RootKey {
            account: self.account.clone(),
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
        }
    }
}

fn missing(name: &'static str) -> DataDirError {
    let expected = "set, since the other half of the root key is";
    DataDirError::Environment { name, expected, found: String::new() }
}

fn read(path: &Path) -> Result<Option<String>, DataDirError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Writes a private file so that a crash leaves the old one or the new one, whole.
fn write_new(path: &Path, content: &[u8]) -> Result<(), DataDirError> {
    let temporary = path.with_extension("tmp");
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(failed("write", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DataDirError {
    let path = path.to_path_buf();
    move |source| DataDirError::Io { action, path, source }
}
