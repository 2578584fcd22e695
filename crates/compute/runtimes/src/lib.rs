//! The programs that run functions' languages: found on this host, installed, described for a sandbox.
#![forbid(unsafe_code)]

mod catalogue;

pub use catalogue::Catalogue;
