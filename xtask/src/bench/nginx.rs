//! Debian's nginx, serving a folder: what big downloads are compared with.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::server::{Server, free_port};
use crate::tools;

const READY_POLL: Duration = Duration::from_millis(20);
const READY_POLLS_MAX: usize = 250;

/// Starts nginx over a folder, with the settings of Debian's `nginx.conf`; installs it where that is possible.
pub(super) fn serve(root: &Path) -> anyhow::Result<Server> {
    if !tools::succeeds(Command::new("nginx").arg("-v")) {
        install()?;
    }
    let address = free_port()?;
    let folder = root.display();
    // Debian's file, with the paths, the port and the user of this run.
    let text = format!(
        "worker_processes auto;\nuser {user};\ndaemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\n\
         events {{ worker_connections 768; }}\n\
         http {{ sendfile on; tcp_nopush on; types_hash_max_size 2048; access_log {folder}/access.log;\n\
         default_type application/octet-stream; server {{ listen {address}; root {folder}; }} }}\n",
        user = user()?,
    );
    let config = root.join("nginx.conf");
    fs::write(&config, text).with_context(|| format!("could not write {}", config.display()))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(root).arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
    let log = fs::File::create(root.join("nginx.log")).context("could not make nginx's log")?;
    let child = command.stderr(log).spawn().context("could not start nginx")?;
    let server = Server::at(child, address);
    for _ in 0..READY_POLLS_MAX {
        if TcpStream::connect(address).is_ok() {
            return Ok(server);
        }
        std::thread::sleep(READY_POLL);
    }
    let log = fs::read_to_string(root.join("nginx.log")).unwrap_or_default();
    bail!("nginx did not listen on {address}; it said: {}", log.trim())
}

/// nginx starts as root, so its workers must be told to stay who they are to read the folder.
fn user() -> anyhow::Result<String> {
    let output = Command::new("id").arg("-un").output().context("could not start `id`")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn install() -> anyhow::Result<()> {
    eprintln!("installing nginx");
    let apt = |words: &[&str]| tools::run(Command::new("apt-get").args(words).stdout(Stdio::null()));
    apt(&["update", "-qq"])
        .and_then(|()| apt(&["install", "-qq", "--yes", "nginx-light"]))
        .context("nginx is missing and could not be installed (Debian: apt-get install nginx-light)")
}
