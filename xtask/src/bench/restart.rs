//! Starting again after a crash, with much state.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_test_client::Request;

use super::Bench;
use super::load::{Load, Order};
use super::objects::{BUCKET, with_bucket};
use super::server::Folder;
use super::starts::start_ms;
use super::table::Table;

/// What the store holds before the crash.
const STATE_BYTES: usize = 1024 * 1024 * 1024;
/// Small enough to lie in the store's rows, not in a file of its own.
const OBJECT_BYTES: usize = 30 * 1024;
/// Requests that are prepared at once.
const PREPARED: usize = 2000;
const CONNECTIONS: usize = 16;
const FILL_TIMEOUT: Duration = Duration::from_secs(120);
const RESTARTS: usize = 3;
const MIB: f64 = 1024.0 * 1024.0;

/// Fills a store, kills the server in the middle of it, and measures from its start to its first answer.
pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let mut server = with_bucket(bench, &folder)?;
    let objects = bench.count(STATE_BYTES / OBJECT_BYTES);
    let mut times_ms = Vec::new();
    let lives = RESTARTS;
    for life in 0..lives {
        fill(bench, &server, objects * life / lives..objects * (life + 1) / lives)?;
        server.kill()?;
        times_ms.push(start_ms(bench, &folder)?);
        server = super::server::Server::lambent(bench, &folder)?;
    }
    let store = bytes_below(&folder.path().join("data/store"))? as f64 / MIB;
    let last = times_ms.last().copied().unwrap_or_default();
    let slowest = times_ms.iter().copied().fold(0.0, f64::max);
    let figure =
        format!("{last:.0} ms with {store:.0} MiB of files, slowest on the way there {slowest:.0} ms");
    table.figure("Start after kill -9 to first signed answer, 1 GiB of state", figure, "at most 3 s");
    Ok(())
}

fn fill(bench: &Bench, server: &super::server::Server, range: std::ops::Range<usize>) -> anyhow::Result<()> {
    let api = server.api(bench);
    let body = vec![b'x'; OBJECT_BYTES];
    let mut first = range.start;
    while first < range.end {
        let end = range.end.min(first + PREPARED);
        let put = |index| {
            let target = format!("/{BUCKET}/restart/{index:08}");
            api.signed(Request { service: "s3", method: "PUT", target: &target, headers: &[], body: &body })
        };
        let requests = (first..end).map(put).collect::<anyhow::Result<Vec<_>>>()?;
        let load = Load {
            address: server.address,
            connections: CONNECTIONS,
            requests: &requests,
            order: Order::Once,
            time: FILL_TIMEOUT,
        };
        let outcome = load.run(&bench.clock, server.pid())?;
        if let Some((count, text)) = outcome.refused {
            bail!("{count} objects were refused; {text}");
        }
        first = end;
    }
    Ok(())
}

/// What the files below a folder take on the disk.
fn bytes_below(folder: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() { bytes_below(&entry.path())? } else { about.blocks() * 512 };
    }
    Ok(sum)
}
