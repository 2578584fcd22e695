//! StreamSpecification: what CreateTable and UpdateTable say of streams.

use lambent_base::Random;
use lambent_model_dynamodb::StreamSpecification;
use lambent_store::Txn;
use lambent_wire::ApiError;

use super::rows;
use crate::DynamoError;
use crate::error::validation;
use crate::table::{StreamView, Table};

/// The view of the stream that is wanted; `None` where none is.
///
/// Errors: ValidationException.
pub(crate) fn wanted(specification: Option<&StreamSpecification>) -> Result<Option<StreamView>, ApiError> {
    const INVALID: &str = "One or more parameter values were invalid: ";
    let Some(specification) = specification else { return Ok(None) };
    let view = specification.stream_view_type.as_ref();
    match (specification.stream_enabled, view) {
        (true, Some(view)) => match StreamView::of_name(view.as_str()) {
            Some(view) => Ok(Some(view)),
            None => Err(validation(format!("{INVALID}Unknown StreamViewType: {}", view.as_str()))),
        },
        (true, None) => {
            Err(validation(format!("{INVALID}StreamViewType must be specified when StreamEnabled is true")))
        }
        (false, Some(_)) => Err(validation(format!(
            "{INVALID}StreamViewType must not be specified when StreamEnabled is false"
        ))),
        (false, None) => Ok(None),
    }
}

/// Turns the table's stream on or off, as UpdateTable wants it. The caller writes the table's row.
///
/// Errors: ValidationException where it is so already.
pub(crate) async fn update(
    txn: &Txn,
    table: &mut Table,
    specification: &StreamSpecification,
    random: &Random,
    now_ms: i64,
) -> Result<(), DynamoError> {
    let name = &table.name;
    match (wanted(Some(specification))?, &table.stream) {
        (Some(_), Some(_)) => {
            Err(validation(format!("Table already has an enabled stream: TableName: {name}")).into())
        }
        (None, None) => {
            Err(validation(format!("Table is already not having a stream: TableName: {name}")).into())
        }
        (Some(view), None) => {
            rows::begin(txn, table, view, random, now_ms);
            Ok(())
        }
        (None, Some(_)) => rows::end(txn, table, now_ms).await,
    }
}
