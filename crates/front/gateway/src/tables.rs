//! What DynamoDB's answers have, and no other service's.

use http::HeaderValue;
use lambent_api::{ApiError, Reply};
use lambent_wire::ServiceInfo;

/// The name by which DynamoDB and its streams sign.
const SIGNING_NAME: &str = "dynamodb";
/// Errors that come from before the service, and from its model's constraints.
const COMMON: [&str; 8] = [
    "SerializationException",
    "UnknownOperationException",
    "MissingAuthenticationTokenException",
    "InvalidSignatureException",
    "IncompleteSignatureException",
    "UnrecognizedClientException",
    "ExpiredTokenException",
    "AccessDeniedException",
];
/// Of these, those whose message has a capital letter.
const CAPITAL: [&str; 2] = ["SerializationException", "AccessDeniedException"];

/// Adds the checksum that its SDKs hold an answer to.
pub(crate) fn with_crc(service: &ServiceInfo, mut reply: Reply) -> Reply {
    if service.signing_name == SIGNING_NAME && reply.body.is_none() {
        let crc = HeaderValue::from(lambent_wire::event_stream::crc32(&reply.head.body));
        reply.head.headers.insert("x-amz-crc32", crc);
    }
    reply
}

/// Names an error as DynamoDB does, with the namespace that it is from. SDKs look at what stands behind the `#` alone.
pub(crate) fn in_namespace(service: &ServiceInfo, mut error: ApiError) -> ApiError {
    if service.signing_name != SIGNING_NAME {
        return error;
    }
    if CAPITAL.contains(&&*error.code) {
        error = error.message_in("Message");
    }
    let namespace = match &*error.code {
        code if COMMON.contains(&code) => "com.amazon.coral.service",
        "ValidationException" => "com.amazon.coral.validate",
        "ThrottlingException" => "com.amazon.coral.availability",
        _ => "com.amazonaws.dynamodb.v20120810",
    };
    error.code = format!("{namespace}#{}", error.code).into();
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(code: &'static str) -> String {
        let service = ServiceInfo {
            signing_name: SIGNING_NAME,
            full_name: "",
            api_version: "",
            protocols: &[],
            target_prefix: None,
            xml_namespace: None,
            operations: &[],
            unimplemented: &[],
        };
        in_namespace(&service, ApiError::client(code, "")).code.into_owned()
    }

    #[test]
    fn errors_say_where_they_are_from() {
        assert_eq!(named("ValidationException"), "com.amazon.coral.validate#ValidationException");
        assert_eq!(named("SerializationException"), "com.amazon.coral.service#SerializationException");
        assert_eq!(
            named("ResourceNotFoundException"),
            "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
        );
    }
}
