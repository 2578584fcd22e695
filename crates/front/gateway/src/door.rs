//! Who comes in, and how: TLS or not, from where, how many at once.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::http::uri::Scheme;
use lambent_base::Alarm;
use lambent_tls::{Tls, TlsError};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::unread::Paced;
use crate::{Inner, limits};

/// With what a client opens an HTTP/2 connection (RFC 9113, section 3.4).
const HTTP_2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long to wait at first for the rest of a preface that came in parts; then twice as long each time.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);
/// And how long at most before looking again.
const PREFACE_PAUSE_MAX: Duration = Duration::from_millis(500);
/// The first byte of every TLS connection: the type of a handshake's record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// What the gateway lets in.
#[derive(Clone, Debug)]
pub struct Door {
    /// HTTPS, on the same port as HTTP.
    pub tls: Option<Tls>,
    /// Whether requests from other hosts may come without TLS.
    pub allows_plain_http: bool,
    /// Connections that one address may have.
    pub peer_connections: usize,
}

impl Default for Door {
    fn default() -> Self {
        Self { tls: None, allows_plain_http: false, peer_connections: limits::PEER_CONNECTIONS_MAX }
    }
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) peer: SocketAddr,
    pub(crate) transport: Transport,
}

/// What lay between a client and us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tls,
    /// Without TLS, but never outside of this host: from a function's sandbox.
    Sandbox,
    /// Without TLS, from this host, or allowed from others.
    Plain,
    /// Without TLS, from another host, and not allowed.
    PlainFromAfar,
}

impl Arrival {
    /// What URLs in answers begin with.
    pub(crate) fn scheme(&self) -> Scheme {
        if self.transport == Transport::Tls { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// The client's address without its port, as it is usually written.
    pub(crate) fn address(&self) -> String {
        let IpAddr::V4(address) = self.peer.ip().to_canonical() else {
            return self.peer.ip().to_string();
        };
        // The formatter of the standard library pads, and costs ten times as much.
        let mut text = String::with_capacity("255.255.255.255".len());
        for (place, octet) in address.octets().into_iter().enumerate() {
            if place > 0 {
                text.push('.');
            }
            for (unit, least) in [(100, 100), (10, 10), (1, 0)] {
                if octet >= least {
                    text.push(char::from(b'0' + octet / unit % 10));
                }
            }
        }
        text
    }

    /// Whether nobody on the way could read or change the request, which is what `aws:SecureTransport` means.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self.transport, Transport::Tls | Transport::Sandbox)
    }
}

/// Where a listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// For everybody.
    Front,
    /// Inside a function's sandbox.
    Sandbox,
}

/// Why a connection was not served. For the log at level debug: whoever wants can cause as many as they like.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotServed {
    #[error("it said nothing, or was gone before it was served")]
    Silent,
    #[error("it began a preface of HTTP/2 and did not end it")]
    NoPreface,
    #[error("it speaks TLS, which is not offered here")]
    NoTls,
    #[error("the TLS handshake took too long")]
    SlowHandshake,
    #[error("the TLS handshake failed: {0}")]
    Handshake(std::io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Socket(#[from] std::io::Error),
}

/// A connection, with or without TLS.
pub(crate) enum Wire {
    Plain(Paced<TcpStream>),
    Tls(Box<TlsStream<Paced<TcpStream>>>),
}

impl Inner {
    /// Looks what a connection speaks, and ends the TLS if it does. `alarm` is that of the connection's task.
    pub(crate) async fn welcome(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        entrance: Entrance,
        alarm: &Alarm,
    ) -> Result<(Wire, Arrival, Speaks), NotServed> {
        // Until the version of HTTP is known, hyper waits without a limit of its own.
        let begun = begin(&stream, limits::PREFACE_TIMEOUT);
        let begun = tokio::time::timeout(limits::HEADER_READ_TIMEOUT, begun).await;
        let beginning = begun.map_err(|_| NotServed::Silent)??;
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_notsent_lowat(limits::UNSENT_BYTES)?;
        let local = stream.local_addr()?.ip();
        let stream = Paced::new(stream, alarm.clone(), limits::UNREAD_TIMEOUT);
        if let Beginning::Http(speaks) = beginning {
            let transport = self.plain(peer.ip(), local, entrance);
            return Ok((Wire::Plain(stream), Arrival { peer, transport }, speaks));
        }
        let tls = self.config.door.tls.as_ref().filter(|_| entrance == Entrance::Front);
        let acceptor = TlsAcceptor::from(tls.ok_or(NotServed::NoTls)?.config(local)?);
        let handshake = async {
            let _one_of_few = self.handshakes.acquire().await;
            acceptor.accept(stream).await.map_err(NotServed::Handshake)
        };
        let shaken = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, handshake).await;
        let stream = shaken.map_err(|_| NotServed::SlowHandshake)??;
        Ok((Wire::Tls(Box::new(stream)), Arrival { peer, transport: Transport::Tls }, Speaks::Http1))
    }

    fn plain(&self, peer: IpAddr, local: IpAddr, entrance: Entrance) -> Transport {
        let (peer, local) = (peer.to_canonical(), local.to_canonical());
        // What a host sends to an address of its own never leaves it.
        let is_near = peer.is_loopback() || peer == local;
        match entrance {
            Entrance::Sandbox => Transport::Sandbox,
            Entrance::Front if is_near || self.config.door.allows_plain_http => Transport::Plain,
            Entrance::Front => Transport::PlainFromAfar,
        }
    }
}

