//! The manifest: which dumps a place of backups holds.

use std::fs;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::CareError;
use crate::dump::{Header, Totals};
use crate::shelf::{Shelf, put_bytes};

const NAME: &str = "manifest";
const FORMAT: u32 = 1;

/// What lies in a place of backups; JSON in its file `manifest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// Whose backups these are.
    pub cloud_id: String,
    /// From the oldest to the newest.
    pub dumps: Vec<DumpEntry>,
}

/// One dump.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpEntry {
    /// As `20261121T224317Z-81`: when it was made, in UTC, and the version of the store.
    #[serde(deserialize_with = "dump_name")]
    pub name: String,
    /// Milliseconds since 1970.
    pub made_ms: i64,
    pub version: u64,
    pub rows: u64,
    /// Of keys and values.
    pub bytes: u64,
    /// How many blobs its rows name.
    pub blobs: u64,
    /// Those of them that could not be copied: they were missing or damaged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl Manifest {
    pub(crate) fn new(cloud_id: String) -> Self {
        Self { format: FORMAT, cloud_id, dumps: Vec::new() }
    }

    /// The manifest of a place; `None` where nothing was backed up yet.
    pub async fn read(shelf: &dyn Shelf) -> Result<Option<Self>, CareError> {
        let Some(path) = shelf.get(NAME).await? else { return Ok(None) };
        let text = fs::read(&path).map_err(CareError::io("read", &path))?;
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| CareError::Manifest(shelf.name(), error))?;
        if manifest.format > FORMAT {
            let (place, found) = (shelf.name(), manifest.format);
            return Err(CareError::ManifestFormat { place, found, known: FORMAT });
        }
        Ok(Some(manifest))
    }

    pub(crate) async fn write(&self, shelf: &dyn Shelf) -> Result<(), CareError> {
        let text = serde_json::to_vec_pretty(self).expect("a manifest is texts and numbers");
        put_bytes(shelf, NAME, &text).await
    }

    /// The dump of that name, or the newest.
    pub(crate) fn choose(&self, shelf: &dyn Shelf, wanted: Option<&str>) -> Result<&DumpEntry, CareError> {
        let place = || shelf.name();
        let Some(wanted) = wanted else {
            return self.dumps.last().ok_or_else(|| CareError::NoBackup { place: place() });
        };
        self.dumps.iter().find(|dump| dump.name == wanted).ok_or_else(|| CareError::NoDump {
            place: place(),
            name: wanted.to_owned(),
            found: self.dumps.iter().map(|dump| dump.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }
}

impl DumpEntry {
    pub(crate) fn new(made_ms: i64, header: &Header, totals: Totals, blobs: u64) -> Self {
        let time = jiff::Timestamp::from_millisecond(made_ms).unwrap_or_default();
        let name = format!("{}-{}", time.strftime("%Y%m%dT%H%M%SZ"), header.version.0);
        let (version, Totals { rows, bytes, .. }) = (header.version.0, totals);
        Self { name, made_ms, version, rows, bytes, blobs, missing: Vec::new() }
    }

    /// Where the dump lies.
    pub(crate) fn file(&self) -> String {
        format!("rows/{}.dump", self.name)
    }
}

/// The name of a dump. It becomes part of a path, so it has nothing in it that a name of ours has not.
fn dump_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let is_ours = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'T' | b'Z' | b'-');
    if name.is_empty() || !name.bytes().all(is_ours) {
        let expected = "expected the name of a dump as `20261121T224317Z-81`";
        return Err(D::Error::custom(format!("{expected}, got `{}`", name.escape_debug())));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        let entry = |name: &str| {
            let json = serde_json::json!({
                "name": name, "made_ms": 1, "version": 2, "rows": 3, "bytes": 4, "blobs": 5
            });
            serde_json::from_value::<DumpEntry>(json)
        };
        assert_eq!(entry("20261121T224317Z-81").unwrap().file(), "rows/20261121T224317Z-81.dump");
        for name in ["", "../../blobs/1", "/etc/1", "2026.dump"] {
            assert!(entry(name).is_err(), "{name}");
        }
    }
}
