//! What several nodes would be made of: the services over PostgreSQL, which runs on this machine too.

use anyhow::Context;

use super::server::{Folder, Server};
use super::table::Table;
use super::{Bench, logs, objects};

#[path = "../../../crates/store/tests/support/cluster.rs"]
#[expect(clippy::unwrap_used, reason = "the tests of the store share it")]
mod cluster;

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let cluster = cluster::Cluster::start(Some(folder.path()), cluster::Sync::On);
    let url = cluster.database("bench");
    let server = Server::lambent_with(bench, &folder, &["--store", &url]);
    let server = server.context("over PostgreSQL")?;
    objects::make_bucket(bench, &server)?;
    objects::gets(bench, table, &server, "over PostgreSQL: S3 GET 1 KiB", "")?;
    objects::durable_puts(bench, table, &server, "over PostgreSQL: S3 PUT 1 KiB, durable", "")?;
    logs::batches(bench, table, &server, "over PostgreSQL: Logs PutLogEvents of 10, durable")
}
