//! The tables that restores make, and how backups describe those they were made of.

use lambent_base::Place;
use lambent_model_dynamodb as model;
use lambent_model_dynamodb::errors::table_already_exists_exception;
use lambent_store::Txn;
use lambent_wire::ApiError;

use crate::error::validation;
use crate::table::{Billing, BillingMode, Index, IndexState, Projected, Restored, Status, Table, Throughput};
use crate::tables::{check_table_name, encryption, key_schema, mode_of, throughput};
use crate::{Dynamo, DynamoError, names, rows};

const INVALID: &str = "One or more parameter values were invalid: ";

/// What a restored table is to have otherwise than its source.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) billing: Option<model::BillingMode>,
    pub(crate) throughput: Option<model::ProvisionedThroughput>,
    pub(crate) on_demand: Option<model::OnDemandThroughput>,
    pub(crate) globals: Option<Vec<model::GlobalSecondaryIndex>>,
    pub(crate) locals: Option<Vec<model::LocalSecondaryIndex>>,
    pub(crate) encryption: Option<model::SSESpecification>,
}

/// Makes the table that is to be filled: with the schema of `source`, and without its stream, time to live, tags and
/// point-in-time recovery, as on AWS.
///
/// Errors: TableAlreadyExistsException, ValidationException.
pub(super) async fn make(
    dynamo: &Dynamo,
    txn: &Txn,
    (place, name): (&Place, &str),
    source: &Table,
    restored: Restored,
    overrides: &Overrides,
) -> Result<Table, DynamoError> {
    check_table_name(name)?;
    if rows::find_table(&dynamo.known, txn, place, name).await?.is_some() {
        return Err(table_already_exists_exception(format!("Table already exists: {name}")).into());
    }
    let created_ms = dynamo.clock.unix_ms();
    let mut table = Table {
        id: dynamo.random.u64(),
        uuid: dynamo.random.uuid(),
        place: place.clone(),
        name: name.to_owned(),
        arn: names::table_arn(place, name),
        created_ms,
        status: Status::Creating,
        deletion_protection: false,
        tags: std::collections::BTreeMap::default(),
        ttl: None,
        ttl_changed_ms: None,
        stream: None,
        stream_label: None,
        journal: None,
        log: None,
        restored: Some(restored),
        insights: std::collections::BTreeMap::default(),
        scaling: None,
        ..source.clone()
    };
    change_billing(&mut table, overrides)?;
    if let Some(asked) = &overrides.globals {
        table.globals = kept(&source.globals, asked.iter().map(|one| &one.index_name[..]))?;
        let mode = table.billing.mode;
        for (index, asked) in table.globals.iter_mut().zip(asked) {
            let units = units_of(mode, asked.provisioned_throughput.as_ref(), &index.throughput);
            index.throughput = throughput(units, asked.on_demand_throughput.as_ref(), None);
        }
    } else if overrides.billing.is_some() {
        for index in &mut table.globals {
            let units = units_of(table.billing.mode, overrides.throughput.as_ref(), &index.throughput);
            index.throughput = throughput(units, None, None);
        }
    }
    if let Some(asked) = &overrides.locals {
        table.locals = kept(&source.locals, asked.iter().map(|one| &one.index_name[..]))?;
    }
    if overrides.encryption.is_some() {
        table.encryption = encryption(place, overrides.encryption.clone())?;
    }
    table.globals.retain(|index| index.status != IndexState::Deleting);
    for index in table.locals.iter_mut().chain(&mut table.globals) {
        *index = index.anew(dynamo.random.u64());
    }
    rows::put_table(txn, &table);
    Ok(table)
}

fn change_billing(table: &mut Table, overrides: &Overrides) -> Result<(), ApiError> {
    if let Some(asked) = &overrides.billing {
        let mode = mode_of(Some(asked));
        let is_provisioned = mode == BillingMode::Provisioned;
        if is_provisioned && overrides.throughput.is_none() && table.billing.mode != mode {
            return Err(validation(format!(
                "{INVALID}ProvisionedThroughputOverride must be specified when BillingModeOverride is PROVISIONED"
            )));
        }
        if !is_provisioned && overrides.throughput.is_some() {
            return Err(validation(format!(
                "{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingModeOverride is PAY_PER_REQUEST"
            )));
        }
        table.billing = Billing {
            mode,
            on_demand_since_ms: (!is_provisioned).then_some(table.created_ms),
            switches_ms: Vec::new(),
        };
    }
    let units = units_of(table.billing.mode, overrides.throughput.as_ref(), &table.throughput);
    if overrides.billing.is_some() || overrides.throughput.is_some() || overrides.on_demand.is_some() {
        table.throughput = throughput(units, overrides.on_demand.as_ref(), None);
    }
    Ok(())
}

fn units_of(mode: BillingMode, asked: Option<&model::ProvisionedThroughput>, now: &Throughput) -> (i64, i64) {
    match (mode, asked) {
        (BillingMode::OnDemand, _) => (0, 0),
        (BillingMode::Provisioned, Some(asked)) => (asked.read_capacity_units, asked.write_capacity_units),
        (BillingMode::Provisioned, None) => (now.read_units, now.write_units),
    }
}

/// The indexes of the source that are asked for, in that order.
fn kept<'a>(source: &[Index], names: impl Iterator<Item = &'a str>) -> Result<Vec<Index>, ApiError> {
    let find = |name: &str| {
        let found = source.iter().find(|index| index.name == name).cloned();
        found.ok_or_else(|| {
            validation(format!("{INVALID}The index {name} does not exist in the table that is restored"))
        })
    };
    names.map(find).collect()
}

pub(crate) fn billing_name(table: &Table) -> &'static str {
    match table.billing.mode {
        BillingMode::OnDemand => "PAY_PER_REQUEST",
        BillingMode::Provisioned => "PROVISIONED",
    }
}

pub(crate) fn units(throughput: &Throughput) -> model::ProvisionedThroughput {
    let Throughput { read_units, write_units, .. } = throughput;
    model::ProvisionedThroughput { read_capacity_units: *read_units, write_capacity_units: *write_units }
}

type Described = (Option<Vec<model::GlobalSecondaryIndexInfo>>, Option<Vec<model::LocalSecondaryIndexInfo>>);

/// The indexes of a table, as the description of its backup has them.
pub(crate) fn described_indexes(table: &Table) -> Described {
    let globals = table.globals.iter().map(|index| model::GlobalSecondaryIndexInfo {
        index_name: Some(index.name.clone()),
        key_schema: Some(key_schema(&index.key)),
        projection: Some(projection(&index.projection)),
        provisioned_throughput: Some(units(&index.throughput)),
        on_demand_throughput: None,
    });
    let locals = table.locals.iter().map(|index| model::LocalSecondaryIndexInfo {
        index_name: Some(index.name.clone()),
        key_schema: Some(key_schema(&index.key)),
        projection: Some(projection(&index.projection)),
    });
    let some = |is_any: bool| is_any.then_some(());
    (
        some(!table.globals.is_empty()).map(|()| globals.collect()),
        some(!table.locals.is_empty()).map(|()| locals.collect()),
    )
}

pub(crate) fn projection(projected: &Projected) -> model::Projection {
    let (kind, names) = match projected {
        Projected::All => ("ALL", None),
        Projected::KeysOnly => ("KEYS_ONLY", None),
        Projected::Include(names) => ("INCLUDE", Some(names.clone())),
    };
    model::Projection { projection_type: Some(kind.into()), non_key_attributes: names }
}
