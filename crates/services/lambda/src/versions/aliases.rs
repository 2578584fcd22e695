//! Aliases: names for versions, which move, and may share their calls between two.
//! Source: Lambda API Reference, "CreateAlias", "UpdateAlias", "ListAliases"; Lambda Developer Guide, "Implement Lambda
//! canary deployments using a weighted alias".

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambent_api::Call;
use lambent_base::Place;
use lambent_model_lambda::{
    AliasConfiguration, AliasRoutingConfiguration, CreateAliasRequest, DeleteAliasRequest, GetAliasRequest,
    ListAliasesRequest, ListAliasesResponse, UpdateAliasRequest, errors as model,
};
use lambent_store::{ScanOptions, Txn};
use lambent_wire::{ApiError, Empty};

use crate::errors::{self, LambdaError};
use crate::functions::{attached, unqualified};
use crate::lambda::Lambda;
use crate::limits::{PAGE_MAX, WORK_PAGE_ROWS};
use crate::names::{FunctionName, LATEST};
use crate::resolve::resolve;
use crate::rows::{self, AdditionalVersion, AliasRow};
use crate::{keys, urls};

/// The model's own words for what a name may be.
const NAME_PATTERN: &str = "(?!^[0-9]+$)([a-zA-Z0-9-_]+)";

impl Lambda {
    pub(crate) async fn create_alias(
        self: &Arc<Self>,
        call: &Call,
        input: CreateAliasRequest,
    ) -> Result<AliasConfiguration, LambdaError> {
        let name = &alias_name(&input.function_name, &input.name, call.place())?;
        let additional = additional(input.routing_config.as_ref())?;
        let row = &AliasRow {
            name: input.name,
            revision_id: self.parts.random.uuid(),
            description: input.description.unwrap_or_default(),
            version: version(&input.function_version, name)?,
            additional,
        };
        check_versions(row)?;
        let committed = self.db(call).run(|txn| async move {
            check_targets(&txn, name, row).await?;
            if rows::get_alias(&txn, &name.place, &name.name, &row.name).await?.is_some() {
                return Err(LambdaError::Api(exists(name)));
            }
            put(&txn, name, row);
            Ok(())
        });
        committed.await?;
        self.forget(&name.arn());
        Ok(shown(row, &name.place, &name.name))
    }

    pub(crate) async fn get_alias(
        self: &Arc<Self>,
        call: &Call,
        input: GetAliasRequest,
    ) -> Result<AliasConfiguration, LambdaError> {
        let name = &alias_name(&input.function_name, &input.name, call.place())?;
        let alias = &input.name;
        let read = self
            .db(call)
            .read(|txn| async move { rows::get_alias(&txn, &name.place, &name.name, alias).await });
        let row = read.await?.ok_or_else(|| errors::alias_not_found(&name.qualified_arn()))?;
        Ok(shown(&row, &name.place, &name.name))
    }

