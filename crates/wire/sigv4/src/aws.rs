//! How refusals look to clients: AWS's codes, statuses and wordings.
//! Sources: answers recorded from AWS; Amazon S3 API reference "Error responses"; the "Common errors" pages of IAM,
//! STS, Lambda and CloudWatch Logs.

use crate::{ALGORITHM, AmzDate, AuthError, ChunkError, MAX_CLOCK_SKEW_S, Piece, Place};
use jiff::Timestamp;

/// The families of services that name the same error differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStyle {
    /// Amazon S3 (rest-xml).
    S3,
    /// The query protocol: IAM, STS and others.
    Query,
    /// json 1.0 and 1.1: CloudWatch Logs, DynamoDB and others, with status 400.
    Json,
    /// rest-json: Lambda and others, with status 403.
    RestJson,
}

/// What the client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsError {
    /// AWS's error code.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// AWS's wording.
    pub message: String,
    /// Further members of S3's error document, in AWS's order.
    pub details: Vec<(&'static str, String)>,
}

impl AwsError {
    fn new(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), details: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }
}

impl AuthError {
    /// The error as the given family of services words it.
    pub fn aws_error(&self, style: ErrorStyle) -> AwsError {
        match style {
            ErrorStyle::S3 => self.s3().unwrap_or_else(|| self.s3_malformed()),
            _ => self.other(style),
        }
    }

    /// S3's errors other than malformed pieces.
    fn s3(&self) -> Option<AwsError> {
        let denied = |message: &str| AwsError::new("AccessDenied", 403, message);
        Some(match self {
            Self::NotSigned => denied("Access Denied"),
            Self::UnknownAccessKey { access_key_id } => AwsError::new(
                "InvalidAccessKeyId",
                403,
                "The AWS Access Key Id you provided does not exist in our records.",
            )
            .with("AWSAccessKeyId", access_key_id),
            Self::SessionTokenInvalid => {
                AwsError::new("InvalidToken", 400, "The provided token is malformed or otherwise invalid.")
            }
            Self::SessionTokenExpired => {
                AwsError::new("ExpiredToken", 400, "The provided token has expired.")
            }
            Self::SigV2 | Self::SigV4a => AwsError::new(
                "InvalidRequest",
                400,
                format!(
                    "The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."
                ),
            ),
            Self::Missing { piece: Piece::Date, place: Place::Header } => {
                denied("AWS authentication requires a valid Date or x-amz-date header")
            }
            Self::Expired { expires_s, life_s, now_s } => denied("Request has expired")
                .with("X-Amz-Expires", life_s.to_string())
                .with("Expires", iso(*expires_s))
                .with("ServerTime", iso(*now_s)),
            Self::NotYetValid { .. } => denied("Request is not yet valid"),
            Self::Skewed { date_s, now_s } => AwsError::new(
                "RequestTimeTooSkewed",
                403,
                "The difference between the request time and the current time is too large.",
            )
            .with("RequestTime", basic(*date_s))
            .with("ServerTime", iso(*now_s))
            .with("MaxAllowedSkewMilliseconds", (MAX_CLOCK_SKEW_S * 1000).to_string()),
            Self::HeadersNotSigned { names } => {
                denied("There were headers present in the request which were not signed")
                    .with("HeadersNotSigned", names.join(", "))
            }
            Self::HostNotSigned => denied("There were headers present in the request which were not signed")
                .with("HeadersNotSigned", "host"),
            Self::SignatureMismatch(mismatch) => mismatch_s3()
                .with("AWSAccessKeyId", &mismatch.access_key_id)
                .with("StringToSign", &mismatch.string_to_sign)
                .with("SignatureProvided", &mismatch.signature_provided)
                .with("StringToSignBytes", spaced_hex(&mismatch.string_to_sign))
                .with("CanonicalRequest", &mismatch.canonical_request)
                .with("CanonicalRequestBytes", spaced_hex(&mismatch.canonical_request)),
            Self::SignedHeaderMissing { .. } => mismatch_s3(),
            Self::BodyHashNotGiven => internal("InternalError"),
            _ => return None,
        })
    }

