//! Bounds of the service. Source: Amazon S3 User Guide, "Amazon S3 objects overview", "Amazon S3 multipart upload
//! limits", "Bucket quotas, limitations, and restrictions".

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Bodies up to this size live in the object's row; longer ones in a blob.
pub(crate) const INLINE_MAX_BYTES: u64 = 32 * KIB;
/// The largest body of one PutObject, UploadPart or CopyObject.
pub(crate) const SINGLE_PUT_MAX_BYTES: u64 = 5 * GIB;
/// The largest object.
pub(crate) const OBJECT_MAX_BYTES: u64 = 50_000_000_000_000;
/// The smallest part of a multipart upload, its last part excepted.
pub(crate) const PART_MIN_BYTES: u64 = 5 * MIB;
/// Part numbers go from 1 to this.
pub(crate) const PART_NUMBER_MAX: i32 = 10_000;
/// Upload ids that are longer cannot be one of ours.
pub(crate) const UPLOAD_ID_MAX_BYTES: usize = 1024;
/// The longest object key, in bytes of UTF-8.
pub(crate) const KEY_MAX_BYTES: usize = 1024;
/// Names and values of the user's metadata together, in bytes.
pub(crate) const USER_METADATA_MAX_BYTES: usize = 2 * 1024;
/// Content headers (type, disposition and so on) together, in bytes: what fits beside an inline body.
pub(crate) const CONTENT_HEADERS_MAX_BYTES: usize = 8 * 1024;
/// Keys, uploads or parts that one page of a listing shows.
pub(crate) const LIST_MAX_ENTRIES: usize = 1000;
/// Buckets that one page of ListBuckets shows.
pub(crate) const LIST_MAX_BUCKETS: usize = 10_000;
/// Objects that one DeleteObjects names.
pub(crate) const DELETE_MAX_OBJECTS: usize = 1000;
/// Buckets that one account may have.
pub(crate) const BUCKETS_MAX: usize = 10_000;
/// Rules of one notification configuration.
pub(crate) const NOTIFICATION_RULES_MAX: usize = 100;
/// The longest id of a notification rule, in characters.
pub(crate) const NOTIFICATION_ID_MAX_CHARS: usize = 255;
/// How long replaced data stays readable, so that readers in flight finish, in milliseconds.
pub(crate) const GC_GRACE_MS: i64 = 15 * 60 * 1000;
/// How soon after the look at an object its data must be held, or it is looked at again.
pub(crate) const HOLD_WITHIN_MS: i64 = GC_GRACE_MS / 2;
/// How long a read is held before other nodes are told.
pub(crate) const READ_TOLD_AFTER_MS: i64 = GC_GRACE_MS / 3;
/// How long it may take to tell them, and how long the transaction that lets go of the data may last.
const TELLING_MS: i64 = 30 * 1000;
/// How far the clocks of nodes may be apart: one that is ahead of the clock by which data was let go of finds the grace
/// over so much earlier.
const CLOCKS_APART_MS: i64 = 2 * 60 * 1000;
/// How long the sweeper leaves dead data alone that it found being read, in milliseconds.
pub(crate) const GC_READ_PAUSE_MS: i64 = 3 * 60 * 1000;
/// How long a node that was taken for dead may take to reach the store, join anew and tell what it reads.
const JOINING_MS: i64 = 60 * 1000;

// The data of an object that is let go of right after the look at it is held late, told late, and swept early.
const _: () = assert!(HOLD_WITHIN_MS + READ_TOLD_AFTER_MS + TELLING_MS + CLOCKS_APART_MS <= GC_GRACE_MS);
// The pause ends by the clock of any node.
const _: () = assert!(JOINING_MS + CLOCKS_APART_MS <= GC_READ_PAUSE_MS);

/// How many parts of dead objects one step of the sweeper looks at.
pub(crate) const GC_STEP_ROWS: usize = 200;
/// How many bytes of their rows: they may all have to be written elsewhere in one transaction.
pub(crate) const GC_STEP_BYTES: usize = 1024 * 1024;
/// Rows that one read of a listing takes from the store.
pub(crate) const LIST_PAGE_ROWS: usize = 1001;
/// Bytes that one read of a listing takes from the store.
pub(crate) const LIST_PAGE_BYTES: usize = 1024 * 1024;
/// Buckets whose owners and policies are kept in memory; beyond it all are forgotten, and looked up when needed.
pub(crate) const KNOWN_BUCKETS_MAX: usize = 10_000;
/// Bytes of a bucket's policy, white space not counted. Source: Amazon S3 User Guide, "Bucket policies".
pub(crate) const POLICY_MAX_BYTES: usize = 20 * 1024;
/// Bytes of a bucket's policy as it is written: a row has no room for more.
pub(crate) const POLICY_TEXT_MAX_BYTES: usize = 48 * 1024;
