//! One object of 1 GiB: up, down, beside nginx, and the memory that it took.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use lambent_base::text::hex;
use lambent_sigv4::Sha256;
use lambent_test_client::{Answer, Connection, Request};

use super::load::median;
use super::objects::{BUCKET, with_bucket};
use super::process;
use super::server::{Folder, Server};
use super::table::Table;
use super::{Bench, nginx};

const BIG_MIB: u64 = 1024;
const BIG_MIB_QUICK: u64 = 128;
const MIB: usize = 1024 * 1024;
const DOWNLOADS: usize = 5;
const DOWNLOADS_QUICK: usize = 1;
const TARGET_MEMORY: &str = "below 150 MiB";

/// The content of the object, a mebibyte at a time.
struct Content {
    piece: Vec<u8>,
    pieces: u64,
}

/// How long one transfer took, and the server's CPU time.
struct Transfer {
    took: Duration,
    cpu: Duration,
}

impl Content {
    fn new(bench: &Bench) -> Self {
        // Bytes that no file system can make smaller.
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let piece = (0..MIB / 8).flat_map(|_| next()).collect();
        Self { piece, pieces: if bench.quick { BIG_MIB_QUICK } else { BIG_MIB } }
    }

    fn length(&self) -> u64 {
        self.pieces * self.piece.len() as u64
    }

    fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        (0..self.pieces).for_each(|_| hasher.update(&self.piece));
        hex(&hasher.finish())
    }
}

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let content = Content::new(bench);
    let server = with_bucket(bench, &folder)?;
    let size = format!("{} MiB", content.pieces);
    let target = format!("/{BUCKET}/big");
    let put = Request { service: "s3", method: "PUT", target: &target, headers: &[], body: b"" };
    let api = server.api(bench);

    let unsigned = upload(bench, &server, &api.unsigned_head(put, content.length())?, &content)?;
    table.figure(format!("S3 PUT {size}, body not signed"), unsigned.text(&content), "");
    let head = api.head(put, content.length(), &content.sha256())?;
    let signed = upload(bench, &server, &head, &content)?;
    table.figure(format!("S3 PUT {size}, body signed by its SHA-256"), signed.text(&content), "");

    let get = api.signed(Request { method: "GET", ..put })?;
    let plain = beside_nginx(bench, &folder, &content)?;
    // In turn, so that a disturbance hits both.
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..if bench.quick { DOWNLOADS_QUICK } else { DOWNLOADS } {
        ours.push(download(bench, &server, &get, &content)?);
        theirs.push(download(bench, &plain, b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n", &content)?);
    }
    let (ours, theirs) = (Transfer::middle(&ours), Transfer::middle(&theirs));
    let part = 100.0 * theirs.took.as_secs_f64() / ours.took.as_secs_f64();
    let figure = format!("{}; {part:.0} % of nginx", ours.text(&content));
    table.figure(format!("S3 GET {size}"), figure, "at least half of nginx");
    table.figure(format!("nginx GET {size}"), theirs.text(&content), "");
    let peak = process::memory_bytes(server.pid(), "VmHWM")? as f64 / MIB as f64;
    table.figure("Peak memory after these", format!("VmHWM {peak:.1} MiB"), TARGET_MEMORY);
    Ok(())
}

/// nginx over a file of the same size on the same disk, warm in the page cache as the object is.
fn beside_nginx(bench: &Bench, folder: &Folder, content: &Content) -> anyhow::Result<Server> {
    let root = folder.path().join("nginx");
    fs::create_dir_all(&root).with_context(|| format!("could not make {}", root.display()))?;
    let mut file = BufWriter::new(File::create(root.join("big")).context("could not make nginx's file")?);
    for _ in 0..content.pieces {
        file.write_all(&content.piece).context("could not write nginx's file")?;
    }
    file.into_inner().context("could not write nginx's file")?.sync_all()?;
    let server = nginx::serve(&root)?;
    download(bench, &server, b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n", content)?;
    Ok(server)
}

fn upload(bench: &Bench, server: &Server, head: &[u8], content: &Content) -> anyhow::Result<Transfer> {
    transfer(bench, server, |connection| {
        connection.send(head)?;
        for _ in 0..content.pieces {
            connection.send(&content.piece)?;
        }
        let mut answer = Answer::default();
        connection.receive(&mut answer)?;
        Ok(answer)
    })
}

fn download(bench: &Bench, server: &Server, request: &[u8], content: &Content) -> anyhow::Result<Transfer> {
    transfer(bench, server, |connection| {
        let answer = connection.exchange(request)?;
        if answer.status == 200 && answer.length != content.length() {
            bail!("expected {} bytes, got {}", content.length(), answer.length);
        }
        Ok(answer)
    })
}

fn transfer(
    bench: &Bench,
    server: &Server,
    work: impl FnOnce(&mut Connection) -> anyhow::Result<Answer>,
) -> anyhow::Result<Transfer> {
    let mut connection = Connection::open(server.address)?;
    let (started, before) = (bench.clock.monotonic(), process::cpu(server.pid())?);
    let answer = work(&mut connection)?;
    let (took, cpu) = (bench.clock.monotonic() - started, process::cpu(server.pid())?.since(before));
    if answer.status != 200 {
        bail!("expected status 200, got {}", answer.text());
    }
    // nginx works in children of the process that was started.
    Ok(Transfer { took, cpu: cpu.own() + cpu.children() })
}

impl Transfer {
    fn text(&self, content: &Content) -> String {
        let rate = content.length() as f64 / MIB as f64 / self.took.as_secs_f64();
        format!("{rate:.0} MiB/s, server CPU {:.2} s", self.cpu.as_secs_f64())
    }

    fn middle(all: &[Self]) -> Self {
        let of = |get: fn(&Self) -> Duration| {
            Duration::from_secs_f64(median(all.iter().map(|one| get(one).as_secs_f64()).collect()))
        };
        Self { took: of(|one| one.took), cpu: of(|one| one.cpu) }
    }
}
