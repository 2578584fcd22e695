//! What keeps blobs from being removed while the rows that name them are older than what is done with them.

use lambent_base::{Clock, Random};
use lambent_bus::pins;
use lambent_cli::care::RunningPin;
use lambent_cli::ui;

use super::CommandError;
use super::open::Rows;

/// See the module.
pub(super) enum Hold {
    /// Nobody else has the store.
    Needless,
    Own(pins::Held),
    Running(RunningPin, pins::Renewing),
}

impl Hold {
    pub(super) async fn on(rows: &Rows) -> Result<Self, CommandError> {
        let clock = Clock::system();
        match rows {
            Rows::Running(running) => {
                let pin = running.pin();
                let own = pin.clone();
                let set = move || {
                    let pin = own.clone();
                    async move { pin.set().await }
                };
                Ok(Self::Running(pin, pins::renew(&clock, set).await?))
            }
            Rows::Open(db) if db.is_shared() => {
                Ok(Self::Own(pins::hold(db, &clock, &Random::system()).await?))
            }
            Rows::Open(_) => Ok(Self::Needless),
        }
    }

    /// Whether no blob can have been removed since.
    pub(super) fn has_held(&self) -> bool {
        match self {
            Self::Needless => true,
            Self::Own(held) => held.has_stood(),
            Self::Running(_, renewing) => renewing.has_stood(),
        }
    }

    pub(super) async fn let_go(self) {
        let failed = match self {
            Self::Needless => None,
            Self::Own(held) => held.let_go().await.err().map(|error| error.to_string()),
            Self::Running(pin, renewing) => {
                drop(renewing);
                pin.let_go().await.err().map(|error| error.to_string())
            }
        };
        if let Some(error) = failed {
            let seconds = pins::STANDS_FOR.as_secs();
            ui::warn(format_args!("the hold on the blobs ends by itself within {seconds} s: {error}"));
        }
    }
}
