//! Certificates of the cloud's own authority, made for the names that clients ask for and kept in memory alone.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use lambent_base::{Clock, Random};
use parking_lot::Mutex;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::authority::{Authority, DAY_S, LEAF_LIFE_S};
use crate::names::{self, LOCALHOST};
use crate::{TlsError, config};

/// A leaf is made anew when it is older than this, and so long before it ends.
const RENEW_AFTER_S: i64 = LEAF_LIFE_S - 60 * DAY_S;
/// Names with a leaf of their own; then all are forgotten, as making one costs no more than a handshake.
const NAMES_MAX: usize = 1024;
/// Addresses of this host that have a configuration of their own; further ones share the first.
const ADDRESSES_MAX: usize = 64;

/// Makes and keeps leaves.
pub(crate) struct Leaves {
    maker: Arc<Maker>,
    by_address: Mutex<HashMap<Option<IpAddr>, Arc<ServerConfig>>>,
}

/// What a leaf is made of; one key serves all of them, as they are of one server.
struct Maker {
    authority: Authority,
    domain: String,
    patterns: Vec<String>,
    key: KeyPair,
    clock: Clock,
    random: Random,
}

impl Leaves {
    pub(crate) fn new(
        authority: Authority,
        domain: &str,
        clock: Clock,
        random: Random,
    ) -> Result<Self, TlsError> {
        let domain = domain.to_ascii_lowercase();
        let (patterns, key) = (names::patterns(&domain), KeyPair::generate()?);
        let maker = Arc::new(Maker { authority, domain, patterns, key, clock, random });
        let leaves = Self { maker, by_address: Mutex::default() };
        // What cannot be made is told at the start.
        leaves.maker.leaf(None, None)?;
        Ok(leaves)
    }

    /// For connections to an address of this host, which clients may know it by.
    pub(crate) fn config(&self, local: IpAddr) -> Result<Arc<ServerConfig>, TlsError> {
        let local = local.to_canonical();
        let mut address = (!local.is_loopback()).then_some(local);
        let mut by_address = self.by_address.lock();
        if by_address.len() >= ADDRESSES_MAX && !by_address.contains_key(&address) {
            address = None;
        }
        if let Some(config) = by_address.get(&address) {
            return Ok(Arc::clone(config));
        }
        let maker = Arc::clone(&self.maker);
        let made = config(Arc::new(ForNames { maker, address, leaves: Mutex::default() }))?;
        by_address.insert(address, Arc::clone(&made));
        Ok(made)
    }
}

impl Maker {
    /// A certificate for what the cloud is called everywhere, and for this name and this address.
    fn leaf(&self, name: Option<&str>, address: Option<IpAddr>) -> Result<Arc<CertifiedKey>, TlsError> {
        // Some clients look at the first name alone when they say whom they speak to.
        let names: Vec<String> =
            name.map(str::to_owned).into_iter().chain(self.patterns.iter().cloned()).collect();
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let address = address.filter(|address| self.authority.scope().covers_address(*address));
        let addresses: Vec<IpAddr> = loopback.into_iter().chain(address).collect();
        let made = self.authority.leaf(&names, &addresses, &self.key, (&self.clock, &self.random))?;
        Ok(Arc::new(made))
    }

    /// The name that a leaf has to be made for, if those of all names do not do.
    fn special<'a>(&self, name: Option<&'a str>) -> Option<&'a str> {
        let is_ours = |name: &&str| names::is_within(name, LOCALHOST) || names::is_within(name, &self.domain);
        name.filter(is_ours).filter(|name| !names::is_covered(name, &self.patterns))
    }
}

/// A certificate, and the time when it is made anew, in seconds since 1970.
type Leaf = (Arc<CertifiedKey>, i64);

/// Chooses among the leaves of one address.
struct ForNames {
    maker: Arc<Maker>,
    address: Option<IpAddr>,
    /// By the name that they were made for.
    leaves: Mutex<HashMap<Option<String>, Leaf>>,
}

impl ForNames {
    fn find(&self, name: Option<&str>) -> Result<Arc<CertifiedKey>, TlsError> {
        let name = name.map(str::to_ascii_lowercase);
        let special = self.maker.special(name.as_deref());
        let now_s = self.maker.clock.unix_s();
        let mut leaves = self.leaves.lock();
        let kept = special.map(str::to_owned);
        if let Some((leaf, _)) = leaves.get(&kept).filter(|(_, renew_s)| now_s < *renew_s) {
            return Ok(Arc::clone(leaf));
        }
        let leaf = self.maker.leaf(special, self.address)?;
        if leaves.len() >= NAMES_MAX {
            leaves.clear();
        }
        leaves.insert(kept, (Arc::clone(&leaf), now_s + RENEW_AFTER_S));
        Ok(leaf)
    }
}

impl ResolvesServerCert for ForNames {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match self.find(hello.server_name()) {
            Ok(leaf) => Some(leaf),
            Err(error) => {
                tracing::warn!(%error, name = hello.server_name(), "there is no certificate for a client");
                None
            }
        }
    }
}

impl fmt::Debug for ForNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForNames").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Scope;

    fn leaves(domain: &str) -> (ForNames, lambent_base::ManualClock) {
        let (clock, hand) = Clock::manual(1_800_000_000_000);
        let random = Random::seeded(1);
        let scope = Scope::new(domain, Ipv4Addr::LOCALHOST.into());
        let authority = Authority::make(scope, &clock, &random).unwrap();
        let made = Leaves::new(authority, domain, clock, random).unwrap();
        (ForNames { maker: made.maker, address: None, leaves: Mutex::default() }, hand)
    }

    #[test]
    fn names_share_a_leaf_unless_clients_want_one_of_their_own() {
        let (leaves, _hand) = leaves("example.org");
        let shared = leaves.find(None).unwrap();
        for name in ["localhost", "photos.s3.localhost", "example.org", "a.example.org", "elsewhere.net"] {
            assert!(Arc::ptr_eq(&shared, &leaves.find(Some(name)).unwrap()), "{name}");
        }
        let special = leaves.find(Some("my.photos.s3.localhost")).unwrap();
        assert!(!Arc::ptr_eq(&shared, &special));
        assert!(Arc::ptr_eq(&special, &leaves.find(Some("MY.photos.s3.localhost")).unwrap()));
    }

    #[test]
    fn leaves_are_renewed_before_they_end() {
        let (leaves, hand) = leaves("localhost");
        let first = leaves.find(None).unwrap();
        hand.advance(Duration::from_secs(29 * 24 * 3600));
        assert!(Arc::ptr_eq(&first, &leaves.find(None).unwrap()));
        hand.advance(Duration::from_secs(2 * 24 * 3600));
        assert!(!Arc::ptr_eq(&first, &leaves.find(None).unwrap()));
    }

    #[test]
    fn names_that_strangers_ask_for_do_not_pile_up() {
        let (leaves, _hand) = leaves("localhost");
        for number in 0..NAMES_MAX + 10 {
            leaves.find(Some(&format!("a{number}.b.localhost"))).unwrap();
        }
        assert!(leaves.leaves.lock().len() <= NAMES_MAX);
    }
}
