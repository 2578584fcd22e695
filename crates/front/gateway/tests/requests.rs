//! Requests over real sockets: what is answered, and what is refused in which words.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lambent_base::{Clock, ManualClock, Random};
use lambent_gateway::limits::{self, Patience};
use lambent_gateway::{Admin, Door, Gateway, GatewayConfig, Names, Paths};
use lambent_identity::{Identity, MasterKey, RootKey};
use lambent_sigv4::{ServiceRules, Signer, sha256};
use lambent_store::Db;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

const NOW_S: i64 = 1_800_000_000;
const KEY: &str = "AKIAROOTROOTROOTROOT";
const SECRET: &str = "a secret of the tests";

struct Server {
    address: std::net::SocketAddr,
    hand: ManualClock,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(Patience::default()).await
    }

    async fn start_with(patience: Patience) -> Self {
        let (clock, hand) = Clock::manual(NOW_S * 1000);
        let db = Db::memory(clock.clone(), Random::seeded(1));
        let root = RootKey {
            account: "000000000000".into(),
            access_key_id: KEY.into(),
            secret_access_key: SECRET.into(),
        };
        let identity = Identity::new(db, clock.clone(), Random::seeded(2), root, MasterKey::new([3; 32]));
        let identity = Arc::new(identity);
        let key_sets = lambent_sts::KeySets::new(Vec::new(), clock.clone()).unwrap();
        let services =
            vec![lambent_iam::service(identity.clone()), lambent_sts::service(identity.clone(), key_sets)];
        let echo = Admin {
            path: "/_lambent/echo",
            action: "lambent:Echo",
            handler: Arc::new(|call, query| {
                Box::pin(async move { Ok(serde_json::json!({ "query": query, "account": call.account() })) })
            }),
        };
        let paths = Paths { services, admin: vec![echo], ..Paths::default() };
        let config = GatewayConfig {
            region: "us-east-1".into(),
            names: Names { domain: "localhost".into(), others: vec!["cloud.internal".into()] },
            patience,
            door: Door::default(),
        };
        let gateway = Gateway::new(config, clock, Random::seeded(4), identity, paths);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        Self { address, hand, stop, serving: tokio::spawn(gateway.serve(listener, stopped)) }
    }

    async fn send(&self, parts: Parts, body: impl Into<Bytes>) -> (StatusCode, http::HeaderMap, String) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let response = sender.send_request(Request::from_parts(parts, Full::new(body.into()))).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        drop(sender);
        connection.await.unwrap().unwrap();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.serving.await.unwrap();
    }
}

fn form(body: &str, uri: &str) -> Parts {
    let request = Request::post(uri)
        .header("host", "localhost:4566")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .header("content-length", body.len());
    request.body(()).unwrap().into_parts().0
}

fn signer(service: &str) -> Signer<'_> {
    Signer {
        access_key_id: KEY,
        secret: SECRET,
        session_token: None,
        region: "us-east-1",
        service,
        rules: ServiceRules::of(service),
        now_unix_s: NOW_S,
    }
}

fn signed(signer: &Signer<'_>, body: &str, uri: &str) -> Parts {
    let mut parts = form(body, uri);
    signer.sign(&mut parts, &lambent_base::text::hex(&sha256(body.as_bytes()))).unwrap();
    parts
}

/// A connection on which a signed request for STS has begun, with a body of so many bytes to come.
async fn announced(server: &Server, bytes: usize) -> TcpStream {
    let mut head = signed(&signer("sts"), WHO_AM_I, "/");
    head.headers.insert("content-length", bytes.into());
    let mut text = "POST / HTTP/1.1\r\n".to_owned();
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
    stream
}

const WHO_AM_I: &str = "Action=GetCallerIdentity&Version=2011-06-15";

