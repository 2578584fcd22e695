//! Functions: made, shown, deleted.
//! Source: Lambda API Reference, "CreateFunction", "GetFunction", "DeleteFunction".

use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_model_lambda::{
    Concurrency, CreateFunctionRequest, DeleteFunctionRequest, DeleteFunctionResponse, FunctionCodeLocation,
    FunctionConfiguration, GetFunctionConfigurationRequest, GetFunctionRequest, GetFunctionResponse,
};
use lambent_store::{Txn, delete_large};
use lambent_wire::ApiError;

use crate::code::packages::{self, PackageSource, Staged};
use crate::code::signing_use;
use crate::errors::{self, LambdaError};
use crate::functions::attached;
use crate::functions::describe::{self, Shown};
use crate::functions::spec::{self, SERVICE_PRINCIPAL};
use crate::images::image_config;
use crate::lambda::Lambda;
use crate::layers::layer_use;
use crate::limits::FUNCTION_NAME_MAX;
use crate::names::{FunctionName, LATEST, Which};
use crate::rows::{self, FunctionRow, Phase, Settings, VersionRow};
use crate::{concurrency, configuration, keys, versions, wanted};

impl Lambda {
    pub(crate) async fn create_function(
        self: &Arc<Self>,
        call: &Call,
        mut input: CreateFunctionRequest,
    ) -> Result<FunctionConfiguration, LambdaError> {
        let name = new_name(&input.function_name, call.place())?;
        let mut settings = configuration::create(&input, &name.name, &self.parts.identity)?;
        if settings.image.is_some() && input.layers.as_ref().is_some_and(|arns| !arns.is_empty()) {
            return Err(errors::not_for_images("Layers are").into());
        }
        if let Some(arns) = &input.layers {
            settings.layers = self.layers_of(call, arns).await?;
        }
        let tags = configuration::tags(input.tags.take())?;
        if let Some(wanted) = wanted::tag_new(&name.arn(), &tags) {
            call.authorize(wanted).await?;
        }
        self.check_named(call, &settings, (Some(&input.role), &name.arn())).await?;
        if self.row(self.db(call), &name).await.is_ok() {
            return Err(errors::function_exists(&name.name).into());
        }
        let staged = match &mut settings.image {
            Some(image) => {
                let uri = input.code.image_uri.take().ok_or_else(|| errors::no_image_uri("creating"))?;
                self.found_image(&uri, &settings.architecture, image).await?
            }
            None => {
                let source = PackageSource::of_new(&mut input.code)?;
                self.keep(call, self.checked(call, source).await?).await?
            }
        };
        settings.run_revision = self.parts.random.uuid();
        settings.last_modified_ms = call.time_ms();
        settings.code = staged.code.clone();
        let mut row = FunctionRow {
            name: name.name.clone(),
            revision_id: self.parts.random.uuid(),
            phase: Phase::Creating,
            settings,
            previous: None,
            tags,
            publishing: None,
        };
        let with = NewWith {
            publish: input.publish == Some(true),
            code_signing_config_arn: input.code_signing_config_arn.filter(|arn| !arn.is_empty()),
        };
        let version = self.commit_new(call, &name, &mut row, staged, &with).await?;
        let mut shown = describe::whole((&row).into(), &name.place, &self.parts.identity, false, None);
        if let Some(version) = version {
            shown.version = Some(version.number.to_string());
        }
        self.expect(&row.settings);
        self.engine(call).finish_soon(name.place, name.name);
        Ok(shown)
    }

    pub(crate) async fn get_function(
        self: &Arc<Self>,
        call: &Call,
        input: GetFunctionRequest,
    ) -> Result<GetFunctionResponse, LambdaError> {
        let name = existing(&input.function_name, input.qualifier.as_deref(), &call.owner_place())?;
        let found = self.found(call, &name).await?;
        let (place, bare) = (&name.place, &name.name);
        let reserved =
            self.db(call).read(|txn| async move { concurrency::reserved(&txn, place, bare).await });
        let reserved = reserved.await?.map(concurrency::shown);
        let settings = found.shown().settings();
        let code = match &settings.image {
            Some(image) => image_config::location(image),
            None => FunctionCodeLocation {
                location: Some(self.code_url(&call.context.endpoint, &settings.code)),
                repository_type: Some("S3".to_owned()),
                source_kms_key_arn: settings.source_kms_key_arn.clone(),
                ..FunctionCodeLocation::default()
            },
        };
        Ok(GetFunctionResponse {
            code: Some(code),
            concurrency: reserved
                .map(|reserved| Concurrency { reserved_concurrent_executions: Some(reserved) }),
            configuration: Some(self.shown(found.shown(), &name)),
            tags: Some(found.function.tags).filter(|tags| !tags.is_empty()),
            ..GetFunctionResponse::default()
        })
    }

