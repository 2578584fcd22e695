//! What batches and transactions want: each table is decided on by itself, and a no to any refuses the whole.

use std::collections::BTreeMap;

use lambent_api::{ApiError, BoxFuture};
use lambent_base::Place;
use lambent_identity::Wanted;
use lambent_model_dynamodb::{
    AttributeValue, BatchGetItemInput, BatchWriteItemInput, TransactGetItemsInput, TransactWriteItem,
    TransactWriteItemsInput,
};

use crate::Dynamo;
use crate::wanted::Resource;
use crate::wanted::items::{Asked, capacity, of_item};
use crate::wanted::mentioned::Names;

type All<'a> = BoxFuture<'a, Result<Vec<Wanted>, ApiError>>;

/// What BatchGetItem wants: of each table, whose keys are all told at once.
pub(crate) fn batch_get_item<'a>(
    dynamo: &'a Dynamo,
    input: &'a BatchGetItemInput,
    place: &'a Place,
) -> All<'a> {
    Box::pin(async move {
        let mut all = Vec::with_capacity(input.request_items.len());
        for (table, read) in &input.request_items {
            let resource = Resource::of(table, place);
            let leading = resource.leading(dynamo).await?;
            let mut asked = Asked::new(read.expression_attribute_names.as_ref());
            for key in &read.keys {
                asked.key(leading.as_ref(), key);
            }
            let is_narrowed =
                asked.projected(read.projection_expression.as_deref(), read.attributes_to_get.as_deref());
            let select = if is_narrowed { "SPECIFIC_ATTRIBUTES" } else { "ALL_ATTRIBUTES" };
            let wanted = asked.on("dynamodb:BatchGetItem", resource.arn()).with("dynamodb:select", select);
            all.push(capacity(wanted, input.return_consumed_capacity.as_ref()));
        }
        Ok(or_nothing(all, "dynamodb:BatchGetItem"))
    })
}

/// What BatchWriteItem wants, likewise.
pub(crate) fn batch_write_item<'a>(
    dynamo: &'a Dynamo,
    input: &'a BatchWriteItemInput,
    place: &'a Place,
) -> All<'a> {
    Box::pin(async move {
        let mut all = Vec::with_capacity(input.request_items.len());
        for (table, writes) in &input.request_items {
            let resource = Resource::of(table, place);
            let leading = resource.leading(dynamo).await?;
            let mut asked = Asked::new(None);
            for write in writes {
                let put = write.put_request.as_ref().map(|put| &put.item);
                let deleted = write.delete_request.as_ref().map(|delete| &delete.key);
                for given in put.into_iter().chain(deleted) {
                    asked.key(leading.as_ref(), given);
                }
            }
            let wanted = asked.on("dynamodb:BatchWriteItem", resource.arn());
            all.push(capacity(wanted, input.return_consumed_capacity.as_ref()));
        }
        Ok(or_nothing(all, "dynamodb:BatchWriteItem"))
    })
}

/// What TransactGetItems wants: to get each item.
pub(crate) fn transact_get_items<'a>(
    dynamo: &'a Dynamo,
    input: &'a TransactGetItemsInput,
    place: &'a Place,
) -> All<'a> {
    Box::pin(async move {
        let mut all = Vec::with_capacity(input.transact_items.len());
        for item in &input.transact_items {
            let get = &item.get;
            let names = get.expression_attribute_names.as_ref();
            let (resource, mut asked) = of_item(dynamo, place, &get.table_name, names, &get.key).await?;
            let is_narrowed = asked.projected(get.projection_expression.as_deref(), None);
            let select = if is_narrowed { "SPECIFIC_ATTRIBUTES" } else { "ALL_ATTRIBUTES" };
            let wanted = asked.on("dynamodb:GetItem", resource.arn()).with("dynamodb:select", select);
            let wanted = wanted.with("dynamodb:enclosingoperation", "TransactGetItems");
            all.push(capacity(wanted, input.return_consumed_capacity.as_ref()));
        }
        Ok(or_nothing(all, "dynamodb:GetItem"))
    })
}

/// What TransactWriteItems wants: to do each of its parts.
pub(crate) fn transact_write_items<'a>(
    dynamo: &'a Dynamo,
    input: &'a TransactWriteItemsInput,
    place: &'a Place,
) -> All<'a> {
    Box::pin(async move {
        let mut all = Vec::with_capacity(input.transact_items.len());
        for part in input.transact_items.iter().flat_map(parts_of) {
            let (resource, mut asked) = of_item(dynamo, place, part.table, part.names, part.given).await?;
            for expression in part.expressions {
                asked.expression(expression);
            }
            let wanted = asked.on(part.action, resource.arn());
            let wanted = wanted.with("dynamodb:enclosingoperation", "TransactWriteItems");
            all.push(capacity(wanted, input.return_consumed_capacity.as_ref()));
        }
        Ok(or_nothing(all, "dynamodb:PutItem"))
    })
}

/// One thing that a transaction does.
struct Part<'a> {
    action: &'static str,
    table: &'a str,
    given: &'a BTreeMap<String, AttributeValue>,
    names: Option<&'a Names>,
    expressions: [Option<&'a str>; 2],
}

/// What an element does: one thing, or else the handler refuses it.
fn parts_of(item: &TransactWriteItem) -> Vec<Part<'_>> {
    let check = item.condition_check.as_ref().map(|check| Part {
        action: "dynamodb:ConditionCheckItem",
        table: &check.table_name,
        given: &check.key,
        names: check.expression_attribute_names.as_ref(),
        expressions: [Some(&check.condition_expression), None],
    });
    let put = item.put.as_ref().map(|put| Part {
        action: "dynamodb:PutItem",
        table: &put.table_name,
        given: &put.item,
        names: put.expression_attribute_names.as_ref(),
        expressions: [put.condition_expression.as_deref(), None],
    });
    let delete = item.delete.as_ref().map(|delete| Part {
        action: "dynamodb:DeleteItem",
        table: &delete.table_name,
        given: &delete.key,
        names: delete.expression_attribute_names.as_ref(),
        expressions: [delete.condition_expression.as_deref(), None],
    });
    let update = item.update.as_ref().map(|update| Part {
        action: "dynamodb:UpdateItem",
        table: &update.table_name,
        given: &update.key,
        names: update.expression_attribute_names.as_ref(),
        expressions: [update.condition_expression.as_deref(), Some(&update.update_expression)],
    });
    [check, put, delete, update].into_iter().flatten().collect()
}

/// A request for nothing, which the handler refuses, is decided on as one for whatever there is.
fn or_nothing(all: Vec<Wanted>, action: &'static str) -> Vec<Wanted> {
    if all.is_empty() { vec![Wanted::new(action, "*")] } else { all }
}
