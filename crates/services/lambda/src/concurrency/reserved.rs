//! Reserved concurrency, and what an account's functions may run at once.
//! Source: Lambda API Reference, "PutFunctionConcurrency"; Lambda Developer Guide, "Configuring reserved concurrency".

use std::collections::BTreeMap;
use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_model_lambda::{
    Concurrency, DeleteFunctionConcurrencyRequest, GetFunctionConcurrencyRequest,
    GetFunctionConcurrencyResponse, PutFunctionConcurrencyRequest,
};
use lambent_store::{KeyRange, ScanOptions, Txn};
use lambent_wire::{ApiError, Empty};
use serde::{Deserialize, Serialize};

use crate::concurrency::provisioned::ProvisionedRow;
use crate::errors::{self, LambdaError};
use crate::functions::{unqualified, without_qualifier};
use crate::lambda::Lambda;
use crate::limits::{UNRESERVED_MIN, UNRESERVED_MIN_SMALL, WORK_PAGE_ROWS};
use crate::names::{FunctionName, LATEST};
use crate::{keys, rows};

/// What PutFunctionConcurrency was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConcurrencyRow {
    pub(crate) reserved: u32,
}

/// How a place's concurrency is shared out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares {
    /// The account's concurrency.
    pub(crate) limit: u32,
    /// By function.
    pub(crate) reserved: BTreeMap<String, u32>,
    /// By function and qualifier.
    pub(crate) provisioned: BTreeMap<(String, String), u32>,
    /// Functions whose reservation cannot be read. It counts for nothing, and they alone do not run until it is given anew:
    /// it may be the one that stops them.
    unreadable: BTreeMap<String, LambdaError>,
}

impl Shares {
    pub(crate) async fn read(txn: &Txn, place: &Place, limit: u32) -> Result<Self, LambdaError> {
        let mut shares = Self { limit, ..Self::default() };
        for (key, row) in all_rows(txn, keys::concurrencies(place).range()).await? {
            let name = keys::read_concurrency(&key).map(|(_, name)| name).map_err(LambdaError::row);
            let Some(name) = readable(&key, name) else { continue };
            match rows::read::<ConcurrencyRow>(&row) {
                Ok(row) => drop(shares.reserved.insert(name, row.reserved)),
                Err(error) => {
                    tracing::error!(%error, function = name, "a reservation cannot be read; `lambent check` mends it");
                    shares.unreadable.insert(name, error);
                }
            }
        }
        for (key, row) in all_rows(txn, keys::provisioned_in(place).range()).await? {
            if let Some((name, row)) = readable(&key, read_provisioned(&key, &row)) {
                let qualifier = name.qualifier.unwrap_or_default();
                shares.provisioned.insert((name.name, qualifier), row.requested);
            }
        }
        Ok(shares)
    }

    /// What is reserved for a function.
    ///
    /// Errors: `Row`, where that cannot be read.
    pub(crate) fn reserved_of(&self, function: &str) -> Result<Option<u32>, LambdaError> {
        match self.unreadable.get(function) {
            Some(error) => Err(error.clone()),
            None => Ok(self.reserved.get(function).copied()),
        }
    }

    /// What is provisioned for a function, over all of its versions and aliases.
    pub(crate) fn provisioned_of(&self, function: &str) -> u32 {
        let its = self.provisioned.iter().filter(|((name, _), _)| name == function);
        its.map(|(_, requested)| requested).sum()
    }

    /// What functions without a reservation may run at once, provisioned environments apart.
    pub(crate) fn unreserved(&self) -> u32 {
        let reserved: u32 = self.reserved.values().sum();
        let others = self.provisioned.iter().filter(|((name, _), _)| !self.reserved.contains_key(name));
        let provisioned: u32 = others.map(|(_, requested)| requested).sum();
        self.limit.saturating_sub(reserved).saturating_sub(provisioned)
    }

    /// What has to be left for functions without a reservation.
    pub(crate) fn unreserved_min(&self) -> u32 {
        if self.limit > UNRESERVED_MIN { UNRESERVED_MIN } else { UNRESERVED_MIN_SMALL.min(self.limit) }
    }
}

