//! The commands that take care of data: `export`, `import`, `backup`, `restore`, `check`.
//!
//! They work on a store that nobody else has open, or beside the nodes that share one; where a running cloud has its
//! store for itself, they ask that cloud.

pub(crate) mod backup;
pub(crate) mod check;
mod error;
mod far_shelf;
mod far_slot;
mod hold;
pub(crate) mod open;
mod place;
mod progress;
pub(crate) mod restore;
pub(crate) mod rows;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use lambent_cli::ui;

use crate::up::Store;
pub(crate) use error::CommandError;

/// Whose data.
#[derive(Args, Clone, Debug)]
pub(crate) struct CloudArgs {
    /// The data directory of the cloud
    #[arg(long, value_name = "DIRECTORY", env = "LAMBENT_DATA", default_value = "./lambent-data")]
    pub(crate) data: PathBuf,
    /// Where its state is kept, as given to `lambent up`: fjall or postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE
    #[arg(
        long,
        value_name = "STORE",
        env = "LAMBENT_STORE",
        hide_env_values = true,
        default_value = "fjall"
    )]
    pub(crate) store: Store,
}

/// Runs a command to its end and says how it ended.
pub(crate) fn finish(work: impl Future<Output = Result<u8, CommandError>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(CommandError::Runtime).and_then(|runtime| runtime.block_on(work));
    match done {
        Ok(code) => ExitCode::from(code),
        Err(CommandError::Cli(error)) => ui::finish(Err(error)),
        Err(error) => {
            ui::complain(&error, error.hint().as_deref());
            ExitCode::from(lambent_cli::exit::FAILED)
        }
    }
}
