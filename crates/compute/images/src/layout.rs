//! OCI layouts on disk: folders beneath the one that the operator named. Source: OCI image specification, "Image Layout".

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use crate::archive::{INDEX_FILE, blob_path};
use crate::digest::Digest;
use crate::error::ImageError;
use crate::limits::MANIFEST_BYTES_MAX;
use crate::manifest::{Descriptor, Document, TAG_ANNOTATION};
use crate::reference::Version;

/// One layout.
pub(crate) struct Layout {
    folder: File,
    name: String,
}

impl Layout {
    /// Opens it by its name. Whatever links are on the way or inside, nothing outside of the operator's folder is opened.
    pub(crate) fn open(operators: &Path, name: &str) -> Result<Self, ImageError> {
        let missing = || ImageError::Missing { what: format!("oci:{name}") };
        let folder = File::open(operators).map_err(|error| {
            tracing::warn!(%error, path = %operators.display(), "the folder of images cannot be opened");
            missing()
        })?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat2(&folder, name, flags, Mode::empty(), beneath());
        let folder = opened.map_err(|_| missing())?.into();
        Ok(Self { folder, name: name.to_owned() })
    }

    /// What a tag or digest names: the document's digest and bytes.
    pub(crate) fn manifest(&self, version: &Version) -> Result<(Digest, Bytes), ImageError> {
        let digest = match version {
            Version::Digest(digest) => *digest,
            Version::Tag(tag) => self.tagged(tag)?.digest,
        };
        Ok((digest, self.small(&blob_path(&digest), MANIFEST_BYTES_MAX)?))
    }

    /// A small file of it.
    pub(crate) fn small_blob(&self, digest: &Digest, max: usize) -> Result<Bytes, ImageError> {
        self.small(&blob_path(digest), max)
    }

    /// A part, and how many bytes it has.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<File, ImageError> {
        self.file(&blob_path(digest))
    }

    /// A layout with one image needs no tag for `latest`.
    fn tagged(&self, tag: &str) -> Result<Descriptor, ImageError> {
        let text = self.small(INDEX_FILE, MANIFEST_BYTES_MAX)?;
        let Document::Index(index) = Document::read(&text, INDEX_FILE)? else {
            return Err(ImageError::malformed(INDEX_FILE, "it is no index"));
        };
        let is_tagged = |one: &&Descriptor| one.annotations.get(TAG_ANNOTATION).is_some_and(|its| its == tag);
        if let Some(found) = index.manifests.iter().find(is_tagged) {
            return Ok(found.clone());
        }
        match index.manifests.as_slice() {
            [only] if tag == "latest" && !only.annotations.contains_key(TAG_ANNOTATION) => Ok(only.clone()),
            _ => Err(ImageError::Missing { what: format!("oci:{}:{tag}", self.name) }),
        }
    }

    fn small(&self, path: &str, max: usize) -> Result<Bytes, ImageError> {
        let mut bytes = Vec::new();
        let read = self.file(path)?.take(max as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| ImageError::io("read", path, error))?;
        if bytes.len() > max {
            return Err(ImageError::TooLarge {
                what: "a manifest or configuration",
                got: bytes.len() as u64,
                max: max as u64,
            });
        }
        Ok(bytes.into())
    }

    /// A regular file: nobody waits for a pipe.
    fn file(&self, path: &str) -> Result<File, ImageError> {
        let missing = || ImageError::Missing { what: format!("{path} of oci:{}", self.name) };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), beneath());
        let file = File::from(opened.map_err(|_| missing())?);
        let found = rustix::fs::fstat(&file)
            .map_err(|error| ImageError::io("look at", path, io::Error::from(error)))?;
        if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
            Ok(file)
        } else {
            Err(missing())
        }
    }
}

fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS
}
