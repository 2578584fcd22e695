//! Small objects: GET and durable PUT of 1 KiB.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::Context;
use lambent_test_client::{Api, Request};

use super::load::{self, Load, Order, median};
use super::server::{Folder, Server};
use super::table::Table;
use super::{Bench, CONNECTIONS};

pub(super) const BUCKET: &str = "bench";
const SMALL_BYTES: usize = 1024;
/// Objects that are read in turn.
const GET_OBJECTS: usize = 100;
/// The most objects that one row writes.
const PUT_OBJECTS_MAX: usize = 60_000;
const SYNCS: usize = 300;
const TARGET_GET: &str = "at most 60 us of server CPU";
const TARGET_PUT: &str = "at most 150 us of server CPU";

/// A server with a bucket.
pub(super) fn with_bucket(bench: &Bench, folder: &Folder) -> anyhow::Result<Server> {
    let server = Server::lambent(bench, folder)?;
    make_bucket(bench, &server)?;
    Ok(server)
}

pub(super) fn make_bucket(bench: &Bench, server: &Server) -> anyhow::Result<()> {
    let target = format!("/{BUCKET}");
    let request = Request { service: "s3", method: "PUT", target: &target, headers: &[], body: b"" };
    server.api(bench).call(request).map(drop)
}

pub(super) fn measure_get(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = with_bucket(bench, &folder)?;
    gets(bench, table, &server, "S3 GET 1 KiB", TARGET_GET)
}

/// Reads small objects of a server with a bucket.
pub(super) fn gets(
    bench: &Bench,
    table: &mut Table,
    server: &Server,
    what: &str,
    target: &'static str,
) -> anyhow::Result<()> {
    let api = server.api(bench);
    let puts = puts(&api, "get", GET_OBJECTS)?;
    let load = Load {
        address: server.address,
        connections: 1,
        requests: &puts,
        order: Order::Once,
        time: super::ROW_TIME,
    };
    load.run(&bench.clock, server.pid())?;
    let gets = (0..GET_OBJECTS).map(|index| {
        let target = format!("/{BUCKET}/get/{index:08}");
        api.signed(Request { service: "s3", method: "GET", target: &target, headers: &[], body: b"" })
    });
    let gets = gets.collect::<anyhow::Result<Vec<_>>>()?;
    load::rows(bench, table, server, &gets, (what, target))
}

pub(super) fn measure_put(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let (grown, there) = sync_us(bench, &folder)?;
    let figure = format!("p50 {there:.0} us; {grown:.0} us when the file grows");
    table.figure("1 KiB write and fdatasync on this disk", figure, "");
    let server = with_bucket(bench, &folder)?;
    durable_puts(bench, table, &server, "S3 PUT 1 KiB, durable", TARGET_PUT)
}

/// Writes small objects to a server with a bucket.
pub(super) fn durable_puts(
    bench: &Bench,
    table: &mut Table,
    server: &Server,
    what: &str,
    target: &'static str,
) -> anyhow::Result<()> {
    let api = server.api(bench);
    for connections in CONNECTIONS {
        let requests = puts(&api, &format!("put-{connections}"), bench.count(PUT_OBJECTS_MAX))?;
        let load = Load {
            address: server.address,
            connections,
            requests: &requests,
            order: Order::Once,
            time: bench.row_time(),
        };
        let outcome = load.run(&bench.clock, server.pid())?;
        table.load(what, connections, &outcome, String::new(), target);
    }
    Ok(())
}

/// PUTs of distinct keys below a prefix.
fn puts(api: &Api<'_>, prefix: &str, count: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let body = [b'x'; SMALL_BYTES];
    let put = |index| {
        let target = format!("/{BUCKET}/{prefix}/{index:08}");
        let headers = [("content-type", "application/octet-stream")];
        api.signed(Request { service: "s3", method: "PUT", target: &target, headers: &headers, body: &body })
    };
    (0..count).map(put).collect()
}

/// What one durable write costs at least: the median time of a write and its fdatasync, in microseconds, to a file
/// that grows with each write and to one whose blocks are there already, as those of a journal are.
fn sync_us(bench: &Bench, folder: &Folder) -> anyhow::Result<(f64, f64)> {
    let path = folder.path().join("sync");
    let file = File::create(&path).with_context(|| format!("could not make {}", path.display()))?;
    let write_all = || -> anyhow::Result<f64> {
        let mut times = Vec::new();
        for index in 0..SYNCS {
            let started = bench.clock.monotonic();
            file.write_all_at(&[b'x'; SMALL_BYTES], (index * SMALL_BYTES) as u64)?;
            file.sync_data()?;
            times.push((bench.clock.monotonic() - started).as_secs_f64() * 1e6);
        }
        Ok(median(times))
    };
    Ok((write_all()?, write_all()?))
}
