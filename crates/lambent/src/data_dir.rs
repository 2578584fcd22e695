//! The data directory: where everything lives, and the few files in it that are not the store's or the blobs'.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lambent_base::text::unhex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// Only the owner may look into the directory or read its keys.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Holds the number of the directory's format.
const FORMAT_FILE: &str = "format";
/// The format that this program writes, and the newest that it knows.
const FORMAT: u32 = 1;

/// A copy of the root key, for the commands on this host.
pub(crate) const ROOT_KEY: &str = "root-key.json";
/// Under which secrets are sealed.
pub(crate) const MASTER_KEY: &str = "master-key";

/// Master keys that another has replaced, one on a line, until nothing is sealed under them.
pub(crate) const RETIRED_KEYS: &str = "master-keys-retired";

/// A directory that holds one cloud.
pub(crate) struct DataDir {
    root: PathBuf,
}

/// Why the data directory could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error("expected to be able to {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("expected {} to hold {expected}; restore it from a backup", path.display())]
    Damaged { path: PathBuf, expected: &'static str },
    #[error(
        "the data directory {} has format {found}, this program knows {known}; run the version of Lambent that wrote it",
        path.display()
    )]
    Format { path: PathBuf, found: u32, known: u32 },
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

    /// The copy of the root key that the commands on this host use; `None` before the first start.
    pub(crate) fn root_key<T: DeserializeOwned>(&self) -> Result<Option<T>, DataDirError> {
        let path = self.path(ROOT_KEY);
        let Some(text) = read(&path)? else { return Ok(None) };
        let damaged = |_| DataDirError::Damaged { path, expected: "the root key as JSON" };
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }

    pub(crate) fn keep_root_key<T: Serialize>(&self, key: &T) -> Result<(), DataDirError> {
        let text = serde_json::to_string_pretty(key).expect("the root key is JSON");
        write_new(&self.path(ROOT_KEY), text.as_bytes())
    }

    /// The key under which secrets are sealed; `None` before the first start.
    pub(crate) fn master_key(&self) -> Result<Option<[u8; 32]>, DataDirError> {
        let path = self.path(MASTER_KEY);
        let Some(text) = read(&path)?.map(Zeroizing::new) else { return Ok(None) };
        let key = unhex(text.trim()).and_then(|key| key.try_into().ok());
        key.map(Some).ok_or(DataDirError::Damaged { path, expected: "64 hexadecimal digits" })
    }

    pub(crate) fn keep_master_key(&self, text: &str) -> Result<(), DataDirError> {
        write_new(&self.path(MASTER_KEY), text.as_bytes())
    }

    /// Keeps the master key among those that were replaced, if there is one.
    pub(crate) fn retire_master_key(&self) -> Result<(), DataDirError> {
        let Some(key) = read(&self.path(MASTER_KEY))?.map(Zeroizing::new) else { return Ok(()) };
        let before = read(&self.path(RETIRED_KEYS))?.unwrap_or_default();
        write_new(&self.path(RETIRED_KEYS), format!("{before}{}\n", key.trim()).as_bytes())?;
        self.remove(MASTER_KEY)
    }

    /// The master keys that were replaced, and under which something may still be sealed.
    pub(crate) fn retired_keys(&self) -> Result<Vec<[u8; 32]>, DataDirError> {
        let text = read(&self.path(RETIRED_KEYS))?.unwrap_or_default();
        let keys = text.lines().map(|line| unhex(line.trim()).and_then(|key| key.try_into().ok()));
        keys.collect::<Option<_>>().ok_or_else(|| DataDirError::Damaged {
            path: self.path(RETIRED_KEYS),
            expected: "lines of 64 hexadecimal digits",
        })
    }

    /// Refuses a directory that a later version of this program has written; says whether there is a note of its format.
    /// The first format came without one.
    pub(crate) fn check_format(root: &Path) -> Result<bool, DataDirError> {
        let path = root.join(FORMAT_FILE);
        let Some(text) = read(&path)? else { return Ok(false) };
        match text.trim().parse::<u32>() {
            Ok(found) if found <= FORMAT => Ok(true),
            Ok(found) => Err(DataDirError::Format { path: root.to_owned(), found, known: FORMAT }),
            Err(_) => Err(DataDirError::Damaged { path, expected: "the number of a format" }),
        }
    }

    /// [`DataDir::check_format`], and notes the format where there is no note.
    pub(crate) fn keep_format(&self) -> Result<(), DataDirError> {
        match Self::check_format(&self.root)? {
            true => Ok(()),
            false => write_new(&self.path(FORMAT_FILE), FORMAT.to_string().as_bytes()),
        }
    }

    /// Removes a file of the directory; no harm when it is not there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), DataDirError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(failed("remove", &path)),
        }
    }

    /// A private file of the directory; `None` when it is not there.
    pub(crate) fn private(&self, name: &str) -> Result<Option<String>, DataDirError> {
        read(&self.path(name))
    }

    /// Writes a private file of the directory.
    pub(crate) fn keep_private(&self, name: &str, content: &str) -> Result<(), DataDirError> {
        write_new(&self.path(name), content.as_bytes())
    }

    /// Tells the other commands where they reach the cloud, and what to tell others; taken away when it stops.
    pub(crate) fn publish_endpoint(&self, near: &str, endpoint: &str) -> Result<Published, DataDirError> {
        let path = self.path("endpoint");
        write_new(&path, format!("{near}\n{endpoint}\n").as_bytes())?;
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
