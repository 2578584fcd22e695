//! A connection to a server that a test can cut, freeze, or make lose answers.

use std::path::Path;
use std::sync::{Arc, Mutex};

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
    state: Arc<State>,
}

struct State {
    traffic: watch::Sender<Traffic>,
    /// How many late requests have been answered.
    delivered: watch::Sender<u64>,
    /// The first request that holds this freezes everything, itself included.
    freeze_at: Mutex<Option<&'static str>>,
}

impl Cable {
    /// Lies between its own socket and the one in `server`.
    pub(crate) fn new(server: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let socket = format!(".s.PGSQL.{PORT}");
        let listener = UnixListener::bind(folder.path().join(&socket)).unwrap();
        let state = Arc::new(State {
            traffic: watch::Sender::new(Traffic::Flows),
            delivered: watch::Sender::new(0),
            freeze_at: Mutex::default(),
        });
        let (own, server) = (state.clone(), server.join(socket));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *own.traffic.borrow() == Traffic::ArrivesLate {
                    continue;
                }
                let (state, server) = (own.clone(), server.clone());
                tokio::spawn(async move {
                    if let Ok(server) = UnixStream::connect(&server).await {
                        state.connect(client, server).await;
                    }
                });
            }
        });
        Self { folder, state }
    }

    /// Where its socket is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn set(&self, traffic: Traffic) {
        self.state.traffic.send_replace(traffic);
    }

    /// Freezes the traffic when a request holds `text`.
    pub(crate) fn freeze_at(&self, text: &'static str) {
        *self.state.freeze_at.lock().unwrap() = Some(text);
    }

    /// Returns once the traffic is so.
    pub(crate) async fn is(&self, traffic: Traffic) {
        self.state.is(traffic).await;
    }

    /// Returns once a request has arrived late.
    pub(crate) async fn has_delivered(&self) {
        self.state.delivered.subscribe().wait_for(|count| *count > 0).await.unwrap();
    }
}

impl State {
    async fn connect(&self, client: UnixStream, server: UnixStream) {
        let (client_in, client_out) = client.into_split();
        let (mut server_in, mut server_out) = server.into_split();
        let late = tokio::select! {
            late = self.pump(client_in, &mut server_out, false) => late,
            late = self.pump(&mut server_in, client_out, true) => late,
            () = self.is(Traffic::Cut) => None,
        };
        // The client's end is closed by now.
        let Some(request) = late else { return };
        self.is(Traffic::Flows).await;
        if server_out.write_all(&request).await.is_ok() && server_in.read(&mut [0; 1024]).await.is_ok() {
            self.delivered.send_modify(|count| *count += 1);
        }
    }

    async fn is(&self, wanted: Traffic) {
        // The sender lives in `self`, so the wait can only end by the value.
        let _ = self.traffic.subscribe().wait_for(|now| *now == wanted).await;
    }

    /// Returns what is to arrive late.
    async fn pump(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        answers: bool,
    ) -> Option<Vec<u8>> {
        let mut traffic = self.traffic.subscribe();
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            if !answers && self.freezes(&bytes[..count]) {
                self.traffic.send_replace(Traffic::Frozen);
            }
            let now = *traffic.wait_for(|now| *now != Traffic::Frozen).await.unwrap();
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

    fn freezes(&self, request: &[u8]) -> bool {
        let mut at = self.freeze_at.lock().unwrap();
        let is_it = at.is_some_and(|text| request.windows(text.len()).any(|part| part == text.as_bytes()));
        if is_it {
            *at = None;
        }
        is_it
    }
}
