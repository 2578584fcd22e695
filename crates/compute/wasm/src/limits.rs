//! What is bounded here, and by how much.

use std::time::Duration;

/// Bytes of a component's file.
pub(crate) const COMPONENT_BYTES_MAX: u64 = 64 << 20;
/// Components that are compiled at once: each takes a core and some hundred MiB.
pub(crate) const COMPILATIONS_MAX: usize = 1;
/// Compilations that may wait for their turn.
pub(crate) const COMPILATIONS_WAITING_MAX: usize = 256;
/// Calls that run at once, over all functions; further ones are throttled.
pub(crate) const INSTANCES_MAX: u32 = 1_000;
/// Core instances, memories and tables of one component: those of componentize-py have some twenty.
pub(crate) const CORE_INSTANCES_EACH: u32 = 64;
pub(crate) const MEMORIES_EACH: u32 = 20;
pub(crate) const TABLES_EACH: u32 = 40;
/// Elements of one table: componentize-py's has 15,000.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 32_768;
/// Bytes that the engine keeps of one instance beside its memories.
pub(crate) const INSTANCE_BYTES_MAX: usize = 4 << 20;
/// Bytes of one memory: what 32 bits address.
pub(crate) const MEMORY_BYTES_MAX: usize = 4 << 30;
/// Of each unused place for a memory so many bytes stay resident, and are cleared by hand rather than by the kernel.
pub(crate) const KEEP_RESIDENT_BYTES: usize = 1 << 20;
/// Unused places that stay warm.
pub(crate) const WARM_PLACES_MAX: u32 = 64;
/// The part of the memory that this process may use which instances may have together: one over so many.
pub(crate) const MEMORY_SHARE: u64 = 2;

/// Things that the host keeps for one instance at once: streams, timers, headers, requests.
pub(crate) const RESOURCES_MAX: usize = 512;
/// Bytes of one set of header fields that a component makes, with what the host needs to keep them.
pub(crate) const FIELDS_BYTES_MAX: usize = 8 << 10;
/// Bytes of the names and values of the headers that a component is handed: it may have copies made of them.
pub(crate) const REQUEST_HEADER_BYTES_MAX: usize = 16 << 10;
/// Bytes of the method, of the path and of the authority of a request that a component makes.
pub(crate) const REQUEST_PART_BYTES_MAX: usize = 4 << 10;
/// Bytes that a body takes in one write. Two writes may wait in it, which is itself two things: a body and a stream.
pub(crate) const BODY_CHUNK_BYTES: usize = 16 << 10;
/// Requests of one instance that are under way at once.
pub(crate) const OUTGOING_MAX: usize = 16;
/// Bytes that are read ahead of a response, its headers among them.
pub(crate) const OUTGOING_BUFFER_BYTES: usize = 16 << 10;
/// How long it may take to look a host up and to connect to it.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Names of hosts that are looked up at once, each by a thread of those that the platform shares.
pub(crate) const LOOKUPS_MAX: usize = 64;
/// Those of one function.
pub(crate) const LOOKUPS_EACH: usize = 8;
/// How long a response may let wait for itself; no function runs longer.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(900);
/// Bytes that are set aside for each of those things.
pub(crate) const RESOURCE_BYTES: usize = 16 << 10;
/// Bytes that are set aside for what the host keeps for one instance.
pub(crate) const HOST_BYTES: usize = RESOURCES_MAX * RESOURCE_BYTES;
/// Bytes that a component hands over in one call or result: a result of the largest size, and some.
pub(crate) const TRANSFER_BYTES_MAX: usize = 8 << 20;
/// Handles of components within one instance.
pub(crate) const HANDLES_MAX: usize = 16_384;

/// How often running code is asked to let others run.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// After so many ticks a call goes on among threads of low priority.
pub(crate) const TICKS_BEFORE_SHIFT: u64 = 2;
/// The clock of ticks stands still when no call has run for so many.
pub(crate) const TICKS_IDLE_MAX: u32 = 20;
/// How much lower their priority is.
pub(crate) const NICE: i32 = 10;

/// Bytes of output that wait until the log takes them.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// Bytes that each file, folder and link in a `/tmp` counts for itself.
pub(crate) const TMP_ENTRY_BYTES: u64 = 4 << 10;
/// Levels of folders in a `/tmp`.
pub(crate) const TMP_DEPTH_MAX: usize = 64;
/// How often the disk is asked whether it has room for more: after so many bytes.
pub(crate) const TMP_CLAIM_BYTES: u64 = 1 << 20;
/// Bytes that all of them together leave free on their disk: others need them more.
pub(crate) const TMP_RESERVE_BYTES: u64 = 1 << 30;
/// Bytes that one call takes of random numbers at once.
pub(crate) const RANDOM_BYTES_MAX: u64 = 1 << 20;
/// Calls that one instance serves where instances are reused.
pub(crate) const REUSES_MAX: u32 = 10_000;
/// Log streams, credentials and reused instances of a function are given up after so long without a call.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// They are replaced when they are so old, as their credentials end.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(6 * 3600);
/// Bytes of an HTTP response's body, and so of what an event's answer is made of.
pub(crate) const RESPONSE_BYTES_MAX: usize = 6 * 1024 * 1024;
