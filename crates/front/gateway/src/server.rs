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

use crate::repoll::repolled;
use crate::timer::ConnectionTimer;
use crate::{Gateway, Inner, limits, pipeline};

/// How long to wait before accepting again when the system is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// With what a client opens an HTTP/2 connection (RFC 9113, section 3.4).
const HTTP_2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long to wait for the rest of a preface that came in parts.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

impl Gateway {
    /// Serves a listener until `stop` turns true; then lets requests under way end, for a bounded time.
    pub async fn serve(self, listener: TcpListener, stop: watch::Receiver<bool>) {
        let connections = Arc::clone(&self.0.connections);
        self.accept(listener, connections, stop).await;
    }

    /// Serves the listener inside a function's sandbox: with connections of its own, so that no function can take those of
    /// everybody.
    pub async fn serve_sandbox(self, listener: TcpListener, stop: watch::Receiver<bool>) {
        let connections = Arc::new(Semaphore::new(limits::SANDBOX_CONNECTIONS_MAX));
        self.accept(listener, connections, stop).await;
    }

    async fn accept(
        self,
        listener: TcpListener,
        connections: Arc<Semaphore>,
        mut stop: watch::Receiver<bool>,
    ) {
        let draining = GracefulShutdown::new();
        let http = Arc::new(http());
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
                    let connection =
                        connection(Arc::clone(&self.0), Arc::clone(&http), stream, peer, draining.watcher());
                    tokio::spawn(async move {
                        connection.await;
                        drop(permit);
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
    http: Arc<auto::Builder<TokioExecutor>>,
    stream: TcpStream,
    peer: SocketAddr,
    watcher: Watcher,
) {
    // Until the version of HTTP is known, hyper waits without a limit of its own.
    let begun = tokio::time::timeout(limits::HEADER_READ_TIMEOUT, version_shown(&stream)).await;
    if !matches!(begun, Ok(Ok(()))) || stream.set_nodelay(true).is_err() {
        tracing::debug!(%peer, "a connection said nothing, or was gone before it was served");
        return;
    }
    let alarm = Alarm::default();
    let mut http = auto::Builder::clone(&http);
    http.http1().timer(ConnectionTimer(alarm.clone()));
    let service = service_fn(move |request: Request<_>| {
        let inner = Arc::clone(&inner);
        // The requests of an HTTP/2 connection wait at the same time, each in a task of its own.
        let alarm = if request.version() == Version::HTTP_2 { Alarm::default() } else { alarm.clone() };
        async move { Ok::<_, Infallible>(pipeline::handle(inner, request, peer, alarm).await) }
    });
    let connection = http.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = repolled(watcher.watch(connection)).await {
        tracing::debug!(%peer, error, "a connection ended early");
    }
}

/// Returns once the first bytes tell HTTP/1 from HTTP/2.
async fn version_shown(stream: &TcpStream) -> std::io::Result<()> {
    let mut seen = [0; HTTP_2_PREFACE.len()];
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if count == seen.len() || !HTTP_2_PREFACE.starts_with(&seen[..count]) {
            return Ok(());
        }
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .header_read_timeout(limits::HEADER_READ_TIMEOUT)
        .max_buf_size(limits::READ_BUFFER_BYTES)
        .keep_alive(true);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(limits::HTTP_2_PING_EVERY);
    http
}
