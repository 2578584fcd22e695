//! Lambda's quotas and our own bounds. Source: AWS Lambda Developer Guide, "Lambda quotas", and recorded answers.

use std::time::Duration;

/// The largest request that CreateFunction and UpdateFunctionCode accept, in bytes: for the gateway.
pub const REQUEST_BYTES_MAX: usize = 70_167_211;
/// The largest deployment package that comes within a request, in bytes.
pub const ZIP_BYTES_MAX: usize = 52_428_800;
/// A deployment package, unpacked, has fewer bytes than this. (From S3, packed too.)
pub const UNZIPPED_BYTES_LIMIT: u64 = 262_144_000;
/// Files, folders and links in a deployment package.
pub(crate) const CODE_ENTRIES_MAX: usize = 100_000;
/// Bytes of one entry's path in a deployment package.
pub(crate) const CODE_PATH_BYTES_MAX: usize = 1_024;
/// Bytes of one component of an entry's path: what Linux file systems take.
pub(crate) const CODE_NAME_BYTES_MAX: usize = 255;
/// Folders within folders.
pub(crate) const CODE_DEPTH_MAX: usize = 64;

/// Layers of one function.
pub(crate) const LAYERS_MAX: usize = 5;

/// Characters of a function's bare name.
pub(crate) const FUNCTION_NAME_MAX: usize = 64;
/// MiB of memory.
pub(crate) const MEMORY_MIB: std::ops::RangeInclusive<i32> = 128..=10_240;
/// MiB of `/tmp`.
pub(crate) const EPHEMERAL_MIB: std::ops::RangeInclusive<i32> = 512..=10_240;
/// Seconds that one invocation may take.
pub(crate) const TIMEOUT_S: std::ops::RangeInclusive<i32> = 1..=900;
/// Bytes of the environment variables, written as a JSON object.
pub(crate) const ENVIRONMENT_BYTES_MAX: usize = 4_096;
/// Tags of one function.
pub(crate) const TAGS_MAX: usize = 50;
/// Bytes of a resource policy's document.
pub(crate) const POLICY_BYTES_MAX: usize = 20_480;

/// What an account may run at once unless it is told otherwise.
pub const ACCOUNT_CONCURRENCY: u32 = 1_000;
/// What has to be left for functions without reserved concurrency, where an account may run more than this at once; and
/// where it may not.
pub(crate) const UNRESERVED_MIN: u32 = 100;
pub(crate) const UNRESERVED_MIN_SMALL: u32 = 10;
/// Bytes of all deployment packages together that AWS lets an account have. (Here the disk decides.)
pub(crate) const TOTAL_CODE_BYTES_MAX: u64 = 80_530_636_800;
/// How often a function may be called again because of one event.
pub(crate) const RECURSIONS_MAX: u32 = 16;
/// Bytes of an invocation record: with more it is told without the response, or without the request.
pub(crate) const RECORD_BYTES_MAX: usize = lambent_bus::MAX_PAYLOAD_BYTES;
/// Characters of a dead letter's ErrorMessage.
pub(crate) const DEAD_LETTER_MESSAGE_MAX: usize = 1_024;
/// Bytes of a synchronous invocation's payload.
pub const SYNC_PAYLOAD_MAX: usize = 6_291_456;
/// Bytes of an asynchronous invocation's payload.
pub const ASYNC_PAYLOAD_MAX: usize = 1_048_576;
/// Bytes of `X-Amz-Client-Context`, as base64.
pub(crate) const CLIENT_CONTEXT_MAX: usize = 3_583;

/// Filters of one event source mapping. Source: AWS Lambda Developer Guide, "Filter criteria basics".
pub(crate) const FILTERS_MAX: usize = 10;
/// Event source mappings in one page of a list.
pub(crate) const MAPPINGS_PAGE_MAX: usize = 100;
/// The youngest age, in seconds, at which records may be given up.
pub(crate) const RECORD_AGE_MIN_S: i32 = 60;

/// Functions, or versions, in one page of a list.
pub(crate) const PAGE_MAX: usize = 50;
/// How long a policy, or a function URL, is decided by as it was read: a node that is cut off from what tells it of others' changes goes by none that
/// is older.
pub(crate) const POLICY_AGE_MAX: Duration = Duration::from_secs(5);
/// Functions, versions and aliases whose policies are held in memory.
pub(crate) const KNOWN_POLICIES_MAX: usize = 10_000;
/// Functions whose rows and specs are held in memory.
pub(crate) const CACHED_FUNCTIONS_MAX: usize = 10_000;
/// Function URLs that are held in memory.
pub(crate) const CACHED_URLS_MAX: usize = 10_000;
/// Bytes with which a streamed response describes itself.
pub(crate) const RESPONSE_PRELUDE_MAX: usize = 64 * 1024;
/// Deployment packages that are fetched, checked and stored at once; further requests wait.
pub(crate) const CHECKS_MAX: usize = 4;
/// Container images that are fetched at once; further functions stay pending.
pub(crate) const PULLS_MAX: usize = 2;
/// Deployment packages that are unpacked at once.
pub(crate) const UNPACKINGS_MAX: usize = 2;
/// Functions whose code is compiled at once.
pub(crate) const COMPILATIONS_MAX: usize = 1;
/// Published versions that one transaction deletes.
pub(crate) const VERSIONS_DELETED_AT_ONCE: usize = 1_000;
/// Aliases, policies and the like of a function that is deleted, which one transaction deletes.
pub(crate) const ROWS_DELETED_AT_ONCE: usize = 1_000;
/// Rows that background work reads at a time.
pub(crate) const WORK_PAGE_ROWS: usize = 100;

/// Bytes that code leaves free on its disk, as blobs do.
pub const DISK_RESERVE_BYTES: u64 = 128 << 20;

/// How long a URL of GetFunction's Code.Location works.
pub(crate) const DOWNLOAD_URL_TTL: Duration = Duration::from_secs(600);
/// How often code that is still in use is looked at again, as long as there is such code.
pub(crate) const SWEEP_RETRY: Duration = Duration::from_secs(30);
/// How long the credentials of an environment last: AWS's twelve hours, beyond the pool's oldest environment.
pub(crate) const CREDENTIALS_TTL: Duration = Duration::from_secs(12 * 3600);

/// Extensions of a function. Source: AWS Lambda Developer Guide, "Configuring extensions".
pub(crate) const EXTENSIONS_MAX: usize = 10;
