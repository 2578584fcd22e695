//! `lambent backup`: rows and blobs, from a running or a stopped cloud.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use clap::Args;
use lambent_base::{Clock, Random};
use lambent_blobs::BlobStore;
use lambent_care::{BackedUp, Backups, CareError, NewFile, STANDS_FOR, Turn, verify_dump};
use lambent_cli::{exit, ui};

use super::hold::Hold;
use super::open::{self, Rows};
use super::place::{self, BackupPlace, Expect};
use super::progress::Progress;
use super::rows::to_file;
use super::{CloudArgs, CommandError, finish};
use crate::blobs::BlobPlace;
use crate::data_dir::{DataDir, MASTER_KEY, ROOT_KEY};
use crate::owner;

/// The folder of the keys in a place of backups.
pub(super) const KEYS_NAME: &str = "keys";
/// How many unreadable blobs are named.
const NAMED_MAX: usize = 20;

#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// Where backups lie: a directory, or s3://BUCKET[/PREFIX][?endpoint=URL&region=REGION] with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(value_name = "PLACE")]
    place: BackupPlace,
    /// Keep so many dumps in the place; older ones go, and blobs that no kept one names
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Put the master key and the root key into the backup: whoever can read it then can do everything
    #[arg(long)]
    with_keys: bool,
    #[command(flatten)]
    cloud: CloudArgs,
    /// Where the cloud's blobs are, as given to `lambent up`
    #[arg(long, value_name = "PLACE", env = "LAMBENT_BLOBS")]
    blobs: Option<BlobPlace>,
}

pub(crate) fn run(arguments: &BackupArgs) -> ExitCode {
    finish(backup(arguments))
}

async fn backup(arguments: &BackupArgs) -> Result<u8, CommandError> {
    let rows = open::existing(&arguments.cloud).await?;
    arguments.place.expect_no_cloud().await?;
    let place = arguments.place.open(Expect::Anything)?;
    let source = place::blobs_of(&arguments.cloud.data, arguments.blobs.as_ref())?;
    let turn = place.backups.begin(&holder(), &Clock::system(), &Random::system()).await?;
    let outcome = in_turn(arguments, &rows, &place.backups, &source, &turn).await;
    if let Err(error) = turn.end().await {
        let seconds = STANDS_FOR.as_secs();
        ui::warn(format_args!("the next backup to there may have to wait for {seconds} s: {error}"));
    }
    rows.close().await;
    outcome
}

/// What the one does who may change the place.
async fn in_turn(
    arguments: &BackupArgs,
    rows: &Rows,
    backups: &Backups,
    source: &BlobStore,
    turn: &Turn,
) -> Result<u8, CommandError> {
    let hold = Hold::on(rows).await?;
    let dump = backups.scratch()?;
    let (header, _) = to_file(rows, NewFile::create(&dump)?).await?;
    place::expect_blobs_of(source, &header.cloud_id).await?;
    let keys = if arguments.with_keys { keys(&dump, &arguments.cloud.data).await? } else { Vec::new() };
    let progress = Progress::start("copying blobs", Some(0), false);
    let step = |done, total| progress.of(done, total);
    let done = backups.add(turn, &dump, source, &Clock::system(), step, || hold.has_held()).await;
    drop(progress);
    let done = done?;
    keep_keys(backups, keys).await?;
    hold.let_go().await;
    report(&done, backups, arguments.with_keys);
    if let Some(keep) = arguments.keep {
        let pruned = backups.prune(turn, usize::try_from(keep).unwrap_or(usize::MAX)).await?;
        ui::say(format_args!(
            "threw away {} older dumps and {} blobs that no kept one names",
            ui::count(pruned.dumps),
            ui::count(pruned.blobs)
        ));
    }
    Ok(if done.copied.unreadable.is_empty() { exit::DONE } else { exit::FAILED })
}

/// This command, for whoever finds the place in use.
fn holder() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    format!("`lambent backup` of process {} on host {host}", std::process::id())
}

/// The keys that open what a dump holds, by their names.
async fn keys(dump: &Path, data: &Path) -> Result<Vec<(&'static str, Vec<u8>)>, CommandError> {
    let directory = DataDir::open(data)?;
    let found = Arc::new(Mutex::new(None));
    let into = found.clone();
    let see = move |key: &Bytes, row: &Bytes| {
        if key == owner::ROW {
            *into.lock().unwrap_or_else(PoisonError::into_inner) = Some(row.clone());
        }
    };
    verify_dump(dump, see).await?;
    let sealed = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut keys = vec![(MASTER_KEY, owner::key_to(sealed.as_deref(), &directory)?.into_bytes())];
    // Sealed in the rows too.
    if let Ok(root_key) = std::fs::read(directory.path(ROOT_KEY)) {
        keys.push((ROOT_KEY, root_key));
    }
    Ok(keys)
}

/// Puts the keys beside the dumps, for their owner's eyes only.
async fn keep_keys(backups: &Backups, keys: Vec<(&'static str, Vec<u8>)>) -> Result<(), CommandError> {
    for (name, key) in keys {
        let scratch = backups.shelf.scratch()?.join("new-key");
        let mut file = NewFile::create(&scratch)?;
        let written = std::io::Write::write_all(file.file(), &key);
        written.map_err(|source| CareError::Io { action: "write", path: scratch.clone(), source })?;
        file.finish()?;
        backups.shelf.put(&format!("{KEYS_NAME}/{name}"), &scratch).await?;
    }
    Ok(())
}

fn report(done: &BackedUp, backups: &Backups, with_keys: bool) {
    let BackedUp { dump, copied } = done;
    ui::say(format_args!(
        "backed up {} rows ({}) and {} blobs to {} as {}: {} blobs ({}) are new there, {} were there before",
        ui::count(dump.rows),
        ui::size(dump.bytes),
        ui::count(dump.blobs),
        backups.shelf.name(),
        dump.name,
        ui::count(copied.blobs),
        ui::size(copied.bytes),
        ui::count(copied.present)
    ));
    for (_, error) in copied.unreadable.iter().take(NAMED_MAX) {
        ui::warn(format_args!("{error}"));
    }
    if !copied.unreadable.is_empty() {
        let count = ui::count(copied.unreadable.len() as u64);
        ui::warn(format_args!(
            "{count} blobs are missing or damaged in the cloud and so in this backup; `lambent check` says what they were"
        ));
    }
    ui::say(if with_keys {
        "the master key and the root key are in it: whoever can read it can do everything"
    } else {
        "the keys are not in it: keep a copy of the file `master-key` of the data directory elsewhere, or use --with-keys"
    });
}