#[tokio::test]
async fn a_signed_request_is_answered() {
    let server = Server::start().await;
    let (status, headers, body) = server.send(signed(&signer("sts"), WHO_AM_I, "/"), WHO_AM_I).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body.contains("<Arn>arn:aws:iam::000000000000:root</Arn>"), "{body}");
    assert!(body.contains(headers["x-amzn-requestid"].to_str().unwrap()), "{body}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_properly_signed_is_refused_by_name() {
    let server = Server::start().await;
    let wrong_secret = Signer { secret: "another", ..signer("sts") };
    let unknown_key = Signer { access_key_id: "AKIANOBODY", ..signer("sts") };
    let early = Signer { now_unix_s: NOW_S + 16 * 60, ..signer("sts") };
    let late = Signer { now_unix_s: NOW_S - 16 * 60, ..signer("sts") };
    for (parts, code) in [
        (form(WHO_AM_I, "/"), "MissingAuthenticationToken"),
        (signed(&wrong_secret, WHO_AM_I, "/"), "SignatureDoesNotMatch"),
        (signed(&unknown_key, WHO_AM_I, "/"), "InvalidClientTokenId"),
        (signed(&early, WHO_AM_I, "/"), "SignatureDoesNotMatch"),
        (signed(&late, WHO_AM_I, "/"), "SignatureDoesNotMatch"),
        (signed(&signer("sts"), "another body", "/"), "SignatureDoesNotMatch"),
    ] {
        let mut parts = parts;
        parts.headers.insert("content-length", WHO_AM_I.len().into());
        let (status, _, body) = server.send(parts, WHO_AM_I).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{code}: {body}");
        assert!(body.contains(&format!("<Code>{code}</Code>")), "expected {code}: {body}");
    }
    server.hand.advance(Duration::from_secs(14 * 60));
    let (status, _, body) = server.send(signed(&signer("sts"), WHO_AM_I, "/"), WHO_AM_I).await;
    assert_eq!(status, StatusCode::OK, "fourteen minutes of skew are allowed: {body}");
    server.stop().await;
}

#[tokio::test]
async fn unknown_services_and_operations_are_named() {
    let server = Server::start().await;
    let (status, _, body) = server.send(signed(&signer("quantum"), WHO_AM_I, "/"), WHO_AM_I).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("no service that signs as `quantum`"), "{body}");
    let unknown = "Action=DropTable&Version=2011-06-15";
    let (status, _, body) = server.send(signed(&signer("sts"), unknown, "/"), unknown).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert!(body.contains("<Code>InvalidAction</Code>"), "{body}");
    server.stop().await;
}