/// The version of HTTP that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Beginning {
    Http(Speaks),
    Tls,
}

/// Returns once the first bytes tell TLS, HTTP/1 and HTTP/2 apart. A preface that has begun has `patience` to be whole.
async fn begin(stream: &TcpStream, patience: Duration) -> Result<Beginning, NotServed> {
    let mut seen = [0; HTTP_2_PREFACE.len()];
    let (mut pause, mut waited) = (PREFACE_PAUSE, Duration::ZERO);
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 {
            return Err(NotServed::Silent);
        }
        if seen[0] == TLS_HANDSHAKE {
            return Ok(Beginning::Tls);
        }
        if !HTTP_2_PREFACE.starts_with(&seen[..count]) {
            return Ok(Beginning::Http(Speaks::Http1));
        }
        if count == seen.len() {
            return Ok(Beginning::Http(Speaks::Http2));
        }
        if waited >= patience {
            return Err(NotServed::NoPreface);
        }
        // What was only looked at is still there: the socket stays readable, and cannot tell when more has come.
        tokio::time::sleep(pause).await;
        waited += pause;
        pause = (pause * 2).min(PREFACE_PAUSE_MAX);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn begun(told: &[&[u8]], patience: Duration) -> Result<Beginning, NotServed> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let telling = async {
            for part in told {
                client.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(telling, begin(&stream, patience)).1
    }

    #[test]
    fn addresses_are_written_as_usual() {
        for text in ["127.0.0.1", "10.20.255.100", "8.8.109.9", "::1", "2001:db8::7"] {
            let arrival =
                Arrival { peer: SocketAddr::new(text.parse().unwrap(), 1), transport: Transport::Plain };
            assert_eq!(arrival.address(), text);
        }
        let mapped = SocketAddr::new("::ffff:10.0.0.1".parse().unwrap(), 1);
        assert_eq!(Arrival { peer: mapped, transport: Transport::Plain }.address(), "10.0.0.1");
    }

    #[tokio::test]
    async fn a_preface_may_come_in_parts_and_has_an_end() {
        let long = Duration::from_secs(60);
        assert!(matches!(
            begun(&[b"PRI", b" * HTTP/2.0\r\n\r\n", b"SM\r\n\r\n"], long).await,
            Ok(Beginning::Http(Speaks::Http2))
        ));
        assert!(matches!(begun(&[b"P", b"UT /"], long).await, Ok(Beginning::Http(Speaks::Http1))));
        assert!(matches!(begun(&[&[TLS_HANDSHAKE]], long).await, Ok(Beginning::Tls)));
        let short = Duration::from_millis(20);
        assert!(matches!(begun(&[b"PRI"], short).await, Err(NotServed::NoPreface)));
    }
}
