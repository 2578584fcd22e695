//! TLS of the gateway: a certificate authority of the cloud's own, or certificates that the operator gives.
//!
//! The authority ([`Authority`]) lies in the data directory and may sign for this cloud's names alone. Leaf certificates are
//! made in memory, for the names that clients ask for, and renewed there long before they end. Given certificates are
//! looked at again when a client comes and a second has passed, so that nothing runs while nobody calls.
#![forbid(unsafe_code)]

mod authority;
mod given;
mod leaves;
mod names;

pub use authority::{Authority, Scope};

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lambent_base::{Clock, Random};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::ResolvesServerCert;
use rustls::version::{TLS12, TLS13};

use leaves::Leaves;

/// What clients may choose inside TLS; HTTP/2 is spoken without it alone.
const ALPN: &[u8] = b"http/1.1";

/// Everything a listener needs to speak TLS. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Kind);

#[derive(Clone)]
enum Kind {
    Local(Arc<Leaves>),
    Given(Arc<ServerConfig>),
}

/// Why there is no TLS. The texts go to the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("expected to be able to read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("expected {} to hold {expected} in PEM, got something else: {found}", path.display())]
    File { path: PathBuf, expected: &'static str, found: String },
    #[error(
        "expected {} to be the key of the certificate in {}: {source}",
        key.display(),
        certificate.display()
    )]
    Pair { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error(
        "expected the cloud's own certificate authority as JSON: {0}; remove the file, and a new one is made"
    )]
    Authority(String),
    #[error("a certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("TLS could not be set up: {0}")]
    Setup(#[from] rustls::Error),
}

impl Tls {
    /// Certificates by the cloud's own authority, for `localhost`, `domain`, what lies below them, and the addresses
    /// that clients connect to.
    pub fn local(authority: Authority, domain: &str, clock: Clock, random: Random) -> Result<Self, TlsError> {
        let leaves = Leaves::new(authority, domain, clock, random)?;
        Ok(Self(Kind::Local(Arc::new(leaves))))
    }

    /// A certificate (with its chain) and its key, in PEM files that may be replaced while this runs.
    pub fn given(certificate: &Path, key: &Path, clock: Clock) -> Result<Self, TlsError> {
        let given = given::Given::open(certificate, key, clock)?;
        Ok(Self(Kind::Given(config(Arc::new(given))?)))
    }

    /// For a connection to this address of ours.
    pub fn config(&self, local: IpAddr) -> Result<Arc<ServerConfig>, TlsError> {
        match &self.0 {
            Kind::Local(leaves) => leaves.config(local),
            Kind::Given(config) => Ok(Arc::clone(config)),
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Local(_) => "Tls(local)",
            Kind::Given(_) => "Tls(given)",
        })
    }
}

fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

fn config(certificates: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider()));
    let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    Ok(Arc::new(config))
}
