//! Connections: accepted, bounded, served, drained.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Version};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use lambent_base::Alarm;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::door::{Entrance, Speaks, Transport};
use crate::repoll::repolled;
use crate::streams::Streams;
use crate::timer::ConnectionTimer;
use crate::{Gateway, Inner, limits, pipeline};

/// How long to wait before accepting again when the system is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
impl Gateway {
    /// Serves a listener until `stop` turns true; then lets requests under way end, for a bounded time.
    pub async fn serve(self, listener: TcpListener, stop: watch::Receiver<bool>) {
        let connections = Arc::clone(&self.0.connections);
        self.accept(listener, Entrance::Front, connections, stop).await;
    }

    /// Serves the listener inside a function's sandbox: with connections of its own, so that no function can take those of
    /// everybody.
    pub async fn serve_sandbox(self, listener: TcpListener, stop: watch::Receiver<bool>) {
        let connections = Arc::new(Semaphore::new(limits::SANDBOX_CONNECTIONS_MAX));
        self.accept(listener, Entrance::Sandbox, connections, stop).await;
    }

    async fn accept(
        self,
        listener: TcpListener,
        entrance: Entrance,
        connections: Arc<Semaphore>,
        mut stop: watch::Receiver<bool>,
    ) {
        let draining = GracefulShutdown::new();
        let http = Arc::new(Http::default());
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&connections).acquire_owned() => permit.expect("the semaphore is never closed"),
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let guest = match entrance {
                        Entrance::Front => self.0.peers.enter(peer.ip()).map(Some),
                        Entrance::Sandbox => Some(None),
                    };
                    // Closed by being dropped, which costs less than any answer would.
                    let Some(guest) = guest else { continue };
                    let (inner, http) = (Arc::clone(&self.0), Arc::clone(&http));
                    let connection = connection(inner, http, stream, (peer, entrance), draining.watcher());
                    tokio::spawn(async move {
                        connection.await;
                        drop((permit, guest));
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(limits::DRAIN_TIMEOUT, draining.shutdown()).await.is_err() {
            tracing::warn!("requests were still running when the time to drain was over");
        }
    }
}

async fn connection(
    inner: Arc<Inner>,
    http: Arc<Http>,
    stream: TcpStream,
    (peer, entrance): (SocketAddr, Entrance),
    watcher: Watcher,
) {
    let alarm = Alarm::default();
    let (wire, arrival, speaks) = match inner.welcome(stream, peer, entrance, &alarm).await {
        Ok(welcome) => welcome,
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection was not served");
            return;
        }
    };
    let mut http = http.of(arrival.transport).clone();
    http.http1().timer(ConnectionTimer(alarm.clone()));
    let streams = Streams::default();
    let watched = streams.clone();
    let service = service_fn(move |request: Request<_>| {
        let (inner, streams) = (Arc::clone(&inner), streams.clone());
        let is_http_2 = request.version() == Version::HTTP_2;
        // The requests of an HTTP/2 connection wait at the same time, each in a task of its own.
        let alarm = if is_http_2 { Alarm::default() } else { alarm.clone() };
        async move {
            let response = pipeline::handle(inner, request, arrival, alarm).await;
            Ok::<_, Infallible>(if is_http_2 {
                response.map(|body| body.watched(&streams))
            } else {
                response
            })
        }
    });
    let connection = http.serve_connection(TokioIo::new(wire), service).into_owned();
    let served = repolled(watcher.watch(connection));
    let served = match speaks {
        Speaks::Http1 => served.await,
        Speaks::Http2 => tokio::select! {
            served = served => served,
            () = watched.stalled(limits::UNREAD_TIMEOUT) => {
                tracing::debug!(%peer, "a client opened the window of a stream no more");
                return;
            }
        },
    };
    if let Err(error) = served {
        tracing::debug!(%peer, error, "a connection ended early");
    }
}

/// How HTTP is spoken.
struct Http {
    /// HTTP/1.1, and HTTP/2 with those who begin with it.
    plain: auto::Builder<TokioExecutor>,
    /// HTTP/1.1, which is what the handshake offers.
    tls: auto::Builder<TokioExecutor>,
}

impl Default for Http {
    fn default() -> Self {
        Self { plain: http(), tls: http().http1_only() }
    }
}

impl Http {
    fn of(&self, transport: Transport) -> &auto::Builder<TokioExecutor> {
        if transport == Transport::Tls { &self.tls } else { &self.plain }
    }
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .header_read_timeout(limits::HEADER_READ_TIMEOUT)
        .max_buf_size(limits::READ_BUFFER_BYTES)
        .keep_alive(true);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits::HTTP_2_PING_EVERY)
        .max_concurrent_streams(limits::HTTP_2_STREAMS_MAX)
        .max_header_list_size(limits::HEAD_BYTES_MAX as u32);
    http
}
