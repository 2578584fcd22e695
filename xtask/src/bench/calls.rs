//! A call that touches no storage: GetCallerIdentity.

use lambent_test_client::{FORM, Request};

use super::Bench;
use super::load;
use super::server::{Folder, Server};
use super::table::Table;

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
    load::rows(bench, table, &server, &requests, ("STS GetCallerIdentity", ""))
}
