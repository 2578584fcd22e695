//! Names of images, as callers write them.
//! Sources: OCI distribution specification, "Pulling manifests"; the grammar of container engines for names with a host.

use lambent_outbound::is_host;

use crate::digest::Digest;
use crate::error::ImageError;
use crate::limits::REFERENCE_BYTES_MAX;

/// What precedes the name of an image in the operator's folder.
const LAYOUT_PREFIX: &str = "oci:";
const DEFAULT_TAG: &str = "latest";
const TAG_BYTES_MAX: usize = 128;
const REPOSITORY_BYTES_MAX: usize = 255;

/// An image's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) place: Place,
    pub(crate) version: Version,
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Registry {
        /// `http` or `https`, where the caller wrote it.
        scheme: Option<&'static str>,
        /// With its port, if there was one.
        host: String,
        repository: String,
    },
    /// A folder beneath the operator's.
    Layout(String),
}

/// Which one of those at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Tag(String),
    Digest(Digest),
}

impl Reference {
    pub(crate) fn parse(text: &str) -> Result<Self, ImageError> {
        let wrong = || ImageError::Reference(text.chars().take(REFERENCE_BYTES_MAX).collect());
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(wrong());
        }
        let parsed = match text.strip_prefix(LAYOUT_PREFIX) {
            Some(rest) => {
                let (name, version) = split_version(rest).ok_or_else(wrong)?;
                is_layout_name(name).then(|| Self { place: Place::Layout(name.to_owned()), version })
            }
            None => parse_registry(text),
        };
        parsed.ok_or_else(wrong)
    }

    /// The same image by its digest, as ResolvedImageUri has it.
    pub(crate) fn resolved(&self, digest: &Digest) -> String {
        format!("{}@{digest}", self.base())
    }

    fn base(&self) -> String {
        match &self.place {
            Place::Registry { scheme, host, repository } => {
                let scheme = scheme.map(|scheme| format!("{scheme}://")).unwrap_or_default();
                format!("{scheme}{host}/{repository}")
            }
            Place::Layout(name) => format!("{LAYOUT_PREFIX}{name}"),
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Version::Tag(tag) => write!(f, "{}:{tag}", self.base()),
            Version::Digest(digest) => write!(f, "{}@{digest}", self.base()),
        }
    }
}

impl Version {
    /// As requests to a registry name it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Tag(tag) => tag.clone(),
            Self::Digest(digest) => digest.to_string(),
        }
    }
}

fn parse_registry(text: &str) -> Option<Reference> {
    let schemes = [("http://", "http"), ("https://", "https")];
    let scheme = schemes.iter().find_map(|(prefix, scheme)| Some((*scheme, text.strip_prefix(prefix)?)));
    let (scheme, rest) = scheme.map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    let (host, rest) = rest.split_once('/')?;
    let (repository, version) = split_version(rest)?;
    let host = is_host(host).then(|| host.to_ascii_lowercase())?;
    let is_named_whole = repository.len() <= REPOSITORY_BYTES_MAX && repository.split('/').all(is_component);
    let place = Place::Registry { scheme, host, repository: repository.to_owned() };
    is_named_whole.then_some(Reference { place, version })
}

/// A digest counts for more than a tag beside it.
fn split_version(text: &str) -> Option<(&str, Version)> {
    if let Some((before, digest)) = text.split_once('@') {
        let name = split_tag(before)?.0;
        return Some((name, Version::Digest(digest.parse().ok()?)));
    }
    let (name, tag) = split_tag(text)?;
    Some((name, Version::Tag(tag.unwrap_or(DEFAULT_TAG).to_owned())))
}

fn split_tag(text: &str) -> Option<(&str, Option<&str>)> {
    match text.split_once(':') {
        None => Some((text, None)),
        Some((name, tag)) => is_tag(tag).then_some((name, Some(tag))),
    }
}

fn is_tag(tag: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_BYTES_MAX
        && tag.bytes().next().is_some_and(is_first)
        && tag.bytes().all(|byte| is_first(byte) || byte == b'.' || byte == b'-')
}

/// One part of a repository's name: `a-z0-9` with single separators between.
fn is_component(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.first().is_some_and(|byte| is_plain(*byte))
        && bytes.last().is_some_and(|byte| is_plain(*byte))
        && bytes.iter().all(|byte| is_plain(*byte) || b"._-".contains(byte))
        && !part.contains("..")
}

fn is_layout_name(name: &str) -> bool {
    let is_part = |part: &str| {
        part.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    name.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(text: &str) -> (String, String, String) {
        match Reference::parse(text).unwrap() {
            Reference { place: Place::Registry { host, repository, .. }, version } => {
                (host, repository, version.text())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_taken_apart() {
        let of = |host: &str, repository: &str, version: &str| {
            (host.to_owned(), repository.to_owned(), version.to_owned())
        };
        assert_eq!(registry("localhost:5000/a/b:v1"), of("localhost:5000", "a/b", "v1"));
        assert_eq!(registry("http://127.0.0.1:5000/a"), of("127.0.0.1:5000", "a", "latest"));
        assert_eq!(registry("[::1]:5000/a"), of("[::1]:5000", "a", "latest"));
        let digest = Digest::of(b"x");
        assert_eq!(registry(&format!("r.example/a:v1@{digest}")), of("r.example", "a", &digest.to_string()));
        let layout = Reference::parse("oci:team/app:v2").unwrap();
        assert_eq!(layout.place, Place::Layout("team/app".to_owned()));
        assert_eq!(layout.resolved(&digest), format!("oci:team/app@{digest}"));
        assert_eq!(layout.to_string(), "oci:team/app:v2");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for wrong in [
            "",
            "app",
            "library/app",
            "host.example/",
            "host.example/App",
            "host.example/../etc",
            "host.example/a/../b",
            "host.example/a?x=1",
            "user:password@host.example/a",
            "host.example:0/a",
            "host.example:99999/a",
            "host.example/a:",
            "host.example/a@sha256:12",
            "file:///etc/passwd",
            "oci:",
            "oci:/etc",
            "oci:../etc",
            "oci:a/../b",
            "oci:.hidden",
            "oci:a//b",
            &format!("host.example/{}", "a".repeat(2_000)),
        ] {
            assert!(matches!(Reference::parse(wrong), Err(ImageError::Reference(_))), "{wrong}");
        }
    }
}
