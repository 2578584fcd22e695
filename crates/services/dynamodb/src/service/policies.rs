//! Policies of tables and streams.

use std::sync::Arc;

use lambent_api::{Service, operations};
use lambent_model_dynamodb::ops;

use crate::Dynamo;

pub(crate) fn add(service: &mut Service, state: &Arc<Dynamo>) {
    operations!(service, state, {
        plain ops::PutResourcePolicy => put_resource_policy, "dynamodb:PutResourcePolicy",
            |input, _place| input.resource_arn.clone();
        plain ops::GetResourcePolicy => get_resource_policy, "dynamodb:GetResourcePolicy",
            |input, _place| input.resource_arn.clone();
        plain ops::DeleteResourcePolicy => delete_resource_policy, "dynamodb:DeleteResourcePolicy",
            |input, _place| input.resource_arn.clone();
    });
}
