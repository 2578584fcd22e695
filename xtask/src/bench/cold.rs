//! First calls: of functions that were never called, of new code, of many functions at once, and of a server that has
//! just started.

use std::time::Duration;

use anyhow::Context;
use lambent_test_client::Connection;

use super::Bench;
use super::bundle;
use super::functions::{self, Kind, Packages, check_echo, invocation};
use super::load::{Load, Order};
use super::server::{Folder, Server};
use super::table::{Row, Table};

const KINDS: [Kind; 5] = [Kind::Python, Kind::Boto3, Kind::Client, Kind::Node, Kind::Rust];
/// Functions of each kind that are called for the first time, one after another.
const NEVER_SEEN: usize = 50;
const NEW_VERSIONS: usize = 30;
const SNAP_STARTS: usize = 10;
/// Between two of them, as first calls are rare: so there can be something ready for each.
const PAUSE: Duration = Duration::from_millis(150);
/// More at once than anything can hold ready for long, and how many of them.
const AT_ONCE: usize = 8;
const CROWD: usize = 96;
const AT_ONCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Starts of the server, each followed by one call.
const RESTARTS: usize = 7;

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    for kind in KINDS {
        let packages = Packages::of(kind)?;
        let folder = Folder::new(bench)?;
        let server = functions::server(bench, &folder, &[])?;
        let names = functions::names("seen", bench.count(NEVER_SEEN).max(10) + 1);
        packages.deploy(bench, &server, &names, false)?;
        // The server's own first call has a row of its own.
        let (very_first, names) = names.split_first().context("there is at least one name")?;
        one_by_one(bench, &server, std::slice::from_ref(very_first), PAUSE)?;
        let times_us = one_by_one(bench, &server, names, PAUSE)?;
        row(table, kind, "never-seen function", times_us, target(kind));

        let changed = &names[..bench.count(NEW_VERSIONS).max(10).min(names.len())];
        packages.update(&server.api(bench), changed, "second")?;
        row(table, kind, "new version", one_by_one(bench, &server, changed, PAUSE)?, target(kind));

        packages.update(&server.api(bench), names, "third")?;
        let times_us = one_by_one(bench, &server, names, Duration::ZERO)?;
        row(table, kind, "one upon the other", times_us, target_empty(kind));

        crowd(bench, table, &server, &packages, kind)?;
        drop(server);
        let first = after_a_start(bench, &folder, names)?;
        row(table, kind, "right after a start", first, target_empty(kind));
    }
    snap_start(bench, table)?;
    bundle::measure(bench, table)
}

/// First calls of published versions, which may start from one that has been initialised.
fn snap_start(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let kind = Kind::Client;
    let folder = Folder::new(bench)?;
    let server = functions::server(bench, &folder, &[])?;
    let names = functions::names("snap", SNAP_STARTS);
    Packages::with_snap_start(kind)?.deploy(bench, &server, &names, false)?;
    let versions = functions::first_versions(&server.api(bench), &names)?;
    let times_us = one_by_one(bench, &server, &versions, PAUSE)?;
    row(table, kind, "new version with SnapStart", times_us, "");
    Ok(())
}

/// What each first call takes, in microseconds.
pub(super) fn one_by_one(
    bench: &Bench,
    server: &Server,
    names: &[String],
    pause: Duration,
) -> anyhow::Result<Vec<f64>> {
    let api = server.api(bench);
    let mut connection = Connection::open(server.address)?;
    let mut times_us = Vec::new();
    for name in names {
        std::thread::sleep(pause);
        let request = invocation(&api, name)?;
        let started = bench.clock.monotonic();
        let answer = connection.exchange(&request)?;
        times_us.push((bench.clock.monotonic() - started).as_secs_f64() * 1e6);
        check_echo(&answer)?;
    }
    Ok(times_us)
}

/// First calls of distinct functions, several at a time and without a pause: what is ready is soon gone.
fn crowd(
    bench: &Bench,
    table: &mut Table,
    server: &Server,
    packages: &Packages,
    kind: Kind,
) -> anyhow::Result<()> {
    let names = functions::names("crowd", bench.count(CROWD));
    packages.deploy(bench, server, &names, false)?;
    let api = server.api(bench);
    let requests = names.iter().map(|name| invocation(&api, name)).collect::<anyhow::Result<Vec<_>>>()?;
    let load = Load {
        address: server.address,
        connections: AT_ONCE,
        requests: &requests,
        order: Order::Once,
        time: AT_ONCE_TIMEOUT,
    };
    let outcome = load.run(&bench.clock, server.pid())?;
    let what = format!("Invoke, cold, {AT_ONCE} at once, {}", kind.name());
    table.load(what, AT_ONCE, &outcome, String::new(), target_empty(kind));
    Ok(())
}

/// The first call of a server that has just started and holds nothing ready.
fn after_a_start(bench: &Bench, folder: &Folder, names: &[String]) -> anyhow::Result<Vec<f64>> {
    let mut times_us = Vec::new();
    for index in 0..bench.count(RESTARTS).max(3) {
        let server = functions::server(bench, folder, &[])?;
        let name = std::slice::from_ref(&names[index % names.len()]);
        times_us.extend(one_by_one(bench, &server, name, Duration::ZERO)?);
    }
    Ok(times_us)
}

fn row(table: &mut Table, kind: Kind, what: &str, times_us: Vec<f64>, target: &str) {
    let what = format!("Invoke, cold, {what}, {}", kind.name());
    table.row(Row { target: target.to_owned(), ..Row::times(what, times_us) });
}

fn target(kind: Kind) -> &'static str {
    match kind {
        Kind::Node => "p50 at most 8 ms",
        Kind::Client
        | Kind::Stream
        | Kind::Hold
        | Kind::Records
        | Kind::NodeRecords
        | Kind::Bundle
        | Kind::BundleAsIs => "",
        Kind::Component | Kind::HttpComponent => "p50 at most 2 ms",
        Kind::Python | Kind::Boto3 => "p50 at most 5 ms, p99 15 ms",
        Kind::Rust => "p50 at most 5 ms",
    }
}

/// With nothing ready.
fn target_empty(kind: Kind) -> &'static str {
    match kind {
        Kind::Node => "p50 at most 24 ms",
        Kind::Client
        | Kind::Stream
        | Kind::Hold
        | Kind::Records
        | Kind::NodeRecords
        | Kind::Bundle
        | Kind::BundleAsIs => "",
        Kind::Component | Kind::HttpComponent => "",
        Kind::Python | Kind::Boto3 | Kind::Rust => "p50 at most 15 ms",
    }
}
