//! Who answers the functions' questions for names: the host's own resolvers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use lambent_base::Clock;
use parking_lot::Mutex;

/// Source: resolv.conf(5), which allows as many.
const MAX_RESOLVERS: usize = 3;
const PORT: u16 = 53;
const HOST_FILE: &str = "/etc/resolv.conf";
/// The host's file may change, when it moves to another network; so often it is looked at.
const FRESH: Duration = Duration::from_secs(5);
/// A question's header.
const HEADER_BYTES: usize = 12;

/// Where resolvers are known from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResolverSource {
    /// The host's `/etc/resolv.conf`.
    #[default]
    Host,
    /// These.
    Fixed(Vec<SocketAddr>),
}

/// The resolvers, of which one is asked until it fails.
#[derive(Debug)]
pub(crate) struct Resolvers {
    source: ResolverSource,
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    list: Vec<SocketAddr>,
    current: usize,
    read_at: Option<Duration>,
}

impl Resolvers {
    pub(crate) fn new(source: ResolverSource, clock: Clock) -> Self {
        Self { source, clock, known: Mutex::default() }
    }

    /// Whom to ask now; `None` when there is nobody.
    pub(crate) fn current(&self) -> Option<SocketAddr> {
        let now = self.clock.monotonic();
        let mut known = self.known.lock();
        if known.read_at.is_none_or(|at| now.saturating_sub(at) >= FRESH) {
            known.read_at = Some(now);
            let list = match &self.source {
                ResolverSource::Host => of_host(Path::new(HOST_FILE)),
                ResolverSource::Fixed(list) => list.clone(),
            };
            if list != known.list {
                *known = Known { list, current: 0, read_at: Some(now) };
            }
        }
        known.list.get(known.current).copied()
    }

    /// Says that one did not answer; the next one is asked from now on.
    pub(crate) fn failed(&self, which: SocketAddr) {
        let mut known = self.known.lock();
        if known.list.get(known.current) == Some(&which) {
            known.current = (known.current + 1) % known.list.len();
        }
    }
}

/// Whether a datagram is a plain question; updates and notifications are not the functions' to send.
pub(crate) fn is_question(message: &[u8]) -> bool {
    // Neither an answer (the first bit) nor an operation but QUERY (the four after it).
    message.len() >= HEADER_BYTES && message[2] & 0b1111_1000 == 0
}

/// Without any the C library asks the host itself, and so do we.
fn of_host(file: &Path) -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut found = read(&text);
    if found.is_empty() {
        found.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT));
    }
    found
}

fn read(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().map(str::split_whitespace);
    let addresses = words.filter_map(|mut words| {
        let first = words.next()?;
        (first == "nameserver").then(|| words.next())?
    });
    let addresses = addresses.filter_map(|word| word.parse::<IpAddr>().ok());
    addresses.take(MAX_RESOLVERS).map(|address| SocketAddr::new(address, PORT)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_read() {
        let text = "# nameserver 9.9.9.9\nsearch example.com\nnameserver 127.0.0.53\n\
                    nameserver fe80::1%eth0\nnameserver\t2001:db8::1 \noptions edns0\n";
        let expected: Vec<SocketAddr> =
            vec!["127.0.0.53:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()];
        assert_eq!(read(text), expected);
        assert_eq!(read("nameserver 1.1.1.1\n".repeat(9).as_str()).len(), MAX_RESOLVERS);
    }

    #[test]
    fn without_a_file_the_host_is_asked() {
        assert_eq!(of_host(Path::new("/nonexistent/resolv.conf")), ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn the_next_one_is_asked_when_one_fails() {
        let both: Vec<SocketAddr> = vec!["10.0.0.1:53".parse().unwrap(), "10.0.0.2:53".parse().unwrap()];
        let (clock, _hand) = Clock::manual(0);
        let resolvers = Resolvers::new(ResolverSource::Fixed(both.clone()), clock);
        assert_eq!(resolvers.current(), Some(both[0]));
        resolvers.failed(both[1]);
        assert_eq!(resolvers.current(), Some(both[0]), "it was not asked");
        resolvers.failed(both[0]);
        assert_eq!(resolvers.current(), Some(both[1]));
        resolvers.failed(both[1]);
        assert_eq!(resolvers.current(), Some(both[0]));
    }

    #[test]
    fn only_questions_pass() {
        let mut message = [0; 20];
        message[2] = 0b0000_0001;
        assert!(is_question(&message));
        assert!(!is_question(&message[..11]));
        message[2] = 0b0010_1000;
        assert!(!is_question(&message), "an update");
        message[2] = 0b1000_0000;
        assert!(!is_question(&message), "an answer");
    }
}
