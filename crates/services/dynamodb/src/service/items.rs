//! Items.

use std::sync::Arc;

use lambent_api::{Service, operations};
use lambent_model_dynamodb::ops;

use crate::{Dynamo, wanted};

pub(crate) fn add(service: &mut Service, state: &Arc<Dynamo>) {
    operations!(service, state, {
        known ops::PutItem => put_item, wanted::put_item;
        known ops::GetItem => get_item, wanted::get_item;
        known ops::UpdateItem => update_item, wanted::update_item;
        known ops::DeleteItem => delete_item, wanted::delete_item;
        known ops::Query => query, wanted::query;
        plain ops::Scan => scan, wanted::scan;
        known ops::BatchGetItem => batch_get_item, wanted::batch_get_item;
        known ops::BatchWriteItem => batch_write_item, wanted::batch_write_item;
        known ops::TransactGetItems => transact_get_items, wanted::transact_get_items;
        known ops::TransactWriteItems => transact_write_items, wanted::transact_write_items;
    });
}
