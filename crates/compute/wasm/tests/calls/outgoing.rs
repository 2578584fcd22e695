//! Requests to the outside.

use std::net::{IpAddr, UdpSocket};

use lambent_base::{Clock, Random};
use lambent_egress::{Network, NetworkConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::Platform;

/// An address of this host that is not its loopback's, if it has one. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let probe = UdpSocket::bind("0.0.0.0:0").ok()?;
    probe.connect("198.51.100.1:9").ok()?;
    Some(probe.local_addr().ok()?.ip())
}

fn network(policy: &str, own_ports: Vec<u16>) -> Network {
    let config = NetworkConfig { policy: policy.parse().unwrap(), own_ports, ..NetworkConfig::default() };
    Network::new(config, Clock::system(), Random::system())
}

/// Answers every request with 204; its port.
async fn server() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.unwrap() > 0 {}
            assert!(request.starts_with(b"GET / HTTP/1.1\r\n"), "{}", request.escape_ascii());
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    });
    port
}

#[tokio::test]
async fn requests_go_where_the_operator_lets_them() {
    let (not_found, prohibited) = ("102", "104");
    let port = server().await;
    let platform = Platform::with(Some(network("public", Vec::new())));
    let asked =
        async |platform: &Platform, to: String| platform.once("event-get", &to).await.result().to_owned();
    for inner in ["127.0.0.1", "localhost", "10.1.2.3", "169.254.169.254", "[::1]"] {
        let told = asked(&platform, format!("{inner}:{port}")).await;
        assert!([not_found, prohibited].contains(&&*told), "{inner}: {told}");
    }
    let Some(own) = own_address() else {
        return eprintln!("this host has no address but its loopback's; nothing more can be reached");
    };
    assert_eq!(asked(&platform, format!("{own}:{port}")).await, prohibited);
    let platform = Platform::with(Some(network(&format!("{own}/32"), Vec::new())));
    assert_eq!(asked(&platform, format!("{own}:{port}")).await, "204");
    let platform = Platform::with(Some(network(&format!("{own}/32"), vec![port])));
    assert_eq!(asked(&platform, format!("{own}:{port}")).await, prohibited, "it is the platform's own port");
}
