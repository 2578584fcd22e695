//! What bounds one environment's way out, and all together.

use std::time::Duration;

/// The largest packet, as the device is set up by the sandbox.
pub const MTU: usize = 65_535;

/// TCP connections of one environment, those that are being made included; one more is refused. A function may have
/// 1,024 descriptors open, and other things than connections among them.
pub const MAX_STREAMS: usize = 512;
/// TCP connections of all environments, of which no owner has more than half of what others leave; one more is refused.
/// With both buffers full: 512 MiB.
pub const MAX_STREAMS_IN_ALL: usize = 4_096;
/// Pairs of UDP endpoints of one environment; with one more the one that was silent longest is forgotten.
pub const MAX_DATAGRAM_FLOWS: usize = 256;
/// Pairs of UDP endpoints of all environments, shared like connections; one more is refused.
pub const MAX_DATAGRAM_FLOWS_IN_ALL: usize = 4_096;
/// So many of each kind besides, only for talking to a resolver, and shared like the others: names are found even when
/// all else is taken.
pub const RESERVED_FOR_NAMES: usize = 256;
/// The longest question on a TCP connection to a resolver. The longest name has 255 bytes; options and signatures come
/// on top.
pub const MAX_QUESTION_BYTES: usize = 4_096;

/// What is held of a connection for each direction, in bytes. Whoever sends more waits until the other side reads.
pub const STREAM_BUFFER_BYTES: usize = 64 * 1024;
/// A connection over which nothing goes for so long is reset, as by AWS's NAT gateway.
/// Source: Amazon VPC User Guide, "Troubleshoot NAT gateways".
pub const STREAM_IDLE: Duration = Duration::from_secs(350);
/// How long the outside may take to accept a connection.
pub const CONNECT_WAIT: Duration = Duration::from_secs(30);
/// After so much silence a live connection is asked whether its other end is still there.
pub const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(60);
/// A pair of UDP endpoints is forgotten after so much silence. Source: RFC 4787, REQ-5.
pub const DATAGRAM_IDLE: Duration = Duration::from_secs(120);
/// The same where the resolver is asked: so long it has time to answer, and so long a client may ask again.
pub const QUERY_IDLE: Duration = Duration::from_secs(10);

/// Packets that are taken from one environment before others have their turn.
pub(crate) const PACKETS_A_TURN: usize = 64;
/// Datagrams that come in for one pair of endpoints before others have their turn.
pub(crate) const DATAGRAMS_A_TURN: usize = 32;
/// Addresses for which an environment's refusals are logged, once each.
pub(crate) const MAX_LOGGED_ADDRESSES: usize = 64;
/// Entries that a policy may have.
pub(crate) const MAX_POLICY_ENTRIES: usize = 256;