#[tokio::test]
async fn bad_inputs_get_the_services_words() {
    let server = Server::start().await;
    let missing = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=a:b";
    let (status, _, body) = server.send(signed(&signer("sts"), missing, "/"), missing).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert!(body.contains("<Code>ValidationError</Code>"), "{body}");
    assert!(body.contains("2 validation errors detected"), "{body}");

    let large = "x".repeat(limits::buffered_body_max("sts") + 1);
    let (status, _, body) = server.send(signed(&signer("sts"), &large, "/"), large.clone()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    server.stop().await;
}

#[tokio::test]
async fn health_needs_no_signature_and_the_rest_does() {
    let server = Server::start().await;
    let get = |uri: &str| Request::get(uri).header("host", "localhost").body(()).unwrap().into_parts().0;
    let (status, _, body) = server.send(get("/_lambent/health"), "").await;
    assert_eq!((status, body.contains("\"status\":\"ready\"")), (StatusCode::OK, true), "{body}");
    let (status, _, _) = server.send(get("/_lambent/echo"), "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let parts = signed(&signer("lambent"), "", "/_lambent/echo?month=2026-11");
    let (status, _, body) = server.send(parts, "").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body.contains("month=2026-11") && body.contains("000000000000"), "{body}");
    server.stop().await;
}

#[tokio::test]
async fn the_platforms_own_paths_are_not_those_of_buckets_and_functions() {
    let server = Server::start().await;
    for (host, is_own) in [
        ("localhost:4566", true),
        ("127.0.0.1:4566", true),
        ("cloud.internal", true),
        ("cloud.example.org", false),
        ("photos.cloud.internal", false),
        ("photos.s3.localhost:4566", false),
        ("photos.localhost", false),
        ("abc.lambda-url.us-east-1.localhost", false),
    ] {
        let request = Request::get("/_lambent/health").header("host", host).body(()).unwrap();
        let (status, _, body) = server.send(request.into_parts().0, "").await;
        assert_eq!(status == StatusCode::OK, is_own, "{host}: {body}");
        assert_eq!(body.contains("\"status\":\"ready\""), is_own, "{host}: {body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_nobody_told_of_is_refused_and_says_how_to_tell() {
    let server = Server::start().await;
    for host in ["evil.example.org:4566", "photos.s3.example.org"] {
        let uri = "/?Action=GetCallerIdentity&Version=2011-06-15";
        let request = Request::get(uri).header("host", host).body(()).unwrap();
        let (status, _, body) = server.send(request.into_parts().0, "").await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host}: {body}");
        let name = host.split(':').next().unwrap();
        assert!(body.contains("UnknownHost") && body.contains(&format!("--host-name {name}")), "{body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn who_does_not_sign_is_refused_by_the_service_that_was_meant() {
    let server = Server::start().await;
    let get = |uri: &str| Request::get(uri).header("host", "localhost").body(()).unwrap().into_parts().0;
    for (uri, words) in [
        ("/?Action=ListUsers&Version=2010-05-08", "https://iam.amazonaws.com/doc/2010-05-08/"),
        ("/?Action=GetCallerIdentity&Version=2011-06-15", "https://sts.amazonaws.com/doc/2011-06-15/"),
    ] {
        let (status, _, body) = server.send(get(uri), "").await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{uri}: {body}");
        assert!(
            body.contains("<Code>MissingAuthenticationToken</Code>") && body.contains(words),
            "{uri}: {body}"
        );
    }
    let mut parts = form("{}", "/");
    parts.headers.insert("x-amz-target", "Quantum_20260101.Leap".parse().unwrap());
    let (status, _, body) = server.send(parts, "{}").await;
    assert_eq!((status, body.contains("Quantum_20260101")), (StatusCode::NOT_FOUND, true), "{body}");
    server.stop().await;
}

#[tokio::test]
async fn http_2_is_served_on_the_same_port() {
    let server = Server::start().await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/_lambent/health", server.address))
        .body(Full::<Bytes>::default())
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), StatusCode::OK);
    drop(sender);
    connection.await.unwrap().unwrap();
    server.stop().await;
}

/// What the server says until it closes the connection.
async fn heard(mut stream: impl AsyncReadExt + Unpin) -> String {
    let mut told = Vec::new();
    stream.read_to_end(&mut told).await.unwrap();
    String::from_utf8(told).unwrap()
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off() {
    let patience =
        Patience { grace: Duration::from_millis(200), bytes_per_s: 1 << 30, ..Patience::default() };
    let server = Server::start_with(patience).await;
    let (reader, mut writer) = announced(&server, 1 << 20).await.into_split();
    let dripping = tokio::spawn(async move {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let told = heard(reader).await;
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("<Code>RequestTimeout</Code>"), "{told}");
    dripping.abort();
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_pauses_is_cut_off() {
    let server =
        Server::start_with(Patience { idle: Duration::from_millis(100), ..Patience::default() }).await;
    let mut stream = announced(&server, 100).await;
    stream.write_all(b"Action=").await.unwrap();
    let told = heard(stream).await;
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("<Code>RequestTimeout</Code>"), "{told}");
    server.stop().await;
}

/// More than a server can need to notice that connections are closed.
const ROOM_AGAIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn no_body_waits_for_memory_for_ever() {
    let patience = Patience { room: Duration::from_millis(100), ..Patience::default() };
    let server = Server::start_with(patience).await;
    let bytes = limits::buffered_body_max("sts");
    let fitting = limits::BUFFERED_TOTAL_KIB * 1024 / bytes;
    let beyond = 10;
    let (told, mut hear) = mpsc::unbounded_channel();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..fitting + beyond {
        let (stream, told) = (announced(&server, bytes).await, told.clone());
        waiting.spawn(async move { told.send(heard(stream).await).unwrap() });
    }
    for _ in 0..beyond {
        let told = hear.recv().await.unwrap();
        assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
        assert!(told.contains("<Code>ServiceUnavailable</Code>"), "{told}");
    }
    let (status, _, body) = server.send(signed(&signer("sts"), WHO_AM_I, "/"), WHO_AM_I).await;
    assert_eq!(status, StatusCode::OK, "small requests are not concerned: {body}");
    waiting.shutdown().await;
    // Those who held the memory are gone; the server gets to know that in its own time.
    let large = format!("{WHO_AM_I}&X={}", "x".repeat(bytes / 2));
    let room_again = async {
        loop {
            let answer = server.send(signed(&signer("sts"), &large, "/"), large.clone()).await;
            if answer.0 != StatusCode::SERVICE_UNAVAILABLE {
                break answer;
            }
        }
    };
    let (status, _, body) =
        tokio::time::timeout(ROOM_AGAIN, room_again).await.expect("the room is given back");
    assert_eq!(status, StatusCode::OK, "{body}");
    server.stop().await;
}
