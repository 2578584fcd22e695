//! What images may be like. Sources: AWS Lambda Developer Guide, "Lambda quotas" (10 GB uncompressed, all layers); the OCI
//! image and distribution specifications.

use std::time::Duration;

/// Bytes of all layers, unpacked.
pub const UNPACKED_BYTES_MAX: u64 = 10 << 30;
/// Bytes of all layers as they are sent.
pub const PACKED_BYTES_MAX: u64 = 10 << 30;
/// Layers of one image: what container engines take.
pub const LAYERS_MAX: usize = 127;
/// Files, folders and links of all layers together; folders that a layer only implies are counted too.
pub const ENTRIES_MAX: usize = 1_000_000;
/// Bytes of a manifest or an index: what registries must at least take.
pub(crate) const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// Bytes of an image's configuration.
pub(crate) const CONFIG_BYTES_MAX: usize = 4 << 20;
/// Bytes of a token server's answer.
pub(crate) const TOKEN_BYTES_MAX: usize = 256 << 10;
/// Bytes of the operator's file of credentials.
pub(crate) const CREDENTIALS_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a path, or of a link's target, in a layer.
pub(crate) const PATH_BYTES_MAX: usize = 4_096;
/// Bytes of one component of a path.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// Folders within folders.
pub(crate) const DEPTH_MAX: usize = 256;
/// Bytes of the records that precede an entry of a tar file.
pub(crate) const TAR_RECORDS_BYTES_MAX: u64 = 1 << 20;
/// Indexes within indexes.
pub(crate) const INDEX_DEPTH_MAX: usize = 2;
/// Bytes of an image's name, with everything.
pub(crate) const REFERENCE_BYTES_MAX: usize = 1_024;
/// Variables of an image's configuration.
pub(crate) const VARIABLES_MAX: usize = 1_000;
/// Bytes, written as JSON, of what an image's configuration has executed: its variables, entry point, command and working
/// directory. They travel to the sandbox in packets of 64 KiB, beside the function's own variables and its credentials.
pub(crate) const EXECUTION_BYTES_MAX: usize = 32 << 10;
/// Bytes of memory that a zstd frame may ask for.
pub(crate) const ZSTD_WINDOW_MAX: u64 = 128 << 20;

/// How often a registry may send a request on.
pub(crate) const REDIRECTS_MAX: usize = 5;
/// How long it may take to find out what a name means: CreateFunction waits for it.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a whole image may take to come: so long, and longer by what its layers need at the least speed. A registry that
/// sends a byte now and then would hold a place among those that are fetched for as long as it likes.
pub(crate) const PULL_PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Bytes that a registry sends in a second, on average, at the least.
pub(crate) const PULL_BYTES_PER_S_MIN: u64 = 1 << 20;
/// Bytes read from disk at a time.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
