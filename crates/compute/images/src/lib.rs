//! Container images: found by their names, fetched whole, unpacked, and what of them is to be executed.
//!
//! An image comes from a registry of the OCI distribution specification or from an OCI layout on disk ([`Images::resolve`]),
//! is kept as one archive ([`Pull`]; an OCI layout in a tar, which other tools read, too), and is unpacked from that
//! ([`unpack`]) to a folder that environments have as their root. Every digest is checked where bytes come in.
//!
//! An image is foreign from its first byte to its last: nothing of it is executed here, no link of it leads out of its
//! folder while it is unpacked, and nothing of it names a place to connect to that the operator has not allowed.
#![forbid(unsafe_code)]

mod apply;
mod archive;
mod beneath;
mod command;
mod config;
mod digest;
mod error;
mod fresh;
mod layer;
mod layout;
pub mod limits;
mod manifest;
mod mount_points;
mod pull;
mod reference;
mod registry;
mod sources;
mod tar;
mod unpack;

pub use command::Overrides;
pub use error::{Blame, ImageError};
/// A registry that the operator allows.
pub use lambent_outbound::HostRule as RegistryRule;
pub use pull::Pull;
pub use sources::{Images, ImagesConfig, Resolved};
pub use unpack::{open, unpack};
