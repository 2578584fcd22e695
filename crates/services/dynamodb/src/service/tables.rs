//! Tables.

use std::sync::Arc;

use lambent_api::{Service, operations};
use lambent_model_dynamodb::ops;

use crate::Dynamo;
use crate::names::resource;
use crate::wanted;

pub(crate) fn add(service: &mut Service, state: &Arc<Dynamo>) {
    operations!(service, state, {
        known ops::CreateTable => create_table, wanted::create_table;
        plain ops::DescribeTable => describe_table, "dynamodb:DescribeTable", |input, place| resource(place, &input.table_name);
        plain ops::DeleteTable => delete_table, "dynamodb:DeleteTable", |input, place| resource(place, &input.table_name);
        plain ops::UpdateTable => update_table, "dynamodb:UpdateTable", |input, place| resource(place, &input.table_name);
        plain ops::ListTables => list_tables, "dynamodb:ListTables", |_input, _place| "*".to_owned();
    });
}
