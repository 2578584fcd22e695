//! Who answers the functions' questions for names: the host's own resolvers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use lambent_base::Clock;
use parking_lot::Mutex;
use tokio::net::UdpSocket;

/// Source: resolv.conf(5), which allows as many.
const MAX_RESOLVERS: usize = 3;
const PORT: u16 = 53;
const HOST_FILE: &str = "/etc/resolv.conf";
/// The host's file may change, when it moves to another network; so often it is looked at.
const FRESH: Duration = Duration::from_secs(5);
/// How long a resolver may take to answer the daemon.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// How often the daemon asks before it gives a resolver up.
const TRIES: usize = 2;
/// A resolver that is suspected more often than this is not asked each time.
const SUSPECT_EVERY: Duration = Duration::from_secs(10);
/// A question for the name servers of the root, without the two bytes of its id.
const ROOT_QUESTION: &[u8; 15] = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01";

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
    /// Which was suspected last, and when.
    suspected: Option<(SocketAddr, Duration)>,
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
                *known = Known { list, read_at: Some(now), ..Known::default() };
            }
        }
        known.list.get(known.current).copied()
    }

    /// Whether the daemon should now find out if this one still answers.
    pub(crate) fn suspect(&self, which: SocketAddr) -> bool {
        let now = self.clock.monotonic();
        let mut known = self.known.lock();
        let lately =
            known.suspected.is_some_and(|(who, at)| who == which && now.saturating_sub(at) < SUSPECT_EVERY);
        if lately || known.list.get(known.current) != Some(&which) {
            return false;
        }
        known.suspected = Some((which, now));
        true
    }

    /// Says that one does not answer; the next one is asked from now on.
    pub(crate) fn failed(&self, which: SocketAddr) {
        let mut known = self.known.lock();
        if known.list.get(known.current) == Some(&which) {
            known.current = (known.current + 1) % known.list.len();
        }
    }
}

/// Whether a resolver answers the daemon: a question for the root's name servers, asked twice, as datagrams may be lost.
/// Where this host cannot ask, nothing is known against the resolver.
pub(crate) async fn answers(resolver: SocketAddr, id: u16, wait: Duration) -> bool {
    let mut question = [0; ROOT_QUESTION.len() + 2];
    question[..2].copy_from_slice(&id.to_be_bytes());
    question[2..].copy_from_slice(ROOT_QUESTION);
    for _ in 0..TRIES {
        match tokio::time::timeout(wait, ask(resolver, &question)).await {
            Err(_) => {}
            Ok(asked) => return !asked.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused),
        }
    }
    false
}

/// Waits for an answer, whatever it says.
async fn ask(resolver: SocketAddr, question: &[u8]) -> io::Result<()> {
    let any: IpAddr = match resolver {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(resolver).await?;
    socket.send(question).await?;
    loop {
        let mut answer = [0; 3];
        let length = socket.recv(&mut answer).await?;
        if length == answer.len() && answer[..2] == question[..2] && answer[2] & 0b1000_0000 != 0 {
            return Ok(());
        }
    }
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
    fn a_resolver_is_suspected_once_in_a_while() {
        let both: Vec<SocketAddr> = vec!["10.0.0.1:53".parse().unwrap(), "10.0.0.2:53".parse().unwrap()];
        let (clock, hand) = Clock::manual(0);
        let resolvers = Resolvers::new(ResolverSource::Fixed(both.clone()), clock);
        assert_eq!(resolvers.current(), Some(both[0]));
        assert!(!resolvers.suspect(both[1]), "nobody asks it");
        assert!(resolvers.suspect(both[0]));
        assert!(!resolvers.suspect(both[0]), "it is being asked");
        assert_eq!(resolvers.current(), Some(both[0]), "a suspicion alone changes nothing");
        hand.advance(SUSPECT_EVERY);
        assert!(resolvers.suspect(both[0]));
        resolvers.failed(both[0]);
        assert!(resolvers.suspect(both[1]), "the next one is another one");
    }

    #[tokio::test]
    async fn the_daemon_asks_for_itself() {
        const PATIENCE: Duration = Duration::from_secs(20);
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        let answering = tokio::spawn(async move {
            let mut question = [0; 512];
            let (length, from) = server.recv_from(&mut question).await.unwrap();
            assert!(crate::questions::is_question(&question[..length]));
            let mut answer = question[..length].to_vec();
            server.send_to(&answer, from).await.unwrap();
            answer[2] |= 0b1000_0000;
            answer[0] ^= 1;
            server.send_to(&answer, from).await.unwrap();
            answer[0] ^= 1;
            server.send_to(&answer, from).await.unwrap();
        });
        assert!(answers(at, 0x1234, PATIENCE).await);
        answering.await.unwrap();
        assert!(!answers(at, 0x1234, PATIENCE).await, "nobody listens there any more");
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert!(!answers(silent.local_addr().unwrap(), 0x1234, Duration::from_millis(1)).await);
    }
}
