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
    /// The same, but a request that is sent first arrives later, once it [flows](Traffic::Flows) again.
    ArrivesLate,
}

pub(crate) struct Cable {
    folder: TempDir,
    traffic: watch::Sender<Traffic>,
    /// How many late requests have been answered.
    delivered: watch::Sender<u64>,
}

impl Cable {
    /// Lies between its own socket and the one in `server`.
    pub(crate) fn new(server: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let socket = format!(".s.PGSQL.{PORT}");
        let listener = UnixListener::bind(folder.path().join(&socket)).unwrap();
        let (traffic, server) = (watch::Sender::new(Traffic::Flows), server.join(socket));
        let delivered = watch::Sender::new(0);
        let (sender, arrived) = (traffic.clone(), delivered.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (traffic, server) = (sender.subscribe(), server.clone());
                if *traffic.borrow() == Traffic::ArrivesLate {
                    continue;
                }
                let arrived = arrived.clone();
                tokio::spawn(async move {
                    if let Ok(server) = UnixStream::connect(&server).await
                        && connect(client, server, traffic).await
                    {
                        arrived.send_modify(|count| *count += 1);
                    }
                });
            }
        });
        Self { folder, traffic, delivered }
    }

    /// Where its socket is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns once a request has arrived late.
    pub(crate) async fn has_delivered(&self) {
        self.delivered.subscribe().wait_for(|count| *count > 0).await.unwrap();
    }

    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

/// Says, once the connection has ended, whether its last request arrived late.
async fn connect(client: UnixStream, server: UnixStream, traffic: watch::Receiver<Traffic>) -> bool {
    let (client_in, client_out) = client.into_split();
    let (mut server_in, mut server_out) = server.into_split();
    let late = tokio::select! {
        late = pump(client_in, &mut server_out, traffic.clone(), false) => late,
        late = pump(&mut server_in, client_out, traffic.clone(), true) => late,
        () = is(traffic.clone(), Traffic::Cut) => None,
    };
    // The client's end is closed by now.
    let Some(request) = late else { return false };
    is(traffic, Traffic::Flows).await;
    server_out.write_all(&request).await.is_ok() && server_in.read(&mut [0; 1024]).await.is_ok()
}

async fn is(mut traffic: watch::Receiver<Traffic>, wanted: Traffic) {
    if traffic.wait_for(|now| *now == wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Returns what is to arrive late.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut traffic: watch::Receiver<Traffic>,
    answers: bool,
) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let Ok(now) = traffic.wait_for(|now| *now != Traffic::Frozen).await.map(|now| *now) else {
            return None;
        };
        if answers && now == Traffic::LosesAnswers {
            // A stream that has lost bytes is never used again: the test cuts it.
            continue;
        }
        if !answers && now == Traffic::ArrivesLate {
            bytes.truncate(count);
            return Some(bytes);
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return None;
        }
    }
    None
}