    pub(crate) async fn get_function_configuration(
        self: &Arc<Self>,
        call: &Call,
        input: GetFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, LambdaError> {
        let name = existing(&input.function_name, input.qualifier.as_deref(), &call.owner_place())?;
        let found = self.found(call, &name).await?;
        Ok(self.shown(found.shown(), &name))
    }

    pub(crate) async fn delete_function(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteFunctionRequest,
    ) -> Result<DeleteFunctionResponse, LambdaError> {
        let name = existing(&input.function_name, input.qualifier.as_deref(), &call.owner_place())?;
        if let Some(number) = deleted_version(&name)? {
            self.delete_version(call, &name, number).await?;
            let lambda = self.clone();
            tokio::spawn(async move {
                let version = number.to_string();
                lambda.parts.runner.retire_version(&name.place, &name.name, &version).await;
            });
            return Ok(DeleteFunctionResponse { status_code: Some(204) });
        }
        let deleted = self.delete_whole(call, &name).await;
        // What is left of a deletion that failed may be without its URLs.
        self.forget(&name.arn());
        self.urls.clear();
        deleted?;
        let lambda = self.clone();
        // Busy environments finish their calls first, for which nobody should wait.
        tokio::spawn(async move { lambda.parts.runner.retire(&name.place, &name.name).await });
        Ok(DeleteFunctionResponse { status_code: Some(204) })
    }

    /// Checks what a configuration names: those that a request gave anew are `Some`.
    pub(crate) async fn check_named(
        &self,
        call: &Call,
        settings: &Settings,
        (role, function_arn): (Option<&str>, &str),
    ) -> Result<(), LambdaError> {
        if let Some(role_arn) = role {
            self.check_role(call, role_arn, function_arn).await?;
        }
        if let Some(target) = &settings.dead_letter_arn {
            self.check_dead_letters(&settings.role, call.region(), target).await?;
        }
        Ok(())
    }

    /// Has environments prepared for a function that was made or changed.
    pub(crate) fn expect(&self, settings: &Settings) {
        // An image is expected when it is there.
        if settings.image.is_some() {
            return;
        }
        // Without its variables it does not start, which its caller is told.
        if let Ok(needs) = spec::needs(settings, &self.parts.identity) {
            self.parts.runner.expect(needs);
        }
    }

    /// Fails unless the caller may give the role to Lambda, and the role trusts Lambda.
    async fn check_role(&self, call: &Call, role_arn: &str, function_arn: &str) -> Result<(), LambdaError> {
        call.authorize(wanted::pass_role(role_arn, function_arn)).await?;
        let trusted = self.parts.identity.service_may_assume(SERVICE_PRINCIPAL, role_arn).await;
        match trusted {
            Ok(true) => Ok(()),
            Ok(false) => Err(errors::role_not_assumable().into()),
            Err(error) => {
                tracing::warn!(%error, role_arn, "a role could not be looked at");
                Err(errors::role_not_assumable().into())
            }
        }
    }

    /// A function or a version as this caller named it.
    pub(crate) fn shown(&self, one: Shown<'_>, name: &FunctionName) -> FunctionConfiguration {
        let note = self.runtime_note(&one.settings().runtime);
        let mut shown =
            describe::whole(one, &name.place, &self.parts.identity, name.qualifier.is_some(), note);
        // By its alias, if it was named so.
        shown.function_arn = Some(name.qualified_arn());
        shown
    }

    /// Deletes a function and its versions: those beyond what one transaction can take before all others.
    async fn delete_whole(&self, call: &Call, name: &FunctionName) -> Result<(), LambdaError> {
        loop {
            let deleted = self.db(call).run(|txn| async move {
                let row = rows::get_function(&txn, &name.place, &name.name).await?;
                let row = row.ok_or_else(|| errors::function_not_found(&name.arn()))?;
                let is_last = versions::delete_some(&txn, &name.place, &name.name).await?
                    && attached::delete_some(&txn, &name.place, &name.name).await?;
                if is_last {
                    delete_rows(&txn, &name.place, &row).await?;
                }
                Ok::<_, LambdaError>(is_last)
            });
            if deleted.await? {
                return Ok(());
            }
        }
    }

    async fn commit_new(
        &self,
        call: &Call,
        name: &FunctionName,
        row: &mut FunctionRow,
        mut staged: Staged<'_>,
        with: &NewWith,
    ) -> Result<Option<VersionRow>, LambdaError> {
        let new = &*row;
        let committed = loop {
            let package = &staged;
            let committed = self.db(call).run(|txn| async move {
                if rows::get_function(&txn, &name.place, &name.name).await?.is_some() {
                    return Err(LambdaError::Api(errors::function_exists(&name.name)));
                }
                packages::use_code(&txn, package, &name.place, &name.name).await?;
                layer_use::hold_layers(&txn, &new.settings, &name.place, &name.name).await?;
                if let Some(arn) = &with.code_signing_config_arn {
                    signing_use::attach(&txn, &name.place, &name.name, arn).await?;
                }
                txn.put(&keys::pending(&name.place, &name.name), b"");
                let mut row = new.clone();
                let version = if with.publish {
                    Some(self.publish(&txn, &name.place, &mut row, None).await?)
                } else {
                    None
                };
                rows::put_function(&txn, &name.place, &row).await?;
                Ok((row, version))
            });
            match committed.await {
                Err(LambdaError::PackageGone) => staged = self.keep_anew(call, staged).await?,
                committed => break committed,
            }
        };
        self.settle_staged(call, staged, &committed).await;
        self.forget(&name.arn());
        let (made, version) = committed?;
        *row = made;
        Ok(version)
    }
}

/// What a request asks of a new function besides.
struct NewWith {
    publish: bool,
    code_signing_config_arn: Option<String>,
}

/// The name of a function to be made.
fn new_name(text: &str, place: &Place) -> Result<FunctionName, ApiError> {
    let name = unqualified(text, place)?;
    if name.name.len() > FUNCTION_NAME_MAX {
        return Err(errors::name_too_long(&name.name, FUNCTION_NAME_MAX));
    }
    Ok(name)
}

/// The name of a function that an operation changes as a whole.
pub(crate) fn unqualified(text: &str, place: &Place) -> Result<FunctionName, ApiError> {
    let name = existing(text, None, place)?;
    if name.is_latest() {
        Ok(FunctionName { qualifier: None, ..name })
    } else {
        Err(errors::functions_only())
    }
}

/// The same for an operation that takes no qualifier, be it `$LATEST`.
pub(crate) fn without_qualifier(text: &str, place: &Place) -> Result<FunctionName, ApiError> {
    let name = existing(text, None, place)?;
    if name.qualifier.is_none() { Ok(name) } else { Err(errors::functions_only()) }
}

/// The name of a function that should be there, in the caller's own place.
pub(crate) fn existing(text: &str, qualifier: Option<&str>, place: &Place) -> Result<FunctionName, ApiError> {
    FunctionName::parse(text, qualifier, place)?.within(place)
}

/// Deletes all that the store has of a function.
async fn delete_rows(txn: &Txn, place: &Place, row: &FunctionRow) -> Result<(), LambdaError> {
    delete_large(txn, &keys::function(place, &row.name)).await?;
    txn.delete(&keys::pending(place, &row.name));
    signing_use::detach(txn, place, &row.name).await?;
    for held in row.held() {
        packages::let_go(txn, &held, place, &row.name);
    }
    txn.on_commit(keys::CHANGED);
    Ok(())
}

/// The version that is to be deleted; `None` where it is the whole function.
fn deleted_version(name: &FunctionName) -> Result<Option<u64>, ApiError> {
    match (name.qualifier.as_deref(), name.which()) {
        (None, _) => Ok(None),
        (Some(LATEST), _) => {
            Err(errors::invalid("$LATEST version cannot be deleted without deleting the function."))
        }
        (Some(_), Some(Which::Published(number))) => Ok(Some(number)),
        (Some(other), _) if other.starts_with('$') || other.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(errors::function_not_found(&name.arn()))
        }
        (Some(_), _) => Err(errors::invalid("Deletion of aliases is not currently supported.")),
    }
}
