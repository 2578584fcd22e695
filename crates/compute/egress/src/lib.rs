//! The outside world for functions, where the operator allows it.
//!
//! An environment's network device ends in a descriptor here, not in the host's network: the packets that a function
//! sends are taken apart, and for each connection that it opens the [`Policy`] decides whether the daemon makes one like
//! it, with ordinary sockets. So nothing of the host's network can be seen from inside, no privilege and no firewall
//! rule is needed, and two environments have no way to each other.
//!
//! What is refused is refused at once: a reset for TCP, an ICMP message for UDP. Names are resolved by the host's
//! resolvers, to which the gateway's port 53 leads; as every connection is judged by its address, it does not matter
//! what a name was said to be.
#![forbid(unsafe_code)]

mod cidr;
mod datagrams;
mod error;
mod flow;
pub mod limits;
mod link;
mod network;
mod packet;
mod policy;
mod questions;
mod ranges;
mod resolvers;
mod routes;
mod shares;
mod stack;
mod stream;

pub use cidr::{Cidr, CidrError};
pub use network::{ConnectionPlace, Network, NetworkConfig};
pub use policy::{Policy, PolicyError, Refusal};
pub use resolvers::ResolverSource;
