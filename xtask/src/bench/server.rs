//! The programs that are measured: started in a folder of their own, and ended with it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_test_client::{ACCESS_KEY_ID, Api, REGION, SECRET_ACCESS_KEY};

use super::Bench;

/// How often, and how many times, it is looked whether a stopped server has ended.
const STOP_POLL: Duration = Duration::from_millis(20);
const STOP_POLLS_MAX: usize = 500;

/// A running server. Dropping it stops it.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
}

/// A folder that is removed with everything in it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(bench: &Bench) -> anyhow::Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = bench.folder().join(name);
        fs::create_dir_all(&path).with_context(|| format!("could not make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} could not be removed: {error}", self.0.display());
        }
    }
}

/// `lambent up` in that folder; its log goes to `lambent.log` there.
pub(super) fn lambent_command(bench: &Bench, folder: &Folder, listen: &str) -> anyhow::Result<Command> {
    let log = folder.path().join("lambent.log");
    let log = File::options().append(true).create(true).open(&log);
    let mut command = Command::new(&bench.lambent);
    command.args(["up", "--listen", listen, "--data"]).arg(folder.path().join("data"));
    command.env("LAMBENT_ROOT_ACCESS_KEY_ID", ACCESS_KEY_ID);
    command.env("LAMBENT_ROOT_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    command.env("LAMBENT_REGION", REGION);
    command.stdin(Stdio::null()).stderr(log.context("could not make the server's log")?);
    Ok(command)
}

impl Server {
    /// Starts Lambent on a free port and waits until it is ready.
    pub(super) fn lambent(bench: &Bench, folder: &Folder) -> anyhow::Result<Self> {
        Self::lambent_with(bench, folder, &[])
    }

    /// The same, with more options of `up`.
    pub(super) fn lambent_with(bench: &Bench, folder: &Folder, options: &[&str]) -> anyhow::Result<Self> {
        let log = folder.path().join("lambent.log");
        Self::announced(lambent_command(bench, folder, "127.0.0.1:0")?.args(options)).with_context(|| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            format!("`lambent up` did not become ready; it said: {}", log.trim())
        })
    }

    /// Starts a program that prints where it listens.
    pub(super) fn announced(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child =
            command.stdout(Stdio::piped()).spawn().with_context(|| format!("could not start {program}"))?;
        let mut lines = BufReader::new(child.stdout.take().context("the server has no output")?);
        let mut line = String::new();
        lines.read_line(&mut line).with_context(|| format!("could not read what {program} says"))?;
        let address = line.trim().rsplit_once("http://").and_then(|(_, address)| address.parse().ok());
        match address {
            Some(address) => {
                // Kept open and read to its end, so that the server can go on writing.
                std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
                Ok(Self { child, address })
            }
            None => {
                let _ = child.kill();
                let _ = child.wait();
                bail!("expected {program} to say where it listens, got `{}`", line.trim())
            }
        }
    }

    /// Takes a program that listens there, or soon will.
    pub(super) fn at(child: Child, address: SocketAddr) -> Self {
        Self { child, address }
    }

    /// Takes it away without a word, as a crash does.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("could not kill the server")?;
        self.child.wait().context("could not wait for the killed server")?;
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn api<'a>(&self, bench: &'a Bench) -> Api<'a> {
        Api { address: self.address, clock: &bench.clock }
    }
}

impl Drop for Server {
    /// Asks it to end, as an operator does, so that it ends what it has started; then insists.
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let _ = Command::new("kill").arg("-TERM").arg(self.pid().to_string()).status();
        for _ in 0..STOP_POLLS_MAX {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(STOP_POLL);
        }
        eprintln!("the server did not end when asked to, and is killed");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("could not find a free port")?;
    Ok(listener.local_addr()?)
}
