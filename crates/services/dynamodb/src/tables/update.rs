//! UpdateTable.

use std::collections::HashSet;

use lambent_api::Call;
use lambent_model_dynamodb as model;
use lambent_model_dynamodb::errors::{limit_exceeded_exception, resource_in_use_exception};
use lambent_model_dynamodb::{GlobalSecondaryIndexUpdate, UpdateTableInput, UpdateTableOutput};
use lambent_store::Txn;
use lambent_wire::ApiError;

use super::check::{self, invalid};
use super::create::{encryption, mode_of, throughput};
use super::delete::not_found;
use super::describe::{Shown, describe};
use super::throughput::{Units, change_mode, set_limits, set_units, set_warm};
use crate::error::validation;
use crate::jobs::{self, Backfill, Clear, Task};
use crate::table::{BillingMode, Index, IndexState, KeySchema, Status, Table, TableClass};
use crate::{Dynamo, DynamoError, names, rows, streams};

const ONE_ONLINE_INDEX: &str =
    "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table";

impl Dynamo {
    pub(crate) async fn update_table(
        &self,
        call: &Call,
        input: UpdateTableInput,
    ) -> Result<UpdateTableOutput, DynamoError> {
        let (place, name) = names::table_ref(call, &input.table_name)?;
        check::table_name(&name)?;
        check_input(&input)?;
        let (place, name, input) = (&*place, &*name, &input);
        let description = self
            .rows
            .of(call)
            .run(|txn| async move {
                let table = rows::find_table(&self.known, &txn, place, name).await?;
                let before = table.ok_or_else(|| not_found(name))?;
                if before.status != Status::Active {
                    let message = format!(
                        "Attempt to change a resource which is still in use: Table is being created: {name}"
                    );
                    return Err(resource_in_use_exception(message).into());
                }
                let mut table = (*before).clone();
                self.update(&txn, &mut table, input)?;
                if let Some(stream) = &input.stream_specification {
                    streams::update(&txn, &mut table, stream, &self.random, call.time_ms()).await?;
                }
                rows::put_table(&txn, &table);
                let mut shown = describe(&txn, &as_answered(&table, &before), Shown::Updating).await?;
                if let Some(encryption) =
                    shown.sse_description.as_mut().filter(|_| table.encryption != before.encryption)
                {
                    encryption.status = Some(model::SSEStatus::Updating);
                }
                Ok::<_, DynamoError>(shown)
            })
            .await?;
        self.known.forget(place, name);
        Ok(UpdateTableOutput { table_description: Some(description) })
    }

    /// Does what the input asks for, and has done what takes longer.
    fn update(&self, txn: &Txn, table: &mut Table, input: &UpdateTableInput) -> Result<(), DynamoError> {
        let now_ms = self.clock.unix_ms();
        let mode = input.billing_mode.as_ref().map_or(table.billing.mode, |mode| mode_of(Some(mode)));
        if mode == BillingMode::OnDemand {
            check::units(mode, input.provisioned_throughput.as_ref())?;
        }
        let updates = input.global_secondary_index_updates.as_deref().unwrap_or_default();
        check_updates(table, updates)?;
        if mode != table.billing.mode {
            change_mode(table, mode, updates, now_ms)?;
        }
        if let Some(asked) = &input.provisioned_throughput {
            let asked = Units::from(asked);
            set_units(&mut table.throughput, "the table", asked, now_ms)?;
        }
        set_limits(&mut table.throughput, input.on_demand_throughput.as_ref());
        set_warm(&mut table.throughput, input.warm_throughput.as_ref())?;
        for update in updates {
            self.update_index(txn, table, update, input, now_ms)?;
        }
        if let Some(specification) = &input.sse_specification {
            table.encryption = encryption(&table.place, Some(specification.clone()))?;
        }
        if let Some(class) = &input.table_class {
            table.class = Some(TableClass { class: class.as_str().to_owned(), changed_ms: Some(now_ms) });
        }
        if let Some(is_protected) = input.deletion_protection_enabled {
            table.deletion_protection = is_protected;
        }
        Ok(())
    }

