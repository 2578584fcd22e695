//! An image in one piece: an OCI layout in a tar file, its parts in the order in which they are needed.
//! Source: OCI image specification, "Image Layout".
//!
//! `oci-layout`, `index.json`, the manifest, the configuration, then the layers from the lowest to the highest; a layer that
//! an image has twice is there twice.

use std::io::Read;

use crate::apply::unreadable;
use crate::config::Config;
use crate::digest::Digest;
use crate::error::ImageError;
use crate::limits::{CONFIG_BYTES_MAX, MANIFEST_BYTES_MAX};
use crate::manifest::{Document, Manifest};
use crate::tar::{self, Entry, Kind};

pub(crate) const LAYOUT_FILE: &str = "oci-layout";
pub(crate) const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
pub(crate) const INDEX_FILE: &str = "index.json";

/// Where a part lies in a layout.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// An index that names one manifest.
pub(crate) fn index_of(digest: &Digest, size: usize, media_type: &str) -> String {
    let one = serde_json::json!({ "mediaType": media_type, "digest": digest, "size": size });
    serde_json::json!({ "schemaVersion": 2, "manifests": [one] }).to_string()
}

/// Reads up to the first layer.
pub(crate) fn read_head<R: Read>(archive: &mut tar::Reader<R>) -> Result<(Manifest, Config), ImageError> {
    part(archive, LAYOUT_FILE, MANIFEST_BYTES_MAX)?;
    let index = part(archive, INDEX_FILE, MANIFEST_BYTES_MAX)?;
    let Document::Index(index) = Document::read(&index, INDEX_FILE)? else { return Err(broken(INDEX_FILE)) };
    let [manifest] = index.manifests.as_slice() else { return Err(broken(INDEX_FILE)) };
    let bytes = part(archive, &blob_path(&manifest.digest), MANIFEST_BYTES_MAX)?;
    let Document::Manifest(manifest) = Document::read(&bytes, "the manifest")? else {
        return Err(broken("the manifest"));
    };
    let bytes = part(archive, &blob_path(&manifest.config.digest), CONFIG_BYTES_MAX)?;
    let config = Config::read(&bytes, manifest.layers.len())?;
    Ok((manifest, config))
}

/// Goes to the next part, which must be this one.
pub(crate) fn next_part<R: Read>(archive: &mut tar::Reader<R>, path: &str) -> Result<Entry, ImageError> {
    let entry = archive.next().map_err(|error| unreadable(&error))?;
    let is_it = |entry: &Entry| entry.path == path.as_bytes() && entry.kind == Kind::File;
    entry.filter(is_it).ok_or_else(|| broken(path))
}

fn part<R: Read>(archive: &mut tar::Reader<R>, path: &str, max: usize) -> Result<Vec<u8>, ImageError> {
    let size = next_part(archive, path)?.size;
    let length = usize::try_from(size).ok().filter(|length| *length <= max);
    let mut bytes = vec![0; length.ok_or_else(|| broken(path))?];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += archive.read_content(&mut bytes[filled..]).map_err(|error| unreadable(&error))?;
    }
    Ok(bytes)
}

fn broken(path: &str) -> ImageError {
    ImageError::malformed("what is kept of the image", format!("{path} is not where it should be"))
}
