//! The demonstration's own cloud: this binary again, in a directory that is gone afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use lambent_base::{Random, env};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::cloud::{Cloud, RootKey};
use crate::{CliError, ui};

const READY_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// The example's notification names this account and region.
const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";
const KEY_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// How much of the cloud's own log an error shows.
const LOG_BYTES: usize = 4_096;

/// A running cloud. It ends when this is dropped, cleanly if [`DemoCloud::stop`] is called.
pub(super) struct DemoCloud {
    child: Child,
    folder: TempDir,
    cloud: Cloud,
}

impl DemoCloud {
    /// Starts a cloud on a free port, with the packages of runtimes that are beneath `cache`.
    pub(super) async fn start(cache: &Path, allow_weak_isolation: bool) -> Result<Self, CliError> {
        let made = tempfile::Builder::new().prefix("lambent-demo-").tempdir();
        let folder = made.map_err(CliError::disk("make a folder in", std::env::temp_dir()))?;
        let data = folder.path().join("data");
        fs::create_dir(&data).map_err(CliError::disk("make", &data))?;
        let runtimes = data.join("runtimes");
        let linked = std::os::unix::fs::symlink(cache.join("runtimes"), &runtimes);
        linked.map_err(CliError::disk("make", runtimes))?;

        let random = Random::system();
        let root = RootKey {
            access_key_id: format!("AKIA{}", random.string(KEY_ALPHABET, 16)),
            secret_access_key: random.string(SECRET_ALPHABET, 40),
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
        };
        let log = log_of(&folder);
        let stderr = fs::File::create(&log).map_err(CliError::disk("write", &log))?;
        let mut child =
            command(&data, &root, allow_weak_isolation)?.stderr(stderr).spawn().map_err(CliError::Start)?;
        let failed = |what: &str| CliError::DemoCloud(format!("{what}\n{}", tail(&log)));
        let stdout = child.stdout.take().ok_or_else(|| failed("it has no stdout"))?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(READY_TIMEOUT, lines.next_line()).await;
        let line = line.map_err(|_| failed("it was not ready in time"))?;
        let line = line.ok().flatten().ok_or_else(|| failed("it ended"))?;
        let endpoint = line.split_whitespace().find(|word| word.starts_with("http://"));
        let endpoint = endpoint.ok_or_else(|| failed(&line))?.to_owned();
        Ok(Self { child, folder, cloud: Cloud { published: endpoint.clone(), endpoint, root } })
    }

    pub(super) fn access(&self) -> Cloud {
        self.cloud.clone()
    }

    /// Shows the end of what the cloud said on its own stderr, which is nothing as long as all is well.
    pub(super) fn say_its_log(&self) {
        let said = tail(&log_of(&self.folder));
        if !said.is_empty() {
            ui::say(format_args!("The cloud's own log ends with:\n{said}\n"));
        }
    }

    /// Asks the cloud to end, and makes it end if it does not.
    pub(super) async fn stop(mut self) {
        let id = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(id) = id {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        let _ = self.folder.close();
    }
}

fn command(data: &Path, root: &RootKey, allow_weak_isolation: bool) -> Result<Command, CliError> {
    let program = std::env::current_exe().map_err(CliError::Start)?;
    let mut command = Command::new(program);
    command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    if allow_weak_isolation {
        command.arg("--allow-weak-isolation");
    }
    command
        .env(env::ROOT_ACCESS_KEY_ID, &root.access_key_id)
        .env(env::ROOT_SECRET_ACCESS_KEY, &root.secret_access_key)
        .env(env::ACCOUNT_ID, &root.account)
        .env(env::REGION, &root.region)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

fn log_of(folder: &TempDir) -> PathBuf {
    folder.path().join("log")
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_BYTES)..]).trim().to_owned()
}
