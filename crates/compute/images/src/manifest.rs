//! Indexes and manifests. Source: OCI image specification, "Image Index" and "Image Manifest"; Docker's "Image Manifest
//! Version 2, Schema 2", which differs in names only.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::digest::Digest;
use crate::error::ImageError;
use crate::limits::{CONFIG_BYTES_MAX, LAYERS_MAX, PACKED_BYTES_MAX};

/// The types of manifests and indexes that are understood, as a request's Accept header has them.
pub(crate) const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Layers' types without what says how they are packed, which their first bytes say better.
const LAYER_TYPES: [&str; 4] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
];
const PACKINGS: [&str; 5] = ["", "+gzip", ".gzip", "+zstd", ".zstd"];
/// The annotation that holds an image's tag in a layout's index.
pub(crate) const TAG_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// What a digest names, and how long it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) platform: Option<Platform>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What an image is made for.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) architecture: String,
}

/// One image: its configuration and layers.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// Several images.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Index {
    pub(crate) manifests: Vec<Descriptor>,
}

/// What a digest or tag of an image may turn out to name.
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a manifest or an index, and checks a manifest's limits.
    pub(crate) fn read(bytes: &[u8], what: &str) -> Result<Self, ImageError> {
        let malformed = |error: serde_json::Error| ImageError::malformed(what, error);
        let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
        let is_known = head.media_type.is_empty() || MANIFEST_TYPES.contains(&head.media_type.as_str());
        if head.schema_version != 2 || !is_known {
            let kind = format!("{} (schema {})", head.media_type, head.schema_version);
            return Err(ImageError::Unsupported { what: what.to_owned(), kind });
        }
        if head.manifests.is_some() {
            return Ok(Self::Index(serde_json::from_slice(bytes).map_err(malformed)?));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(malformed)?;
        manifest.check()?;
        Ok(Self::Manifest(manifest))
    }
}

impl Manifest {
    /// Bytes of all layers as they are sent.
    pub(crate) fn packed_bytes(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
    }

    fn check(&self) -> Result<(), ImageError> {
        let too_large = |what, got, max| Err(ImageError::TooLarge { what, got, max });
        if self.layers.is_empty() {
            return Err(ImageError::malformed("the manifest", "it has no layers"));
        }
        if self.layers.len() > LAYERS_MAX {
            return Err(ImageError::TooMany { what: "layers", max: LAYERS_MAX });
        }
        if self.config.size > CONFIG_BYTES_MAX as u64 {
            return too_large("the configuration", self.config.size, CONFIG_BYTES_MAX as u64);
        }
        let packed = self.packed_bytes();
        if packed > PACKED_BYTES_MAX {
            return too_large("the image, packed,", packed, PACKED_BYTES_MAX);
        }
        match self.layers.iter().find(|layer| !is_layer_type(&layer.media_type)) {
            None => Ok(()),
            Some(layer) => {
                let what = format!("the layer {}", layer.digest);
                Err(ImageError::Unsupported { what, kind: layer.media_type.clone() })
            }
        }
    }
}

impl Index {
    /// The image for Linux on an architecture, in Lambda's words.
    pub(crate) fn choose(&self, architecture: &str) -> Result<&Descriptor, ImageError> {
        let wanted = platform_of(architecture);
        let is_wanted = |one: &&Descriptor| one.platform_text().as_deref() == Some(wanted.as_str());
        if let Some(found) = self.manifests.iter().find(is_wanted) {
            return Ok(found);
        }
        // What has no platform says in its configuration what it is for.
        if let [only] = self.manifests.as_slice()
            && only.platform.is_none()
        {
            return Ok(only);
        }
        let mut found: Vec<String> = self.manifests.iter().filter_map(Descriptor::platform_text).collect();
        found.retain(|platform| platform != "unknown/unknown");
        found.dedup();
        let found = if found.is_empty() { "nothing that it names".to_owned() } else { found.join(", ") };
        Err(ImageError::OtherPlatform { found, wanted })
    }
}

impl Descriptor {
    fn platform_text(&self) -> Option<String> {
        let platform = self.platform.as_ref()?;
        Some(format!("{}/{}", platform.os, platform.architecture))
    }
}

/// `linux/amd64` of `x86_64`.
pub(crate) fn platform_of(architecture: &str) -> String {
    let name = match architecture {
        "x86_64" => "amd64",
        other => other,
    };
    format!("linux/{name}")
}

fn is_layer_type(kind: &str) -> bool {
    LAYER_TYPES
        .iter()
        .any(|known| kind.strip_prefix(known).is_some_and(|packing| PACKINGS.contains(&packing)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[&str]) -> Index {
        let one = |platform: &&str| {
            let (os, architecture) = platform.split_once('/').unwrap();
            serde_json::json!({
                "digest": Digest::of(platform.as_bytes()), "size": 1,
                "platform": {"os": os, "architecture": architecture},
            })
        };
        let manifests: Vec<_> = platforms.iter().map(one).collect();
        let text = serde_json::json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        match Document::read(text.as_bytes(), "it").unwrap() {
            Document::Index(index) => index,
            Document::Manifest(_) => panic!("it is an index"),
        }
    }

    #[test]
    fn the_architecture_chooses() {
        let both = index(&["linux/arm64", "unknown/unknown", "linux/amd64"]);
        assert_eq!(both.choose("x86_64").unwrap().digest, Digest::of(b"linux/amd64"));
        assert_eq!(both.choose("arm64").unwrap().digest, Digest::of(b"linux/arm64"));
        let none = index(&["windows/amd64", "linux/s390x", "unknown/unknown"]).choose("x86_64").unwrap_err();
        assert_eq!(
            none.to_string(),
            "it is for windows/amd64, linux/s390x, and the function for linux/amd64"
        );
    }

    fn manifest(layers: Vec<serde_json::Value>) -> Result<Document, ImageError> {
        let config = serde_json::json!({"digest": Digest::of(b"c"), "size": 2});
        let text = serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
        Document::read(text.as_bytes(), "the manifest")
    }

    #[test]
    fn manifests_have_limits() {
        let layer = |kind: &str, size: u64| serde_json::json!({"mediaType": kind, "digest": Digest::of(b"l"), "size": size});
        let good = "application/vnd.oci.image.layer.v1.tar+zstd";
        assert!(
            manifest(vec![layer(good, 10), layer("application/vnd.docker.image.rootfs.diff.tar.gzip", 1)])
                .is_ok()
        );
        assert!(matches!(manifest(Vec::new()), Err(ImageError::Malformed { .. })));
        assert!(matches!(manifest(vec![layer(good, 1); LAYERS_MAX + 1]), Err(ImageError::TooMany { .. })));
        assert!(matches!(manifest(vec![layer(good, u64::MAX); 2]), Err(ImageError::TooLarge { .. })));
        let encrypted = layer("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", 1);
        assert!(matches!(manifest(vec![encrypted]), Err(ImageError::Unsupported { .. })));
        let old = br#"{"schemaVersion": 1, "name": "x"}"#;
        assert!(matches!(Document::read(old, "it"), Err(ImageError::Unsupported { .. })));
    }
}