    fn update_index(
        &self,
        txn: &Txn,
        table: &mut Table,
        update: &GlobalSecondaryIndexUpdate,
        input: &UpdateTableInput,
        now_ms: i64,
    ) -> Result<(), DynamoError> {
        if let Some(create) = &update.create {
            let index = self.new_index(table, create, input.attribute_definitions.as_deref())?;
            let task = Backfill {
                account: table.place.account.clone(),
                region: table.place.region.clone(),
                table: table.name.clone(),
                index: index.id,
            };
            table.globals.push(index);
            jobs::put(txn, &self.random, &table.place.account, Task::Backfill(task));
        }
        if let Some(change) = &update.update {
            let index = index_mut(table, &change.index_name)?;
            if let Some(asked) = &change.provisioned_throughput {
                set_units(&mut index.throughput, "the index", Units::from(asked), now_ms)?;
            }
            set_limits(&mut index.throughput, change.on_demand_throughput.as_ref());
            set_warm(&mut index.throughput, change.warm_throughput.as_ref())?;
        }
        if let Some(delete) = &update.delete {
            let (place, name) = (table.place.clone(), table.name.clone());
            let index = index_mut(table, &delete.index_name)?;
            if index.status == IndexState::Deleting {
                let message = format!(
                    "Attempt to change a resource which is still in use: Index is being deleted: {}",
                    index.name
                );
                return Err(resource_in_use_exception(message).into());
            }
            index.status = IndexState::Deleting;
            jobs::put(txn, &self.random, &place.account, Task::Clear(Clear::index(&place, &name, index.id)));
        }
        Ok(())
    }

    fn new_index(
        &self,
        table: &Table,
        create: &model::CreateGlobalSecondaryIndexAction,
        definitions: Option<&[model::AttributeDefinition]>,
    ) -> Result<Index, ApiError> {
        let name = &create.index_name;
        if table.index(name).is_some() {
            return Err(validation("Attempting to create an index which already exists"));
        }
        let definitions = definitions.unwrap_or_default();
        same_types(table, definitions)?;
        let key = check::global_key(&create.key_schema, definitions)?;
        let keys: Vec<&KeySchema> =
            [&table.key, &key].into_iter().chain(table.indexes().map(|index| &index.key)).collect();
        check::all_used(definitions, keys.into_iter(), true)?;
        let projection = check::projection(&create.projection)?;
        let projections = table.indexes().map(|index| &index.projection);
        check::included(projections.chain(std::iter::once(&projection)))?;
        let units = check::index_units(name, table.billing.mode, create.provisioned_throughput.as_ref())?;
        if table.globals.len() >= check::GLOBALS_MAX {
            return Err(limit_exceeded_exception(format!(
                "Subscriber limit exceeded: The maximum number of global secondary indexes per table is {}",
                check::GLOBALS_MAX
            )));
        }
        let (limits, warm) = (create.on_demand_throughput.as_ref(), create.warm_throughput.as_ref());
        Ok(Index {
            status: IndexState::Creating,
            throughput: throughput(units, limits, warm),
            ..Index::new(self.random.u64(), name.clone(), key, projection)
        })
    }
}

