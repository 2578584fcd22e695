//! The bare hyper server: what no server of this build can go below.

use std::process::Command;

use lambent_test_client::{Api, Request};

use super::Bench;
use super::load;
use super::server::Server;
use super::table::Table;

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let server = Server::announced(&mut Command::new(&bench.floor))?;
    let api: Api<'_> = server.api(bench);
    let get = Request { service: "s3", method: "GET", target: "/bench/object", headers: &[], body: b"" };
    let requests = [api.signed(get)?];
    load::rows(bench, table, &server, &requests, ("Floor: bare hyper, `hello`", ""))
}
