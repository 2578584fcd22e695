//! Statements.

use std::sync::Arc;

use lambent_api::{Service, operations};
use lambent_model_dynamodb::ops;

use crate::{Dynamo, wanted};

pub(crate) fn add(service: &mut Service, state: &Arc<Dynamo>) {
    operations!(service, state, {
        known ops::ExecuteStatement => execute_statement, wanted::execute_statement;
        known ops::BatchExecuteStatement => batch_execute_statement, wanted::batch_execute_statement;
        known ops::ExecuteTransaction => execute_transaction, wanted::execute_transaction;
    });
}