/// What can be said without the table.
fn check_input(input: &UpdateTableInput) -> Result<(), ApiError> {
    let updates = input.global_secondary_index_updates.as_deref().unwrap_or_default();
    let has_any = input.provisioned_throughput.is_some()
        || input.billing_mode.is_some()
        || input.stream_specification.is_some()
        || !updates.is_empty()
        || input.sse_specification.is_some()
        || input.replica_updates.is_some()
        || input.deletion_protection_enabled.is_some()
        || input.table_class.is_some()
        || input.on_demand_throughput.is_some()
        || input.warm_throughput.is_some();
    if !has_any {
        return Err(validation(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or \
             SSESpecification or ReplicaUpdates is required",
        ));
    }
    if input.billing_mode == Some(model::BillingMode::Provisioned) && input.provisioned_throughput.is_none() {
        return Err(invalid("ProvisionedThroughput must be specified when BillingMode is PROVISIONED"));
    }
    if let Some(asked) = &input.provisioned_throughput {
        check::bounded(asked)?;
    }
    check::maximums(input.on_demand_throughput.as_ref())?;
    for update in updates {
        check::maximums(update.update.as_ref().and_then(|one| one.on_demand_throughput.as_ref()))?;
        check::maximums(update.create.as_ref().and_then(|one| one.on_demand_throughput.as_ref()))?;
    }
    let mut seen = HashSet::new();
    for update in updates {
        let Some(name) = index_of(update) else {
            return Err(invalid(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, \
                 GlobalSecondaryIndexUpdate.Delete must not be null",
            ));
        };
        if !seen.insert(name) {
            return Err(invalid(format!(
                "Only one global secondary index update per index is allowed simultaneously. Index: {name}"
            )));
        }
    }
    if input.replica_updates.as_ref().is_some_and(|updates| !updates.is_empty()) {
        return Err(lambent_api::not_implemented("replicas of tables in other regions"));
    }
    if input.vector_index_updates.as_ref().is_some_and(|updates| !updates.is_empty()) {
        return Err(lambent_api::not_implemented("vector indexes"));
    }
    Ok(())
}

fn index_of(update: &GlobalSecondaryIndexUpdate) -> Option<&str> {
    let updated = update.update.as_ref().map(|one| &one.index_name);
    let created = update.create.as_ref().map(|one| &one.index_name);
    let deleted = update.delete.as_ref().map(|one| &one.index_name);
    updated.or(created).or(deleted).map(String::as_str)
}

/// One index at a time is created or dropped.
fn check_updates(table: &Table, updates: &[GlobalSecondaryIndexUpdate]) -> Result<(), ApiError> {
    let online = updates.iter().filter(|one| one.create.is_some() || one.delete.is_some()).count();
    let is_creating = |one: &GlobalSecondaryIndexUpdate| one.create.is_some();
    let under_way = table.globals.iter().any(|index| index.status != IndexState::Active);
    if online > 1 || (under_way && updates.iter().any(is_creating)) {
        return Err(limit_exceeded_exception(ONE_ONLINE_INDEX));
    }
    let asked = updates.iter().filter_map(|one| one.update.as_ref()?.provisioned_throughput.as_ref());
    for asked in asked {
        if check::bounded(asked).is_err() {
            return Err(validation(
                "This operation cannot be performed with given input values. Please contact DynamoDB service team for \
                 more info: Action Blocked: IndexUpdate",
            ));
        }
    }
    Ok(())
}

/// An attribute that is a key already keeps its type.
fn same_types(table: &Table, definitions: &[model::AttributeDefinition]) -> Result<(), ApiError> {
    let known = table.attributes();
    for definition in definitions {
        let known = known.iter().find(|one| one.name == definition.attribute_name);
        if known.is_some_and(|known| known.kind.name() != definition.attribute_type.as_str()) {
            return Err(invalid(format!(
                "AttributeDefinition of {} cannot be changed: it is a key of the table or of an index",
                definition.attribute_name
            )));
        }
    }
    Ok(())
}

fn index_mut<'a>(table: &'a mut Table, name: &str) -> Result<&'a mut Index, ApiError> {
    let found = table.globals.iter_mut().find(|index| index.name == name);
    found.ok_or_else(|| {
        model::errors::resource_not_found_exception(format!(
            "Requested resource not found: Index: {name} not found"
        ))
    })
}

/// The table as the answer shows it: units, and a key that is given up, are still what they were.
fn as_answered(table: &Table, before: &Table) -> Table {
    let mut shown = table.clone();
    shown.encryption = table.encryption.clone().or_else(|| before.encryption.clone());
    let is_same_mode = table.billing.mode == before.billing.mode;
    if is_same_mode {
        let units = (before.throughput.read_units, before.throughput.write_units);
        (shown.throughput.read_units, shown.throughput.write_units) = units;
        shown.throughput.decreases = before.throughput.decreases;
    }
    shown
}
