//! A PostgreSQL server of its own for a test or a measurement: Debian's PostgreSQL 15 on a new, temporary cluster that
//! listens on a Unix socket alone.
//!
//! It stops when it is dropped, also by a panic, and when the thread that made it ends in any other way.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

const BIN: &str = "/usr/lib/postgresql/15/bin";
const INSTALL: &str = "the PostgreSQL tests need PostgreSQL 15 in /usr/lib/postgresql/15/bin and util-linux's setpriv; on \
                       Debian 12: apt-get install --no-install-recommends postgresql-15";
/// PostgreSQL refuses to run as root; then it runs as `nobody`.
const NOBODY: u32 = 65534;
pub(crate) const PORT: u16 = 5432;
const POLL: Duration = Duration::from_millis(10);
const POLLS_MAX: u32 = 3_000;

/// What a crash of the machine may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Everything: for tests that do not crash the machine.
    #[allow(dead_code, reason = "measurements are of what is durable")]
    Off,
    /// Nothing, as in production: for measurements.
    #[allow(dead_code, reason = "not every user of this file measures")]
    On,
}

/// A running server.
pub(crate) struct Cluster {
    folder: TempDir,
    server: Child,
    sync: Sync,
    /// Locked: one server at a time for all tests of a user, so that none waits for the others' work to end.
    _turn: File,
}

impl Cluster {
    /// Makes a cluster below `parent` (or the temporary folder) and starts it.
    ///
    /// Panics, saying what to install, where PostgreSQL is missing.
    pub(crate) fn start(parent: Option<&Path>, sync: Sync) -> Self {
        assert!(Path::new(BIN).join("postgres").exists(), "{INSTALL}");
        let turn = std::env::temp_dir().join(format!("lambent-postgres-{}.lock", geteuid().as_raw()));
        let turn = File::options().create(true).append(true).open(turn).unwrap();
        turn.lock().unwrap();
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let folder = TempDir::new_in(parent).unwrap();
        if geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let data = folder.path().join("data");
        let made = as_ordinary_user("initdb")
            .args(["--no-sync", "--auth=trust", "--username=lambent", "-D"])
            .arg(&data)
            .output();
        let made = made.expect(INSTALL);
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let server = serve(folder.path(), sync);
        let cluster = Self { folder, server, sync, _turn: turn };
        cluster.wait_until_ready();
        cluster
    }

    /// The folder of the socket.
    #[allow(dead_code, reason = "only who lies between asks for it")]
    pub(crate) fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// A URL of a database, through the socket in `folder`.
    pub(crate) fn url_through(folder: &Path, database: &str) -> String {
        let host = folder.to_str().unwrap().replace('/', "%2F");
        format!("postgres://lambent@{host}:{PORT}/{database}")
    }

    /// A URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        Self::url_through(self.folder.path(), database)
    }

    /// Makes an empty database and gives its URL.
    pub(crate) fn database(&self, name: &str) -> String {
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// Runs a statement and gives what it prints.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        let mut command = Command::new(Path::new(BIN).join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]).arg(self.url(database));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Kills every process of the server at once, as a crash does, and starts it again.
    #[allow(dead_code, reason = "not every user of this file crashes it")]
    pub(crate) fn crash_and_restart(&mut self) {
        self.stop(Signal::QUIT);
        self.server = serve(self.folder.path(), self.sync);
        self.wait_until_ready();
    }

    /// The postmaster's process.
    #[allow(dead_code, reason = "only measurements ask for it")]
    pub(crate) fn pid(&self) -> u32 {
        self.server.id()
    }

    fn stop(&mut self, signal: Signal) {
        let pid = Pid::from_child(&self.server);
        if kill_process(pid, signal).is_ok() {
            let _ = self.server.wait();
        }
    }

    fn wait_until_ready(&self) {
        let socket = self.folder.path().join(format!(".s.PGSQL.{PORT}"));
        for _ in 0..POLLS_MAX {
            if UnixStream::connect(&socket).is_ok() && self.answers() {
                return;
            }
            std::thread::sleep(POLL);
        }
        panic!(
            "PostgreSQL did not start: {}",
            fs::read_to_string(log(self.folder.path())).unwrap_or_default()
        );
    }

    fn answers(&self) -> bool {
        let mut command = Command::new(Path::new(BIN).join("psql"));
        command.args(["-X", "-q", "-c", "SELECT 1"]).arg(self.url("postgres"));
        command.output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Sessions are ended, nothing is waited for.
        self.stop(Signal::INT);
    }
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn serve(folder: &Path, sync: Sync) -> Child {
    let on = if sync == Sync::On { "on" } else { "off" };
    let mut command = as_ordinary_user("postgres");
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    command.args(["-p", &PORT.to_string(), "-c", "listen_addresses=", "-c", "max_connections=200"]);
    command.args(["-c", &format!("fsync={on}"), "-c", &format!("full_page_writes={on}")]);
    command.args(["-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB"]);
    let log = File::options().create(true).append(true).open(log(folder)).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect(INSTALL)
}

/// A program of PostgreSQL that ends with this thread; with an ordinary user's rights when this process is root.
fn as_ordinary_user(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=INT");
    if geteuid().is_root() {
        command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]).arg("--clear-groups");
    }
    command.arg(Path::new(BIN).join(program)).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
    command.current_dir("/");
    command
}
