//! What CreateTable and UpdateTable want of schemas, in AWS's order and words.

use std::collections::HashSet;

use lambent_model_dynamodb::{
    AttributeDefinition, GlobalSecondaryIndex, KeySchemaElement, KeyType, LocalSecondaryIndex,
    OnDemandThroughput, Projection, ProjectionType, ProvisionedThroughput, ScalarAttributeType,
};
use lambent_wire::ApiError;

use crate::error::validation;
use crate::table::{BillingMode, KeyAttribute, KeyKind, KeySchema, Projected};

/// The most attributes of a global index's partition key, and of its sort key. Source: developer guide, "Multi-attribute
/// keys pattern".
const KEY_PARTS_MAX: usize = 4;
/// The most indexes that a table has. Source: developer guide, "Quotas".
pub(crate) const GLOBALS_MAX: usize = 20;
const LOCALS_MAX: usize = 5;
/// The most attributes besides keys that one index, and all indexes together, may name.
const INCLUDED_MAX: usize = 20;
const INCLUDED_IN_ALL_MAX: usize = 100;
/// More units than anybody may ask for.
const UNITS_MAX: i64 = 1_000_000_000_000;
const NAME_MIN: usize = 3;
const NAME_MAX: usize = 255;

/// An error that starts as most of AWS's do.
pub(crate) fn invalid(message: impl AsRef<str>) -> ApiError {
    validation(format!("One or more parameter values were invalid: {}", message.as_ref()))
}

/// Names of tables are shorter than the ARNs that may stand in their place.
pub(crate) fn table_name(name: &str) -> Result<(), ApiError> {
    let broken = if name.len() < NAME_MIN {
        format!("length greater than or equal to {NAME_MIN}")
    } else if name.len() > NAME_MAX {
        format!("length less than or equal to {NAME_MAX}")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        return Err(name_error(name, "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"));
    } else {
        return Ok(());
    };
    Err(name_error(name, &format!("have {broken}")))
}

fn name_error(name: &str, must: &str) -> ApiError {
    validation(format!(
        "1 validation error detected: Value '{name}' at 'tableName' failed to satisfy constraint: Member must {must}"
    ))
}

