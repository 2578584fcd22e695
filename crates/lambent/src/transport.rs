//! HTTPS of the cloud: whose certificates, and what the other commands are told of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use lambent_base::{Clock, Random};
use lambent_gateway::{Door, limits};
use lambent_tls::{Authority, Scope, Tls, TlsError};

use crate::data_dir::{DataDir, DataDirError};
use crate::up::DOMAIN_DEFAULT;

/// The authority with its key.
const AUTHORITY: &str = "tls-authority.json";

#[derive(Args, Debug)]
pub(crate) struct TransportArgs {
    /// A certificate for HTTPS with its chain, in PEM, instead of one by the cloud's own authority; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The key of this certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Take HTTP without TLS from other hosts, too: who listens in reads everything, and may send it again for 15 minutes
    #[arg(long)]
    allow_plain_http: bool,
    /// How many connections one address may have, if that is not one of loopback
    #[arg(long, value_name = "CONNECTIONS", default_value_t = limits::PEER_CONNECTIONS_MAX, value_parser = peer_connections)]
    peer_connections: usize,
}

fn peer_connections(text: &str) -> Result<usize, String> {
    let range = 1..=limits::CONNECTIONS_MAX;
    let count = text.parse().ok().filter(|count| range.contains(count));
    count.ok_or_else(|| format!("expected a number from 1 to {}", limits::CONNECTIONS_MAX))
}

/// Why HTTPS could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error(transparent)]
    Directory(#[from] DataDirError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl TransportArgs {
    /// The gateway's door; makes the cloud's authority if certificates are its own and there is none yet.
    pub(crate) fn door(
        &self,
        data_dir: &DataDir,
        (listen, domain): (IpAddr, &str),
        (clock, random): (&Clock, &Random),
    ) -> Result<Door, TransportError> {
        let tls = match self.given() {
            Some((certificate, key)) => {
                data_dir.remove(lambent_cli::CA_FILE)?;
                Tls::given(certificate, key, clock.clone())?
            }
            None => {
                let authority = authority(data_dir, &Scope::new(domain, listen), clock, random)?;
                data_dir.keep_private(lambent_cli::CA_FILE, authority.certificate())?;
                Tls::local(authority, domain, clock.clone(), random.clone())?
            }
        };
        Ok(Door {
            tls: Some(tls),
            allows_plain_http: self.allow_plain_http,
            peer_connections: self.peer_connections,
        })
    }

    fn given(&self) -> Option<(&Path, &Path)> {
        Some((self.tls_certificate.as_deref()?, self.tls_key.as_deref()?))
    }

    /// The address that clients are told: the simplest one that works for them.
    pub(crate) fn endpoint(&self, address: SocketAddr, domain: &str) -> String {
        let port = address.port();
        let ip = address.ip();
        if self.allow_plain_http || ip.is_loopback() {
            return near(address);
        }
        match domain {
            DOMAIN_DEFAULT if ip.is_unspecified() => near(address),
            DOMAIN_DEFAULT => format!("https://{address}"),
            _ => format!("https://{domain}:{port}"),
        }
    }
}

/// Where the commands on this host reach the cloud: without TLS, as nothing of it leaves the host.
pub(crate) fn near(address: SocketAddr) -> String {
    format!("http://{}", reachable(address))
}

/// An address that listens on all addresses is reached by loopback from its own host.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The authority of this data directory, or a new one where it has none that will do.
fn authority(
    data_dir: &DataDir,
    scope: &Scope,
    clock: &Clock,
    random: &Random,
) -> Result<Authority, TransportError> {
    let kept = data_dir.private(AUTHORITY)?;
    if let Some(kept) = &kept {
        if let Some(authority) = Authority::read(kept, scope, clock)? {
            return Ok(authority);
        }
        tracing::warn!(
            "the certificate authority is replaced: it is near its end, or made for another --domain or --listen"
        );
    }
    let authority = Authority::make(scope.clone(), clock, random)?;
    data_dir.keep_private(AUTHORITY, &authority.to_json())?;
    Ok(authority)
}
