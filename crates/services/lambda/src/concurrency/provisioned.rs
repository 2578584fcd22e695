//! Provisioned concurrency: which versions have environments that wait before anybody calls.
//!
//! What is wanted is in the store; every node keeps as many in its own pool, and what there is is asked of the pool.
//! Source: Lambda API Reference, "PutProvisionedConcurrencyConfig"; recorded answers of AWS Lambda.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambent_api::Call;
use lambent_base::Place;
use lambent_model_lambda::{
    DeleteProvisionedConcurrencyConfigRequest, GetProvisionedConcurrencyConfigRequest,
    GetProvisionedConcurrencyConfigResponse, ListProvisionedConcurrencyConfigsRequest,
    ListProvisionedConcurrencyConfigsResponse, ProvisionedConcurrencyConfigListItem,
    ProvisionedConcurrencyStatusEnum as Status, PutProvisionedConcurrencyConfigRequest,
    PutProvisionedConcurrencyConfigResponse, errors as model,
};
use lambent_pool::{FunctionSpec, ProvisionFailure};
use lambent_runtimes::is_webassembly;
use lambent_store::Txn;
use lambent_wire::{ApiError, Empty};
use serde::{Deserialize, Serialize};

use crate::concurrency::{Shares, all_rows, read_provisioned, readable, shown, untyped};
use crate::engine::Engine;
use crate::errors::{self, LambdaError};
use crate::functions::{existing, unqualified};
use crate::keys;
use crate::lambda::Lambda;
use crate::limits::{PAGE_MAX, SWEEP_RETRY};
use crate::names::{FunctionName, LATEST, Which};
use crate::resolve::{Resolved, resolve};
use crate::rows::{self, AliasRow};

/// What PutProvisionedConcurrencyConfig was given for a version or an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProvisionedRow {
    pub(crate) requested: u32,
    pub(crate) last_modified_ms: i64,
}

/// What there is of what was asked for.
struct Standing {
    allocated: u32,
    failure: Option<ProvisionFailure>,
}

impl Lambda {
    pub(crate) async fn put_provisioned_concurrency_config(
        self: &Arc<Self>,
        call: &Call,
        input: PutProvisionedConcurrencyConfigRequest,
    ) -> Result<PutProvisionedConcurrencyConfigResponse, LambdaError> {
        let name = &existing(&input.function_name, Some(&input.qualifier), &call.owner_place())?;
        if name.is_latest() {
            return Err(unpublished().into());
        }
        let row = &ProvisionedRow {
            requested: input.provisioned_concurrent_executions.unsigned_abs(),
            last_modified_ms: call.time_ms(),
        };
        let limit = self.parts.account_concurrency;
        let committed = self.db(call).run(|txn| async move {
            let found = resolve(&txn, name).await?.ok_or_else(|| missing(name))?;
            let Which::Published(number) = found.which else { return Err(unpublished().into()) };
            check_kind(&txn, name, number).await?;
            check_others(&txn, name, &found).await?;
            let shares = check_room(&txn, name, row.requested, limit).await?;
            rows::put(&txn, &keys::provisioned(&name.place, &name.name, qualifier(name)), row);
            txn.on_commit(keys::CHANGED);
            Ok::<_, LambdaError>((found, shares))
        });
        let (found, shares) = committed.await?;
        let standing = self.standing(name, &found, row.requested);
        self.share_out(name, &shares);
        self.engine(call).provision_soon();
        let allocated = Some(shown(standing.allocated));
        Ok(PutProvisionedConcurrencyConfigResponse {
            allocated_provisioned_concurrent_executions: allocated,
            available_provisioned_concurrent_executions: allocated,
            last_modified: Some(crate::functions::describe::last_modified(row.last_modified_ms)),
            requested_provisioned_concurrent_executions: Some(shown(row.requested)),
            status: Some(Status::InProgress),
            status_reason: None,
        })
    }

