//! `lambent restore`: a backup into an empty place.

use std::process::ExitCode;

use clap::Args;
use lambent_base::Random;
use lambent_care::{Backups, CareError, RestoreStep, Restored};
use lambent_cli::{exit, ui};
use lambent_store::{DataLock, Db};

use super::backup::KEYS_NAME;
use super::open::{self, STORE_DIRECTORY};
use super::place::{self, BackupPlace, Expect};
use super::progress::Progress;
use super::{CloudArgs, CommandError, finish};
use crate::blobs::BlobPlace;
use crate::data_dir::{DataDir, MASTER_KEY};
use crate::owner::{self, OwnerError};
use crate::up::Store;

#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// Where the backups lie, as given to `lambent backup`
    #[arg(value_name = "PLACE")]
    place: BackupPlace,
    /// Which dump, by its name; the newest unless told
    #[arg(long, value_name = "NAME")]
    dump: Option<String>,
    /// The old keys are lost: forget who owned the cloud, so that its next start makes new ones
    #[arg(long)]
    new_keys: bool,
    #[command(flatten)]
    cloud: CloudArgs,
    /// Where the blobs shall be, if not in the data directory
    #[arg(long, value_name = "PLACE", env = "LAMBENT_BLOBS")]
    blobs: Option<BlobPlace>,
}

/// Where the master key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Keys {
    /// The cloud is older than owners, or has the key already.
    Given,
    Backup(String),
    New,
}

pub(crate) fn run(arguments: &RestoreArgs) -> ExitCode {
    finish(restore(arguments))
}

async fn restore(arguments: &RestoreArgs) -> Result<u8, CommandError> {
    let place = arguments.place.open(Expect::Backups)?;
    let directory = DataDir::open(&arguments.cloud.data)?;
    directory.keep_format()?;
    let keys = keys(arguments, &place.backups, &directory).await?;
    let _lock = match arguments.cloud.store {
        Store::Fjall => None,
        Store::Postgres(_) => Some(DataLock::acquire(&directory.path(STORE_DIRECTORY))?),
    };
    let db = open::open(&arguments.cloud).await?;
    let settle = async || {
        let settled = settle_keys(&db, &directory, keys).await;
        settled.map_err(|error| CareError::Settle(Box::new(error)))
    };
    let restored = bring(arguments, &place.backups, &db, settle).await;
    db.close().await;
    report(&restored?, arguments);
    Ok(exit::DONE)
}

async fn bring(
    arguments: &RestoreArgs,
    backups: &Backups,
    db: &Db,
    settle: impl AsyncFnOnce() -> Result<(), CareError>,
) -> Result<Restored, CommandError> {
    let blobs = place::blobs_of(&arguments.cloud.data, arguments.blobs.as_ref())?;
    let rows = Progress::start("restoring rows", Some(0), false);
    let copies = std::cell::OnceCell::new();
    let step = |step| match step {
        RestoreStep::Rows { done, total } => rows.of(done, total),
        RestoreStep::Blobs { done, total } => {
            copies.get_or_init(|| Progress::start("restoring blobs", Some(total), false)).of(done, total);
        }
    };
    let restored = backups.restore(arguments.dump.as_deref(), db, &blobs, step, settle).await;
    Ok(restored?)
}

/// Looks for the master key before anything is copied, and tries it on the owner's row.
///
/// Errors: `Owner` when the key that was given is another one, `NoKeys`.
async fn keys(arguments: &RestoreArgs, backups: &Backups, directory: &DataDir) -> Result<Keys, CommandError> {
    if arguments.new_keys {
        return Ok(Keys::New);
    }
    let Some(sealed) = backups.row(arguments.dump.as_deref(), owner::ROW).await? else {
        return Ok(Keys::Given);
    };
    if owner::master_key(directory)?.is_some() {
        owner::key_to(Some(&sealed), directory)?;
        return Ok(Keys::Given);
    }
    if let Some(path) = backups.shelf.get(&format!("{KEYS_NAME}/{MASTER_KEY}")).await? {
        let read = std::fs::read_to_string(&path);
        let key = read.map_err(|source| CareError::Io { action: "read", path, source })?;
        // It may be newer than the dump.
        if owner::opens(&key, &sealed) {
            return Ok(Keys::Backup(key.trim().to_owned()));
        }
    }
    Err(CommandError::NoKeys { file: directory.path(MASTER_KEY) })
}

/// Puts the keys where the next start looks for them, and sees that they open the owner's row.
async fn settle_keys(db: &Db, directory: &DataDir, keys: Keys) -> Result<(), OwnerError> {
    match keys {
        Keys::New => return owner::forget(db, directory).await,
        Keys::Backup(key) => directory.keep_master_key(&key)?,
        Keys::Given => {}
    }
    if owner::is_known(db).await? {
        owner::join(db, directory, &Random::system()).await?;
    }
    Ok(())
}

fn report(restored: &Restored, arguments: &RestoreArgs) {
    let Restored { dump, copied, .. } = restored;
    let made = ui::time(dump.made_ms);
    ui::say(format_args!(
        "restored {} rows ({}) and {} blobs ({}) as of {made}",
        ui::count(dump.rows),
        ui::size(dump.bytes),
        ui::count(copied.blobs + copied.present),
        ui::size(copied.bytes)
    ));
    if !dump.missing.is_empty() {
        let count = ui::count(dump.missing.len() as u64);
        ui::warn(format_args!(
            "{count} blobs were missing when the backup was made; `lambent check` says what they were"
        ));
    }
    if arguments.new_keys {
        ui::say("the next start makes a new root key");
    }
    let elsewhere = matches!(arguments.cloud.store, Store::Postgres(_)) || arguments.blobs.is_some();
    let same = if elsewhere { " and the same --store and --blobs as here" } else { "" };
    ui::say(format_args!("start it with `lambent up --data {}`{same}", arguments.cloud.data.display()));
}
