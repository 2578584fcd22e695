//! `--blobs`: where the bytes are that are too long for rows.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use lambent_base::{Clock, Random, env};
use lambent_blobs::{BlobError, BlobOptions, BlobStore};
use lambent_blobs_objects::object_store::ObjectStore;
use lambent_blobs_objects::{AddressError, S3Address, S3Credentials};

/// Credentials and region come under the names that every AWS client reads.
const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// A place for blobs, as an operator names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlobPlace {
    /// A directory that several nodes may use at the same time.
    Directory(PathBuf),
    S3(S3Address),
}

/// Why a place for blobs could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenBlobsError {
    #[error("expected {ACCESS_KEY_ID} and {SECRET_ACCESS_KEY} in the environment, for the blobs in {0}")]
    NoCredentials(String),
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// Why a text names no place for blobs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(
        "expected file:///DIRECTORY, got `{0}`: the path begins with a slash, and no host comes before it"
    )]
    FileUrl(String),
    #[error("expected a directory, file:///DIRECTORY or s3://BUCKET[/PREFIX], got `{0}`")]
    Unknown(String),
}

impl FromStr for BlobPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        match scheme {
            "s3" => Ok(Self::S3(text.parse()?)),
            "file" if rest.starts_with('/') => Ok(Self::Directory(rest.into())),
            "file" => Err(PlaceError::FileUrl(text.to_owned())),
            "" if !text.is_empty() => Ok(Self::Directory(text.into())),
            _ => Err(PlaceError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for BlobPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::S3(address) => address.fmt(f),
        }
    }
}

impl BlobPlace {
    /// Opens the place; a directory is made if it is not there. Whether an object store can be reached shows at the
    /// first call.
    pub(crate) fn open(&self, clock: Clock, random: Random) -> Result<BlobStore, OpenBlobsError> {
        match self {
            Self::Directory(path) => Ok(BlobStore::open_shared(path, BlobOptions::default(), clock, random)?),
            Self::S3(address) => {
                let address = with_region(address);
                let place = lambent_blobs_objects::s3(&address, credentials(&address)?)?;
                Ok(BlobStore::at(place, clock, random))
            }
        }
    }
}

/// The blobs of a data directory: in the place that was named, else in the directory itself.
pub(crate) fn open(
    place: Option<&BlobPlace>,
    own: &Path,
    clock: Clock,
    random: Random,
) -> Result<BlobStore, OpenBlobsError> {
    match place {
        Some(place) => place.open(clock, random),
        None => Ok(BlobStore::open(own, BlobOptions::default(), clock, random)?),
    }
}

/// The bucket itself, for what is no blob.
pub(crate) fn object_store(address: &S3Address) -> Result<Arc<dyn ObjectStore>, OpenBlobsError> {
    let address = with_region(address);
    Ok(lambent_blobs_objects::s3_bucket(&address, credentials(&address)?)?)
}

fn with_region(address: &S3Address) -> S3Address {
    let region = address.region.clone().or_else(|| REGIONS.into_iter().find_map(env::var));
    S3Address { region, ..address.clone() }
}

fn credentials(address: &S3Address) -> Result<S3Credentials, OpenBlobsError> {
    let (Some(access_key_id), Some(secret_access_key)) =
        (env::var(ACCESS_KEY_ID), env::var(SECRET_ACCESS_KEY))
    else {
        return Err(OpenBlobsError::NoCredentials(address.to_string()));
    };
    Ok(S3Credentials { access_key_id, secret_access_key, session_token: env::var(SESSION_TOKEN) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, path) in
            [("/srv/blobs", "/srv/blobs"), ("blobs", "blobs"), ("file:///srv/blobs", "/srv/blobs")]
        {
            assert_eq!(text.parse(), Ok(BlobPlace::Directory(path.into())), "{text}");
        }
        let Ok(BlobPlace::S3(address)) = "s3://photos/a?endpoint=http://127.0.0.1:9000".parse() else {
            panic!("an address of S3 was expected");
        };
        assert_eq!((address.bucket.as_str(), address.prefix.as_str()), ("photos", "a"));
    }

    #[test]
    fn what_is_no_place_is_said() {
        for (text, expected) in [
            ("file://host/srv", "expected file:///DIRECTORY, got `file://host/srv`"),
            (
                "gs://photos",
                "expected a directory, file:///DIRECTORY or s3://BUCKET[/PREFIX], got `gs://photos`",
            ),
            ("", "expected a directory"),
            ("s3://x", "expected s3://BUCKET[/PREFIX]"),
        ] {
            let error = text.parse::<BlobPlace>().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