    pub(crate) async fn get_provisioned_concurrency_config(
        self: &Arc<Self>,
        call: &Call,
        input: GetProvisionedConcurrencyConfigRequest,
    ) -> Result<GetProvisionedConcurrencyConfigResponse, LambdaError> {
        let name = &published(&input.function_name, &input.qualifier, call.place())?;
        let read = self.db(call).read(|txn| async move {
            let found = resolve(&txn, name).await?.ok_or_else(|| missing(name))?;
            let row = rows::get(&txn, &keys::provisioned(&name.place, &name.name, qualifier(name))).await?;
            let row: ProvisionedRow = row.ok_or_else(|| {
                let told = "No Provisioned Concurrency Config found for this function";
                model::provisioned_concurrency_config_not_found_exception(told)
            })?;
            Ok::<_, LambdaError>((found, row))
        });
        let (found, row) = read.await?;
        let item = self.item(name, &found, row);
        Ok(GetProvisionedConcurrencyConfigResponse {
            allocated_provisioned_concurrent_executions: item.allocated_provisioned_concurrent_executions,
            available_provisioned_concurrent_executions: item.available_provisioned_concurrent_executions,
            last_modified: item.last_modified,
            requested_provisioned_concurrent_executions: item.requested_provisioned_concurrent_executions,
            status: item.status,
            status_reason: item.status_reason,
        })
    }

    pub(crate) async fn delete_provisioned_concurrency_config(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteProvisionedConcurrencyConfigRequest,
    ) -> Result<Empty, LambdaError> {
        let name = &published(&input.function_name, &input.qualifier, call.place())?;
        let limit = self.parts.account_concurrency;
        let committed = self.db(call).run(|txn| async move {
            resolve(&txn, name).await?.ok_or_else(|| missing(name))?;
            txn.delete(&keys::provisioned(&name.place, &name.name, qualifier(name)));
            txn.on_commit(keys::CHANGED);
            Shares::read(&txn, &name.place, limit).await
        });
        let shares = committed.await?;
        self.share_out(name, &shares);
        self.engine(call).provision_soon();
        Ok(Empty {})
    }

    pub(crate) async fn list_provisioned_concurrency_configs(
        self: &Arc<Self>,
        call: &Call,
        input: ListProvisionedConcurrencyConfigsRequest,
    ) -> Result<ListProvisionedConcurrencyConfigsResponse, LambdaError> {
        let name = &unqualified(&input.function_name, &call.owner_place())?;
        let after = &input.marker.as_deref().map(read_marker).transpose()?;
        let read = self.db(call).read(|txn| async move {
            if txn.get(&keys::function(&name.place, &name.name)).await?.is_none() {
                return Err(LambdaError::Api(errors::function_not_found(&name.arn())));
            }
            let all = keys::provisioned_of(&name.place, &name.name).range();
            let range = match after {
                None => all,
                Some(after) => all.after(&keys::provisioned(&name.place, &name.name, after)),
            };
            let mut found = Vec::new();
            for (key, row) in all_rows(&txn, range).await? {
                let (_, _, qualifier) = keys::read_provisioned(&key).map_err(LambdaError::row)?;
                let one = FunctionName { qualifier: Some(qualifier), ..name.clone() };
                if let Some(resolved) = resolve(&txn, &one).await? {
                    found.push((one, resolved, rows::read::<ProvisionedRow>(&row)?));
                }
            }
            Ok(found)
        });
        let mut found = read.await?;
        let wanted = input.max_items.and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE_MAX);
        let wanted = wanted.clamp(1, PAGE_MAX);
        let has_more = found.len() > wanted;
        found.truncate(wanted);
        let last = found.last().filter(|_| has_more);
        Ok(ListProvisionedConcurrencyConfigsResponse {
            next_marker: last.map(|(name, ..)| URL_SAFE_NO_PAD.encode(qualifier(name))),
            provisioned_concurrency_configs: Some(
                found.iter().map(|(name, resolved, row)| self.item(name, resolved, *row)).collect(),
            ),
        })
    }

    fn standing(&self, name: &FunctionName, found: &Resolved, requested: u32) -> Standing {
        let mut standing = Standing { allocated: 0, failure: None };
        for (number, count) in parts(found, requested) {
            let version = number.to_string();
            if let Some(there) = self.parts.runner.provisioned(&name.place, &name.name, &version) {
                standing.allocated += there.allocated.min(count);
                standing.failure = standing.failure.or(there.failure);
            }
        }
        standing
    }

    fn item(
        &self,
        name: &FunctionName,
        found: &Resolved,
        row: ProvisionedRow,
    ) -> ProvisionedConcurrencyConfigListItem {
        let Standing { allocated, failure } = self.standing(name, found, row.requested);
        let (status, reason) = match failure {
            _ if allocated >= row.requested => (Status::Ready, None),
            Some(ProvisionFailure::Function) => {
                (Status::Failed, Some("FUNCTION_ERROR_INIT_FAILURE".to_owned()))
            }
            Some(ProvisionFailure::Platform(why)) => (Status::Failed, Some(why)),
            None => (Status::InProgress, None),
        };
        ProvisionedConcurrencyConfigListItem {
            allocated_provisioned_concurrent_executions: Some(shown(allocated)),
            available_provisioned_concurrent_executions: Some(shown(allocated)),
            function_arn: Some(name.qualified_arn()),
            last_modified: Some(crate::functions::describe::last_modified(row.last_modified_ms)),
            requested_provisioned_concurrent_executions: Some(shown(row.requested)),
            status: Some(status),
            status_reason: reason,
        }
    }
}

