//! Who comes in, and how: TLS beside HTTP, floods, drips, and what is too large.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lambent_base::{Clock, Random};
use lambent_gateway::limits::{self, Patience};
use lambent_gateway::{Admin, Door, Gateway, GatewayConfig, Names, Paths};
use lambent_identity::{Identity, MasterKey, RootKey};
use lambent_sigv4::{ServiceRules, Signer, sha256};
use lambent_store::Db;
use lambent_tls::{Authority, Scope, Tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

const KEY: &str = "AKIAROOTROOTROOTROOT";
const SECRET: &str = "a secret of the tests";
const HEALTH: &str = "GET /_lambent/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

struct Server {
    address: SocketAddr,
    /// In PEM.
    authority: String,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(door: Door) -> Self {
        Self::start_at("127.0.0.1:0", door).await
    }

    async fn start_at(listen: &str, door: Door) -> Self {
        let (clock, random) = (Clock::system(), Random::seeded(1));
        let authority =
            Authority::make(Scope::new("example.org", Ipv4Addr::LOCALHOST.into()), &clock, &random);
        let authority = authority.unwrap();
        let pem = authority.certificate().to_owned();
        let tls = Tls::local(authority, "example.org", clock.clone(), random.clone()).unwrap();
        let root = RootKey {
            account: "000000000000".into(),
            access_key_id: KEY.into(),
            secret_access_key: SECRET.into(),
        };
        let db = Db::memory(clock.clone(), random.clone());
        let identity = Identity::new(db, clock.clone(), random.clone(), root, MasterKey::new([3; 32]));
        let identity = Arc::new(identity);
        let seen = Admin {
            path: "/_lambent/seen",
            action: "lambent:Seen",
            handler: Arc::new(|call, _query| {
                Box::pin(async move {
                    Ok(serde_json::json!({
                        "endpoint": call.context.endpoint, "secure": call.context.client.is_secure,
                    }))
                })
            }),
        };
        let services = vec![lambent_sts::service(
            identity.clone(),
            lambent_sts::KeySets::new(Vec::new(), clock.clone()).unwrap(),
        )];
        let paths = Paths { services, admin: vec![seen], ..Paths::default() };
        let config = GatewayConfig {
            region: "us-east-1".into(),
            names: Names { domain: "localhost".into(), others: Vec::new() },
            patience: Patience::default(),
            door: Door { tls: Some(tls), ..door },
        };
        let gateway = Gateway::new(config, clock, random, identity, paths);
        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(gateway.serve(listener, stopped));
        Self { address, authority: pem, stop, serving }
    }

    /// What is answered over TLS to somebody who calls the server by this name.
    async fn over_tls(&self, name: &str, request: &str) -> std::io::Result<String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TcpStream::connect(self.address).await?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(request.as_bytes()).await?;
        Ok(heard(stream).await)
    }

    async fn plain(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        heard(stream).await
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.serving.await.unwrap();
    }
}

/// Everything that is said until the connection ends, in whichever way.
async fn heard(mut stream: impl AsyncReadExt + Unpin) -> String {
    let (mut told, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        told.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&told).into_owned()
}

