//! What statements want: each is decided on by itself, and a no to any refuses the whole.

use lambent_api::{ApiError, BoxFuture};
use lambent_base::Place;
use lambent_expressions::partiql::{Statement, Verb, named_key};
use lambent_expressions::{Condition, Item, Update, Value, to_wire};
use lambent_identity::Wanted;
use lambent_model_dynamodb::{
    AttributeValue, BatchExecuteStatementInput, ExecuteStatementInput, ExecuteTransactionInput,
};

use crate::Dynamo;
use crate::error::validation;
use crate::partiql::{key_names, read, reads};
use crate::table::KeySchema;
use crate::wanted::items::{Asked, EVERY_KEY, capacity, selected};
use crate::wanted::{Resource, key_text};

type All<'a> = BoxFuture<'a, Result<Vec<Wanted>, ApiError>>;

/// What ExecuteStatement wants. A statement that cannot be read wants nothing: its error is the answer.
pub(crate) fn execute_statement<'a>(
    dynamo: &'a Dynamo,
    input: &'a ExecuteStatementInput,
    place: &'a Place,
) -> All<'a> {
    Box::pin(async move {
        let statement =
            read(&input.statement, input.parameters.as_deref()).map_err(|invalid| validation(invalid.0))?;
        let wanted = wanted(dynamo, &statement, place).await?;
        Ok(vec![capacity(wanted, input.return_consumed_capacity.as_ref())])
    })
}

/// What BatchExecuteStatement wants, of the statements that can be read.
pub(crate) fn batch_execute_statement<'a>(
    dynamo: &'a Dynamo,
    input: &'a BatchExecuteStatementInput,
    place: &'a Place,
) -> All<'a> {
    Box::pin(async move {
        let asked =
            input.statements.iter().map(|asked| (asked.statement.as_str(), asked.parameters.as_deref()));
        let all = each(dynamo, asked, place, "BatchExecuteStatement").await?;
        Ok(all.into_iter().map(|wanted| capacity(wanted, input.return_consumed_capacity.as_ref())).collect())
    })
}

/// What ExecuteTransaction wants, likewise.
pub(crate) fn execute_transaction<'a>(
    dynamo: &'a Dynamo,
    input: &'a ExecuteTransactionInput,
    place: &'a Place,
) -> All<'a> {
    Box::pin(async move {
        let statements = input.transact_statements.iter();
        let asked = statements.map(|asked| (asked.statement.as_str(), asked.parameters.as_deref()));
        let all = each(dynamo, asked, place, "ExecuteTransaction").await?;
        Ok(all.into_iter().map(|wanted| capacity(wanted, input.return_consumed_capacity.as_ref())).collect())
    })
}

async fn each<'a>(
    dynamo: &Dynamo,
    asked: impl Iterator<Item = (&'a str, Option<&'a [AttributeValue]>)>,
    place: &Place,
    enclosing: &'static str,
) -> Result<Vec<Wanted>, ApiError> {
    let mut all = Vec::new();
    for (statement, parameters) in asked {
        if let Ok(statement) = read(statement, parameters) {
            let wanted = wanted(dynamo, &statement, place).await?;
            all.push(wanted.with("dynamodb:enclosingoperation", enclosing));
        }
    }
    // A request for nothing that can be done is decided on as one for whatever there is.
    Ok(if all.is_empty() { vec![Wanted::new(action(Verb::Select), "*")] } else { all })
}

async fn wanted(dynamo: &Dynamo, statement: &Statement, place: &Place) -> Result<Wanted, ApiError> {
    let resource = Resource::of(statement.table(), place).index(statement.index());
    let leading = resource.leading(dynamo).await?;
    let schema = leading.as_ref().and_then(|leading| match leading.index {
        Some(index) => leading.table.index(index).map(|index| &index.key),
        None => Some(&leading.table.key),
    });
    let mut asked = Asked::new(None);
    let mut is_scan = false;
    let mut is_narrowed = false;
    match statement {
        Statement::Select(select) | Statement::Exists(select) => {
            let reads = schema.and_then(|schema| reads(select.condition.as_ref(), schema).ok());
            let reads = reads.flatten();
            is_scan = reads.is_none();
            asked.leading.extend(reads.into_iter().flatten().map(|read| text(read.hash)));
            // A transaction takes the item that the condition names, also when no item can meet it all.
            lead(&mut asked, schema, key(schema, select.condition.as_ref()).as_ref());
            if is_scan {
                asked.leading.push(EVERY_KEY.to_owned());
                asked.has_leading = true;
            }
            is_narrowed = select.columns.is_some();
            asked.names(select.columns.iter().flatten().map(|column| &column.path.head));
            mention(&mut asked, select.condition.as_ref());
        }
        Statement::Insert { item, .. } => {
            lead(&mut asked, schema, Some(item));
            asked.names(item.keys());
        }
        Statement::Update { update, condition, .. } => {
            lead(&mut asked, schema, key(schema, condition.as_ref()).as_ref());
            asked.names(Update::all_paths(update).into_iter().map(|path| &path.head));
            mention(&mut asked, condition.as_ref());
        }
        Statement::Delete { condition, .. } => {
            lead(&mut asked, schema, key(schema, condition.as_ref()).as_ref());
            mention(&mut asked, condition.as_ref());
        }
    }
    let wanted = asked.on(action(statement.verb()), resource.arn());
    Ok(match statement.verb() {
        Verb::Select => wanted
            .with("dynamodb:fulltablescan", is_scan.to_string())
            .with("dynamodb:select", selected(None, is_narrowed, statement.index().is_some())),
        _ => wanted,
    })
}

fn action(verb: Verb) -> &'static str {
    match verb {
        Verb::Select => "dynamodb:PartiQLSelect",
        Verb::Insert => "dynamodb:PartiQLInsert",
        Verb::Update => "dynamodb:PartiQLUpdate",
        Verb::Delete => "dynamodb:PartiQLDelete",
    }
}

fn key(schema: Option<&KeySchema>, condition: Option<&Condition>) -> Option<Item> {
    named_key(condition, key_names(schema?), false).ok()?
}

/// Adds the leading key of what a statement gives.
fn lead(asked: &mut Asked<'_>, schema: Option<&KeySchema>, given: Option<&Item>) {
    if let Some(schema) = schema {
        asked.has_leading = true;
        if let Some(hash) = given.and_then(|given| given.get(&schema.hash.name)).cloned().map(text)
            && !asked.leading.contains(&hash)
        {
            asked.leading.push(hash);
        }
    }
}

fn mention(asked: &mut Asked<'_>, condition: Option<&Condition>) {
    asked.names(condition.into_iter().flat_map(Condition::paths).map(|path| &path.head));
}

fn text(value: Value) -> String {
    key_text(&to_wire(value))
}
