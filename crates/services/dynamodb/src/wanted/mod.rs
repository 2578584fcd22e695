//! What operations want: action, resource, and the condition keys that policies may ask.
//! Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon DynamoDB".

mod batches;
mod items;
mod mentioned;
mod statements;
mod tables;

pub(crate) use batches::{batch_get_item, batch_write_item, transact_get_items, transact_write_items};
pub(crate) use items::{delete_item, get_item, put_item, query, scan, update_item};
pub(crate) use statements::{batch_execute_statement, execute_statement, execute_transaction};
pub(crate) use tables::{
    create_table, import_table, restore_table_from_backup, restore_table_to_point_in_time, tag_resource,
    untag_resource,
};

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambent_api::ApiError;
use lambent_base::Place;
use lambent_expressions::Number;
use lambent_model_dynamodb::AttributeValue;

use crate::table::{KeySchema, Table};
use crate::{Dynamo, names};

/// A table, or an index of one, that a request is about.
pub(crate) struct Resource<'a> {
    table_arn: String,
    index: Option<&'a str>,
}

impl<'a> Resource<'a> {
    /// The table that a request means by `TableName`.
    pub(crate) fn of(table: &str, place: &Place) -> Self {
        Self { table_arn: names::resource(place, table), index: None }
    }

    pub(crate) fn index(self, index: Option<&'a str>) -> Self {
        Self { index, ..self }
    }

    pub(crate) fn arn(self) -> String {
        match self.index {
            Some(index) => format!("{}/index/{index}", self.table_arn),
            None => self.table_arn,
        }
    }

    /// The name of the partition key; `None` where there is no such table or index, which the handler says.
    pub(crate) async fn leading(&self, dynamo: &Dynamo) -> Result<Option<Leading<'a>>, ApiError> {
        let table = dynamo.known.facts().table(&self.table_arn).await?;
        Ok(table.map(|table| Leading { table, index: self.index }))
    }
}

/// Knows the attribute whose values are `dynamodb:LeadingKeys`.
pub(crate) struct Leading<'a> {
    table: Arc<Table>,
    index: Option<&'a str>,
}

impl Leading<'_> {
    /// The attribute; `None` where the table has no such index.
    pub(crate) fn name(&self) -> Option<&str> {
        let schema: &KeySchema = match self.index {
            Some(index) => &self.table.index(index)?.key,
            None => &self.table.key,
        };
        Some(&schema.hash.name)
    }
}

/// A key's value as policies name it: a number in its one form, so that no other way to write it passes one by.
pub(crate) fn key_text(value: &AttributeValue) -> String {
    match value {
        AttributeValue { s: Some(text), .. } => text.clone(),
        AttributeValue { n: Some(text), .. } => {
            Number::parse(text).map_or_else(|_| text.clone(), |n| n.to_string())
        }
        AttributeValue { b: Some(bytes), .. } => STANDARD.encode(bytes),
        _ => String::new(),
    }
}
