//! Changes of functions. Source: Lambda API Reference, "UpdateFunctionCode" and "UpdateFunctionConfiguration".

use std::sync::Arc;

use lambent_api::Call;
use lambent_model_lambda::{
    FunctionConfiguration, UpdateFunctionCodeRequest, UpdateFunctionConfigurationRequest,
};
use lambent_wire::ApiError;

use crate::code::packages::{self, PackageSource, Staged};
use crate::configuration::{self, runtime_names};
use crate::errors::{self, LambdaError};
use crate::functions::unqualified;
use crate::keys;
use crate::lambda::Lambda;
use crate::layers::layer_use;
use crate::names::FunctionName;
use crate::rows::{self, FunctionRow, ImageRow, Phase, Settings};

impl Lambda {
    pub(crate) async fn update_function_code(
        self: &Arc<Self>,
        call: &Call,
        mut input: UpdateFunctionCodeRequest,
    ) -> Result<FunctionConfiguration, LambdaError> {
        let name = unqualified(&input.function_name, &call.owner_place())?;
        configuration::refuse_publish_to(input.publish_to.is_some())?;
        let architecture = configuration::architecture(input.architectures.as_deref())?;
        let revision = input.revision_id.clone();
        let row = self.row(self.db(call), &name).await?;
        check_changeable(&row, &name, revision.as_deref())?;
        if let Some(image) = row.settings.image.clone() {
            let architecture = architecture.unwrap_or(&row.settings.architecture);
            return self.update_image(call, &name, input, (image, architecture)).await;
        }
        let checked = self.checked(call, PackageSource::of_update(&mut input)?).await?;
        let code = checked.code.clone();
        let key = configuration::source_key(input.source_kms_key_arn.as_deref());
        let change = |settings: &mut Settings| {
            settings.code = code.clone();
            settings.source_kms_key_arn.clone_from(&key);
            if let Some(architecture) = architecture {
                architecture.clone_into(&mut settings.architecture);
            }
            Ok(())
        };
        if input.dry_run == Some(true) {
            let mut row = self.row(self.db(call), &name).await?;
            change(&mut row.settings)?;
            return Ok(self.shown((&row).into(), &name));
        }
        let staged = self.keep(call, checked).await?;
        let with = With { revision: revision.as_deref(), publish: input.publish == Some(true) };
        self.change(call, &name, with, Some(staged), change).await
    }

    /// The same for a container image, of which `before` says what it is now.
    async fn update_image(
        self: &Arc<Self>,
        call: &Call,
        name: &FunctionName,
        input: UpdateFunctionCodeRequest,
        (before, architecture): (ImageRow, &str),
    ) -> Result<FunctionConfiguration, LambdaError> {
        let uri = input.image_uri.as_ref().ok_or_else(|| errors::no_image_uri("updating"))?;
        let mut image = before;
        let staged = self.found_image(uri, architecture, &mut image).await?;
        let code = staged.code.clone();
        let change = |settings: &mut Settings| {
            settings.code = code.clone();
            architecture.clone_into(&mut settings.architecture);
            let config = settings.image.take().and_then(|before| before.config);
            settings.image = Some(ImageRow { config, ..image.clone() });
            Ok(())
        };
        if input.dry_run == Some(true) {
            let mut row = self.row(self.db(call), name).await?;
            change(&mut row.settings)?;
            return Ok(self.shown((&row).into(), name));
        }
        let with = With { revision: input.revision_id.as_deref(), publish: input.publish == Some(true) };
        self.change(call, name, with, Some(staged), change).await
    }

