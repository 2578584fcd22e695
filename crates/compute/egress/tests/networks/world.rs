//! A small world: hosts far away, the daemon's host between, and environments behind that.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lambent_base::{Clock, Random};
use lambent_egress::{Network, NetworkConfig, ResolverSource};
use tokio::task::JoinHandle;

use crate::place::Place;

/// Addresses of hosts far away; what must not be reached is there too, so that only the policy keeps functions from it.
pub(crate) const PUBLIC: &str = "93.184.216.34";
pub(crate) const PUBLIC_V6: &str = "2606:4700::1111";
pub(crate) const PRIVATE: &str = "10.1.2.3";
pub(crate) const METADATA: &str = "169.254.169.254";
pub(crate) const METADATA_V6: &str = "fd00:ec2::254";
pub(crate) const ELSEWHERE: [&str; 7] =
    [PUBLIC, PUBLIC_V6, PRIVATE, METADATA, METADATA_V6, "100.64.1.1", "fd11::1"];
/// The daemon's host: on the wire, a public one, and a range that is the host's without standing at any interface.
pub(crate) const HOST: &str = "172.30.0.1";
pub(crate) const HOST_PUBLIC: &str = "203.1.112.9";
pub(crate) const HOST_RANGE: &str = "203.1.113.77";
/// Where the daemon itself would listen.
pub(crate) const OWN_PORT: u16 = 4566;
/// No test waits longer for something that should come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) elsewhere: Place,
    pub(crate) host: Place,
    network: Network,
    /// How many environments were made.
    made: AtomicUsize,
    runtime: tokio::runtime::Runtime,
}

/// A function's environment and its way out.
pub(crate) struct Environment {
    pub(crate) place: Place,
    served: JoinHandle<()>,
}

impl World {
    pub(crate) fn new(policy: &str) -> Self {
        Self::with_resolvers(policy, Vec::new())
    }

    pub(crate) fn with_resolvers(policy: &str, resolvers: Vec<SocketAddr>) -> Self {
        let (elsewhere, host) = (Place::new(), Place::new());
        host.ip(&format!("link add wire0 type veth peer name wire1 netns {}", elsewhere.thread()));
        host.ip("link set wire0 up");
        elsewhere.ip("link set wire1 up");
        for (place, end, address, v6) in [
            (&host, "wire0", "172.30.0.1/24", "fd77::1/64"),
            (&elsewhere, "wire1", "172.30.0.2/24", "fd77::2/64"),
        ] {
            place.ip(&format!("addr add {address} dev {end}"));
            place.ip(&format!("-6 addr add {v6} dev {end} nodad"));
        }
        host.ip("route add default via 172.30.0.2");
        host.ip("-6 route add default via fd77::2");
        host.ip(&format!("addr add {HOST_PUBLIC}/32 dev lo"));
        host.ip("route add local 203.1.113.0/24 dev lo");
        for address in ELSEWHERE {
            elsewhere.ip(&format!(
                "addr add {address} dev lo{}",
                if address.contains(':') { " nodad" } else { "" }
            ));
        }
        // A new link loses packets until the kernel has noticed at both ends that it is there, and only TCP repeats them.
        for address in [PUBLIC, PUBLIC_V6] {
            let to = SocketAddr::new(address.parse::<IpAddr>().unwrap(), 1);
            let refused = host.run(move || TcpStream::connect_timeout(&to, PATIENCE).unwrap_err().kind());
            assert_eq!(refused, std::io::ErrorKind::ConnectionRefused, "{address} is there");
        }
        let config = NetworkConfig {
            policy: policy.parse().unwrap(),
            resolvers: ResolverSource::Fixed(resolvers),
            own_ports: vec![OWN_PORT],
        };
        let network = Network::new(config, Clock::system(), Random::system());
        // Its threads are where the thread is that starts it.
        let runtime = host.run(|| {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
        });
        Self { elsewhere, host, network, made: AtomicUsize::new(0), runtime }
    }

    /// An environment of a function that has no other.
    pub(crate) fn environment(&self) -> Environment {
        self.environment_of(&format!("f{}", self.made.fetch_add(1, Ordering::SeqCst)))
    }

    pub(crate) fn environment_of(&self, owner: &str) -> Environment {
        let place = Place::new();
        let served = self.runtime.spawn(self.network.serve(place.open_tun(), owner));
        let environment = Environment { place, served };
        // The kernel takes a moment until it knows that packets to the new version 6 address are its own.
        let refused = environment.connect(PUBLIC_V6, 1).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{refused}");
        environment
    }
}

impl Environment {
    /// Takes the way out away, as when an environment ends.
    pub(crate) fn cut(&self) {
        self.served.abort();
    }

    /// Connects from inside.
    pub(crate) fn connect(&self, address: &str, port: u16) -> std::io::Result<TcpStream> {
        let to = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
        self.place.run(move || {
            let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        })
    }

    /// A socket inside that talks to one peer.
    pub(crate) fn udp(&self, address: &str, port: u16) -> UdpSocket {
        self.udp_from(0, address, port)
    }

    /// The same with a port of its own, unless that is zero.
    pub(crate) fn udp_from(&self, own_port: u16, address: &str, port: u16) -> UdpSocket {
        let to = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
        self.place.run(move || {
            let any = if to.is_ipv4() { "0.0.0.0" } else { "::" };
            let socket = UdpSocket::bind((any, own_port)).unwrap();
            socket.connect(to).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        })
    }
}

/// Waits for something that comes by itself, and fails the test when it does not.
pub(crate) fn eventually<T>(what: &str, mut come: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    let begun = clock.monotonic();
    loop {
        if let Some(come) = come() {
            return come;
        }
        assert!(clock.monotonic() - begun < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A TCP server: every connection has a thread that runs `serve`. Counts connections.
pub(crate) fn serve(
    place: &Place,
    address: &str,
    port: u16,
    serve: impl Fn(TcpStream) + Send + Sync + 'static,
) -> Arc<AtomicUsize> {
    let at = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
    let (count, serve) = (Arc::new(AtomicUsize::new(0)), Arc::new(serve));
    let counted = count.clone();
    place.run(move || {
        let listener = TcpListener::bind(at).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                let (stream, serve) = (stream.unwrap(), serve.clone());
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                std::thread::spawn(move || serve(stream));
            }
        });
    });
    count
}

/// Says everything again, and ends when the other side has.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = stream.read(&mut buffer) {
        if length == 0 || stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

/// A UDP server that answers each datagram with what `answer` makes of it. Counts datagrams.
pub(crate) fn serve_udp(
    place: &Place,
    at: SocketAddr,
    answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static,
) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    place.run(move || {
        let socket = UdpSocket::bind(at).unwrap();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = socket.send_to(&answer(&buffer[..length]), from);
            }
        });
    });
    count
}
