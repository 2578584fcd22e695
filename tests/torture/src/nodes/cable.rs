//! The way from a node to its database, which can be cut or frozen: a Unix socket of its own before the server's.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use tempfile::TempDir;

use super::cluster::PORT;

/// What happens to the bytes of every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    Flows,
    /// Nothing moves.
    Frozen,
    /// Connections end, and new ones end at once.
    Cut,
}

pub(crate) struct Cable {
    folder: TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    server: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    traffic: Traffic,
    open: Vec<UnixStream>,
}

impl Cable {
    /// Lies before the socket in `server`. Its threads end with the process.
    pub(crate) fn new(server: &Path) -> anyhow::Result<Self> {
        let folder = TempDir::new().context("could not make a folder for a socket")?;
        let socket = format!(".s.PGSQL.{PORT}");
        let listener = UnixListener::bind(folder.path().join(&socket)).context("could not make a socket")?;
        let state = Mutex::new(State { traffic: Traffic::Flows, open: Vec::new() });
        let shared = Arc::new(Shared { server: server.join(socket), state, changed: Condvar::new() });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client whose connection cannot be made sees it end.
                let _ = accepting.connect(client);
            }
        });
        Ok(Self { folder, shared })
    }

    /// Where its socket is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn set(&self, traffic: Traffic) {
        let mut state = self.shared.state();
        state.traffic = traffic;
        if traffic == Traffic::Cut {
            for stream in state.open.drain(..) {
                // It may have ended by itself.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, client: UnixStream) -> std::io::Result<()> {
        let server = UnixStream::connect(&self.server)?;
        {
            let mut state = self.state();
            if state.traffic == Traffic::Cut {
                return Ok(());
            }
            state.open.extend([client.try_clone()?, server.try_clone()?]);
        }
        for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
            let shared = self.clone();
            std::thread::spawn(move || shared.pump(from, to));
        }
        Ok(())
    }

    fn pump(&self, mut from: UnixStream, mut to: UnixStream) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let frozen = |state: &mut State| state.traffic == Traffic::Frozen;
            let state = self.changed.wait_while(self.state(), frozen);
            let traffic = state.unwrap_or_else(PoisonError::into_inner).traffic;
            if traffic == Traffic::Cut || to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            // The other end may be gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
