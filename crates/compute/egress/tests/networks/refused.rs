//! What functions must not reach. All of it is there, and answers whoever gets through.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::world::{
    ELSEWHERE, Environment, HOST, HOST_PUBLIC, HOST_RANGE, METADATA, METADATA_V6, OWN_PORT, PRIVATE, PUBLIC,
    PUBLIC_V6, World, echo, serve, serve_udp,
};

const EVERYTHING: &str = "public,0.0.0.0/0,::/0";
/// A listener of the host's that is not the daemon's.
const OTHER_PORT: u16 = 5432;

/// Servers at every address far away; how many came.
fn open_doors(world: &World) -> Vec<(&'static str, Arc<AtomicUsize>, Arc<AtomicUsize>)> {
    let open = |address: &'static str| {
        let udp = std::net::SocketAddr::new(address.parse().unwrap(), 80);
        (
            address,
            serve(&world.elsewhere, address, 80, echo),
            serve_udp(&world.elsewhere, udp, <[u8]>::to_vec),
        )
    };
    ELSEWHERE.into_iter().map(open).collect()
}

/// Whether both TCP and UDP get through, or both are refused at once.
fn gets_through(environment: &Environment, address: &str, port: u16) -> bool {
    let tcp = environment.connect(address, port);
    if let Err(error) = &tcp {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{address}:{port}: {error}");
    }
    let udp = environment.udp(address, port);
    udp.send(b"hello").unwrap();
    let answer = udp.recv(&mut [0; 10]);
    if let Err(error) = &answer {
        let said = [libc::EHOSTUNREACH, libc::EACCES];
        assert!(said.contains(&error.raw_os_error().unwrap()), "{address}:{port}: {error}");
    }
    assert_eq!(tcp.is_ok(), answer.is_ok(), "{address}:{port}");
    tcp.is_ok()
}

fn check(policy: &str, reached: &[&str]) {
    let world = World::new(policy);
    let doors = open_doors(&world);
    let environment = world.environment();
    for (address, tcp, udp) in &doors {
        let through = gets_through(&environment, address, 80);
        assert_eq!(through, reached.contains(address), "{address} under {policy}");
        let expected = usize::from(through);
        assert_eq!(tcp.load(Ordering::SeqCst), expected, "{address}");
        assert_eq!(udp.load(Ordering::SeqCst), expected, "{address}");
    }
}

pub(crate) fn under_public() {
    check("public", &[PUBLIC, PUBLIC_V6]);
    check("10.1.0.0/16", &[PRIVATE]);
}

pub(crate) fn under_everything() {
    let reached: Vec<&str> =
        ELSEWHERE.into_iter().filter(|address| ![METADATA, METADATA_V6].contains(address)).collect();
    check(EVERYTHING, &reached);
}

/// Listeners of the host's at every address that it has.
fn open_host(world: &World) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    for port in [OWN_PORT, OTHER_PORT] {
        let udp = std::net::SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        serve_udp(&world.host, udp, <[u8]>::to_vec);
        let count = count.clone();
        world.host.run(move || {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
            std::thread::spawn(move || {
                for _stream in listener.incoming() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        });
    }
    count
}

pub(crate) fn host() {
    for policy in ["public", EVERYTHING, "172.30.0.0/24,203.1.113.0/24", "203.1.112.8/31"] {
        let world = World::new(policy);
        let count = open_host(&world);
        let environment = world.environment();
        for address in [HOST, HOST_PUBLIC, HOST_RANGE] {
            for port in [OWN_PORT, OTHER_PORT] {
                assert!(!gets_through(&environment, address, port), "{address}:{port} under {policy}");
            }
        }
        assert_eq!(count.load(Ordering::SeqCst), 0, "under {policy}");
    }
    let world = World::new(&format!("{HOST},{HOST_PUBLIC}/32"));
    open_host(&world);
    let environment = world.environment();
    for address in [HOST, HOST_PUBLIC] {
        assert!(gets_through(&environment, address, OTHER_PORT), "{address} is named");
        assert!(!gets_through(&environment, address, OWN_PORT), "the daemon is never reached");
    }
    assert!(!gets_through(&environment, HOST_RANGE, OTHER_PORT));
}

pub(crate) fn neighbours() {
    let world = World::new(EVERYTHING);
    let (one, other) = (world.environment(), world.environment());
    let count = serve(&one.place, "0.0.0.0", 8080, echo);
    for address in ["10.200.0.2", "10.200.0.1", "10.200.0.3", "fd6c:616d:6265::1"] {
        assert!(other.connect(address, 8080).is_err(), "{address}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert!(one.connect("10.200.0.2", 8080).is_ok(), "it does listen");
}