    pub(crate) async fn update_function_configuration(
        self: &Arc<Self>,
        call: &Call,
        input: UpdateFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, LambdaError> {
        let name = unqualified(&input.function_name, &call.owner_place())?;
        // Once before the role is looked at, so that the errors come in AWS's order.
        let mut settings = self.row(self.db(call), &name).await?.settings;
        let identity = &*self.parts.identity;
        configuration::update(&mut settings, &input, identity)?;
        self.check_named(call, &settings, (input.role.as_deref(), &name.arn())).await?;
        if settings.image.is_some() && input.layers.as_ref().is_some_and(|arns| !arns.is_empty()) {
            return Err(errors::not_for_images("Layers are").into());
        }
        let layers = match &input.layers {
            Some(arns) => Some(self.layers_of(call, arns).await?),
            None => None,
        };
        let change = |settings: &mut Settings| {
            if let Some(layers) = &layers {
                settings.layers.clone_from(layers);
            }
            configuration::update(settings, &input, identity)
        };
        let with = With { revision: input.revision_id.as_deref(), publish: false };
        self.change(call, &name, with, None, change).await
    }

    /// Commits changed settings, and sees to it that they are taken up.
    async fn change(
        self: &Arc<Self>,
        call: &Call,
        name: &FunctionName,
        with: With<'_>,
        mut staged: Option<Staged<'_>>,
        change: impl Fn(&mut Settings) -> Result<(), ApiError>,
    ) -> Result<FunctionConfiguration, LambdaError> {
        let (revision_id, run_revision) = (self.parts.random.uuid(), self.parts.random.uuid());
        let (change, ids) = (&change, &(revision_id, run_revision));
        let committed = loop {
            let package = staged.as_ref();
            let committed = self.db(call).run(|txn| async move {
                let row = rows::get_function(&txn, &name.place, &name.name).await?;
                let mut row = row.ok_or_else(|| errors::function_not_found(&name.arn()))?;
                check_changeable(&row, name, with.revision)?;
                let before = row.held();
                begin_change(&mut row);
                row.seal(&self.parts.identity);
                change(&mut row.settings)?;
                runtime_names::check_not_retired(&row.settings.runtime)?;
                row.revision_id.clone_from(&ids.0);
                row.settings.run_revision.clone_from(&ids.1);
                row.settings.last_modified_ms = call.time_ms();
                for held in before.difference(&row.held()) {
                    packages::let_go(&txn, held, &name.place, &name.name);
                }
                if let Some(package) = package {
                    packages::use_code(&txn, package, &name.place, &name.name).await?;
                }
                layer_use::hold_layers(&txn, &row.settings, &name.place, &name.name).await?;
                let published = if with.publish {
                    Some(self.publish(&txn, &name.place, &mut row, None).await?)
                } else {
                    None
                };
                txn.put(&keys::pending(&name.place, &name.name), b"");
                rows::put_function(&txn, &name.place, &row).await?;
                Ok::<_, LambdaError>((row, published))
            });
            match (committed.await, staged.take()) {
                (Err(LambdaError::PackageGone), Some(gone)) => {
                    staged = Some(self.keep_anew(call, gone).await?);
                }
                (committed, kept) => {
                    staged = kept;
                    break committed;
                }
            }
        };
        if let Some(staged) = staged {
            self.settle_staged(call, staged, &committed).await;
        }
        self.forget(&name.arn());
        let (row, published) = committed?;
        let shown = match &published {
            None => self.shown((&row).into(), name),
            Some(version) => self.shown_version(version, name),
        };
        self.expect(&row.settings);
        self.engine(call).finish_soon(name.place.clone(), name.name.clone());
        Ok(shown)
    }
}

/// What a request asks of a change besides.
#[derive(Clone, Copy)]
struct With<'a> {
    /// The RevisionId that the function must have.
    revision: Option<&'a str>,
    publish: bool,
}

/// Turns a function to its next settings; what runs now stays what runs until they are taken up.
fn begin_change(row: &mut FunctionRow) {
    row.previous = row.runnable().cloned();
    row.phase = if row.previous.is_some() { Phase::Updating } else { Phase::Creating };
}

/// Fails while another change is under way, or after one that the caller does not know of.
fn check_changeable(row: &FunctionRow, name: &FunctionName, revision: Option<&str>) -> Result<(), ApiError> {
    if matches!(row.phase, Phase::Creating | Phase::Updating) {
        return Err(errors::update_in_progress(&name.arn()));
    }
    if revision.is_some_and(|revision| revision != row.revision_id) {
        return Err(errors::function_revision_mismatch());
    }
    Ok(())
}
