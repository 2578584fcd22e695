//! TCP connections.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::world::{PATIENCE, PUBLIC, PUBLIC_V6, World, echo, serve};

const MANY_BYTES: usize = 50 << 20;
/// What two kernels and the daemon may hold of a connection that nobody reads from: the largest socket buffers, twice.
const MOST_HELD_BYTES: usize = 24 << 20;
/// No call to send takes longer when there is room.
const SENDER_STALLS: Duration = Duration::from_secs(2);

/// Bytes that show where they were, by a small generator.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn exchange(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut writer = stream.try_clone().unwrap();
    let sent = bytes.to_vec();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::with_capacity(bytes.len());
    stream.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    back
}

/// Resets instead of ending, as a program does that dies with unread bytes.
fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

pub(crate) fn bytes_arrive_both_ways() {
    let world = World::new("public");
    serve(&world.elsewhere, PUBLIC, 7, echo);
    let bytes = pattern(MANY_BYTES);
    let environment = world.environment();
    let back = exchange(environment.connect(PUBLIC, 7).unwrap(), &bytes);
    assert!(back == bytes, "{} of {} bytes, or other ones", back.len(), bytes.len());
}

pub(crate) fn version_6() {
    let world = World::new("public");
    serve(&world.elsewhere, PUBLIC_V6, 7, echo);
    let environment = world.environment();
    let bytes = pattern(1 << 20);
    let back = exchange(environment.connect(PUBLIC_V6, 7).unwrap(), &bytes);
    assert!(back == bytes);
}

pub(crate) fn many_short_connections() {
    const THREADS: usize = 10;
    const EACH: usize = 50;
    let world = World::new("public");
    let count = serve(&world.elsewhere, PUBLIC, 7, echo);
    let environment = Arc::new(world.environment());
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let environment = environment.clone();
            std::thread::spawn(move || {
                for turn in 0..EACH {
                    let word = format!("{thread} {turn}");
                    let back = exchange(environment.connect(PUBLIC, 7).unwrap(), word.as_bytes());
                    assert_eq!(back, word.as_bytes());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(count.load(Ordering::SeqCst), THREADS * EACH);
}

pub(crate) fn half_close() {
    let world = World::new("public");
    // This one speaks only after the other side has ended.
    serve(&world.elsewhere, PUBLIC, 7, |mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
    });
    // And this one ends first, and listens on.
    let (heard, hears) = mpsc::channel();
    serve(&world.elsewhere, PUBLIC, 8, move |mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        heard.send(all).unwrap();
    });
    let environment = world.environment();
    let bytes = pattern(300_000);
    assert!(exchange(environment.connect(PUBLIC, 7).unwrap(), &bytes) == bytes);
    let mut stream = environment.connect(PUBLIC, 8).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the outside has ended");
    stream.write_all(&bytes).unwrap();
    drop(stream);
    assert!(hears.recv_timeout(PATIENCE).unwrap() == bytes);
}

pub(crate) fn reset_inside() {
    let world = World::new("public");
    let (ended, ends) = mpsc::channel();
    serve(&world.elsewhere, PUBLIC, 7, move |mut stream| {
        let mut buffer = [0; 100];
        stream.write_all(b"hello").unwrap();
        ended.send(stream.read(&mut buffer).unwrap_err().kind()).unwrap();
    });
    let environment = world.environment();
    let mut stream = environment.connect(PUBLIC, 7).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    reset(stream);
    assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), ErrorKind::ConnectionReset);
}

pub(crate) fn reset_outside() {
    let world = World::new("public");
    serve(&world.elsewhere, PUBLIC, 7, |mut stream| {
        stream.read_exact(&mut [0; 5]).unwrap();
        reset(stream);
    });
    let environment = world.environment();
    let mut stream = environment.connect(PUBLIC, 7).unwrap();
    stream.write_all(b"hello").unwrap();
    assert_eq!(stream.read(&mut [0; 100]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

pub(crate) fn answer_before_reset() {
    let world = World::new("public");
    // Answers at the first byte and goes away, with more of the question unread: the kernel then resets.
    let answer = pattern(40_000);
    let said = answer.clone();
    serve(&world.elsewhere, PUBLIC, 7, move |mut stream| {
        stream.read_exact(&mut [0; 1]).unwrap();
        stream.write_all(&said).unwrap();
    });
    let environment = world.environment();
    let mut stream = environment.connect(PUBLIC, 7).unwrap();
    stream.write_all(&pattern(30_000)).unwrap();
    let mut heard = vec![0; answer.len()];
    stream.read_exact(&mut heard).unwrap();
    assert!(heard == answer);
}

pub(crate) fn closed_port() {
    let world = World::new("public");
    let environment = world.environment();
    for address in [PUBLIC, PUBLIC_V6] {
        let error = environment.connect(address, 9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{address}: {error}");
    }
}

/// Says something again and again until it has found no room for a while, or has said far too much. How much that was.
fn say_until_held_up(stream: &mut TcpStream, byte: u8) -> usize {
    stream.set_write_timeout(Some(SENDER_STALLS)).unwrap();
    let mut said = 0;
    while said < MOST_HELD_BYTES {
        let Ok(length) = stream.write(&[byte; 16 * 1024]) else { break };
        said += length;
    }
    said
}

pub(crate) fn back_pressure() {
    let world = World::new("public");
    // A server that says more and more until nobody takes it.
    let (stalled, stalls) = mpsc::channel();
    serve(&world.elsewhere, PUBLIC, 7, move |mut stream| {
        stalled.send(say_until_held_up(&mut stream, 7)).unwrap();
    });
    // And one that does not listen until it is told.
    let (tell, told) = mpsc::channel::<()>();
    let (heard, hears) = mpsc::channel();
    let told = std::sync::Mutex::new(told);
    serve(&world.elsewhere, PUBLIC, 8, move |mut stream| {
        told.lock().unwrap().recv().unwrap();
        heard.send(std::io::copy(&mut stream, &mut std::io::sink()).unwrap()).unwrap();
    });
    let environment = world.environment();
    let mut talker = environment.connect(PUBLIC, 8).unwrap();
    let sent = say_until_held_up(&mut talker, 8);
    assert!(
        sent > 0 && sent < MOST_HELD_BYTES,
        "{sent} bytes of the function's were taken that nobody reads"
    );
    let mut listener = environment.connect(PUBLIC, 7).unwrap();
    let said = stalls.recv_timeout(PATIENCE).unwrap();
    assert!(said > 0 && said < MOST_HELD_BYTES, "{said} bytes of the server's were taken that nobody reads");
    // Nothing of it is lost.
    let all = std::io::copy(&mut listener, &mut std::io::sink()).unwrap();
    assert_eq!(all, said as u64);
    talker.shutdown(Shutdown::Write).unwrap();
    tell.send(()).unwrap();
    assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), sent as u64);
}

pub(crate) fn end_of_environment() {
    let world = World::new("public");
    let (ended, ends) = mpsc::channel();
    serve(&world.elsewhere, PUBLIC, 7, move |mut stream| {
        stream.write_all(b"hello").unwrap();
        ended.send(stream.read(&mut [0; 100]).unwrap_or(0)).unwrap();
    });
    let environment = world.environment();
    let mut stream = environment.connect(PUBLIC, 7).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    environment.cut();
    assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), 0);
}
