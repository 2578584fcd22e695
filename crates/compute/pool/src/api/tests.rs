//! Connections that behave well and badly.

use std::io::{Read, Write};
use std::net::TcpStream as Client;

use super::*;

const NEXT: &[u8] = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n";

async fn api_and_clients<const COUNT: usize>() -> (RuntimeApi, [Client; COUNT]) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let clients = [(); COUNT].map(|()| Client::connect(to).unwrap());
    clients.iter().for_each(|client| client.set_nonblocking(true).unwrap());
    (RuntimeApi::new(listener), clients)
}

fn poll(api: &mut RuntimeApi) -> Poll<(usize, Call)> {
    api.poll_call(&mut Context::from_waker(std::task::Waker::noop()))
}

async fn call(api: &mut RuntimeApi) -> (usize, Call) {
    std::future::poll_fn(|context| api.poll_call(context)).await
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[tokio::test]
async fn who_asks_and_never_reads_is_not_listened_to() {
    let (mut api, [mut client]) = api_and_clients().await;
    let requests = b"GET /x HTTP/1.1\r\n\r\n".repeat(1_000);
    let (mut written, mut answers) = (0, Vec::new());
    let mut stuck = false;
    while !stuck {
        assert!(poll(&mut api).is_pending());
        let [connection] = api.connections.as_slice() else {
            tokio::task::yield_now().await;
            continue;
        };
        assert!(connection.output.len() < MAX_UNSENT_BYTES + 1024, "{}", connection.output.len());
        assert!(connection.input.len() <= 2 * READ_BYTES, "{}", connection.input.len());
        match client.write(&requests[written % requests.len()..]) {
            Ok(more) => written += more,
            Err(error) => stuck = is_full(&error) && connection.is_clogged(),
        }
        tokio::task::yield_now().await;
    }
    // Once it reads, every whole request is answered.
    let whole = written / (requests.len() / 1_000);
    let answer = "HTTP/1.1 404 Not Found";
    let mut found = 0;
    let mut piece = vec![0; READ_BYTES];
    while found < whole {
        assert!(poll(&mut api).is_pending());
        match client.read(&mut piece) {
            Ok(length) => answers.extend_from_slice(&piece[..length]),
            Err(error) => assert!(is_full(&error), "{error}"),
        }
        found += answers.windows(answer.len()).filter(|window| *window == answer.as_bytes()).count();
        answers.drain(..answers.len().saturating_sub(answer.len() - 1));
        tokio::task::yield_now().await;
    }
    assert_eq!(found, whole);
}

#[tokio::test]
async fn one_body_at_a_time_is_read() {
    let (mut api, clients) = api_and_clients::<3>().await;
    let body = vec![b'x'; MAX_RESPONSE_BYTES];
    let head =
        format!("POST {PREFIX}invocation/a/response HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    let writers = clients.map(|mut client| {
        let (head, body) = (head.clone(), body.clone());
        std::thread::spawn(move || {
            client.set_nonblocking(false).unwrap();
            client.write_all(head.as_bytes()).unwrap();
            client.write_all(&body).unwrap();
            client
        })
    });
    let mut found = 0;
    while found < 3 {
        let polled = poll(&mut api);
        let unfinished = api.connections.iter().filter_map(|one| one.request.as_ref());
        let large = unfinished.filter(|request| request.body.kept_bytes() > 2 * READ_BYTES).count();
        assert!(large <= 1, "{large} bodies are being read");
        if let Poll::Ready((_, Call::Response { body: Some(whole), .. })) = polled {
            assert!(whole == body);
            found += 1;
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.join().unwrap();
    }
}

#[tokio::test]
async fn an_event_that_nobody_reads_goes_with_its_connection() {
    let (mut api, [mut first, mut second]) = api_and_clients().await;
    first.write_all(NEXT).unwrap();
    assert!(matches!(call(&mut api).await, (_, Call::Next)));
    // More than a socket's buffers hold.
    api.send_event(b"", &vec![b' '; 64 << 20]);
    second.write_all(NEXT).unwrap();
    assert!(matches!(call(&mut api).await, (_, Call::Next)));
    assert_eq!(api.connections.len(), 2);
    api.send_event(b"", b"{}");
    assert_eq!(api.connections.len(), 1);
    assert!(poll(&mut api).is_pending());
    second.set_nonblocking(false).unwrap();
    let mut event = [0; 2];
    second.read_exact(&mut event).unwrap();
    assert_eq!(&event, b"{}");
}

const FUNCTION: &[u8] = b"GET /2018-06-01/runtime/function HTTP/1.1\r\n\r\n";
const GIVEN: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{\"env\":{}}";

/// What a client is told next.
fn told(client: &mut Client) -> String {
    let mut piece = [0; 1_000];
    client.set_nonblocking(false).unwrap();
    let length = client.read(&mut piece).unwrap();
    String::from_utf8_lossy(&piece[..length]).into_owned()
}

#[tokio::test]
async fn a_waiting_bootstrap_is_given_its_function_once() {
    let (mut api, [mut ours, mut other]) = api_and_clients().await;
    ours.write_all(FUNCTION).unwrap();
    assert!(matches!(call(&mut api).await, (_, Call::Function)));
    api.give_function(Bytes::from_static(b"{\"env\":{}}"));
    // Whoever asks afterwards, on whichever connection, is refused, and the API goes on.
    ours.write_all(FUNCTION).unwrap();
    ours.write_all(NEXT).unwrap();
    assert!(matches!(call(&mut api).await, (_, Call::Next)));
    other.write_all(FUNCTION).unwrap();
    other.write_all(NEXT).unwrap();
    assert!(matches!(call(&mut api).await, (_, Call::Next)));
    assert!(poll(&mut api).is_pending());
    let told_ours = told(&mut ours);
    assert!(told_ours.starts_with(GIVEN), "{told_ours}");
    assert!(told_ours[GIVEN.len()..].starts_with("HTTP/1.1 403 Forbidden\r\n"), "{told_ours}");
    assert!(told(&mut other).starts_with("HTTP/1.1 403 Forbidden\r\n"));
}

#[tokio::test]
async fn a_function_that_is_known_waits_for_who_asks() {
    let (mut api, [mut client]) = api_and_clients().await;
    api.give_function(Bytes::from_static(b"{\"env\":{}}"));
    client.write_all(FUNCTION).unwrap();
    client.write_all(NEXT).unwrap();
    assert!(matches!(call(&mut api).await, (_, Call::Next)), "the first question is not passed on");
    assert!(poll(&mut api).is_pending());
    assert_eq!(told(&mut client), GIVEN);
    let (mut api, [mut client]) = api_and_clients().await;
    api.end_handover();
    client.write_all(FUNCTION).unwrap();
    while told_nothing_yet(&mut api, &client) {
        tokio::task::yield_now().await;
    }
    assert!(told(&mut client).starts_with("HTTP/1.1 403 Forbidden\r\n"));
}

fn told_nothing_yet(api: &mut RuntimeApi, client: &Client) -> bool {
    assert!(poll(api).is_pending());
    client.peek(&mut [0]).is_err()
}

#[tokio::test]
async fn a_runtime_that_left_while_it_waited_is_missed_at_once() {
    let (mut api, [mut client]) = api_and_clients().await;
    client.write_all(NEXT).unwrap();
    assert!(matches!(call(&mut api).await, (_, Call::Next)));
    assert!(!api.has_lost_runtime());
    drop(client);
    assert!(api.has_lost_runtime());
    assert!(api.is_waiting(), "what was not read yet says otherwise");
}
