//! What operations on single items, Query and Scan want.

use std::collections::{BTreeMap, BTreeSet};

use lambent_api::{ApiError, BoxFuture};
use lambent_base::Place;
use lambent_identity::Wanted;
use lambent_model_dynamodb::{
    AttributeValue, Condition, DeleteItemInput, ExpectedAttributeValue, GetItemInput, PutItemInput,
    QueryInput, ReturnConsumedCapacity, ReturnValue, ScanInput, UpdateItemInput,
};

use crate::Dynamo;
use crate::wanted::mentioned::{self, Names};
use crate::wanted::{Leading, Resource, key_text};

type Attributes = BTreeMap<String, AttributeValue>;
type All<'a> = BoxFuture<'a, Result<Vec<Wanted>, ApiError>>;

/// What GetItem wants.
pub(crate) fn get_item<'a>(dynamo: &'a Dynamo, input: &'a GetItemInput, place: &'a Place) -> All<'a> {
    Box::pin(async move {
        let names = input.expression_attribute_names.as_ref();
        let (resource, mut asked) = of_item(dynamo, place, &input.table_name, names, &input.key).await?;
        let is_narrowed =
            asked.projected(input.projection_expression.as_deref(), input.attributes_to_get.as_deref());
        let wanted = asked.on("dynamodb:GetItem", resource.arn());
        let wanted = wanted.with("dynamodb:select", if is_narrowed { SPECIFIC } else { EVERYTHING });
        Ok(vec![capacity(wanted, input.return_consumed_capacity.as_ref())])
    })
}

/// What PutItem wants.
pub(crate) fn put_item<'a>(dynamo: &'a Dynamo, input: &'a PutItemInput, place: &'a Place) -> All<'a> {
    Box::pin(async move {
        let names = input.expression_attribute_names.as_ref();
        let (resource, mut asked) = of_item(dynamo, place, &input.table_name, names, &input.item).await?;
        asked.conditions(input.condition_expression.as_deref(), input.expected.as_ref());
        let wanted = asked.on("dynamodb:PutItem", resource.arn());
        let wanted = returned(wanted, input.return_values.as_ref());
        Ok(vec![capacity(wanted, input.return_consumed_capacity.as_ref())])
    })
}

/// What UpdateItem wants.
pub(crate) fn update_item<'a>(dynamo: &'a Dynamo, input: &'a UpdateItemInput, place: &'a Place) -> All<'a> {
    Box::pin(async move {
        let names = input.expression_attribute_names.as_ref();
        let (resource, mut asked) = of_item(dynamo, place, &input.table_name, names, &input.key).await?;
        asked.conditions(input.condition_expression.as_deref(), input.expected.as_ref());
        asked.expression(input.update_expression.as_deref());
        asked.names(input.attribute_updates.iter().flat_map(BTreeMap::keys));
        let wanted = asked.on("dynamodb:UpdateItem", resource.arn());
        let wanted = returned(wanted, input.return_values.as_ref());
        Ok(vec![capacity(wanted, input.return_consumed_capacity.as_ref())])
    })
}

/// What DeleteItem wants.
pub(crate) fn delete_item<'a>(dynamo: &'a Dynamo, input: &'a DeleteItemInput, place: &'a Place) -> All<'a> {
    Box::pin(async move {
        let names = input.expression_attribute_names.as_ref();
        let (resource, mut asked) = of_item(dynamo, place, &input.table_name, names, &input.key).await?;
        asked.conditions(input.condition_expression.as_deref(), input.expected.as_ref());
        let wanted = asked.on("dynamodb:DeleteItem", resource.arn());
        let wanted = returned(wanted, input.return_values.as_ref());
        Ok(vec![capacity(wanted, input.return_consumed_capacity.as_ref())])
    })
}

/// What Query wants: of an index where it names one.
pub(crate) fn query<'a>(dynamo: &'a Dynamo, input: &'a QueryInput, place: &'a Place) -> All<'a> {
    Box::pin(async move {
        let resource = Resource::of(&input.table_name, place).index(input.index_name.as_deref());
        let mut asked = Asked::new(input.expression_attribute_names.as_ref());
        let leading = resource.leading(dynamo).await?;
        if let Some(hash) = leading.as_ref().and_then(Leading::name) {
            if let Some(condition) = &input.key_condition_expression {
                let names = input.expression_attribute_names.as_ref();
                let values = input.expression_attribute_values.as_ref();
                asked
                    .leading
                    .extend(mentioned::equals(condition, hash, names, values).into_iter().map(key_text));
            }
            let legacy = input.key_conditions.as_ref().and_then(|conditions| conditions.get(hash));
            let legacy = legacy.and_then(|condition| condition.attribute_value_list.as_ref());
            asked.leading.extend(legacy.into_iter().flatten().map(key_text));
            asked.has_leading = true;
        }
        asked.expression(input.key_condition_expression.as_deref());
        asked.names(input.key_conditions.iter().flat_map(BTreeMap::keys));
        asked.filter(input.filter_expression.as_deref(), input.query_filter.as_ref());
        let is_narrowed =
            asked.projected(input.projection_expression.as_deref(), input.attributes_to_get.as_deref());
        let wanted = asked.on("dynamodb:Query", resource.arn());
        let select = input.select.as_ref().map(|select| select.as_str());
        let wanted =
            wanted.with("dynamodb:select", selected(select, is_narrowed, input.index_name.is_some()));
        Ok(vec![capacity(wanted, input.return_consumed_capacity.as_ref())])
    })
}

