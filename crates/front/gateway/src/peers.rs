//! What single addresses may have: connections, and wrong signatures.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use lambent_base::Clock;
use parking_lot::Mutex;

use crate::limits;

/// How many low bits of an IPv6 address its user may choose: those of a /64, of which everybody has one at least.
const IPV6_OWN_BITS: u32 = 64;
/// How often it is logged at most that a peer has too many connections.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Whom we take to be one: an IPv4 address, or the network of an IPv6 address.
fn one(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() >> IPV6_OWN_BITS << IPV6_OWN_BITS).into()
        }
        v4 => v4,
    }
}

/// Counts connections by peer.
pub(crate) struct Peers {
    max: usize,
    clock: Clock,
    state: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    by_peer: HashMap<IpAddr, usize>,
    /// When it was last logged that somebody has too many.
    told: Option<Duration>,
}

/// A connection that is counted until this is dropped.
pub(crate) struct Guest {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    /// Lets each peer have so many.
    pub(crate) fn new(max: usize, clock: Clock) -> Self {
        Self { max, clock, state: Mutex::default() }
    }

    /// `None` when the peer has as many as it may have.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Guest> {
        let peer = one(address);
        // Everything on this host comes from there; the rest of the connections are for others.
        let max = if peer.is_loopback() { self.max.max(limits::LOOPBACK_CONNECTIONS_MAX) } else { self.max };
        let mut state = self.state.lock();
        let count = state.by_peer.entry(peer).or_default();
        if *count >= max {
            let now = self.clock.monotonic();
            if state.told.is_none_or(|told| now.saturating_sub(told) >= TELL_EVERY) {
                state.told = Some(now);
                tracing::warn!(%address, max, "more connections of this peer are closed at once");
            }
            return None;
        }
        *count += 1;
        Some(Guest { peers: Arc::clone(self), peer })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut state = self.peers.state.lock();
        if let Some(count) = state.by_peer.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                state.by_peer.remove(&self.peer);
            }
        }
    }
}

/// Makes those wait who fail again and again.
///
/// Each refusal of a signature takes a place in the queue of its peer, where [`limits::REFUSALS_PER_S`] places pass in a
/// second and the first [`limits::REFUSALS_FREE`] are free, and one in the queue of all, which is
/// [`limits::REFUSALS_ALL_FACTOR`] times as fast. Who is refused waits for its answer until both places come; who is let in
/// is not concerned, from whichever address.
pub(crate) struct Refusals {
    clock: Clock,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    all: Queue,
    by_peer: HashMap<IpAddr, Queue>,
}

/// When the last place that was given comes, as the monotonic clock says.
#[derive(Clone, Copy, Default)]
struct Queue(Duration);

impl Refusals {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, queues: Mutex::default() }
    }

    /// How long the answer to a wrong signature is held back.
    pub(crate) fn wait(&self, address: IpAddr) -> Duration {
        let now = self.clock.monotonic();
        let place = Duration::from_secs(1) / limits::REFUSALS_PER_S;
        let mut queues = self.queues.lock();
        let of_all = queues.all.wait(now, place / limits::REFUSALS_ALL_FACTOR, place * limits::REFUSALS_FREE);
        if queues.by_peer.len() >= limits::REFUSED_PEERS_MAX {
            queues.by_peer.retain(|_, queue| queue.0 > now);
        }
        let peer = one(address);
        if queues.by_peer.len() >= limits::REFUSED_PEERS_MAX && !queues.by_peer.contains_key(&peer) {
            // The table is full of others: all that fail now wait together.
            return of_all;
        }
        let of_peer = queues.by_peer.entry(peer).or_default();
        of_peer.wait(now, place, place * limits::REFUSALS_FREE).max(of_all)
    }
}

impl Queue {
    /// Takes a place; those that come within `free` are free.
    fn wait(&mut self, now: Duration, place: Duration, free: Duration) -> Duration {
        // A queue that grew without end would never be left again.
        self.0 = self.0.max(now).min(now + free + limits::REFUSAL_WAIT_MAX) + place;
        self.0.saturating_sub(now + free).min(limits::REFUSAL_WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn connections_are_counted_until_they_end() {
        let peers = Arc::new(Peers::new(2, Clock::system()));
        let (first, _second) = (peers.enter(PEER).unwrap(), peers.enter(PEER).unwrap());
        assert!(peers.enter(PEER).is_none());
        assert!(peers.enter("192.0.2.2".parse().unwrap()).is_some());
        assert!(peers.enter("::ffff:192.0.2.1".parse().unwrap()).is_none(), "the same in IPv6's notation");
        drop(first);
        assert!(peers.enter(PEER).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let peers = Arc::new(Peers::new(1, Clock::system()));
        let _guest = peers.enter("2001:db8::1".parse().unwrap()).unwrap();
        assert!(peers.enter("2001:db8::2".parse().unwrap()).is_none());
        assert!(peers.enter("2001:db8:0:1::2".parse().unwrap()).is_some());
    }

    #[test]
    fn who_fails_again_and_again_waits_and_who_stops_does_not() {
        let (clock, hand) = Clock::manual(1_800_000_000_000);
        let refusals = Refusals::new(clock);
        for _ in 0..limits::REFUSALS_FREE {
            assert_eq!(refusals.wait(PEER), Duration::ZERO);
        }
        let place = Duration::from_secs(1) / limits::REFUSALS_PER_S;
        assert_eq!(refusals.wait(PEER), place);
        assert_eq!(refusals.wait(PEER), 2 * place);
        assert_eq!(refusals.wait("192.0.2.2".parse().unwrap()), Duration::ZERO, "others are not concerned");
        let many = limits::REFUSALS_FREE * limits::REFUSALS_ALL_FACTOR;
        let last = (0..2 * many).map(|number| refusals.wait(IpAddr::V4(number.into()))).last();
        assert!(last.unwrap() > Duration::ZERO, "all together fail more than one may");
        for _ in 0..100_000 {
            assert!(refusals.wait(PEER) <= limits::REFUSAL_WAIT_MAX);
        }
        hand.advance(2 * limits::REFUSAL_WAIT_MAX + place * limits::REFUSALS_FREE);
        assert_eq!(refusals.wait(PEER), Duration::ZERO);
    }

    #[test]
    fn the_table_of_those_who_fail_is_bounded() {
        let refusals = Refusals::new(Clock::system());
        for number in 0..limits::REFUSED_PEERS_MAX * 2 {
            refusals.wait(IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap())));
        }
        assert!(refusals.queues.lock().by_peer.len() <= limits::REFUSED_PEERS_MAX);
    }
}
