//! From Pending to Active, and from InProgress to Successful: the work behind a function's states.
//!
//! The row of `lambda/pending/` is written with the change and deleted with its end, so that a process that died between
//! the two leaves its successor the rest.

use std::path::PathBuf;
use std::time::Duration;

use lambent_base::Place;
use lambent_runtimes::is_webassembly;
use lambent_store::{ScanOptions, Txn};

use crate::code::packages;
use crate::engine::Engine;
use crate::errors::LambdaError;
use crate::functions::spec;
use crate::limits::WORK_PAGE_ROWS;
use crate::names::{FunctionName, Which, function_arn};
use crate::rows::{self, FunctionRow, Held, Phase};
use crate::{images, keys};

/// How often the end of a change is tried to be written, and the pause after the first failure; it doubles.
const SETTLE_ATTEMPTS: u32 = 6;
const SETTLE_PAUSE: Duration = Duration::from_millis(200);
/// What people read of a change that failed for reasons that are not theirs.
const FAILED: &str = "The deployment package could not be unpacked on this host; the platform's log says why. \
                      Update the function's code to try again.";
const NO_ROOM: &str = "The deployment package could not be unpacked, as the platform's disk is full, or nearly so. \
                       Free some space on it, and update the function's code to try again.";
const UNPREPARED: &str = "The function could not be prepared on this host; the platform's log says why.";
const UNSEALED: &str = "The function's environment variables do not open under this installation's master key: restore \
                        the key, or set the function's Environment anew.";

impl Engine {
    /// Finishes every change that was begun. One that a node at work finishes itself is finished twice, which is as good.
    pub(crate) async fn resume_pending(&self) -> Result<(), LambdaError> {
        let mut left = Some(keys::all_pending().range());
        while let Some(range) = left {
            let step = &range;
            let options = ScanOptions::rows(WORK_PAGE_ROWS).keys_only();
            let read =
                self.db.read(|txn| async move { Ok::<_, LambdaError>(txn.scan(step, options).await?) });
            let page = read.await?;
            for (key, _) in &page.rows {
                let (place, name) = keys::read_pending(key).map_err(LambdaError::row)?;
                self.finish_soon(place, name);
            }
            left = range.rest(&page, false);
        }
        Ok(())
    }

    /// Finishes a change in the background.
    pub(crate) fn finish_soon(&self, place: Place, name: String) {
        let lambda = self.clone();
        tokio::spawn(async move {
            if let Err(error) = lambda.finish(&place, &name).await {
                tracing::error!(%error, function = name, "a change stays unfinished until the next start");
            }
            if let Err(error) = lambda.compile_code(&place, &name).await {
                tracing::info!(%error, function = name, "a function does without compiled code");
            }
        });
    }

    async fn finish(&self, place: &Place, name: &str) -> Result<(), LambdaError> {
        let read = self.db.read(|txn| async move { rows::get_function(&txn, place, name).await });
        let Some(row) = read.await? else { return self.forget_pending(place, name).await };
        if !is_busy(&row) {
            return self.forget_pending(place, name).await;
        }
        let fetched = match self.fetch_image(place, &row).await {
            Ok(()) => self.ensure_ready(&row.settings).await,
            Err(error) => Err(error),
        };
        let failure = match fetched {
            Ok((code_dir, opt_dir)) => {
                self.expect_image(&row.settings, &code_dir);
                self.unprepared(place, &row, code_dir, opt_dir).await
            }
            Err(error) if error.is_disk_full() => Some(NO_ROOM.to_owned()),
            Err(error) => {
                tracing::error!(%error, function = name, "a function's code could not be fetched or unpacked");
                Some(images::reason(&error).unwrap_or_else(|| FAILED.to_owned()))
            }
        };
        let mut attempt = 0;
        loop {
            match self.settle(place, &row, failure.as_deref()).await {
                Err(error) if attempt < SETTLE_ATTEMPTS => {
                    tracing::warn!(%error, function = name, "the end of a change is not written yet");
                    tokio::time::sleep(SETTLE_PAUSE * 2_u32.pow(attempt)).await;
                    attempt += 1;
                }
                settled => return settled,
            }
        }
    }

