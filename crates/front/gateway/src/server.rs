//! Connections: accepted, bounded, served, drained.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::{Gateway, limits, pipeline};

/// How long to wait before accepting again when the system is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

impl Gateway {
    /// Serves a listener until `stop` turns true; then lets requests under way end, for a bounded time.
    pub async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let draining = GracefulShutdown::new();
        let http = Arc::new(http());
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&self.0.connections).acquire_owned() => permit.expect("the semaphore is never closed"),
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection was gone before it was served");
                continue;
            }
            let inner = Arc::clone(&self.0);
            let service = service_fn(move |request| {
                let inner = Arc::clone(&inner);
                async move { Ok::<_, Infallible>(pipeline::handle(inner, request, peer).await) }
            });
            let connection = http.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = draining.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%peer, error, "a connection ended early");
                }
                drop(permit);
            });
        }
        drop(listener);
        if tokio::time::timeout(limits::DRAIN_TIMEOUT, draining.shutdown()).await.is_err() {
            tracing::warn!("requests were still running when the time to drain was over");
        }
    }
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_READ_TIMEOUT)
        .max_buf_size(limits::READ_BUFFER_BYTES)
        .keep_alive(true);
    http.http2().timer(TokioTimer::new());
    http
}
