//! Tags, limits, endpoints, insights and scaling.

use std::sync::Arc;

use lambent_api::{Service, operations};
use lambent_base::Place;
use lambent_model_dynamodb::ops;

use crate::names::resource;
use crate::{Dynamo, wanted};

pub(crate) fn add(service: &mut Service, state: &Arc<Dynamo>) {
    operations!(service, state, {
        plain ops::TagResource => tag_resource, wanted::tag_resource;
        plain ops::UntagResource => untag_resource, wanted::untag_resource;
        plain ops::ListTagsOfResource => list_tags_of_resource, "dynamodb:ListTagsOfResource", |input, _place| input.resource_arn.clone();
        plain ops::DescribeLimits => describe_limits, "dynamodb:DescribeLimits", |_input, _place| "*".to_owned();
        plain ops::DescribeEndpoints => describe_endpoints, "dynamodb:DescribeEndpoints", |_input, _place| "*".to_owned();
        plain ops::UpdateContributorInsights => update_contributor_insights, "dynamodb:UpdateContributorInsights",
            |input, place| part(place, &input.table_name, input.index_name.as_deref());
        plain ops::DescribeContributorInsights => describe_contributor_insights, "dynamodb:DescribeContributorInsights",
            |input, place| part(place, &input.table_name, input.index_name.as_deref());
        plain ops::ListContributorInsights => list_contributor_insights, "dynamodb:ListContributorInsights", |_input, _place| "*".to_owned();
        plain ops::DescribeTableReplicaAutoScaling => describe_table_replica_auto_scaling, "dynamodb:DescribeTableReplicaAutoScaling",
            |input, place| resource(place, &input.table_name);
        plain ops::UpdateTableReplicaAutoScaling => update_table_replica_auto_scaling, "dynamodb:UpdateTableReplicaAutoScaling",
            |input, place| resource(place, &input.table_name);
    });
}

/// A table, or one of its indexes.
fn part(place: &Place, table: &str, index: Option<&str>) -> String {
    let table = resource(place, table);
    match index {
        Some(index) => format!("{table}/index/{index}"),
        None => table,
    }
}