    /// Why a function that has its code cannot be run, in a sentence, where that is known before its first call.
    async fn unprepared(
        &self,
        place: &Place,
        row: &FunctionRow,
        code_dir: PathBuf,
        opt_dir: Option<PathBuf>,
    ) -> Option<String> {
        if !is_webassembly(&row.settings.runtime) {
            return None;
        }
        let name = FunctionName { place: place.clone(), name: row.name.clone(), qualifier: None };
        let identity = self.parts.identity.clone();
        match spec::build(&row.settings, &name, Which::Latest, code_dir, opt_dir, identity) {
            Ok(spec) => self.parts.runner.prepare(&spec).await.err(),
            Err(LambdaError::Unsealed) => Some(UNSEALED.to_owned()),
            Err(error) => {
                tracing::error!(%error, function = row.name, "a function could not be prepared");
                Some(UNPREPARED.to_owned())
            }
        }
    }

    /// Writes the end of the change that `begun` shows, unless another has taken its place. `failure` is what people read
    /// when it came to nothing.
    pub(crate) async fn settle(
        &self,
        place: &Place,
        begun: &FunctionRow,
        failure: Option<&str>,
    ) -> Result<(), LambdaError> {
        let (name, begun, revision_id) = (&begun.name, &begun.settings, &self.parts.random.uuid());
        let committed = self.db.run(|txn| async move {
            let row = rows::get_function(&txn, place, name).await?;
            let is_same = |row: &FunctionRow| is_busy(row) && row.settings.run_revision == begun.run_revision;
            let Some(mut row) = row.filter(is_same) else {
                // Deleted meanwhile, perhaps, and its code unpacked after that was thrown away.
                for held in begun.held() {
                    if let Held::Package(sha256) = held {
                        packages::mark_unused(&txn, &sha256);
                    }
                }
                return Ok(());
            };
            row.revision_id.clone_from(revision_id);
            row.seal(&self.parts.identity);
            end_change(&txn, place, &mut row, failure);
            if let Some(number) = row.publishing.take()
                && let Some(mut version) = rows::get_version(&txn, place, name, number).await?
            {
                version.settings.seal(&self.parts.identity);
                version.phase = failure.map_or(Phase::Ready, |reason| Phase::CreateFailed(reason.to_owned()));
                rows::put(&txn, &keys::version(place, name, number), &version);
            }
            txn.delete(&keys::pending(place, name));
            rows::put_function(&txn, place, &row).await
        });
        committed.await?;
        self.forget(&function_arn(place, name));
        Ok(())
    }

    async fn forget_pending(&self, place: &Place, name: &str) -> Result<(), LambdaError> {
        self.db
            .run(|txn| async move {
                let row = rows::get_function(&txn, place, name).await?;
                if row.is_none_or(|row| !is_busy(&row)) {
                    txn.delete(&keys::pending(place, name));
                }
                Ok(())
            })
            .await
    }
}

fn is_busy(row: &FunctionRow) -> bool {
    matches!(row.phase, Phase::Creating | Phase::Updating)
}

fn end_change(txn: &Txn, place: &Place, row: &mut FunctionRow, failure: Option<&str>) {
    if let Some(reason) = failure {
        let reason = reason.to_owned();
        row.phase = match row.phase {
            Phase::Creating => Phase::CreateFailed(reason),
            _ => Phase::UpdateFailed(reason),
        };
    } else {
        let before = row.held();
        row.previous = None;
        for held in before.difference(&row.held()) {
            packages::let_go(txn, held, place, &row.name);
        }
        row.phase = Phase::Ready;
    }
}