    pub(crate) async fn list_aliases(
        self: &Arc<Self>,
        call: &Call,
        input: ListAliasesRequest,
    ) -> Result<ListAliasesResponse, LambdaError> {
        let name = &unqualified(&input.function_name, &call.owner_place())?;
        let after = &input.marker.as_deref().map(read_marker).transpose()?;
        let wanted = input.max_items.and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE_MAX);
        let wanted = wanted.clamp(1, PAGE_MAX);
        let only = input.function_version.as_deref().map(|text| version(text, name)).transpose()?;
        if self.resolve(self.db(call), name).await?.is_none() {
            return Err(errors::function_not_found(&name.arn()).into());
        }
        let read = self.db(call).read(|txn| async move {
            // One more tells that there is another page.
            some_aliases(&txn, name, after.as_deref(), wanted + 1, |alias| match only {
                None => true,
                Some(None) => alias.version.is_none(),
                Some(Some(number)) => alias.leads_to(number),
            })
            .await
        });
        let mut found = read.await?;
        let has_more = found.len() > wanted;
        found.truncate(wanted);
        let last = found.last().filter(|_| has_more);
        Ok(ListAliasesResponse {
            next_marker: last.map(|alias| URL_SAFE_NO_PAD.encode(&alias.name)),
            aliases: Some(found.iter().map(|alias| shown(alias, &name.place, &name.name)).collect()),
        })
    }

    pub(crate) async fn update_alias(
        self: &Arc<Self>,
        call: &Call,
        input: UpdateAliasRequest,
    ) -> Result<AliasConfiguration, LambdaError> {
        let name = &alias_name(&input.function_name, &input.name, call.place())?;
        let (input, revision_id) = (&input, &self.parts.random.uuid());
        let committed = self.db(call).run(|txn| async move {
            let row = rows::get_alias(&txn, &name.place, &name.name, &input.name).await?;
            let mut row = row.ok_or_else(|| {
                model::resource_not_found_exception(format!("Alias not found: {}", name.qualified_arn()))
            })?;
            if input.revision_id.as_ref().is_some_and(|revision| *revision != row.revision_id) {
                return Err(LambdaError::Api(errors::function_revision_mismatch()));
            }
            change(&mut row, input, name)?;
            row.revision_id.clone_from(revision_id);
            check_targets(&txn, name, &row).await?;
            put(&txn, name, &row);
            Ok(row)
        });
        let row = committed.await?;
        self.forget(&name.arn());
        Ok(shown(&row, &name.place, &name.name))
    }

    pub(crate) async fn delete_alias(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteAliasRequest,
    ) -> Result<Empty, LambdaError> {
        let name = &alias_name(&input.function_name, &input.name, call.place())?;
        let alias = &input.name;
        let deleted = self.db(call).run(|txn| async move {
            let FunctionName { place, name: bare, .. } = name;
            if txn.get(&keys::function(place, bare)).await?.is_none() {
                return Err(LambdaError::Api(errors::function_not_found(&name.arn())));
            }
            if rows::get_alias(&txn, place, bare, alias).await?.is_some() {
                txn.delete(&keys::alias(place, bare, alias));
                attached::delete_of_qualifier(&txn, place, bare, alias);
                urls::delete_of_alias(&txn, place, bare, alias).await?;
                txn.on_commit(keys::CHANGED);
            }
            Ok(())
        });
        deleted.await?;
        self.forget(&name.arn());
        self.urls.clear();
        Ok(Empty {})
    }
}

/// The names of the aliases that lead to a version.
pub(crate) async fn leading_to(
    txn: &Txn,
    name: &FunctionName,
    number: u64,
) -> Result<Vec<String>, LambdaError> {
    let found = some_aliases(txn, name, None, usize::MAX, |alias| alias.leads_to(number)).await?;
    Ok(found.into_iter().map(|alias| alias.name).collect())
}

/// As many aliases of a function as are wanted, by name, beginning after one.
async fn some_aliases(
    txn: &Txn,
    FunctionName { place, name, .. }: &FunctionName,
    after: Option<&str>,
    wanted: usize,
    is_meant: impl Fn(&AliasRow) -> bool,
) -> Result<Vec<AliasRow>, LambdaError> {
    let all = keys::aliases(place, name).range();
    let mut left = Some(match after {
        None => all,
        Some(after) => all.after(&keys::alias(place, name, after)),
    });
    let mut found = Vec::new();
    while let Some(range) = left.filter(|_| found.len() < wanted) {
        let page = txn.scan(&range, ScanOptions::rows(WORK_PAGE_ROWS)).await?;
        for (_, row) in &page.rows {
            let row = rows::read_alias(row)?;
            if is_meant(&row) && found.len() < wanted {
                found.push(row);
            }
        }
        left = range.rest(&page, false);
    }
    Ok(found)
}

/// The function's name with the alias as its qualifier.
fn alias_name(function: &str, alias: &str, place: &Place) -> Result<FunctionName, ApiError> {
    let is_word = alias.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_word || alias.is_empty() || alias.bytes().all(|byte| byte.is_ascii_digit()) {
        let constraint = format!("Member must satisfy regular expression pattern: {NAME_PATTERN}");
        return Err(errors::violation(alias, "name", &constraint));
    }
    Ok(FunctionName { qualifier: Some(alias.to_owned()), ..unqualified(function, place)? })
}

