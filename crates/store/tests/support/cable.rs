//! A connection to a server that a test can cut, freeze, or make lose answers.

use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::cluster::PORT;

/// What happens to the bytes of every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    Flows,
    /// Requests arrive, and their answers get lost.
    LosesAnswers,
    /// Nothing moves.
    Frozen,
    /// Connections end, and new ones end at once.
    Cut,
}

pub(crate) struct Cable {
    folder: TempDir,
    traffic: watch::Sender<Traffic>,
}

impl Cable {
    /// Lies between its own socket and the one in `server`.
    pub(crate) fn new(server: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let socket = format!(".s.PGSQL.{PORT}");
        let listener = UnixListener::bind(folder.path().join(&socket)).unwrap();
        let (traffic, server) = (watch::Sender::new(Traffic::Flows), server.join(socket));
        let sender = traffic.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (traffic, server) = (sender.subscribe(), server.clone());
                tokio::spawn(async move {
                    let Ok(server) = UnixStream::connect(&server).await else { return };
                    let (client_in, client_out) = client.into_split();
                    let (server_in, server_out) = server.into_split();
                    tokio::select! {
                        () = pump(client_in, server_out, traffic.clone(), false) => {}
                        () = pump(server_in, client_out, traffic.clone(), true) => {}
                        () = is(traffic, Traffic::Cut) => {}
                    }
                });
            }
        });
        Self { folder, traffic }
    }

    /// Where its socket is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

async fn is(mut traffic: watch::Receiver<Traffic>, wanted: Traffic) {
    if traffic.wait_for(|now| *now == wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut traffic: watch::Receiver<Traffic>,
    answers: bool,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let Ok(now) = traffic.wait_for(|now| *now != Traffic::Frozen).await.map(|now| *now) else { return };
        if answers && now == Traffic::LosesAnswers {
            // A stream that has lost bytes is never used again: the test cuts it.
            continue;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
