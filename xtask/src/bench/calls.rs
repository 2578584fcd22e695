//! A call that touches no storage: GetCallerIdentity.

use lambent_test_client::{FORM, Request};

use super::load::Load;
use super::server::{Folder, Server};
use super::table::Table;
use super::{Bench, CONNECTIONS};

/// Who am I? The smallest signed call there is.
pub(super) const GET_CALLER_IDENTITY: Request<'_> = Request {
    service: "sts",
    method: "POST",
    target: "/",
    headers: &[FORM],
    body: b"Action=GetCallerIdentity&Version=2011-06-15",
};

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let server = Server::lambent(bench, &folder)?;
    let requests = [server.api(bench).signed(GET_CALLER_IDENTITY)?];
    for connections in CONNECTIONS {
        let load = Load {
            address: server.address,
            connections,
            requests: &requests,
            again: true,
            time: bench.row_time(),
        };
        let outcome = load.run(&bench.clock, server.pid())?;
        table.load("STS GetCallerIdentity", connections, &outcome, String::new(), "");
    }
    Ok(())
}
