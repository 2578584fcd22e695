//! `lambent keys rotate`: another master key takes the place of the one in force.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use lambent_base::{Clock, Random};
use lambent_cli::{exit, ui};
use lambent_identity::Identity;

use crate::care::{self, CloudArgs, CommandError};
use crate::data_dir::DataDir;
use crate::privacy::keep_memory_private;
use crate::{keyring, owner};

#[derive(Args, Debug)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand, Debug)]
enum KeysCommand {
    /// Replace the master key and seal every secret anew, while the cloud is stopped; sessions end, access keys stay
    Rotate(CloudArgs),
}

pub(crate) fn run(arguments: &KeysArgs) -> ExitCode {
    keep_memory_private();
    let KeysCommand::Rotate(cloud) = &arguments.command;
    care::finish(rotate(cloud))
}

async fn rotate(cloud: &CloudArgs) -> Result<u8, CommandError> {
    let db = care::open::stopped(cloud).await?;
    let done = rotate_in(&db, cloud).await;
    db.close().await;
    done?;
    ui::say("everything is sealed under another master key; sessions that were given out before have ended");
    Ok(exit::DONE)
}

async fn rotate_in(db: &lambent_store::Db, cloud: &CloudArgs) -> Result<(), CommandError> {
    let directory = DataDir::open(&cloud.data)?;
    let (clock, random) = (Clock::system(), Random::system());
    owner::retire(db, &directory).await?;
    let (owner, master) = owner::join(db, &directory, &random).await?;
    let identity = Identity::new(db.clone(), clock, random, owner.root_key(), master);
    keyring::seal_anew(db, &directory, &identity)
        .await
        .map_err(|error| CommandError::SealAnew(Box::new(error)))
}
