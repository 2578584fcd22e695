//! Published versions: what a function was at one moment, by number, for as long as nobody deletes it.
//! Source: Lambda API Reference, "PublishVersion"; Lambda Developer Guide, "Manage Lambda function versions".

use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_model_lambda::{FunctionConfiguration, PublishVersionRequest};
use lambent_store::{ScanOptions, Txn};
use lambent_wire::ApiError;

use crate::code::packages;
use crate::configuration::{self, runtime_management};
use crate::errors::{self, LambdaError};
use crate::functions::describe::{self, Shown, code_digest};
use crate::functions::{attached, unqualified};
use crate::keys;
use crate::lambda::Lambda;
use crate::limits::VERSIONS_DELETED_AT_ONCE;
use crate::names::{FunctionName, Which};
use crate::resolve::{Resolved, resolve};
use crate::rows::{self, FunctionRow, Phase, VersionRow};
use crate::versions::aliases;

/// What a qualified name means.
pub(crate) struct Found {
    pub(crate) function: FunctionRow,
    /// `None` for `$LATEST`.
    version: Option<VersionRow>,
}

impl Found {
    pub(crate) fn shown(&self) -> Shown<'_> {
        match &self.version {
            None => (&self.function).into(),
            Some(version) => Shown::version(&self.function.name, version),
        }
    }
}

impl Lambda {
    pub(crate) async fn publish_version(
        self: &Arc<Self>,
        call: &Call,
        input: PublishVersionRequest,
    ) -> Result<FunctionConfiguration, LambdaError> {
        let name = &unqualified(&input.function_name, &call.owner_place())?;
        configuration::refuse_publish_to(input.publish_to.is_some())?;
        let (input, revision_id) = (&input, &self.parts.random.uuid());
        let committed = self.db(call).run(|txn| async move {
            let row = rows::get_function(&txn, &name.place, &name.name).await?;
            let mut row = row.ok_or_else(|| errors::function_not_found(&name.arn()))?;
            check_publishable(&row, name, input)?;
            let last =
                rows::get::<u64>(&txn, &keys::last_version(&name.place, &name.name)).await?.unwrap_or(0);
            let version = self.publish(&txn, &name.place, &mut row, input.description.as_deref()).await?;
            if version.number > last {
                row.revision_id.clone_from(revision_id);
                rows::put_function(&txn, &name.place, &row).await?;
            }
            Ok::<_, LambdaError>(version)
        });
        let version = committed.await?;
        self.forget(&name.arn());
        Ok(self.shown_version(&version, name))
    }

    /// Makes a version of what the function is, in the transaction in which its row is written: the last version again,
    /// if nothing has changed since.
    pub(crate) async fn publish(
        &self,
        txn: &Txn,
        place: &Place,
        row: &mut FunctionRow,
        description: Option<&str>,
    ) -> Result<VersionRow, LambdaError> {
        let last_key = keys::last_version(place, &row.name);
        let last = rows::get::<u64>(txn, &last_key).await?.unwrap_or(0);
        if let Some(version) = rows::get_version(txn, place, &row.name, last).await?
            && version.settings.is_same(&row.settings, &self.parts.identity)
            && !matches!(version.phase, Phase::CreateFailed(_))
        {
            return Ok(version);
        }
        let number = last + 1;
        row.seal(&self.parts.identity);
        let is_busy = matches!(row.phase, Phase::Creating | Phase::Updating);
        row.publishing = is_busy.then_some(number);
        let version = VersionRow {
            number,
            revision_id: self.parts.random.uuid(),
            phase: if is_busy { Phase::Creating } else { Phase::Ready },
            settings: row.settings.clone(),
            description: description.unwrap_or(&row.settings.description).to_owned(),
        };
        rows::put(txn, &last_key, &number);
        rows::put(txn, &keys::version(place, &row.name, number), &version);
        packages::use_by_version(txn, &row.settings, place, &row.name, number);
        runtime_management::copy_to_version(txn, place, &row.name, number).await?;
        Ok(version)
    }