/// Provisioned units against the billing mode; gives the units, zero when paid by request.
pub(crate) fn units(
    mode: BillingMode,
    throughput: Option<&ProvisionedThroughput>,
) -> Result<(i64, i64), ApiError> {
    match (mode, throughput) {
        (BillingMode::OnDemand, Some(_)) => Err(invalid(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
        (BillingMode::OnDemand, None) => Ok((0, 0)),
        (BillingMode::Provisioned, None) => Err(invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )),
        (BillingMode::Provisioned, Some(throughput)) => bounded(throughput),
    }
}

/// Units that are not beyond all bounds.
pub(crate) fn bounded(throughput: &ProvisionedThroughput) -> Result<(i64, i64), ApiError> {
    let (read, write) = (throughput.read_capacity_units, throughput.write_capacity_units);
    for (units, name) in [(read, "ReadCapacityUnits"), (write, "WriteCapacityUnits")] {
        if units > UNITS_MAX {
            return Err(validation(format!("Given value {units} for {name} is out of bounds")));
        }
    }
    Ok((read, write))
}

/// Maximums of an on-demand table or index. Source: API reference, "OnDemandThroughput": 1 or more, or -1 for none.
pub(crate) fn maximums(asked: Option<&OnDemandThroughput>) -> Result<(), ApiError> {
    let Some(asked) = asked else { return Ok(()) };
    let named = [
        (asked.max_read_request_units, "MaxReadRequestUnits"),
        (asked.max_write_request_units, "MaxWriteRequestUnits"),
    ];
    for (units, name) in named {
        if units.is_some_and(|units| units < -1 || units == 0 || units > UNITS_MAX) {
            return Err(validation(format!(
                "Given value {} for {name} is out of bounds",
                units.unwrap_or(0)
            )));
        }
    }
    Ok(())
}

/// The key of a table or a local index: a partition key, and perhaps a sort key.
pub(crate) fn key(
    elements: &[KeySchemaElement],
    definitions: &[AttributeDefinition],
) -> Result<KeySchema, ApiError> {
    all_defined(elements, definitions)?;
    if elements.len() > 1 && elements[0].attribute_name == elements[1].attribute_name {
        return Err(validation(
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ));
    }
    match elements {
        [hash, ..] if hash.key_type != KeyType::Hash => {
            Err(validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type"))
        }
        [_, range, ..] if range.key_type != KeyType::Range => {
            Err(validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"))
        }
        [_] | [_, _] => Ok(schema(elements, definitions)),
        _ => Err(validation(
            "1 validation error detected: Value at 'keySchema' failed to satisfy constraint: Member must have length \
             less than or equal to 2",
        )),
    }
}

/// The key of a global index: up to four attributes make the partition key, and up to four the sort key.
pub(crate) fn global_key(
    elements: &[KeySchemaElement],
    definitions: &[AttributeDefinition],
) -> Result<KeySchema, ApiError> {
    let hashes = elements.iter().filter(|element| element.key_type == KeyType::Hash).count();
    let same = matches!(elements, [one, two] if one.attribute_name == two.attribute_name);
    if same || (elements.len() <= 2 && hashes < 2) {
        return key(elements, definitions);
    }
    all_defined(elements, definitions)?;
    let mut names = HashSet::new();
    if let Some(twice) = elements.iter().find(|element| !names.insert(&element.attribute_name)) {
        return Err(invalid(format!("Duplicate attribute in the KeySchema: {}", twice.attribute_name)));
    }
    if elements.iter().take(hashes).any(|element| element.key_type != KeyType::Hash) {
        return Err(validation("Invalid KeySchema: HASH key types must come before RANGE key types"));
    }
    if hashes == 0 || hashes > KEY_PARTS_MAX || elements.len() - hashes > KEY_PARTS_MAX {
        return Err(validation(format!(
            "Invalid KeySchema: a global secondary index has 1 to {KEY_PARTS_MAX} HASH and up to {KEY_PARTS_MAX} RANGE key \
             types"
        )));
    }
    Ok(schema(elements, definitions))
}

/// Errors: an attribute that has no definition.
fn all_defined(elements: &[KeySchemaElement], definitions: &[AttributeDefinition]) -> Result<(), ApiError> {
    let names: Vec<&str> = elements.iter().map(|element| element.attribute_name.as_str()).collect();
    let defined: Vec<&str> = definitions.iter().map(|one| one.attribute_name.as_str()).collect();
    if names.iter().all(|name| defined.contains(name)) {
        return Ok(());
    }
    Err(invalid(format!(
        "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], AttributeDefinitions: [{}]",
        names.join(", "),
        defined.join(", ")
    )))
}

/// The key of elements that were checked: defined, and with a partition key first.
fn schema(elements: &[KeySchemaElement], definitions: &[AttributeDefinition]) -> KeySchema {
    let attribute = |element: &KeySchemaElement| {
        let definition = definitions.iter().find(|one| one.attribute_name == element.attribute_name);
        let definition = definition.expect("all names are defined, as was checked before");
        KeyAttribute { name: element.attribute_name.clone(), kind: kind(&definition.attribute_type) }
    };
    let of = |key_type: KeyType| {
        elements.iter().filter(move |element| element.key_type == key_type).map(attribute)
    };
    let (mut hashes, mut ranges) = (of(KeyType::Hash), of(KeyType::Range));
    KeySchema {
        hash: hashes.next().expect("a partition key is there, as was checked before"),
        range: ranges.next(),
        more_hashes: hashes.collect(),
        more_ranges: ranges.collect(),
    }
}

fn kind(kind: &ScalarAttributeType) -> KeyKind {
    match kind {
        ScalarAttributeType::N => KeyKind::N,
        ScalarAttributeType::B => KeyKind::B,
        _ => KeyKind::S,
    }
}

/// Definitions of attributes that no key has.
pub(crate) fn all_used<'a>(
    definitions: &[AttributeDefinition],
    keys: impl Iterator<Item = &'a KeySchema> + Clone,
    has_indexes: bool,
) -> Result<(), ApiError> {
    let is_used = |name: &str| keys.clone().any(|key| key.has(name));
    if definitions.iter().all(|one| is_used(&one.attribute_name)) {
        return Ok(());
    }
    if !has_indexes {
        return Err(invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in \
             AttributeDefinitions",
        ));
    }
    let mut used: Vec<&str> = Vec::new();
    for attribute in keys.clone().flat_map(KeySchema::attributes) {
        if !used.contains(&attribute.name.as_str()) {
            used.push(&attribute.name);
        }
    }
    let defined: Vec<&str> = definitions.iter().map(|one| one.attribute_name.as_str()).collect();
    Err(invalid(format!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: [{}], keys used: [{}]",
        defined.join(", "),
        used.join(", ")
    )))
}

