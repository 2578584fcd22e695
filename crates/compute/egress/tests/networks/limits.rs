//! Bounds, and what the way out costs.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use lambent_egress::limits::{MAX_DATAGRAM_FLOWS, MAX_DATAGRAM_FLOWS_IN_ALL, MAX_STREAMS};

use crate::datagrams::QUESTION;
use crate::forge::init::RESOLVER;
use crate::place::Place;
use crate::world::{Environment, PUBLIC, World, echo, eventually, serve, serve_udp};

pub(crate) fn connections() {
    let world = World::new("public");
    serve(&world.elsewhere, PUBLIC, 7, echo);
    let environment = world.environment();
    let mut open: Vec<_> = (0..MAX_STREAMS).map(|_| environment.connect(PUBLIC, 7).unwrap()).collect();
    assert_eq!(environment.connect(PUBLIC, 7).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let mut last = open.pop().unwrap();
    last.shutdown(Shutdown::Write).unwrap();
    assert_eq!(last.read(&mut [0; 1]).unwrap(), 0);
    // Both sides have ended, so its place is free as soon as the function's last packet has come.
    drop(last);
    let _again = eventually("a place is free again", || environment.connect(PUBLIC, 7).ok());
    let other = world.environment();
    assert!(other.connect(PUBLIC, 7).is_ok(), "an environment has its own places");
}

pub(crate) fn shares() {
    const EACH: usize = MAX_DATAGRAM_FLOWS_IN_ALL / 2;
    let resolver = "127.0.0.1:5353".parse().unwrap();
    let world = World::with_resolvers("public", vec![resolver]);
    let at = format!("{PUBLIC}:7").parse().unwrap();
    serve_udp(&world.elsewhere, at, <[u8]>::to_vec);
    serve_udp(&world.host, resolver, |question| {
        let mut answer = question.to_vec();
        answer[2] |= 0x80;
        answer
    });
    // A socket each would be more than a process may have; the pairs of endpoints are not forgotten with them.
    let reaches = |environment: &Environment, own_port: u16| {
        let socket = environment.udp_from(own_port, PUBLIC, 7);
        socket.send(b"hello").unwrap();
        socket.recv(&mut [0; 10]).is_ok()
    };
    // Of one function, as many as have all that it may have.
    let greedy: Vec<_> = (0..EACH / MAX_DATAGRAM_FLOWS).map(|_| world.environment_of("greedy")).collect();
    for environment in &greedy {
        assert!((0..MAX_DATAGRAM_FLOWS).all(|at| reaches(environment, 20_000 + u16::try_from(at).unwrap())));
    }
    let one_more = world.environment_of("greedy");
    assert!(!reaches(&one_more, 0), "it has its share");
    assert!(reaches(&world.environment(), 0), "others have theirs");
    let socket = one_more.udp(&RESOLVER.to_string(), 53);
    socket.send(QUESTION).unwrap();
    assert_eq!(socket.recv(&mut [0; 512]).unwrap(), QUESTION.len(), "and names are found");
}

pub(crate) fn datagram_flows() {
    let world = World::new("public");
    let at = format!("{PUBLIC}:7").parse().unwrap();
    let count = serve_udp(&world.elsewhere, at, <[u8]>::to_vec);
    let environment = world.environment();
    let sockets: Vec<_> = (0..2 * MAX_DATAGRAM_FLOWS).map(|_| environment.udp(PUBLIC, 7)).collect();
    for socket in sockets.iter().chain(&sockets) {
        socket.send(b"hello").unwrap();
        assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 5);
    }
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 4 * MAX_DATAGRAM_FLOWS);
}

/// Prints throughput and CPU each way, latency, and connections a second. CPU is the whole process's: the daemon's,
/// both ends' and their kernel's.
pub(crate) fn measure() {
    const BYTES: usize = 2 << 30;
    const CALLS: u32 = 20_000;
    const CONNECTIONS: u32 = 2_000;
    const DEVICES: usize = 100;
    let clock = lambent_base::Clock::system();
    let world = World::new("public");
    serve(&world.elsewhere, PUBLIC, 7, echo);
    serve(&world.elsewhere, PUBLIC, 8, |mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    serve(&world.elsewhere, PUBLIC, 9, |mut stream| {
        let chunk = vec![7; 256 * 1024];
        for _ in 0..BYTES / chunk.len() {
            stream.write_all(&chunk).unwrap();
        }
    });
    let environment = world.environment();
    let report = |what: &str, work: &mut dyn FnMut()| {
        let (at, cpu) = (clock.monotonic(), cpu_seconds());
        work();
        let (took, cpu) = ((clock.monotonic() - at).as_secs_f64(), cpu_seconds() - cpu);
        println!("{what}: {took:.2} s, {cpu:.2} CPU s");
    };
    let places: Vec<_> = (0..DEVICES).map(|_| Place::new()).collect();
    let mut devices = Vec::new();
    report("100 devices", &mut || devices.extend(places.iter().map(Place::open_tun)));
    report("2 GiB out", &mut || {
        let mut stream = environment.connect(PUBLIC, 8).unwrap();
        let chunk = vec![7; 256 * 1024];
        for _ in 0..BYTES / chunk.len() {
            stream.write_all(&chunk).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    report("2 GiB in", &mut || {
        let mut stream = environment.connect(PUBLIC, 9).unwrap();
        let mut buffer = vec![0; 256 * 1024];
        while stream.read(&mut buffer).unwrap() > 0 {}
    });
    report("20,000 round trips of 100 bytes", &mut || {
        let mut stream = environment.connect(PUBLIC, 7).unwrap();
        stream.set_nodelay(true).unwrap();
        for _ in 0..CALLS {
            stream.write_all(&[7; 100]).unwrap();
            stream.read_exact(&mut [0; 100]).unwrap();
        }
    });
    report("2,000 connections, one after the other", &mut || {
        for _ in 0..CONNECTIONS {
            let mut stream = environment.connect(PUBLIC, 7).unwrap();
            stream.write_all(b"hello").unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
        }
    });
}

fn cpu_seconds() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let seconds = |time: nix::sys::time::TimeVal| {
        std::time::Duration::from_secs(time.tv_sec().unsigned_abs()).as_secs_f64()
            + std::time::Duration::from_micros(time.tv_usec().unsigned_abs()).as_secs_f64()
    };
    seconds(usage.user_time()) + seconds(usage.system_time())
}
