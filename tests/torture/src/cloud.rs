//! The server under torture: started, killed without a word, started again.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::Clock;
use lambent_test_client::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use rustix::process::{Pid, Signal, kill_process_group};

/// A server that is not ready by then will not be.
const READY_MAX: Duration = Duration::from_secs(60);
/// How much of the server's log an error shows.
const LOG_TAIL_BYTES: usize = 4000;

/// A data directory and the binary that serves it.
pub(crate) struct Place {
    pub(crate) binary: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) clock: Clock,
    /// More options of `up`, and more variables in its environment.
    pub(crate) options: Vec<String>,
    pub(crate) variables: Vec<(&'static str, &'static str)>,
}

/// A running server, in a process group of its own. Dropping it kills the group.
pub(crate) struct Server {
    child: Child,
    group: Pid,
    pub(crate) address: SocketAddr,
    /// From the start of the process to the line that says that it is ready.
    pub(crate) ready_after: Duration,
}

impl Place {
    /// Starts the server and waits until it says that it is ready.
    pub(crate) fn start(&self) -> anyhow::Result<Server> {
        let started = self.clock.monotonic();
        let mut child = self.spawn()?;
        let group = group_of(&child)?;
        let mut lines = BufReader::new(child.stdout.take().context("the server has no output")?);
        let (said, hears) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = lines.read_line(&mut line).map(|_| line);
            // Nobody listens any more after the deadline.
            let _ = said.send(read);
            // Read to its end, so that the server can go on writing.
            std::io::copy(&mut lines, &mut std::io::sink())
        });
        let Ok(line) = hears.recv_timeout(READY_MAX) else {
            end(&mut child, group);
            bail!("`lambent up` was not ready after {READY_MAX:?}; its log ends:\n{}", self.log_tail());
        };
        let line = line.context("could not read what the server says")?;
        let address = line.trim().rsplit_once("http://").and_then(|(_, address)| address.parse().ok());
        let Some(address) = address else {
            end(&mut child, group);
            bail!("`lambent up` did not become ready: `{}`\nits log ends:\n{}", line.trim(), self.log_tail());
        };
        let ready_after = self.clock.monotonic().saturating_sub(started);
        Ok(Server { child, group, address, ready_after })
    }

    /// Starts the server and kills it after that time, whether it is ready or not.
    pub(crate) fn start_and_kill(&self, after: Duration) -> anyhow::Result<()> {
        let mut child = self.spawn()?;
        let group = group_of(&child)?;
        std::thread::sleep(after);
        end(&mut child, group);
        Ok(())
    }

    /// The end of what the server wrote to its log.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = File::options().append(true).create(true).open(&self.log);
        let log = log.with_context(|| format!("could not open {}", self.log.display()))?;
        // Also when the torture is killed, no server goes on: it ends with the thread that started it.
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig=KILL").arg(&self.binary);
        command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(&self.data);
        command.env("LAMBENT_ROOT_ACCESS_KEY_ID", ACCESS_KEY_ID);
        command.env("LAMBENT_ROOT_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
        command.env("LAMBENT_REGION", REGION);
        command.args(&self.options).envs(self.variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let failed = || format!("could not start {} with util-linux's setpriv", self.binary.display());
        command.spawn().with_context(failed)
    }
}

impl Server {
    /// Takes the process and its group away, as a power cut does.
    pub(crate) fn kill(mut self) {
        end(&mut self.child, self.group);
    }

    /// Lets it sleep, with all that it has started.
    pub(crate) fn pause(&self) -> anyhow::Result<()> {
        kill_process_group(self.group, Signal::STOP).context("could not let the server sleep")
    }

    /// Wakes it.
    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        kill_process_group(self.group, Signal::CONT).context("could not wake the server")
    }

    /// Whether it runs still; it never ends by itself unless something is wrong.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child, self.group);
    }
}

fn group_of(child: &Child) -> anyhow::Result<Pid> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    id.context("the server has no process id")
}

fn end(child: &mut Child, group: Pid) {
    // A child that was waited for already has no group that is surely its own.
    if matches!(child.try_wait(), Ok(None)) {
        let _ = kill_process_group(group, Signal::KILL);
        let _ = child.wait();
    }
}

/// A folder that is removed with everything in it, unless it is kept for a look after a failure.
pub(crate) struct Folder {
    path: PathBuf,
    pub(crate) keep: bool,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&path).with_context(|| format!("could not make {}", path.display()))?;
        Ok(Self { path, keep: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("kept for a look: {}", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}
