//! DescribeLimits and DescribeEndpoints.

use lambent_api::Call;
use lambent_model_dynamodb::{
    DescribeEndpointsRequest, DescribeEndpointsResponse, DescribeLimitsInput, DescribeLimitsOutput, Endpoint,
};

use crate::{Dynamo, DynamoError};

/// Source: developer guide, "Quotas": the defaults of an account in US East.
const ACCOUNT_UNITS_MAX: i64 = 80_000;
const TABLE_UNITS_MAX: i64 = 40_000;
/// How long clients keep an endpoint.
const CACHE_MINUTES: i64 = 1_440;

impl Dynamo {
    /// These are shown, as clients ask for them; nothing is held to them.
    pub(crate) async fn describe_limits(
        &self,
        _call: &Call,
        _input: DescribeLimitsInput,
    ) -> Result<DescribeLimitsOutput, DynamoError> {
        Ok(DescribeLimitsOutput {
            account_max_read_capacity_units: Some(ACCOUNT_UNITS_MAX),
            account_max_write_capacity_units: Some(ACCOUNT_UNITS_MAX),
            table_max_read_capacity_units: Some(TABLE_UNITS_MAX),
            table_max_write_capacity_units: Some(TABLE_UNITS_MAX),
        })
    }

    /// The host that the request came to.
    pub(crate) async fn describe_endpoints(
        &self,
        call: &Call,
        _input: DescribeEndpointsRequest,
    ) -> Result<DescribeEndpointsResponse, DynamoError> {
        let endpoint = &call.context.endpoint;
        let address = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, host)| host).to_owned();
        Ok(DescribeEndpointsResponse {
            endpoints: vec![Endpoint { address, cache_period_in_minutes: CACHE_MINUTES }],
        })
    }
}