impl Engine {
    /// Has the pool keep what the store wants, at the start and after every change, for as long as the service is there.
    pub(crate) fn mind_provisioned(&self) {
        let mut changed = self.db.watch(keys::CHANGED);
        let engine = self.downgrade();
        tokio::spawn(async move {
            loop {
                let Some(lambda) = engine.upgrade() else { return };
                // The same commit that woke this clears the cache, by a task that may be later: what was read before it, as that
                // a version is not ready yet, would stay unprovisioned until the next change.
                lambda.cache.clear();
                let provisioned = lambda.provision_all().await;
                if let Err(error) = &provisioned {
                    tracing::warn!(%error, "provisioned concurrency cannot be seen to; trying again");
                }
                drop(lambda);
                tokio::select! {
                    () = changed.changed() => {}
                    () = tokio::time::sleep(SWEEP_RETRY), if provisioned.is_err() => {}
                }
            }
        });
    }

    /// The same once, without waiting for it.
    fn provision_soon(&self) {
        let lambda = self.clone();
        tokio::spawn(async move {
            if let Err(error) = lambda.provision_all().await {
                tracing::warn!(%error, "provisioned concurrency cannot be seen to now");
            }
        });
    }

    /// Errors: the first one, after all functions that can be loaded are seen to.
    pub(crate) async fn provision_all(&self) -> Result<(), LambdaError> {
        // One after the other: the last to read must be the last to say.
        let mut known = self.provisioned.lock().await;
        let read = self.db.read(|txn| async move {
            let mut wanted: BTreeMap<(String, String, String), BTreeMap<u64, u32>> = BTreeMap::new();
            for (key, row) in all_rows(&txn, keys::all_provisioned()).await? {
                let Some((name, row)) = readable(&key, read_provisioned(&key, &row)) else { continue };
                let Some(resolved) = resolve(&txn, &name).await? else { continue };
                let FunctionName { place, name, .. } = name;
                let versions = wanted.entry((place.account, place.region, name)).or_default();
                for (number, count) in parts(&resolved, row.requested) {
                    *versions.entry(number).or_default() += count;
                }
            }
            Ok::<_, LambdaError>(wanted)
        });
        let mut functions = BTreeSet::new();
        let mut first_error = None;
        for ((account, region, function), versions) in read.await? {
            let place = Place { account, region };
            match self.specs(&place, &function, versions).await {
                Ok(specs) => self.parts.runner.provision(&place, &function, specs),
                Err(error) => {
                    tracing::warn!(%error, function, "a function keeps the provisioned concurrency it has");
                    first_error = first_error.or(Some(error));
                }
            }
            functions.insert((place.account, place.region, function));
        }
        for (account, region, function) in known.difference(&functions) {
            let place = Place { account: account.clone(), region: region.clone() };
            self.parts.runner.provision(&place, function, Vec::new());
        }
        *known = functions;
        first_error.map_or(Ok(()), Err)
    }

    /// What the pool must know of these versions; those that are not ready have their turn when they are.
    async fn specs(
        &self,
        place: &Place,
        function: &str,
        versions: BTreeMap<u64, u32>,
    ) -> Result<Vec<(Arc<FunctionSpec>, usize)>, LambdaError> {
        let mut specs = Vec::new();
        for (number, count) in versions {
            let name = FunctionName {
                place: place.clone(),
                name: function.to_owned(),
                qualifier: Some(number.to_string()),
            };
            let loaded = self.load(&name).await?;
            if let Some(spec) = loaded.and_then(|loaded| loaded.spec.clone()) {
                specs.push((spec, count as usize));
            }
        }
        Ok(specs)
    }
}

