//! Refusals of the gateway, in the words of the service that was meant.

use http::request::Parts;
use lambent_api::{ACCESS_DENIED, ApiError};
use lambent_identity::IdentityError;
use lambent_sigv4::{AuthError, AwsError, ErrorStyle};
use lambent_wire::{ProtocolKind, ServiceInfo};

/// Source: "Common Errors" in the API references of AWS's services.
const BUSY: &str = "The request has failed due to a temporary failure of the server.";

/// How a service words the errors that all services share.
pub(crate) fn style_of(protocol: ProtocolKind) -> ErrorStyle {
    match protocol {
        ProtocolKind::RestXml => ErrorStyle::S3,
        ProtocolKind::Query => ErrorStyle::Query,
        ProtocolKind::Json10 | ProtocolKind::Json11 | ProtocolKind::RpcV2Cbor => ErrorStyle::Json,
        ProtocolKind::RestJson => ErrorStyle::RestJson,
    }
}

pub(crate) fn from_aws(error: AwsError) -> ApiError {
    let AwsError { code, status, message, details } = error;
    let api = ApiError::new(code, status, message);
    details.into_iter().fold(api, |api, (name, value)| api.with(name, value))
}

/// Why the principal behind an access key is not to be had, as signature errors say it.
pub(crate) fn auth_error(error: IdentityError) -> Result<AuthError, ApiError> {
    match error {
        IdentityError::UnknownAccessKey(access_key_id) => Ok(AuthError::UnknownAccessKey { access_key_id }),
        IdentityError::InvalidSessionToken => Ok(AuthError::SessionTokenInvalid),
        IdentityError::ExpiredSession { .. } => Ok(AuthError::SessionTokenExpired),
        other => Err(ApiError::internal(&other)),
    }
}

/// JSON services say AccessDeniedException where the others say AccessDenied.
pub(crate) fn in_dialect(mut error: ApiError, style: ErrorStyle) -> ApiError {
    if error.code == ACCESS_DENIED && matches!(style, ErrorStyle::Json | ErrorStyle::RestJson) {
        error.code = "AccessDeniedException".into();
        if style == ErrorStyle::Json {
            error.status = 400;
        }
    }
    error
}

/// A body beyond the bound of its service.
pub(crate) fn too_large(service: &str, operation: &str, max: usize) -> ApiError {
    match service {
        "s3" => ApiError::client("MaxMessageLengthExceeded", "Your request was too big.")
            .with("MaxMessageLengthBytes", max.to_string()),
        "lambda" => ApiError::new(
            "RequestEntityTooLargeException",
            413,
            format!("Request must be smaller than {max} bytes for the {operation} operation"),
        ),
        _ => ApiError::new(
            "RequestEntityTooLargeException",
            413,
            format!("a request may have at most {max} bytes"),
        ),
    }
}

/// A request for a host that may be anybody's.
pub(crate) fn unknown_host(host: &str, domain: &str) -> ApiError {
    let name = host.split(':').next().unwrap_or(host);
    let message = format!(
        "This cloud does not answer for the host `{host}`: it knows localhost, addresses, {domain} and what is below that. If \
         the name is meant to be its own, start it with --host-name {name}; if buckets and function URLs are to be below it, \
         with --domain {name}"
    );
    ApiError::new("UnknownHost", 421, message)
}

/// A request without TLS, from another host.
pub(crate) fn plain_http(host: &str) -> ApiError {
    let message = format!(
        "Lambent takes HTTP without TLS from its own host alone: use https://{host} (`lambent trust` says how to trust its \
         certificate), or start it with --allow-plain-http"
    );
    ApiError::new("InsecureTransport", 403, message)
}

/// A head beyond the gateway's bounds. Source: Amazon S3 API reference, "List of Error Codes".
pub(crate) fn head_too_large() -> ApiError {
    ApiError::client(
        "RequestHeaderSectionTooLarge",
        "Your request header and query parameters used to make the request exceed the maximum allowed size.",
    )
}

/// A body that comes too slowly, or not at all.
pub(crate) fn too_slow() -> ApiError {
    ApiError::client(
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout period. \
         Idle connections will be closed.",
    )
}

/// Other requests' bodies have all the memory that there is for bodies.
pub(crate) fn no_memory(style: ErrorStyle) -> ApiError {
    match style {
        ErrorStyle::S3 => ApiError::new("SlowDown", 503, "Please reduce your request rate."),
        ErrorStyle::Query => ApiError::new("ServiceUnavailable", 503, BUSY),
        ErrorStyle::Json | ErrorStyle::RestJson => ApiError::new("ServiceUnavailableException", 503, BUSY),
    }
}

/// An operation that AWS has and we have not.
pub(crate) fn unimplemented(service: &ServiceInfo, operation: &str) -> ApiError {
    let service = service.full_name;
    ApiError::new("NotImplemented", 501, format!("Lambent does not implement {operation} of {service} yet"))
}

/// An operation that not even AWS has, in the words of the protocol.
pub(crate) fn unknown_operation(protocol: ProtocolKind, parts: &Parts) -> ApiError {
    match protocol {
        ProtocolKind::RestXml => ApiError::new(
            "MethodNotAllowed",
            405,
            "The specified method is not allowed against this resource.",
        )
        .with("Method", parts.method.as_str()),
        ProtocolKind::Query => {
            ApiError::client("InvalidAction", "Could not find the operation that the request asks for")
        }
        ProtocolKind::RestJson => ApiError::new(
            "UnknownOperationException",
            404,
            "Unable to determine service/operation name to be authorized",
        ),
        _ => ApiError::client("UnknownOperationException", "The requested operation is not known."),
    }
}