    /// What a name means; an error for the caller when there is none.
    pub(crate) async fn found(&self, call: &Call, name: &FunctionName) -> Result<Found, LambdaError> {
        let (place, bare) = (&name.place, &name.name);
        let read = self.db(call).read(|txn| async move {
            let Some(Resolved { which, .. }) = resolve(&txn, name).await? else { return Ok(None) };
            let version = match which {
                Which::Latest => None,
                Which::Published(number) => rows::get_version(&txn, place, bare, number).await?,
            };
            let function = rows::get_function(&txn, place, bare).await?;
            let found = function.map(|function| Found { function, version });
            Ok::<_, LambdaError>(found.filter(|found| which == Which::Latest || found.version.is_some()))
        });
        Ok(read.await?.ok_or_else(|| errors::function_not_found(&name.qualified_arn()))?)
    }

    /// A version, by its own ARN.
    pub(crate) fn shown_version(&self, version: &VersionRow, name: &FunctionName) -> FunctionConfiguration {
        let note = self.runtime_note(&version.settings.runtime);
        describe::whole(Shown::version(&name.name, version), &name.place, &self.parts.identity, true, note)
    }

    /// Deletes one version; no harm where there is none.
    pub(crate) async fn delete_version(
        &self,
        call: &Call,
        name: &FunctionName,
        number: u64,
    ) -> Result<(), LambdaError> {
        let deleted = self.db(call).run(|txn| async move {
            if rows::get_function(&txn, &name.place, &name.name).await?.is_none() {
                return Err(LambdaError::Api(errors::function_not_found(&name.arn())));
            }
            if let Some(row) = rows::get_version(&txn, &name.place, &name.name, number).await? {
                let aliases = aliases::leading_to(&txn, name, number).await?;
                if !aliases.is_empty() {
                    return Err(LambdaError::Api(errors::version_has_aliases(&aliases)));
                }
                delete(&txn, &name.place, &name.name, &row);
                txn.on_commit(keys::CHANGED);
            }
            Ok(())
        });
        deleted.await?;
        self.forget(&name.arn());
        Ok(())
    }
}

/// Deletes versions of a function that is to go, as many as one transaction should; whether these were the last.
pub(crate) async fn delete_some(txn: &Txn, place: &Place, name: &str) -> Result<bool, LambdaError> {
    let page =
        txn.scan(&keys::versions(place, name).range(), ScanOptions::rows(VERSIONS_DELETED_AT_ONCE)).await?;
    for (_, row) in &page.rows {
        delete(txn, place, name, &rows::read_version(row)?);
    }
    txn.on_commit(keys::CHANGED);
    Ok(page.more.is_none())
}

fn delete(txn: &Txn, place: &Place, name: &str, row: &VersionRow) {
    txn.delete(&keys::version(place, name, row.number));
    attached::delete_of_qualifier(txn, place, name, &row.number.to_string());
    packages::drop_by_version(txn, &row.settings, place, name, row.number);
}

/// Fails while there is nothing that could be published, and where the caller expects something else.
fn check_publishable(
    row: &FunctionRow,
    name: &FunctionName,
    input: &PublishVersionRequest,
) -> Result<(), ApiError> {
    match &row.phase {
        Phase::Ready => {}
        Phase::Creating => return Err(errors::not_active("Pending")),
        Phase::Updating => return Err(errors::update_in_progress(&name.arn())),
        // What was asked for last cannot be run.
        Phase::CreateFailed(_) | Phase::UpdateFailed(_) => return Err(errors::not_active("Failed")),
    }
    if input.revision_id.as_ref().is_some_and(|revision| *revision != row.revision_id) {
        return Err(errors::function_revision_mismatch());
    }
    let current = code_digest(&row.settings);
    match input.code_sha256.as_deref() {
        Some(given) if !given.is_empty() && given != current => Err(errors::code_changed(given, &current)),
        _ => Ok(()),
    }
}