impl Lambda {
    pub(crate) async fn put_function_concurrency(
        self: &Arc<Self>,
        call: &Call,
        input: PutFunctionConcurrencyRequest,
    ) -> Result<Concurrency, LambdaError> {
        let name = &without_qualifier(&input.function_name, &call.owner_place())?;
        let reserved = input.reserved_concurrent_executions.unsigned_abs();
        let limit = self.parts.account_concurrency;
        let committed = self.db(call).run(|txn| async move {
            check_function(&txn, name, Some(LATEST)).await?;
            let mut shares = Shares::read(&txn, &name.place, limit).await?;
            let provisioned = shares.provisioned_of(&name.name);
            if reserved < provisioned {
                // The blanks are AWS's.
                return Err(untyped(format!(
                    " ReservedConcurrentExecutions  {reserved} should not be lower than function's total provisioned \
                     concurrency [{provisioned}]."
                )));
            }
            shares.reserved.insert(name.name.clone(), reserved);
            let least = shares.unreserved_min();
            let taken: u64 = shares.reserved.values().map(|reserved| u64::from(*reserved)).sum();
            if taken > u64::from(limit) || shares.unreserved() < least {
                return Err(untyped(format!(
                    "Specified ReservedConcurrentExecutions for function decreases account's \
                     UnreservedConcurrentExecution below its minimum value of [{least}]."
                )));
            }
            rows::put(&txn, &keys::concurrency(&name.place, &name.name), &ConcurrencyRow { reserved });
            txn.on_commit(keys::CHANGED);
            Ok(shares)
        });
        let shares = committed.await?;
        self.share_out(name, &shares);
        Ok(Concurrency { reserved_concurrent_executions: Some(input.reserved_concurrent_executions) })
    }

    pub(crate) async fn get_function_concurrency(
        self: &Arc<Self>,
        call: &Call,
        input: GetFunctionConcurrencyRequest,
    ) -> Result<GetFunctionConcurrencyResponse, LambdaError> {
        let name = &unqualified(&input.function_name, &call.owner_place())?;
        let read = self.db(call).read(|txn| async move {
            check_function(&txn, name, None).await?;
            reserved(&txn, &name.place, &name.name).await
        });
        Ok(GetFunctionConcurrencyResponse { reserved_concurrent_executions: read.await?.map(shown) })
    }

    pub(crate) async fn delete_function_concurrency(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteFunctionConcurrencyRequest,
    ) -> Result<Empty, LambdaError> {
        let name = &unqualified(&input.function_name, &call.owner_place())?;
        let limit = self.parts.account_concurrency;
        let committed = self.db(call).run(|txn| async move {
            check_function(&txn, name, None).await?;
            txn.delete(&keys::concurrency(&name.place, &name.name));
            txn.on_commit(keys::CHANGED);
            Shares::read(&txn, &name.place, limit).await
        });
        let shares = committed.await?;
        self.share_out(name, &shares);
        Ok(Empty {})
    }

    /// A function's part has changed: from now on calls of all functions are held to that.
    pub(crate) fn share_out(&self, name: &FunctionName, shares: &Shares) {
        self.forget(&name.arn());
        self.parts.runner.limit_unreserved(&name.place, shares.unreserved() as usize);
    }
}

/// A function's reserved concurrency, if it has one.
pub(crate) async fn reserved(txn: &Txn, place: &Place, name: &str) -> Result<Option<u32>, LambdaError> {
    let row: Option<ConcurrencyRow> = rows::get(txn, &keys::concurrency(place, name)).await?;
    Ok(row.map(|row| row.reserved))
}

/// The name that has provisioned concurrency, and how much.
pub(crate) fn read_provisioned(
    key: &[u8],
    row: &[u8],
) -> Result<(FunctionName, ProvisionedRow), LambdaError> {
    let (place, name, qualifier) = keys::read_provisioned(key).map_err(LambdaError::row)?;
    Ok((FunctionName { place, name, qualifier: Some(qualifier) }, rows::read(row)?))
}

/// A row that was read; of one that could not be, only the operator hears, as the rows of other functions lie beside it.
pub(crate) fn readable<T>(key: &[u8], read: Result<T, LambdaError>) -> Option<T> {
    read.inspect_err(|error| {
        let key = key.escape_ascii();
        tracing::error!(%error, %key, "a row of a function's concurrency counts for nothing; `lambent check` mends it");
    })
    .ok()
}

/// As answers have it.
pub(crate) fn shown(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Every row of a range.
pub(crate) async fn all_rows(
    txn: &Txn,
    range: KeyRange,
) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, LambdaError> {
    let (mut left, mut found) = (Some(range), Vec::new());
    while let Some(range) = left {
        let page = txn.scan(&range, ScanOptions::rows(WORK_PAGE_ROWS)).await?;
        left = range.rest(&page, false);
        found.extend(page.rows);
    }
    Ok(found)
}

/// InvalidParameterValueException without the member Type, as AWS has it where quotas decide.
pub(crate) fn untyped(message: String) -> LambdaError {
    ApiError::new("InvalidParameterValueException", 400, message).into()
}

async fn check_function(txn: &Txn, name: &FunctionName, shown_as: Option<&str>) -> Result<(), LambdaError> {
    if txn.get(&keys::function(&name.place, &name.name)).await?.is_some() {
        return Ok(());
    }
    let suffix = shown_as.map(|qualifier| format!(":{qualifier}")).unwrap_or_default();
    Err(errors::function_not_found(&format!("{}{suffix}", name.arn())).into())
}