/// A version as requests name it; `None` for `$LATEST`.
fn version(text: &str, name: &FunctionName) -> Result<Option<u64>, ApiError> {
    if text == LATEST {
        return Ok(None);
    }
    let number = text.parse().map_err(|_| errors::function_not_found(&format!("{}:{text}", name.arn())))?;
    Ok(Some(number))
}

fn additional(routing: Option<&AliasRoutingConfiguration>) -> Result<Option<AdditionalVersion>, ApiError> {
    let weights = routing.and_then(|routing| routing.additional_version_weights.as_ref());
    let mut weights = weights.into_iter().flatten();
    let Some((text, weight)) = weights.next() else { return Ok(None) };
    if weights.next().is_some() {
        return Err(errors::invalid("Number of items in AdditionalVersionWeights cannot be greater than 1"));
    }
    let version = text.parse().map_err(|_| errors::invalid(format!("Invalid function version {text}.")))?;
    Ok(Some(AdditionalVersion { version, weight: *weight }))
}

fn change(row: &mut AliasRow, input: &UpdateAliasRequest, name: &FunctionName) -> Result<(), ApiError> {
    if let Some(description) = &input.description {
        row.description.clone_from(description);
    }
    if let Some(text) = &input.function_version {
        row.version = version(text, name)?;
    }
    if input.routing_config.is_some() {
        row.additional = additional(input.routing_config.as_ref())?;
    }
    check_versions(row)
}

/// Fails where an alias's two versions do not go together.
fn check_versions(row: &AliasRow) -> Result<(), ApiError> {
    match (row.version, row.additional) {
        (None, Some(_)) => Err(ApiError::new(
            "InvalidParameterValueException",
            400,
            "$LATEST is not supported for an alias pointing to more than 1 version",
        )),
        (Some(main), Some(other)) if main == other.version => Err(errors::invalid(format!(
            "Invalid function version {main}. Function version {main} is already included in routing configuration."
        ))),
        _ => Ok(()),
    }
}

/// Fails where an alias's versions are not there.
async fn check_targets(txn: &Txn, name: &FunctionName, row: &AliasRow) -> Result<(), LambdaError> {
    let main = row.version.map_or_else(|| LATEST.to_owned(), |number| number.to_string());
    let additional = row.additional.map(|additional| additional.version.to_string());
    for qualifier in std::iter::once(main).chain(additional) {
        let target = FunctionName { qualifier: Some(qualifier), ..name.clone() };
        if resolve(txn, &target).await?.is_none() {
            return Err(errors::function_not_found(&target.qualified_arn()).into());
        }
    }
    Ok(())
}

fn put(txn: &Txn, name: &FunctionName, row: &AliasRow) {
    rows::put(txn, &keys::alias(&name.place, &name.name, &row.name), row);
    txn.on_commit(keys::CHANGED);
}

fn shown(row: &AliasRow, place: &Place, function: &str) -> AliasConfiguration {
    let AliasRow { name, revision_id, description, version, additional } = row;
    AliasConfiguration {
        alias_arn: Some(format!("{}:{name}", crate::names::function_arn(place, function))),
        description: Some(description.clone()),
        function_version: Some(version.map_or_else(|| LATEST.to_owned(), |number| number.to_string())),
        name: Some(name.clone()),
        revision_id: Some(revision_id.clone()),
        routing_config: additional.map(|other| AliasRoutingConfiguration {
            additional_version_weights: Some([(other.version.to_string(), other.weight)].into()),
        }),
    }
}

fn read_marker(text: &str) -> Result<String, ApiError> {
    let name = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(errors::bad_marker)
}

fn exists(name: &FunctionName) -> ApiError {
    model::resource_conflict_exception(format!("Alias already exists: {}", name.qualified_arn()))
}
