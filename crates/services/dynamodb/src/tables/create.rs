//! CreateTable.

use std::collections::{BTreeMap, HashSet};

use lambent_api::Call;
use lambent_model_dynamodb as model;
use lambent_model_dynamodb::errors::resource_in_use_exception;
use lambent_model_dynamodb::{CreateTableInput, CreateTableOutput};
use lambent_wire::ApiError;

use super::check::{self, invalid};
use super::describe::{Shown, describe};
use crate::error::validation;
use crate::settings::checked_tags;
use crate::table::{
    Billing, BillingMode, Encryption, Index, KeySchema, Projected, Status, Table, TableClass, Throughput,
};
use crate::{Dynamo, DynamoError, names, policies, rows, streams};

/// The alias of the key that encrypts where none is named.
const SERVICE_KEY: &str = "alias/aws/dynamodb";

impl Dynamo {
    pub(crate) async fn create_table(
        &self,
        call: &Call,
        input: CreateTableInput,
    ) -> Result<CreateTableOutput, DynamoError> {
        let policy = input.resource_policy.clone();
        let stream = streams::wanted(input.stream_specification.as_ref())?;
        let table = &self.new_table(call, input)?;
        let policy = match policy {
            Some(text) => Some(policies::new_policy(self, call, (&table.place, &table.name), text).await?),
            None => None,
        };
        let policy = policy.as_ref();
        let description = self
            .rows
            .of(call)
            .run(|txn| async move {
                if rows::find_table(&self.known, &txn, &table.place, &table.name).await?.is_some() {
                    let message = format!("Table already exists: {}", table.name);
                    return Err(resource_in_use_exception(message).into());
                }
                let mut table = table.clone();
                if let Some(view) = stream {
                    streams::begin(&txn, &mut table, view, &self.random, call.time_ms());
                }
                rows::put_table(&txn, &table);
                if let Some(policy) = policy {
                    policies::put_policy(&txn, table.id, policy);
                }
                describe(&txn, &table, Shown::Creating).await
            })
            .await?;
        self.known.forget(&table.place, &table.name);
        Ok(CreateTableOutput { table_description: Some(description) })
    }

    /// The table that the input asks for.
    pub(crate) fn new_table(&self, call: &Call, mut input: CreateTableInput) -> Result<Table, ApiError> {
        let (place, name) = names::table_ref(call, &input.table_name)?;
        let (place, name) = (place.into_owned(), name.into_owned());
        check::table_name(&name)?;
        let (definitions, elements) = (input.attribute_definitions.take(), input.key_schema.take());
        let nulls = [("attributeDefinitions", definitions.is_none()), ("keySchema", elements.is_none())];
        missing(nulls.into_iter().filter(|(_, is_null)| *is_null).map(|(member, _)| member).collect())?;
        let mode = mode_of(input.billing_mode.as_ref());
        let (read_units, write_units) = check::units(mode, input.provisioned_throughput.as_ref())?;
        let (definitions, elements) = (definitions.unwrap_or_default(), elements.unwrap_or_default());
        if elements.len() > definitions.len() {
            return Err(validation("Invalid KeySchema: Some index key attribute have no definition"));
        }
        let key = check::key(&elements, &definitions)?;
        let (locals, globals) = self.new_indexes(&input, mode, &key, &definitions)?;
        if input.vector_indexes.is_some() {
            return Err(lambent_api::not_implemented("vector indexes"));
        }
        let now_ms = self.clock.unix_ms();
        let limits = input.on_demand_throughput.as_ref();
        check::maximums(limits)?;
        let warm = input.warm_throughput.as_ref();
        Ok(Table {
            id: self.random.u64(),
            uuid: self.random.uuid(),
            arn: names::table_arn(&place, &name),
            encryption: encryption(&place, input.sse_specification)?,
            place,
            name,
            created_ms: now_ms,
            status: Status::Active,
            key,
            locals,
            globals,
            billing: Billing {
                mode,
                on_demand_since_ms: (mode == BillingMode::OnDemand).then_some(now_ms),
                switches_ms: Vec::new(),
            },
            throughput: throughput((read_units, write_units), limits, warm),
            class: input
                .table_class
                .map(|class| TableClass { class: class.as_str().to_owned(), changed_ms: None }),
            deletion_protection: input.deletion_protection_enabled.unwrap_or(false),
            tags: checked_tags(input.tags.as_deref())?,
            ttl: None,
            ttl_changed_ms: None,
            stream: None,
            stream_label: None,
            journal: None,
            log: None,
            restored: None,
            insights: BTreeMap::new(),
            scaling: None,
        })
    }

