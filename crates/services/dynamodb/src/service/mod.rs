//! The operations, and what policies decide on: a list for each noun.

mod backups;
mod items;
mod partiql;
mod policies;
mod settings;
mod tables;
mod time_to_live;
mod words;

use std::sync::Arc;

use lambent_api::Service;

use crate::Dynamo;

/// What both services say of inputs that break the model's constraints.
pub(crate) const VALIDATION: &str = "ValidationException";

/// DynamoDB, for the gateway.
pub fn service(dynamo: &Dynamo) -> Service {
    let mut service = Service::new(&lambent_model_dynamodb::SERVICE, Some(VALIDATION));
    let state = Arc::new(dynamo.clone());
    service.word_violations(words::tables);
    tables::add(&mut service, &state);
    settings::add(&mut service, &state);
    time_to_live::add(&mut service, &state);
    service.word_violations(words::items);
    items::add(&mut service, &state);
    partiql::add(&mut service, &state);
    policies::add(&mut service, &state);
    backups::add(&mut service, &state);
    service
}