/// A signed request whose connection ends with its answer.
fn signed(service: &str, secret: &str, path: &str, body: &str) -> String {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let request = http::Request::builder().method(method).uri(path).header("host", "localhost:4566");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let mut parts = request.body(()).unwrap().into_parts().0;
    let signer = Signer {
        access_key_id: KEY,
        secret,
        session_token: None,
        region: "us-east-1",
        service,
        rules: ServiceRules::of(service),
        now_unix_s: Clock::system().unix_s(),
    };
    signer.sign(&mut parts, &lambent_base::text::hex(&sha256(body.as_bytes()))).unwrap();
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    format!("{text}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

const WHO_AM_I: &str = "Action=GetCallerIdentity&Version=2011-06-15";

#[tokio::test]
async fn https_and_http_are_on_one_port_and_urls_say_which_was_used() {
    let server = Server::start(Door::default()).await;
    let request = signed("lambent", SECRET, "/_lambent/seen", "");
    let told = server.over_tls("localhost", &request).await.unwrap();
    assert!(told.ends_with(r#"{"endpoint":"https://localhost:4566","secure":true}"#), "{told}");
    let told = server.plain(&request).await;
    assert!(told.ends_with(r#"{"endpoint":"http://localhost:4566","secure":false}"#), "{told}");
    server.stop().await;
}

#[tokio::test]
async fn the_authority_vouches_for_the_clouds_names_and_for_no_others() {
    let server = Server::start(Door::default()).await;
    for name in [
        "localhost",
        "127.0.0.1",
        "::1",
        "photos.s3.localhost",
        "my.photos.s3.localhost",
        "photos.localhost",
        "abc.execute-api.localhost",
        "abc.lambda-url.eu-west-1.localhost",
        "example.org",
        "photos.s3.example.org",
        "abc.lambda-url.us-east-1.example.org",
    ] {
        let told = server.over_tls(name, HEALTH).await.unwrap();
        assert!(told.starts_with("HTTP/1.1 200 "), "{name}: {told}");
    }
    for name in ["example.com", "notlocalhost", "8.8.8.8"] {
        let error = server.over_tls(name, HEALTH).await.unwrap_err().to_string();
        assert!(error.contains("invalid peer certificate"), "{name}: {error}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_tls_behind_its_first_byte_is_closed() {
    let server = Server::start(Door::default()).await;
    for garbage in [&[0x16; 3000][..], &[0x16, 3, 1, 0xff, 0xff], b"\x16\x03\x01\x00\x05hello"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        // At most an alert comes back.
        assert!(heard(stream).await.len() <= 7);
    }
    assert!(server.plain(HEALTH).await.starts_with("HTTP/1.1 200 "));
    server.stop().await;
}

#[tokio::test]
async fn a_peer_has_only_so_many_connections() {
    let server = Server::start_at("0.0.0.0:0", Door { peer_connections: 1, ..Door::default() }).await;
    let at = |ip: [u8; 4]| SocketAddr::new(IpAddr::from(ip), server.address.port());
    let come = async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.9.9.9:0".parse().unwrap()).unwrap();
        socket.connect(at([127, 0, 0, 1])).await
    };
    let mut idle = Vec::new();
    for _ in 0..limits::LOOPBACK_CONNECTIONS_MAX {
        match come().await {
            Ok(stream) => idle.push(stream),
            // The system's own bound on descriptors comes first on some hosts.
            Err(error) => panic!("after {}: {error}", idle.len()),
        }
    }
    // Those that are waiting are accepted before this one.
    let mut beyond = come().await.unwrap();
    assert_eq!(beyond.read(&mut [0; 1]).await.unwrap_or(0), 0, "one more is closed without an answer");
    assert!(server.plain(HEALTH).await.starts_with("HTTP/1.1 200 "), "others come in");
    drop(idle);
    server.stop().await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = Server::start(Door::default()).await;
    let head = |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    let long = "x".repeat(limits::HEAD_BYTES_MAX);
    let told =
        server.plain(&head("/_lambent/seen", &format!("x-long: {long}\r\nconnection: close\r\n"))).await;
    assert!(told.contains("RequestHeaderSectionTooLarge"), "{told}");
    let path = format!("/_lambent/seen?{}", "x".repeat(limits::TARGET_BYTES_MAX));
    let told = server.plain(&head(&path, "connection: close\r\n")).await;
    assert!(told.contains("RequestHeaderSectionTooLarge"), "{told}");
    let million = "x".repeat(1 << 20);
    let told = server.plain(&head("/", &format!("x-long: {million}\r\n"))).await;
    assert!(told.starts_with("HTTP/1.1 431 ") || told.is_empty(), "{told}");
    let many = |count: usize| (0..count).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
    // With `host` and `connection`.
    let told = server
        .plain(&head("/_lambent/health", &format!("{}connection: close\r\n", many(limits::HEADERS_MAX - 2))))
        .await;
    assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
    let told = server.plain(&head("/_lambent/health", &many(limits::HEADERS_MAX))).await;
    assert!(told.starts_with("HTTP/1.1 431 "), "{told}");
    server.stop().await;
}

#[tokio::test]
async fn wrong_signatures_wait_and_right_ones_do_not() {
    let server = Server::start(Door::default()).await;
    let wrong = signed("sts", "another secret", "/", WHO_AM_I);
    let mut waiting = tokio::task::JoinSet::new();
    // They wait for longer than right ones take, which come in between.
    for _ in 0..limits::REFUSALS_FREE + 4 * limits::REFUSALS_PER_S {
        let (address, wrong) = (server.address, wrong.clone());
        waiting.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(wrong.as_bytes()).await.unwrap();
            heard(stream).await
        });
    }
    let mut refused = 0;
    while refused < limits::REFUSALS_FREE {
        let told = waiting.join_next().await.unwrap().unwrap();
        assert!(told.contains("<Code>SignatureDoesNotMatch</Code>"), "{told}");
        refused += 1;
    }
    let told = server.plain(&signed("sts", SECRET, "/", WHO_AM_I)).await;
    assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
    assert!(!waiting.is_empty(), "others are still waiting for their refusal");
    waiting.shutdown().await;
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_signature_is_refused_before_the_body_is_read() {
    let server = Server::start(Door::default()).await;
    let hash = lambent_base::text::hex(&sha256(b"never sent"));
    let declared = signed("sts", "another secret", "/", WHO_AM_I)
        .replace(
            &format!("content-length: {}", WHO_AM_I.len()),
            &format!("content-length: 100\r\nx-amz-content-sha256: {hash}"),
        )
        .replace("SignedHeaders=", "SignedHeaders=x-amz-content-sha256;")
        .replace(WHO_AM_I, "");
    // Names have to be in order.
    let declared = declared.replace(
        "x-amz-content-sha256;content-type;host;x-amz-date",
        "content-type;host;x-amz-content-sha256;x-amz-date",
    );
    let told = server.plain(&declared).await;
    assert!(told.contains("<Code>SignatureDoesNotMatch</Code>"), "{told}");
    server.stop().await;
}
