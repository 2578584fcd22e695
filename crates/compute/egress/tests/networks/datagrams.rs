//! UDP, and names.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::forge::init::RESOLVER;
use crate::world::{PUBLIC, PUBLIC_V6, World, serve, serve_udp};

/// The headers and the question for the address of `a.`, as a resolver sees it.
pub(crate) const QUESTION: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";

/// Answers with the question, marked as an answer.
fn answer(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    answer
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn go_and_come() {
    let world = World::new("public");
    serve_udp(&world.elsewhere, at(&format!("{PUBLIC}:7")), <[u8]>::to_vec);
    serve_udp(&world.elsewhere, at(&format!("[{PUBLIC_V6}]:7")), <[u8]>::to_vec);
    let environment = world.environment();
    for address in [PUBLIC, PUBLIC_V6] {
        let socket = environment.udp(address, 7);
        let mut buffer = vec![0; 65_536];
        for length in [0, 1, 512, 1_472, 1_473, 9_000, 65_000] {
            let sent: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            assert_eq!(socket.send(&sent).unwrap(), length);
            let back = socket.recv(&mut buffer);
            let back = back.unwrap_or_else(|error| panic!("{address}, {length} bytes: {error}"));
            assert!(buffer[..back] == sent, "{address}: {back} bytes for {length}");
        }
    }
}

pub(crate) fn closed_port() {
    let world = World::new("public");
    let environment = world.environment();
    for address in [PUBLIC, PUBLIC_V6] {
        let socket = environment.udp(address, 9);
        socket.send(b"hello").unwrap();
        assert_eq!(socket.recv(&mut [0; 10]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}

pub(crate) fn names() {
    // On the host's loopback, where functions come by this one way only.
    let resolver = at("127.0.0.1:5353");
    let world = World::with_resolvers("10.9.0.0/16", vec![resolver]);
    let asked = serve_udp(&world.host, resolver, answer);
    let asked_by_tcp = Arc::new(AtomicUsize::new(0));
    let counted = asked_by_tcp.clone();
    serve(&world.host, "127.0.0.1", 5353, move |mut stream| {
        let mut question = [0; 2 + QUESTION.len()];
        if stream.read_exact(&mut question).is_err() {
            return;
        }
        counted.fetch_add(1, Ordering::SeqCst);
        stream.write_all(&answer(&question)).unwrap();
    });
    let environment = world.environment();
    let gateway = RESOLVER.to_string();
    let socket = environment.udp(&gateway, 53);
    let mut buffer = [0; 512];
    for _ in 0..2 {
        socket.send(QUESTION).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], answer(QUESTION));
    }
    let mut update = QUESTION.to_vec();
    update[2] = 0x28;
    socket.send(&update).unwrap();
    assert!(socket.recv(&mut buffer).is_err(), "an update is refused");
    assert_eq!(asked.load(Ordering::SeqCst), 2, "and has not come to the resolver");

    let mut stream = environment.connect(&gateway, 53).unwrap();
    let length = u16::try_from(QUESTION.len()).unwrap().to_be_bytes();
    let question = [&length, QUESTION].concat();
    stream.write_all(&question).unwrap();
    let mut back = vec![0; question.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, answer(&question));
    // Nothing else passes: neither an update nor a zone, whether whole or in pieces.
    let mut zone = QUESTION.to_vec();
    zone[QUESTION.len() - 3] = 252;
    for message in [update, zone] {
        let mut stream = environment.connect(&gateway, 53).unwrap();
        stream.write_all(&length).unwrap();
        stream.write_all(&message).unwrap();
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(asked_by_tcp.load(Ordering::SeqCst), 1, "one question was put");
    let error = environment.connect(&gateway, 5353).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "the gateway has one port");
}

pub(crate) fn next_resolver() {
    let (silent, good) = (at("127.0.0.1:5300"), at("127.0.0.1:5353"));
    let world = World::with_resolvers("public", vec![silent, good]);
    serve_udp(&world.host, good, answer);
    let environment = world.environment();
    let gateway = RESOLVER.to_string();
    let socket = environment.udp(&gateway, 53);
    socket.send(QUESTION).unwrap();
    let mut buffer = [0; 512];
    assert_eq!(socket.recv(&mut buffer).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    socket.send(QUESTION).unwrap();
    assert_eq!(socket.recv(&mut buffer).unwrap(), QUESTION.len());
}
