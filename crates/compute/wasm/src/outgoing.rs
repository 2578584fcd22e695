//! Requests to the outside, where the operator's policy allows it: as for functions in environments, each connection is judged
//! by the address that it is made to, whatever names that has. A connection serves one request, so that none is found by
//! another function.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lambent_egress::{ConnectionPlace, Network, Refusal};
use lambent_pool::FunctionKey;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::error::WasmError;
use crate::limits::{BODY_CHUNK_BYTES, CONNECT_TIMEOUT, OUTGOING_BUFFER_BYTES, OUTGOING_MAX, READ_TIMEOUT};
use crate::lookups::{Lookups, OwnLookups};

type Done = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(http::Response<WasiBody>, Done), Error>;

/// The way out of all functions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outside {
    network: Network,
    tls: TlsConnector,
    lookups: Arc<Lookups>,
}

/// The way out of one instance: none, unless the operator allows some.
pub(crate) struct WayOut(Option<Open>);

/// A way that there is.
#[derive(Clone)]
struct Open {
    outside: Outside,
    /// Whose connections count together.
    owner: Arc<str>,
    turns: Arc<Semaphore>,
    lookups: OwnLookups,
}

/// What carries a request: a connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a request goes.
struct Endpoint {
    host: String,
    port: u16,
    is_secure: bool,
}

/// Ends a task when it is dropped.
struct Ending(tokio::task::JoinHandle<()>);

impl Outside {
    pub(crate) fn new(network: Network) -> Result<Self, WasmError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(|error| WasmError::Outside(error.to_string()))?;
        Ok(Self { network, tls: Arc::new(config.with_no_client_auth()).into(), lookups: Arc::default() })
    }
}

impl WayOut {
    pub(crate) fn new(outside: Option<&Outside>, key: &FunctionKey) -> Self {
        Self(outside.map(|outside| {
            let owner = owner_of(key);
            let turns = Arc::new(Semaphore::new(OUTGOING_MAX));
            Open { lookups: outside.lookups.of(&owner), outside: outside.clone(), owner, turns }
        }))
    }
}

impl WasiHttpHooks for WayOut {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _done: Done,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        match &self.0 {
            None => Box::new(std::future::ready(Err(Error::HttpRequestDenied))),
            Some(open) => Box::new(open.clone().send(request, options.unwrap_or_default())),
        }
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }
}

impl Open {
    async fn send(self, mut request: http::Request<WasiBody>, options: RequestOptions) -> Sent {
        let turn = self.turns.clone().try_acquire_owned().map_err(|_| Error::ConnectionLimitReached)?;
        let endpoint = Endpoint::of(request.uri())?;
        let wait = options.connect_timeout.unwrap_or(CONNECT_TIMEOUT).min(CONNECT_TIMEOUT);
        let connected = within(wait, Error::ConnectionTimeout, self.connect(&endpoint)).await;
        let (stream, place) = connected?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(OUTGOING_BUFFER_BYTES);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let connection = Ending(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of a component's has ended");
            }
        }));
        // Whoever serves it knows its own name.
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        *request.uri_mut() = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
        let first_byte = options.first_byte_timeout.unwrap_or(READ_TIMEOUT).min(READ_TIMEOUT);
        let sent = async { sender.send_request(request).await.map_err(Error::from) };
        let response = within(first_byte, Error::ConnectionReadTimeout, sent).await?;
        let response = response.map(|body| body.map_err(Error::from).boxed_unsync());
        // The host keeps this for as long as the component has the response.
        let held = (turn, place, connection);
        Ok((
            response,
            Box::new(async move {
                let (_turn, _place, mut connection) = held;
                let _ = (&mut connection.0).await;
                Ok(())
            }),
        ))
    }

    /// A connection to the first of the host's addresses that may be reached.
    async fn connect(&self, endpoint: &Endpoint) -> Result<(Box<dyn Stream>, ConnectionPlace), Error> {
        let mut failed = Error::DestinationNotFound;
        for address in endpoint.addresses(&self.lookups).await? {
            let place = match self.outside.network.admit(address, &self.owner) {
                Ok(place) => place,
                Err(refusal) => {
                    tracing::debug!(%address, %refusal, "a component's request is refused");
                    failed = error_of(refusal);
                    continue;
                }
            };
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok((self.secured(endpoint, stream).await?, place)),
                Err(error) => failed = Error::Connect(error),
            }
        }
        Err(failed)
    }

    async fn secured(&self, endpoint: &Endpoint, stream: TcpStream) -> Result<Box<dyn Stream>, Error> {
        if !endpoint.is_secure {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(endpoint.host.clone()).map_err(|_| Error::HttpRequestUriInvalid)?;
        let secured = self.outside.tls.connect(name, stream).await.map_err(Error::Tls)?;
        Ok(Box::new(secured))
    }
}

impl Endpoint {
    fn of(uri: &http::Uri) -> Result<Self, Error> {
        let (is_secure, default) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(Error::HttpProtocolError),
        };
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self { host, port: authority.port_u16().unwrap_or(default), is_secure })
    }

    async fn addresses(&self, lookups: &OwnLookups) -> Result<Vec<SocketAddr>, Error> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let found = lookups.addresses(self.host.clone(), self.port).await;
        found.map_err(|_| Error::DnsError { rcode: None, info_code: None })
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// As for functions in environments: another account's function of the same name is another.
fn owner_of(key: &FunctionKey) -> Arc<str> {
    format!("{}/{}/{}", key.account, key.region, key.name).into()
}

async fn within<T>(
    wait: Duration,
    late: Error,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(wait, work).await.unwrap_or(Err(late))
}

fn error_of(refusal: Refusal) -> Error {
    match refusal {
        Refusal::NoRoute => Error::DestinationIpUnroutable,
        Refusal::Full => Error::ConnectionLimitReached,
        Refusal::Never(_) | Refusal::NotPublic(_) | Refusal::NotListed | Refusal::Host => {
            Error::DestinationIpProhibited
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_regions_have_owners_of_their_own() {
        let key = |account: &str, region: &str| {
            let own = |text: &str| text.into();
            FunctionKey {
                account: own(account),
                region: own(region),
                name: own("f"),
                version: own("1"),
                revision: own("1"),
            }
        };
        assert_eq!(&*owner_of(&key("111111111111", "us-east-1")), "111111111111/us-east-1/f");
        assert_ne!(owner_of(&key("1", "us-east-1")), owner_of(&key("2", "us-east-1")));
        assert_ne!(owner_of(&key("1", "us-east-1")), owner_of(&key("1", "eu-west-1")));
    }
}
