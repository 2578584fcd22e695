//! The operations, and what policies decide on.

use std::sync::Arc;

use lambent_api::{Call, Service, operations};
use lambent_base::Place;
use lambent_model_logs::{SERVICE, ops};
use lambent_wire::Operation;

use crate::{Logs, LogsError, names};

/// CloudWatch Logs, for the gateway.
pub fn service(logs: &Logs) -> Service {
    let mut service = Service::new(&SERVICE, Some("InvalidParameterException"));
    let state = Arc::new(Operations(logs.clone()));
    operations!(service, state, {
        plain ops::CreateLogGroup => create_log_group, "logs:CreateLogGroup", |input, place| group(place, &input.log_group_name);
        plain ops::DeleteLogGroup => delete_log_group, "logs:DeleteLogGroup", |input, place| group(place, &input.log_group_name);
        plain ops::PutRetentionPolicy => put_retention_policy, "logs:PutRetentionPolicy", |input, place| group(place, &input.log_group_name);
        plain ops::DescribeLogGroups => describe_log_groups, "logs:DescribeLogGroups", |_input, place| group(place, "");
        plain ops::CreateLogStream => create_log_stream, "logs:CreateLogStream", |input, place| group(place, &input.log_group_name);
        plain ops::DescribeLogStreams => describe_log_streams, "logs:DescribeLogStreams", |input, place| {
            group(place, &names::resource_group(input.log_group_name.as_deref(), input.log_group_identifier.as_deref()))
        };
        plain ops::PutLogEvents => put_log_events, "logs:PutLogEvents", |input, place| {
            names::stream_arn(place, &input.log_group_name, &input.log_stream_name)
        };
        plain ops::GetLogEvents => get_log_events, "logs:GetLogEvents", |input, place| {
            let group = names::resource_group(input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
            names::stream_arn(place, &group, &input.log_stream_name)
        };
        plain ops::FilterLogEvents => filter_log_events, "logs:FilterLogEvents", |input, place| {
            group(place, &names::resource_group(input.log_group_name.as_deref(), input.log_group_identifier.as_deref()))
        };
    });
    service
}

/// AWS decides about a group as about a stream without a name: policies end in `:*`.
fn group(place: &Place, name: &str) -> String {
    names::stream_arn(place, name, "")
}

struct Operations(Logs);

macro_rules! forward {
    ($($method:ident: $operation:ty;)*) => {
        impl Operations {
            $(async fn $method(
                &self,
                call: &Call,
                input: <$operation as Operation>::Input,
            ) -> Result<<$operation as Operation>::Output, LogsError> {
                self.0.$method(call, input).await
            })*
        }
    };
}

forward! {
    create_log_group: ops::CreateLogGroup;
    delete_log_group: ops::DeleteLogGroup;
    put_retention_policy: ops::PutRetentionPolicy;
    describe_log_groups: ops::DescribeLogGroups;
    create_log_stream: ops::CreateLogStream;
    describe_log_streams: ops::DescribeLogStreams;
    put_log_events: ops::PutLogEvents;
    get_log_events: ops::GetLogEvents;
    filter_log_events: ops::FilterLogEvents;
}
