//! The bare hyper server: what no server of this build can go below.

use std::process::Command;

use lambent_test_client::{Api, Request};

use super::load::Load;
use super::server::Server;
use super::table::Table;
use super::{Bench, CONNECTIONS};

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let server = Server::announced(&mut Command::new(&bench.floor))?;
    let api: Api<'_> = server.api(bench);
    let get = Request { service: "s3", method: "GET", target: "/bench/object", headers: &[], body: b"" };
    let requests = [api.signed(get)?];
    for connections in CONNECTIONS {
        let load = Load {
            address: server.address,
            connections,
            requests: &requests,
            again: true,
            time: bench.row_time(),
        };
        let outcome = load.run(&bench.clock, server.pid())?;
        table.load("Floor: bare hyper, `hello`", connections, &outcome, String::new(), "");
    }
    Ok(())
}
