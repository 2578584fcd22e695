//! Where images come from, as far as the operator allows, and what their names mean.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use lambent_outbound::{Guard, HostRule};
use serde::Deserialize;

use crate::config::Config;
use crate::digest::Digest;
use crate::error::ImageError;
use crate::layout::Layout;
use crate::limits::{CONFIG_BYTES_MAX, CREDENTIALS_BYTES_MAX, INDEX_DEPTH_MAX, RESOLVE_TIMEOUT};
use crate::manifest::{Document, Manifest};
use crate::reference::{Place, Reference, Version};
use crate::registry::{Credentials, Registry};

/// What the operator allows. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct ImagesConfig {
    /// Whose subfolders are OCI layouts.
    pub folder: Option<PathBuf>,
    pub registries: Vec<HostRule>,
    /// A file in the form of container engines' `config.json`: `{"auths": {"HOST": {"auth": "BASE64"}}}`. It is read with
    /// each use, so that it can be replaced.
    pub credentials: Option<PathBuf>,
}

/// Finds images by their names; clone it freely.
#[derive(Clone)]
pub struct Images {
    config: Arc<ImagesConfig>,
    guard: Arc<Guard>,
}

/// An image that was found, of which only the small parts were fetched.
pub struct Resolved {
    /// Of the manifest; 64 hexadecimal digits. Equal digests are equal images.
    pub sha256: String,
    /// The image's name with this digest.
    pub uri: String,
    pub(crate) digest: Digest,
    pub(crate) manifest_bytes: Bytes,
    pub(crate) manifest: Manifest,
    pub(crate) config_bytes: Bytes,
}

/// An image's place, opened.
pub(crate) enum Source<'a> {
    Registry(Box<Registry<'a>>),
    Layout(Layout),
}

#[derive(Deserialize)]
struct Auths {
    #[serde(default)]
    auths: std::collections::HashMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Images {
    /// Errors: those of making a client, as where the host has no certificates of authorities.
    pub fn new(config: ImagesConfig) -> Result<Self, String> {
        let guard = Guard::new(config.registries.clone()).map_err(|error| error.to_string())?;
        Ok(Self { config: Arc::new(config), guard: Arc::new(guard) })
    }

    /// Finds the image that a name means for an architecture, in Lambda's words (`x86_64`, `arm64`), and reads its manifest
    /// and configuration. Blocks for moments where it is on disk.
    pub async fn resolve(&self, uri: &str, architecture: &str) -> Result<Resolved, ImageError> {
        let reference = Reference::parse(uri)?;
        let found = tokio::time::timeout(RESOLVE_TIMEOUT, self.find(&reference, architecture)).await;
        found.unwrap_or_else(|_| {
            let cause = format!("no answer within {} s", RESOLVE_TIMEOUT.as_secs());
            Err(ImageError::Unreachable { host: uri.to_owned(), cause })
        })
    }

    pub(crate) fn source(&self, place: &Place) -> Result<Source<'_>, ImageError> {
        match place {
            Place::Layout(name) => {
                let folder = self.config.folder.as_ref().ok_or(ImageError::NoFolder)?;
                Ok(Source::Layout(Layout::open(folder, name)?))
            }
            Place::Registry { scheme, host, repository } => {
                // Before the file is looked into: nobody else's password is any use.
                let credentials = match self.guard.scheme_of(host) {
                    Some(_) => self.credentials(host)?,
                    None => None,
                };
                let registry = Registry::new(&self.guard, *scheme, host, repository, credentials)?;
                Ok(Source::Registry(Box::new(registry)))
            }
        }
    }

    async fn find(&self, reference: &Reference, architecture: &str) -> Result<Resolved, ImageError> {
        let source = self.source(&reference.place)?;
        let (mut digest, mut bytes) = source.document(&reference.version).await?;
        for _ in 0..=INDEX_DEPTH_MAX {
            let manifest = match Document::read(&bytes, &format!("the manifest {digest}"))? {
                Document::Manifest(manifest) => manifest,
                Document::Index(index) => {
                    let chosen = Version::Digest(index.choose(architecture)?.digest);
                    (digest, bytes) = source.document(&chosen).await?;
                    continue;
                }
            };
            let config_bytes = source.small_blob(&manifest.config.digest, manifest.config.size).await?;
            let config = Config::read(&config_bytes, manifest.layers.len())?;
            config.check_platform(architecture)?;
            return Ok(Resolved {
                sha256: digest.hex(),
                uri: reference.resolved(&digest),
                digest,
                manifest_bytes: bytes,
                manifest,
                config_bytes,
            });
        }
        Err(ImageError::malformed("the index", "it holds indexes within indexes within indexes"))
    }

    fn credentials(&self, host: &str) -> Result<Option<Credentials>, ImageError> {
        let Some(path) = &self.config.credentials else { return Ok(None) };
        let wrong = |error: &dyn std::fmt::Display| {
            tracing::error!(path = %path.display(), %error, "the file of registry credentials cannot be read");
            ImageError::Credentials("the platform's log says why".to_owned())
        };
        let length = fs::metadata(path).map_err(|error| wrong(&error))?.len();
        if length > CREDENTIALS_BYTES_MAX {
            return Err(wrong(&format!("it has {length} bytes")));
        }
        let text = fs::read(path).map_err(|error| wrong(&error))?;
        let known: Auths = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
        Ok(known.auths.get(host).and_then(|auth| match auth {
            Auth { auth: Some(pair), .. } => Some(Credentials(pair.clone())),
            Auth { username: Some(user), password: Some(password), .. } => {
                Some(Credentials::of(user, password))
            }
            _ => None,
        }))
    }
}

impl Source<'_> {
    /// A manifest or index with its digest, which is right.
    async fn document(&self, version: &Version) -> Result<(Digest, Bytes), ImageError> {
        let (named, bytes) = match self {
            Self::Registry(registry) => {
                let bytes = registry.manifest(&version.text()).await?;
                let named = match version {
                    Version::Digest(digest) => *digest,
                    // A tag may mean anything; from here on it is this.
                    Version::Tag(_) => Digest::of(&bytes),
                };
                (named, bytes)
            }
            Self::Layout(layout) => layout.manifest(version)?,
        };
        check(&named, &bytes, "a manifest")?;
        Ok((named, bytes))
    }

    async fn small_blob(&self, digest: &Digest, size: u64) -> Result<Bytes, ImageError> {
        let bytes = match self {
            Self::Registry(registry) => registry.small_blob(digest, CONFIG_BYTES_MAX).await?,
            Self::Layout(layout) => layout.small_blob(digest, CONFIG_BYTES_MAX)?,
        };
        if bytes.len() as u64 != size {
            let cause = format!("it has {} bytes instead of {size}", bytes.len());
            return Err(ImageError::malformed("the configuration", cause));
        }
        check(digest, &bytes, "the configuration")?;
        Ok(bytes)
    }
}

fn check(expected: &Digest, bytes: &[u8], what: &str) -> Result<(), ImageError> {
    let got = Digest::of(bytes);
    if got == *expected {
        return Ok(());
    }
    Err(ImageError::WrongDigest {
        what: what.to_owned(),
        expected: expected.to_string(),
        got: got.to_string(),
    })
}
