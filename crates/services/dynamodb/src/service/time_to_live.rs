//! Time to live.

use std::sync::Arc;

use lambent_api::{Service, operations};
use lambent_model_dynamodb::ops;

use crate::Dynamo;
use crate::names::resource;

pub(crate) fn add(service: &mut Service, state: &Arc<Dynamo>) {
    operations!(service, state, {
        plain ops::UpdateTimeToLive => update_time_to_live, "dynamodb:UpdateTimeToLive", |input, place| resource(place, &input.table_name);
        plain ops::DescribeTimeToLive => describe_time_to_live, "dynamodb:DescribeTimeToLive", |input, place| resource(place, &input.table_name);
    });
}
