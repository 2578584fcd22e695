//! `lambent export` and `lambent import`: all rows, from one engine to another.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use lambent_care::{CareError, DumpStream, Header, NewFile, Totals, import_dump, verify_dump, write_dump};
use lambent_cli::{exit, ui};

use super::open::{self, Rows};
use super::progress::Progress;
use super::{CloudArgs, CommandError, finish};
use crate::care_paths::process_rows;
use crate::data_dir::DataDir;

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The file to write; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    cloud: CloudArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// A file that `lambent export` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    cloud: CloudArgs,
}

pub(crate) fn export(arguments: &ExportArgs) -> ExitCode {
    finish(run_export(arguments))
}

pub(crate) fn import(arguments: &ImportArgs) -> ExitCode {
    finish(run_import(arguments))
}

async fn run_export(arguments: &ExportArgs) -> Result<u8, CommandError> {
    if arguments.file.exists() {
        return Err(CareError::Exists(arguments.file.clone()).into());
    }
    let rows = open::existing(&arguments.cloud).await?;
    let (header, totals) = to_file(&rows, NewFile::create(&arguments.file)?).await?;
    rows.close().await;
    ui::say(format_args!(
        "{} holds {} of the cloud {} at version {}; blobs are not in it",
        arguments.file.display(),
        sum(totals),
        name(&header),
        header.version.0
    ));
    Ok(exit::DONE)
}

async fn run_import(arguments: &ImportArgs) -> Result<u8, CommandError> {
    DataDir::check_format(&arguments.cloud.data)?;
    // Before a store is made: what is no dump leaves no trace.
    let (_, totals) = verify_dump(&arguments.file, |_, _| {}).await?;
    let db = open::new(&arguments.cloud).await?;
    let progress = Progress::start("importing rows", Some(totals.rows), false);
    let imported = import_dump(&db, &arguments.file, |rows| progress.at(rows), || async { Ok(()) }).await;
    drop(progress);
    db.close().await;
    let (header, totals) = imported?;
    ui::say(format_args!(
        "imported {} of the cloud {}; its blobs stay where they are",
        sum(totals),
        name(&header)
    ));
    Ok(exit::DONE)
}

/// Writes a dump of all rows, reads it back whole, and only then gives it its name.
pub(super) async fn to_file(rows: &Rows, mut file: NewFile) -> Result<(Header, Totals), CommandError> {
    let part = file.part().to_owned();
    let progress = Progress::start("exporting rows", None, true);
    match rows {
        Rows::Open(db) => {
            let dump = DumpStream::new(db.export().await?, process_rows()).await?;
            write_dump(dump, file.file(), &part, |bytes| progress.at(bytes)).await?;
        }
        Rows::Running(running) => running.export(file.file(), &part, |bytes| progress.at(bytes)).await?,
    }
    drop(progress);
    let verified = verify_dump(&part, |_, _| {}).await?;
    file.finish()?;
    Ok(verified)
}

/// `1,234 rows (5.0 MiB)`.
pub(super) fn sum(totals: Totals) -> String {
    format!("{} rows ({})", ui::count(totals.rows), ui::size(totals.bytes))
}

fn name(header: &Header) -> &str {
    if header.cloud_id.is_empty() { "(without a name)" } else { &header.cloud_id }
}
