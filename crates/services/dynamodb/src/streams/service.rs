//! The operations of `dynamodbstreams`, and what policies decide on.

use std::sync::Arc;

use lambent_api::{Call, Service, operations};
use lambent_model_dynamodbstreams::{SERVICE, ops};
use lambent_wire::Operation;

use super::iterators::stream_arn;
use crate::service::VALIDATION;
use crate::{Dynamo, DynamoError};

/// DynamoDB Streams, for the gateway.
pub fn service(dynamo: &Dynamo) -> Service {
    let mut service = Service::new(&SERVICE, Some(VALIDATION));
    let state = Arc::new(Operations(dynamo.clone()));
    operations!(service, state, {
        plain ops::ListStreams => list_streams, "dynamodb:ListStreams", |_input, _place| "*".to_owned();
        plain ops::DescribeStream => describe_stream, "dynamodb:DescribeStream", |input, _place| input.stream_arn.clone();
        plain ops::GetShardIterator => get_shard_iterator, "dynamodb:GetShardIterator", |input, _place| input.stream_arn.clone();
        plain ops::GetRecords => get_records, "dynamodb:GetRecords", |input, _place| stream_arn(&input.shard_iterator).to_owned();
    });
    service
}

struct Operations(Dynamo);

macro_rules! forward {
    ($($method:ident: $operation:ty;)*) => {
        impl Operations {
            $(async fn $method(
                &self,
                call: &Call,
                input: <$operation as Operation>::Input,
            ) -> Result<<$operation as Operation>::Output, DynamoError> {
                self.0.$method(call, input).await
            })*
        }
    };
}

forward! {
    list_streams: ops::ListStreams;
    describe_stream: ops::DescribeStream;
    get_shard_iterator: ops::GetShardIterator;
    get_records: ops::GetRecords;
}