/// The versions that a name leads to, and how much of the provisioned concurrency is for each: by the weights of its calls.
fn parts(found: &Resolved, requested: u32) -> Vec<(u64, u32)> {
    let Which::Published(main) = found.which else { return Vec::new() };
    let additional = found.alias.as_ref().and_then(|alias| alias.additional);
    let Some(other) = additional else { return vec![(main, requested)] };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a small number")]
    let others = ((f64::from(requested) * other.weight).round() as u32).min(requested);
    vec![(main, requested - others), (other.version, others)]
}

fn qualifier(name: &FunctionName) -> &str {
    name.qualifier.as_deref().unwrap_or(LATEST)
}

/// The name of a version or an alias.
fn published(function: &str, qualifier: &str, place: &Place) -> Result<FunctionName, ApiError> {
    let name = existing(function, Some(qualifier), place)?;
    if name.is_latest() {
        return Err(errors::invalid(
            "The function resource provided must be an alias or a published version.",
        ));
    }
    Ok(name)
}

fn unpublished() -> ApiError {
    errors::invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
}

fn missing(name: &FunctionName) -> ApiError {
    match name.which() {
        Some(_) => errors::function_not_found(&name.qualified_arn()),
        None => {
            model::resource_not_found_exception(format!("Cannot find alias arn: {}", name.qualified_arn()))
        }
    }
}

async fn check_kind(txn: &Txn, name: &FunctionName, number: u64) -> Result<(), LambdaError> {
    let Some(version) = rows::get_version(txn, &name.place, &name.name, number).await? else {
        return Ok(());
    };
    if is_webassembly(&version.settings.runtime) {
        let what = "provisioned concurrency of WebAssembly functions";
        return Err(errors::unsupported(what, "call them: an instance takes no time to start").into());
    }
    if version.settings.snap_start {
        return Err(errors::invalid(
            "Provisioned Concurrency is not supported for functions with SnapStart.",
        )
        .into());
    }
    Ok(crate::configuration::tenancy::refuse(&version.settings, "Provisioned Concurrency")?)
}

/// Fails where another name for the same version has provisioned concurrency.
async fn check_others(txn: &Txn, name: &FunctionName, found: &Resolved) -> Result<(), LambdaError> {
    let leads = |alias: &AliasRow, number| alias.leads_to(number);
    let own: Vec<u64> = parts(found, 0).into_iter().map(|(number, _)| number).collect();
    for (key, _) in all_rows(txn, keys::provisioned_of(&name.place, &name.name).range()).await? {
        let (_, _, other) = keys::read_provisioned(&key).map_err(LambdaError::row)?;
        if other == qualifier(name) {
            continue;
        }
        let other = FunctionName { qualifier: Some(other), ..name.clone() };
        let Some(resolved) = resolve(txn, &other).await? else { continue };
        let is_same = match (&resolved.alias, resolved.which) {
            (Some(alias), _) => own.iter().any(|number| leads(alias, *number)),
            (None, Which::Published(number)) => own.contains(&number),
            (None, Which::Latest) => false,
        };
        if is_same {
            let told = match &found.alias {
                Some(_) => {
                    "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
                }
                None => "Version is pointed by a Provisioned Concurrency alias",
            };
            return Err(model::resource_conflict_exception(told).into());
        }
    }
    Ok(())
}

/// Fails where neither the function's reservation nor the account has as much; gives the shares as they are then.
async fn check_room(
    txn: &Txn,
    name: &FunctionName,
    requested: u32,
    limit: u32,
) -> Result<Shares, LambdaError> {
    let mut shares = Shares::read(txn, &name.place, limit).await?;
    let key = (name.name.clone(), qualifier(name).to_owned());
    shares.provisioned.remove(&key);
    let before = shares.unreserved();
    let others = u64::from(shares.provisioned_of(&name.name));
    shares.provisioned.insert(key, requested);
    match shares.reserved.get(&name.name) {
        Some(reserved) if others + u64::from(requested) > u64::from(*reserved) => Err(errors::invalid(
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
        )
        .into()),
        Some(_) => Ok(shares),
        None if requested > before => Err(untyped(format!(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{before}]."
        ))),
        None if shares.unreserved() < shares.unreserved_min() => Err(untyped(format!(
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its \
             minimum value of [{}].",
            shares.unreserved_min()
        ))),
        None => Ok(shares),
    }
}

fn read_marker(text: &str) -> Result<String, ApiError> {
    let name = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(errors::bad_marker)
}