    /// S3's errors about pieces that are not as they must be.
    fn s3_malformed(&self) -> AwsError {
        let invalid = |message: &str| AwsError::new("InvalidArgument", 400, message);
        let hash = "x-amz-content-sha256";
        match self {
            Self::TwoMechanisms => invalid(
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
                 parameter or the Authorization header should be specified",
            ),
            Self::UnknownScheme { .. } => invalid("Unsupported Authorization Type"),
            Self::PayloadHashMissing => AwsError::new(
                "InvalidRequest",
                400,
                "Missing required header for this request: x-amz-content-sha256",
            ),
            Self::PayloadHashInvalid { found } | Self::PayloadSigV4a { found } => invalid(
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                 STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, \
                 STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a \
                 valid sha256 value.",
            )
            .with("ArgumentName", hash)
            .with("ArgumentValue", found),
            Self::Missing { place: Place::Query, .. } => query_error(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                 X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            ),
            Self::ExpiresNotANumber { .. } => query_error("X-Amz-Expires should be a number"),
            Self::ExpiresNegative { .. } => query_error("X-Amz-Expires must be non-negative"),
            Self::ExpiresTooLong { .. } => query_error(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less \
                 than 604800 seconds",
            ),
            Self::DateMalformed { place: Place::Query, .. } => {
                query_error("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
            }
            Self::DateMalformed { .. } => {
                AwsError::new("AccessDenied", 403, "AWS authentication requires a valid Date or x-amz-date header")
            }
            _ => self.s3_credential(),
        }
    }

    fn s3_credential(&self) -> AwsError {
        let (place, problem) = match self {
            Self::CredentialMalformed { place, .. } => (
                *place,
                "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".".into(),
            ),
            Self::ScopeTerminator { place, found } => {
                (*place, format!("incorrect terminal \"{found}\". This endpoint uses \"aws4_request\"."))
            }
            Self::ScopeDate { place, found, date } => (
                *place,
                format!(
                    "Invalid credential date \"{found}\". This date is not the same as X-Amz-Date: \"{}\".",
                    &date[..8]
                ),
            ),
            Self::ScopeRegion { place, found, expected } => {
                (*place, format!("the region '{found}' is wrong; expecting '{expected}'"))
            }
            Self::ScopeService { place, found, expected } => {
                (*place, format!("incorrect service \"{found}\". This endpoint belongs to \"{expected}\"."))
            }
            Self::Missing { place, .. } => (
                *place,
                "the authorization header requires three components: Credential, SignedHeaders, and Signature.".into(),
            ),
            other => (other.place(), other.to_string()),
        };
        let error = match place {
            Place::Header => AwsError::new(
                "AuthorizationHeaderMalformed",
                400,
                format!("The authorization header is malformed; {problem}"),
            ),
            Place::Query => query_error(&format!("Error parsing the X-Amz-Credential parameter; {problem}")),
        };
        match self {
            Self::ScopeRegion { expected, .. } => error.with("Region", expected),
            _ => error,
        }
    }

    fn place(&self) -> Place {
        match self {
            Self::NotText { place, .. }
            | Self::Duplicate { place, .. }
            | Self::SignedHeadersMalformed { place, .. } => *place,
            _ => Place::Header,
        }
    }

    fn other(&self, style: ErrorStyle) -> AwsError {
        let invalid = "The security token included in the request is invalid.";
        let expired = "The security token included in the request is expired";
        match self {
            Self::NotSigned => named(style, Name::MissingToken, "Missing Authentication Token"),
            Self::UnknownAccessKey { .. } | Self::SessionTokenInvalid => {
                named(style, Name::UnknownClient, invalid)
            }
            Self::SessionTokenExpired => named(style, Name::ExpiredToken, expired),
            Self::BodyHashNotGiven => internal("InternalFailure"),
            Self::Expired { expires_s, life_s, now_s } => named(
                style,
                Name::Mismatch,
                &format!(
                    "Signature expired: {} is now earlier than {}",
                    basic(*expires_s - life_s),
                    basic(*now_s - life_s)
                ),
            ),
            Self::Skewed { date_s, now_s } | Self::NotYetValid { date_s, now_s } => {
                named(style, Name::Mismatch, &skewed(*date_s, *now_s))
            }
            Self::ScopeTerminator { found, .. } => named(
                style,
                Name::Mismatch,
                &format!(
                    "Credential should be scoped with a valid terminator: 'aws4_request', not '{found}'."
                ),
            ),
            Self::ScopeDate { found, date, .. } => named(
                style,
                Name::Mismatch,
                &format!(
                    "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                 '{found}' != '{}', from '{date}'.",
                    &date[..8]
                ),
            ),
            Self::ScopeRegion { found, .. } => named(
                style,
                Name::Mismatch,
                &format!("Credential should be scoped to a valid region, not '{found}'."),
            ),
            Self::ScopeService { expected, .. } => named(
                style,
                Name::Mismatch,
                &format!("Credential should be scoped to correct service: '{expected}'."),
            ),
            Self::HostNotSigned => {
                named(style, Name::Mismatch, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
            }
            Self::HeadersNotSigned { names } => named(
                style,
                Name::Mismatch,
                &format!("'{}' must be a 'SignedHeader' in the AWS Authorization.", names.join("', '")),
            ),
            Self::SignatureMismatch(_) | Self::SignedHeaderMissing { .. } => named(
                style,
                Name::Mismatch,
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details.",
            ),
            incomplete => named(style, Name::Incomplete, &incomplete.incomplete()),
        }
    }

    fn incomplete(&self) -> String {
        match self {
            Self::Missing { place: Place::Header, piece: Piece::Date } => {
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".into()
            }
            Self::Missing { place: Place::Header, piece } => {
                format!("Authorization header requires '{}' parameter.", piece.name())
            }
            Self::Missing { place: Place::Query, piece } => format!(
                "AWS query-string parameters must include 'X-Amz-{}'. Re-examine the query-string parameters.",
                piece.name()
            ),
            Self::CredentialMalformed { found, .. } => format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got \
                 '{found}'"
            ),
            Self::DateMalformed { found, .. } => {
                format!(
                    "Date must be in ISO-8601 'basic format'. Got '{found}'. See http://en.wikipedia.org/wiki/ISO_8601"
                )
            }
            Self::SigV2 | Self::SigV4a | Self::UnknownScheme { .. } => {
                format!("Unsupported AWS 'algorithm': {self}")
            }
            other => other.to_string(),
        }
    }
}

impl ChunkError {
    /// The error as S3 words it; only S3 has such bodies.
    pub fn aws_error(&self) -> AwsError {
        let incomplete = || {
            AwsError::new(
                "IncompleteBody",
                400,
                "You did not provide the number of bytes specified by the Content-Length HTTP header",
            )
        };
        match self {
            Self::DecodedLength { .. } => {
                AwsError::new("MissingContentLength", 411, "You must provide the Content-Length HTTP header.")
            }
            Self::ChunkTooSmall { index, found, .. } => AwsError::new(
                "InvalidChunkSizeError",
                403,
                "Only the last chunk is allowed to have a size less than 8192 bytes",
            )
            .with("Chunk", index.to_string())
            .with("BadChunkSize", found.to_string()),
            Self::ChunkSignature { .. } | Self::TrailerSignature => mismatch_s3(),
            Self::TrailerMalformed { .. }
            | Self::TrailerUnexpected { .. }
            | Self::TrailerMissing { .. }
            | Self::TooManyTrailers { .. } => AwsError::new(
                "MalformedTrailerError",
                400,
                "The request contained trailing data that was not well-formed or did not conform to our published \
                 schema.",
            ),
            Self::BodyHashMismatch { declared, computed } => AwsError::new(
                "XAmzContentSHA256Mismatch",
                400,
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
            .with("ClientComputedContentSHA256", lambent_base::text::hex(declared))
            .with("S3ComputedContentSHA256", lambent_base::text::hex(computed)),
            Self::ChunkTooLarge { .. } => {
                AwsError::new("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size")
            }
            Self::LineTooLong { .. }
            | Self::HeaderMalformed { .. }
            | Self::NoLineEnd { .. }
            | Self::Incomplete { .. }
            | Self::TooLong { .. }
            | Self::BytesAfterEnd
            | Self::AlreadyRefused => incomplete(),
        }
    }
}

/// Names of the same error in the query protocol and in the JSON protocols.
#[derive(Clone, Copy)]
enum Name {
    Mismatch,
    Incomplete,
    MissingToken,
    UnknownClient,
    ExpiredToken,
}

fn named(style: ErrorStyle, name: Name, message: &str) -> AwsError {
    let (query, json) = match name {
        Name::Mismatch => ("SignatureDoesNotMatch", "InvalidSignatureException"),
        Name::Incomplete => ("IncompleteSignature", "IncompleteSignatureException"),
        Name::MissingToken => ("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
        Name::UnknownClient => ("InvalidClientTokenId", "UnrecognizedClientException"),
        Name::ExpiredToken => ("ExpiredToken", "ExpiredTokenException"),
    };
    match (style, name) {
        (ErrorStyle::Query, Name::Incomplete) => AwsError::new(query, 400, message),
        (ErrorStyle::Query | ErrorStyle::S3, Name::MissingToken) => {
            AwsError::new(query, 403, "Request is missing Authentication Token")
        }
        (ErrorStyle::Query | ErrorStyle::S3, _) => AwsError::new(query, 403, message),
        (ErrorStyle::Json, _) => AwsError::new(json, 400, message),
        (ErrorStyle::RestJson, _) => AwsError::new(json, 403, message),
    }
}

fn mismatch_s3() -> AwsError {
    AwsError::new(
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing \
         method.",
    )
}

fn query_error(message: &str) -> AwsError {
    AwsError::new("AuthorizationQueryParametersError", 400, message)
}

fn internal(code: &'static str) -> AwsError {
    AwsError::new(code, 500, "We encountered an internal error. Please try again.")
}

fn skewed(date_s: i64, now_s: i64) -> String {
    let minutes = MAX_CLOCK_SKEW_S / 60;
    if date_s < now_s {
        let bound = basic(now_s - MAX_CLOCK_SKEW_S);
        format!(
            "Signature expired: {} is now earlier than {bound} ({} - {minutes} min.)",
            basic(date_s),
            basic(now_s)
        )
    } else {
        let bound = basic(now_s + MAX_CLOCK_SKEW_S);
        format!(
            "Signature not yet current: {} is still later than {bound} ({} + {minutes} min.)",
            basic(date_s),
            basic(now_s)
        )
    }
}

fn basic(unix_s: i64) -> String {
    AmzDate::from_unix_s(unix_s).map_or_else(|| unix_s.to_string(), |date| date.as_str().into())
}

fn iso(unix_s: i64) -> String {
    Timestamp::from_second(unix_s).map_or_else(|_| unix_s.to_string(), |at| at.to_string())
}

/// Bytes in hexadecimal with a space between, as S3 shows what it signed.
fn spaced_hex(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}