    /// The indexes that the input asks for, local and global.
    fn new_indexes(
        &self,
        input: &CreateTableInput,
        mode: BillingMode,
        key: &KeySchema,
        definitions: &[model::AttributeDefinition],
    ) -> Result<(Vec<Index>, Vec<Index>), ApiError> {
        let has_indexes = input.local_secondary_indexes.is_some() || input.global_secondary_indexes.is_some();
        if !has_indexes {
            check::all_used(definitions, std::iter::once(key), false)?;
        }
        let mut seen = HashSet::new();
        let locals = match &input.local_secondary_indexes {
            Some(locals) => self.local_indexes(check::locals(locals, key, definitions, &mut seen)?),
            None => Vec::new(),
        };
        let globals: Vec<Index> = match &input.global_secondary_indexes {
            Some(globals) => {
                let checked = check::globals(globals, mode, definitions, &mut seen)?;
                let both = globals.iter().zip(checked);
                both.map(|(index, checked)| self.global_index(index, checked)).collect()
            }
            None => Vec::new(),
        };
        let indexes = || locals.iter().chain(&globals);
        check::included(indexes().map(|index| &index.projection))?;
        let keys: Vec<&KeySchema> = std::iter::once(key).chain(indexes().map(|index| &index.key)).collect();
        check::all_used(definitions, keys.iter().copied(), has_indexes)?;
        Ok((locals, globals))
    }

    fn local_indexes(&self, checked: Vec<(String, KeySchema, Projected)>) -> Vec<Index> {
        let index = |(name, key, projection)| Index {
            is_local: true,
            ..Index::new(self.random.u64(), name, key, projection)
        };
        checked.into_iter().map(index).collect()
    }

    fn global_index(
        &self,
        index: &model::GlobalSecondaryIndex,
        (key, projection, units): (KeySchema, Projected, (i64, i64)),
    ) -> Index {
        let (limits, warm) = (index.on_demand_throughput.as_ref(), index.warm_throughput.as_ref());
        Index {
            throughput: throughput(units, limits, warm),
            ..Index::new(self.random.u64(), index.index_name.clone(), key, projection)
        }
    }
}

pub(crate) fn mode_of(mode: Option<&model::BillingMode>) -> BillingMode {
    match mode {
        Some(model::BillingMode::PayPerRequest) => BillingMode::OnDemand,
        _ => BillingMode::Provisioned,
    }
}

/// What a table or an index may take; -1 sets no limit.
pub(crate) fn throughput(
    (read_units, write_units): (i64, i64),
    limits: Option<&model::OnDemandThroughput>,
    warm: Option<&model::WarmThroughput>,
) -> Throughput {
    let limit = |units: Option<i64>| units.filter(|units| *units >= 0);
    Throughput {
        read_units,
        write_units,
        max_read_units: limits.and_then(|limits| limit(limits.max_read_request_units)),
        max_write_units: limits.and_then(|limits| limit(limits.max_write_request_units)),
        warm_read_units: warm.and_then(|warm| warm.read_units_per_second),
        warm_write_units: warm.and_then(|warm| warm.write_units_per_second),
        ..Throughput::default()
    }
}

/// The key that an SSESpecification names; the account's own for this service when it names none.
pub(crate) fn encryption(
    place: &lambent_base::Place,
    specification: Option<model::SSESpecification>,
) -> Result<Option<Encryption>, ApiError> {
    let Some(specification) = specification else { return Ok(None) };
    let is_enabled = specification.enabled.unwrap_or(false);
    if !is_enabled && (specification.kms_master_key_id.is_some() || specification.sse_type.is_some()) {
        return Err(invalid(
            "SSEType and KMSMasterKeyId can only be specified when SSESpecification is enabled",
        ));
    }
    if is_enabled && specification.sse_type == Some(model::SSEType::Aes256) {
        return Err(invalid("SSEType AES256 is not supported"));
    }
    let named = match specification.kms_master_key_id {
        None => format!("key/{}", own_key(place)),
        Some(key) if key.contains('/') => key,
        Some(key) => format!("key/{key}"),
    };
    let key_arn = match named.starts_with("arn:") {
        true => named,
        false => format!("arn:aws:kms:{}:{}:{named}", place.region, place.account),
    };
    Ok(is_enabled.then(|| Encryption { kind: "KMS".to_owned(), key_arn }))
}

/// The id of the account's own key for this service: the same each time.
fn own_key(place: &lambent_base::Place) -> String {
    let seed = format!("{SERVICE_KEY}/{}/{}", place.account, place.region);
    let hex =
        lambent_base::text::hex(&ring::digest::digest(&ring::digest::SHA256, seed.as_bytes()).as_ref()[..16]);
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// The model lets these be left out, and CreateTable does not.
fn missing(members: Vec<&str>) -> Result<(), ApiError> {
    let count = match members.len() {
        0 => return Ok(()),
        1 => "1 validation error".to_owned(),
        count => format!("{count} validation errors"),
    };
    let null = |member: &&str| {
        format!("Value null at '{member}' failed to satisfy constraint: Member must not be null")
    };
    let nulls: Vec<String> = members.iter().map(null).collect();
    Err(validation(format!("{count} detected: {}", nulls.join("; "))))
}
