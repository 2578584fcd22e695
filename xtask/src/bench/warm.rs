//! Calls of functions whose environments are there.

use std::time::Duration;

use lambent_test_client::Connection;

use super::functions::{self, Kind, Packages, check_echo, invocation};
use super::load::{Load, Order};
use super::server::{Folder, Server};
use super::table::Table;
use super::{Bench, CONNECTIONS};

const KINDS: [Kind; 3] = [Kind::Python, Kind::Node, Kind::Rust];
/// Functions that are called at the same time, each over a connection of its own.
const FUNCTIONS: usize = 16;
/// Before a row, so that there is a warm environment for each of its connections: this long for each, and at least.
const WARM_UP_EACH: Duration = Duration::from_millis(150);
const WARM_UP_MIN: Duration = Duration::from_secs(2);
const TARGET_ALL: &str = "at least 8,000 calls/s in all";

/// One function over some connections, then many functions at once.
pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    for kind in KINDS {
        let folder = Folder::new(bench)?;
        let server = functions::server(bench, &folder, &[])?;
        let api = server.api(bench);
        let names = functions::names("warm", FUNCTIONS);
        Packages::of(kind)?.deploy(bench, &server, &names, true)?;
        let requests = names.iter().map(|name| invocation(&api, name)).collect::<anyhow::Result<Vec<_>>>()?;
        for request in &requests {
            check_echo(&Connection::open(server.address)?.exchange(request)?)?;
        }
        for connections in CONNECTIONS {
            let target = if connections == 1 { target(kind) } else { "" };
            let what = format!("Invoke, warm, {}", kind.name());
            row(bench, table, &server, (&requests[..1], connections), (what, target))?;
        }
        let what = format!("Invoke, warm, {FUNCTIONS} functions, {}", kind.name());
        row(bench, table, &server, (&requests, FUNCTIONS), (what, TARGET_ALL))?;
    }
    Ok(())
}

/// Calls the functions of these requests, or one of them over several connections.
fn row(
    bench: &Bench,
    table: &mut Table,
    server: &Server,
    (requests, connections): (&[Vec<u8>], usize),
    (what, target): (String, &'static str),
) -> anyhow::Result<()> {
    let load = |time| Load { address: server.address, connections, requests, order: Order::Own, time };
    let warm_up = (WARM_UP_EACH * u32::try_from(connections)?).max(WARM_UP_MIN);
    load(warm_up.min(4 * bench.row_time())).run(&bench.clock, server.pid())?;
    let outcome = load(bench.row_time()).run(&bench.clock, server.pid())?;
    let children = outcome.per_operation_us(outcome.cpu.children());
    table.load(what, connections, &outcome, format!("environments' CPU {children:.1} us/op"), target);
    Ok(())
}

fn target(kind: Kind) -> &'static str {
    match kind {
        Kind::Rust => "p50 at most 150 us",
        _ => "p50 at most 200 us",
    }
}