/// The local indexes of a table that is being created: names, keys, projections.
pub(crate) fn locals(
    indexes: &[LocalSecondaryIndex],
    table: &KeySchema,
    definitions: &[AttributeDefinition],
    names: &mut HashSet<String>,
) -> Result<Vec<(String, KeySchema, Projected)>, ApiError> {
    if indexes.is_empty() {
        return Err(invalid("List of LocalSecondaryIndexes is empty"));
    }
    if table.range.is_none() {
        return Err(invalid(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
        ));
    }
    let mut checked = Vec::new();
    for index in indexes {
        let name = &index.index_name;
        let key = key(&index.key_schema, definitions)?;
        if key.range.is_none() {
            return Err(invalid(format!("Index KeySchema does not have a range key for index: {name}")));
        }
        if key.hash.name != table.hash.name {
            return Err(invalid(format!(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: {name}. index \
                 hash key: {}, table hash key: {}",
                key.hash.name, table.hash.name
            )));
        }
        let projected = projection(&index.projection)?;
        is_new(name, names)?;
        checked.push((name.clone(), key, projected));
    }
    if indexes.len() > LOCALS_MAX {
        return Err(invalid(format!(
            "Number of LocalSecondaryIndexes exceeds per-table limit of {LOCALS_MAX}"
        )));
    }
    Ok(checked)
}

/// Key, projection and units of a new global index.
pub(crate) type NewGlobal = (KeySchema, Projected, (i64, i64));

/// The global indexes of a table that is being created, each with its units.
pub(crate) fn globals(
    indexes: &[GlobalSecondaryIndex],
    mode: BillingMode,
    definitions: &[AttributeDefinition],
    names: &mut HashSet<String>,
) -> Result<Vec<NewGlobal>, ApiError> {
    if indexes.is_empty() {
        return Err(invalid("List of GlobalSecondaryIndexes is empty"));
    }
    let mut checked = Vec::new();
    for index in indexes {
        let name = &index.index_name;
        let key = global_key(&index.key_schema, definitions)?;
        let projected = projection(&index.projection)?;
        let units = index_units(name, mode, index.provisioned_throughput.as_ref())?;
        maximums(index.on_demand_throughput.as_ref())?;
        is_new(name, names)?;
        checked.push((key, projected, units));
    }
    if indexes.len() > GLOBALS_MAX {
        return Err(invalid(format!(
            "GlobalSecondaryIndex count exceeds the per-table limit of {GLOBALS_MAX}"
        )));
    }
    Ok(checked)
}

/// The units of a global index against the table's billing mode.
pub(crate) fn index_units(
    index: &str,
    mode: BillingMode,
    throughput: Option<&ProvisionedThroughput>,
) -> Result<(i64, i64), ApiError> {
    match (mode, throughput) {
        (BillingMode::OnDemand, Some(_)) => Err(invalid(format!(
            "ProvisionedThroughput should not be specified for index: {index} when BillingMode is PAY_PER_REQUEST"
        ))),
        (BillingMode::OnDemand, None) => Ok((0, 0)),
        (BillingMode::Provisioned, None) => {
            Err(invalid(format!("ProvisionedThroughput is not specified for index: {index}")))
        }
        (BillingMode::Provisioned, Some(throughput)) => bounded(throughput),
    }
}

/// What an index is to hold.
pub(crate) fn projection(projection: &Projection) -> Result<Projected, ApiError> {
    let names = projection.non_key_attributes.as_deref();
    match (&projection.projection_type, names) {
        (None, _) => Err(invalid("Unknown ProjectionType: null")),
        (Some(ProjectionType::Include), None) => {
            Err(invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified"))
        }
        (Some(ProjectionType::Include), Some(names)) => {
            if names.len() > INCLUDED_MAX {
                return Err(too_many_included());
            }
            Ok(Projected::Include(names.to_vec()))
        }
        (Some(kind), Some(_)) => {
            Err(invalid(format!("ProjectionType is {}, but NonKeyAttributes is specified", kind.as_str())))
        }
        (Some(ProjectionType::KeysOnly), None) => Ok(Projected::KeysOnly),
        (Some(_), None) => Ok(Projected::All),
    }
}

/// Whether all indexes together name no more attributes than they may.
pub(crate) fn included<'a>(projections: impl Iterator<Item = &'a Projected>) -> Result<(), ApiError> {
    let count = |projected: &Projected| match projected {
        Projected::Include(names) => names.len(),
        _ => 0,
    };
    match projections.map(count).sum::<usize>() > INCLUDED_IN_ALL_MAX {
        true => Err(too_many_included()),
        false => Ok(()),
    }
}

fn too_many_included() -> ApiError {
    invalid(
        "Number of projected attributes exceeds the limit: at most 20 for an index, 100 for all of a table",
    )
}

fn is_new(name: &str, names: &mut HashSet<String>) -> Result<(), ApiError> {
    match names.insert(name.to_owned()) {
        true => Ok(()),
        false => Err(invalid(format!("Duplicate index name: {name}"))),
    }
}