/// What Scan wants, likewise.
pub(crate) fn scan(input: &ScanInput, place: &Place) -> Wanted {
    let resource = Resource::of(&input.table_name, place).index(input.index_name.as_deref());
    let mut asked = Asked::new(input.expression_attribute_names.as_ref());
    asked.filter(input.filter_expression.as_deref(), input.scan_filter.as_ref());
    let is_narrowed =
        asked.projected(input.projection_expression.as_deref(), input.attributes_to_get.as_deref());
    let wanted = asked.on("dynamodb:Scan", resource.arn());
    let select = input.select.as_ref().map(|select| select.as_str());
    let wanted = wanted.with("dynamodb:select", selected(select, is_narrowed, input.index_name.is_some()));
    capacity(wanted, input.return_consumed_capacity.as_ref())
}

/// The table of one item, with what its key, or the item itself, names.
pub(crate) async fn of_item<'a>(
    dynamo: &Dynamo,
    place: &Place,
    table: &str,
    names: Option<&'a Names>,
    given: &Attributes,
) -> Result<(Resource<'a>, Asked<'a>), ApiError> {
    let resource = Resource::of(table, place);
    let mut asked = Asked::new(names);
    asked.key(resource.leading(dynamo).await?.as_ref(), given);
    Ok((resource, asked))
}

const SPECIFIC: &str = "SPECIFIC_ATTRIBUTES";
const EVERYTHING: &str = "ALL_ATTRIBUTES";

/// What a scan by a statement has for `dynamodb:LeadingKeys`: it meets every key, and a policy that opens some does not open
/// it.
pub(crate) const EVERY_KEY: &str = "*";

/// What a read gives, also where the request leaves it unsaid: a policy that wants certain attributes asked for would
/// otherwise be met by who asks for none, and gets all.
pub(crate) fn selected(said: Option<&str>, is_narrowed: bool, is_index: bool) -> &str {
    match said {
        Some(said) => said,
        None if is_narrowed => SPECIFIC,
        None if is_index => "ALL_PROJECTED_ATTRIBUTES",
        None => EVERYTHING,
    }
}

/// The attributes and keys that a request names.
pub(crate) struct Asked<'a> {
    names: Option<&'a Names>,
    attributes: BTreeSet<String>,
    pub(crate) leading: Vec<String>,
    /// Whether it is known which attribute leads; a scan has none.
    pub(crate) has_leading: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(names: Option<&'a Names>) -> Self {
        Self { names, attributes: BTreeSet::new(), leading: Vec::new(), has_leading: false }
    }

    /// A key, or an item: its attributes, and that which leads.
    pub(crate) fn key(&mut self, leading: Option<&Leading<'_>>, given: &Attributes) {
        if let Some(hash) = leading.and_then(Leading::name) {
            self.leading.extend(given.get(hash).map(key_text));
            self.has_leading = true;
        }
        self.names(given.keys());
    }

    pub(crate) fn names<'n>(&mut self, names: impl IntoIterator<Item = &'n String>) {
        self.attributes.extend(names.into_iter().cloned());
    }

    pub(crate) fn expression(&mut self, expression: Option<&str>) {
        if let Some(expression) = expression {
            mentioned::attributes_of(expression, self.names, &mut self.attributes);
        }
    }

    fn conditions(
        &mut self,
        expression: Option<&str>,
        expected: Option<&BTreeMap<String, ExpectedAttributeValue>>,
    ) {
        self.expression(expression);
        self.attributes.extend(expected.into_iter().flat_map(BTreeMap::keys).cloned());
    }

    fn filter(&mut self, expression: Option<&str>, legacy: Option<&BTreeMap<String, Condition>>) {
        self.expression(expression);
        self.attributes.extend(legacy.into_iter().flat_map(BTreeMap::keys).cloned());
    }

    /// What is to be given of an item; whether anything narrows it.
    pub(crate) fn projected(&mut self, expression: Option<&str>, legacy: Option<&[String]>) -> bool {
        self.expression(expression);
        self.attributes.extend(legacy.into_iter().flatten().map(|path| first_step(path).to_owned()));
        expression.is_some() || legacy.is_some()
    }

    /// This action, with the keys that say so.
    pub(crate) fn on(mut self, action: &'static str, arn: String) -> Wanted {
        let mut wanted = Wanted::new(action, arn);
        if self.has_leading {
            // No values at all would meet every policy that says which are allowed.
            if self.leading.is_empty() {
                self.leading.push(EVERY_KEY.to_owned());
            }
            wanted = wanted.with_each("dynamodb:leadingkeys", self.leading);
        }
        if !self.attributes.is_empty() {
            wanted = wanted.with_each("dynamodb:attributes", self.attributes);
        }
        wanted
    }
}

/// The attribute that a path of AttributesToGet begins with.
fn first_step(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}

/// With ReturnConsumedCapacity, if it is said.
pub(crate) fn capacity(wanted: Wanted, said: Option<&ReturnConsumedCapacity>) -> Wanted {
    match said {
        Some(said) => wanted.with("dynamodb:returnconsumedcapacity", said.as_str()),
        None => wanted,
    }
}

fn returned(wanted: Wanted, said: Option<&ReturnValue>) -> Wanted {
    match said {
        Some(said) => wanted.with("dynamodb:returnvalues", said.as_str()),
        None => wanted,
    }
}
