//! Keeps keys out of core dumps and out of other processes' sight.

use rustix::process::{DumpableBehavior, Resource, Rlimit, geteuid, set_dumpable_behavior, setrlimit};

/// Bytes: no dump is as small, and it is the one limit by which the kernel leaves handlers at a pipe out, too.
/// Source: Linux, core(5), "Piping core dumps to a program".
const CORE_BYTES_MAX: u64 = 1;

/// To be called before a key is read. What the host refuses is told in the log.
pub(crate) fn keep_memory_private() {
    let limit = Rlimit { current: Some(CORE_BYTES_MAX), maximum: Some(CORE_BYTES_MAX) };
    if let Err(error) = setrlimit(Resource::Core, limit) {
        tracing::warn!(%error, "core dumps could not be forbidden: one would hold keys");
    }
    // An ordinary user's process that hides its memory may no longer write the maps of its children's user namespaces.
    if geteuid().is_root()
        && let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable)
    {
        tracing::warn!(%error, "the memory could not be hidden from other processes");
    }
}
