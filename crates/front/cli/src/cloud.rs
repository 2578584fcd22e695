//! The running cloud, as it is found from its data directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::CliError;

/// The certificate of the cloud's own authority, in its data directory.
pub const CA_FILE: &str = "tls-authority.pem";

/// Where the cloud keeps everything.
#[derive(Args, Clone, Debug)]
pub struct DataArg {
    /// The data directory of the cloud
    #[arg(long, value_name = "DIRECTORY", env = "LAMBENT_DATA", default_value = "./lambent-data")]
    pub data: PathBuf,
}

/// How to reach a cloud, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cloud {
    /// For the commands, which run beside it: as `http://127.0.0.1:4566`.
    pub(crate) endpoint: String,
    /// For everybody, as far as there is one for everybody: as `https://10.1.2.3:4566`.
    pub(crate) published: String,
    pub(crate) root: RootKey,
}

/// What the cloud keeps in `root-key.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct RootKey {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) account: String,
    pub(crate) region: String,
}

impl Cloud {
    /// The cloud that runs in a data directory.
    pub(crate) fn find(data: &Path) -> Result<Self, CliError> {
        let endpoints = read(data, "endpoint")?;
        let mut endpoints = endpoints.lines().map(|line| line.trim().to_owned());
        let endpoint = endpoints.next().unwrap_or_default();
        let published = endpoints.next().unwrap_or_else(|| endpoint.clone());
        let key = read(data, "root-key.json")?;
        let root = serde_json::from_str(&key).map_err(|error| CliError::File {
            path: data.join("root-key.json"),
            expected: "the root key as JSON",
            found: error.to_string(),
        })?;
        Ok(Self { endpoint, published, root })
    }
}

fn read(data: &Path, name: &str) -> Result<String, CliError> {
    let path = data.join(name);
    fs::read_to_string(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CliError::NoCloud { data: data.to_owned() },
        _ => CliError::Disk { action: "read", path, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_a_cloud_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Cloud::find(folder.path()).unwrap_err();
        assert!(error.to_string().contains(&folder.path().display().to_string()));
        assert!(error.hint().unwrap().contains("lambent up"));
        assert_eq!(error.exit_code(), crate::exit::NO_CLOUD);
    }

    #[test]
    fn a_broken_key_is_not_a_missing_cloud() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("endpoint"), "http://127.0.0.1:1\n").unwrap();
        fs::write(folder.path().join("root-key.json"), "{}").unwrap();
        let error = Cloud::find(folder.path()).unwrap_err();
        assert!(error.to_string().contains("root-key.json"), "{error}");
    }
}
