//! Why a request is not authenticated. [`AuthError::aws_error`] gives what the client sees.

/// Where a request carries its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the `Authorization` header.
    Header,
    /// In the query string (a presigned URL).
    Query,
}

/// A named piece of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// `X-Amz-Algorithm`.
    Algorithm,
    /// `Credential`, `X-Amz-Credential`.
    Credential,
    /// `SignedHeaders`, `X-Amz-SignedHeaders`.
    SignedHeaders,
    /// `Signature`, `X-Amz-Signature`.
    Signature,
    /// `x-amz-date` or `date`, `X-Amz-Date`.
    Date,
    /// `X-Amz-Expires`.
    Expires,
    /// `x-amz-security-token`, `X-Amz-Security-Token`.
    SecurityToken,
    /// `x-amz-content-sha256`, `X-Amz-Content-Sha256`.
    ContentSha256,
    /// The `Authorization` header itself.
    Authorization,
}

impl Piece {
    /// The name as a query parameter writes it, without the prefix `X-Amz-`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Algorithm => "Algorithm",
            Self::Credential => "Credential",
            Self::SignedHeaders => "SignedHeaders",
            Self::Signature => "Signature",
            Self::Date => "Date",
            Self::Expires => "Expires",
            Self::SecurityToken => "Security-Token",
            Self::ContentSha256 => "Content-Sha256",
            Self::Authorization => "Authorization",
        }
    }
}

/// What was computed when a signature did not match; S3 shows these texts to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The access key id of the request.
    pub access_key_id: String,
    /// The signature of the request.
    pub signature_provided: String,
    /// The string to sign that was computed here.
    pub string_to_sign: String,
    /// The canonical request that was computed here.
    pub canonical_request: String,
}

/// Why a request is not authenticated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Nobody signed, and the operation is not public.
    #[error("the request is not signed; sign it with {}", crate::ALGORITHM)]
    NotSigned,
    /// The store of credentials has no such key.
    #[error("there is no access key {access_key_id:?}; check the credentials of the client")]
    UnknownAccessKey {
        /// As the request names it.
        access_key_id: String,
    },
    /// The session token does not belong to the access key.
    #[error("the session token does not belong to the access key; send the token that came with the key")]
    SessionTokenInvalid,
    /// The session is over.
    #[error("the session token has expired; get new temporary credentials")]
    SessionTokenExpired,
    /// More than one of header, query and old query signature.
    #[error("the request is signed in its header and in its query; use one of them")]
    TwoMechanisms,
    /// Signature Version 2.
    #[error("the request is signed with Signature Version 2; use {}", crate::ALGORITHM)]
    SigV2,
    /// Signature Version 4a.
    #[error("the request is signed with {}; use {}", crate::ALGORITHM_V4A, crate::ALGORITHM)]
    SigV4a,
    /// Neither of the known schemes.
    #[error("the authorization scheme {found:?} is not known; use {}", crate::ALGORITHM)]
    UnknownScheme {
        /// The first word of the header, or the value of `X-Amz-Algorithm`.
        found: String,
    },
    /// A piece is not text.
    #[error("{} ({place:?}) is not readable text; send UTF-8", piece.name())]
    NotText {
        /// Where it stands.
        place: Place,
        /// Which.
        piece: Piece,
    },
    /// A piece is not there.
    #[error("{} is missing ({place:?}); send it", piece.name())]
    Missing {
        /// Where it was sought.
        place: Place,
        /// Which.
        piece: Piece,
    },
    /// A piece is there more than once.
    #[error("{} is there more than once ({place:?}); send it once", piece.name())]
    Duplicate {
        /// Where it stands.
        place: Place,
        /// Which.
        piece: Piece,
    },
    /// A piece of the `Authorization` header that SigV4 does not have.
    #[error(
        "the Authorization header has a piece {found:?}; send Credential, SignedHeaders and Signature only"
    )]
    UnknownPiece {
        /// The text between two commas.
        found: String,
    },
    /// Not five pieces.
    #[error("the credential is {found:?}; expected AKID/YYYYMMDD/REGION/SERVICE/aws4_request")]
    CredentialMalformed {
        /// Where it stands.
        place: Place,
        /// As the request has it.
        found: String,
    },
    /// The scope does not end as it must.
    #[error("the credential scope ends in {found:?}; expected \"aws4_request\"")]
    ScopeTerminator {
        /// Where it stands.
        place: Place,
        /// As the request has it.
        found: String,
    },
    /// The scope is for another day than the request.
    #[error(
        "the credential scope is of {found:?}, but the request of {date:?}; use the day of the request's date"
    )]
    ScopeDate {
        /// Where it stands.
        place: Place,
        /// As the scope has it.
        found: String,
        /// The date of the request, `YYYYMMDDTHHMMSSZ`.
        date: String,
    },
    /// The scope is for another region.
    #[error("the credential scope is for the region {found:?}; expected {expected:?}")]
    ScopeRegion {
        /// Where it stands.
        place: Place,
        /// As the request has it.
        found: String,
        /// The region that answers.
        expected: String,
    },
    /// The scope is for another service.
    #[error("the credential scope is for the service {found:?}; expected {expected:?}")]
    ScopeService {
        /// Where it stands.
        place: Place,
        /// As the request has it.
        found: String,
        /// The service that answers.
        expected: String,
    },
    /// Not a date in the form that it must have.
    #[error("the date is {found:?} ({place:?}); expected YYYYMMDDTHHMMSSZ")]
    DateMalformed {
        /// Where it stands.
        place: Place,
        /// As the request has it.
        found: String,
    },
    /// Not lower-case, sorted, distinct names.
    #[error(
        "the signed headers are {found:?} ({place:?}); expected distinct lower-case names in order, with ';' between"
    )]
    SignedHeadersMalformed {
        /// Where they stand.
        place: Place,
        /// As the request has it.
        found: String,
    },
    /// Not a whole number.
    #[error("X-Amz-Expires is {found:?}; expected seconds from 0 to {}", crate::MAX_PRESIGNED_LIFE_S)]
    ExpiresNotANumber {
        /// As the request has it.
        found: String,
    },
    /// Below zero.
    #[error("X-Amz-Expires is {found}; expected seconds from 0 to {}", crate::MAX_PRESIGNED_LIFE_S)]
    ExpiresNegative {
        /// Seconds.
        found: i64,
    },
    /// More than a week.
    #[error("X-Amz-Expires is {found}; expected seconds from 0 to {}", crate::MAX_PRESIGNED_LIFE_S)]
    ExpiresTooLong {
        /// Seconds.
        found: i64,
    },
    /// A presigned URL whose life is over.
    #[error(
        "the presigned request was valid until {expires_s}, now it is {now_s} (Unix seconds); presign it anew"
    )]
    Expired {
        /// Seconds since 1970.
        expires_s: i64,
        /// How long it was valid, in seconds.
        life_s: i64,
        /// Seconds since 1970.
        now_s: i64,
    },
    /// A presigned URL from the future.
    #[error("the presigned request is of {date_s}, now it is {now_s} (Unix seconds); set the client's clock")]
    NotYetValid {
        /// Seconds since 1970.
        date_s: i64,
        /// Seconds since 1970.
        now_s: i64,
    },
    /// The clocks differ too much.
    #[error("the request is of {date_s}, now it is {now_s} (Unix seconds); set the client's clock")]
    Skewed {
        /// Seconds since 1970.
        date_s: i64,
        /// Seconds since 1970.
        now_s: i64,
    },
    /// The signature does not cover the host.
    #[error("the signature does not cover the host header; add it to the signed headers")]
    HostNotSigned,
    /// These `x-amz-` headers could have been added by anyone.
    #[error("the signature does not cover the headers {}; sign all x-amz- headers", names.join(", "))]
    HeadersNotSigned {
        /// In lower case, sorted.
        names: Vec<String>,
    },
    /// The signature covers a header that did not arrive.
    #[error("the signed header {name:?} is not in the request; check what stands between client and server")]
    SignedHeaderMissing {
        /// In lower case.
        name: String,
    },
    /// S3 demands `x-amz-content-sha256`.
    #[error("the header x-amz-content-sha256 is missing; send the body's SHA-256 or UNSIGNED-PAYLOAD")]
    PayloadHashMissing,
    /// Neither digest nor a known word.
    #[error("x-amz-content-sha256 is {found:?}; expected 64 hexadecimal digits or one of AWS's words")]
    PayloadHashInvalid {
        /// As the request has it.
        found: String,
    },
    /// Chunks signed with Signature Version 4a.
    #[error("x-amz-content-sha256 is {found:?}; sign the chunks with {}", crate::ALGORITHM)]
    PayloadSigV4a {
        /// As the request has it.
        found: String,
    },
    /// A mistake of the caller, never of the client.
    #[error("the SHA-256 of the body is needed to verify this request; set VerifyOptions::body_sha256")]
    BodyHashNotGiven,
    /// The signature is wrong.
    #[error("the signature of {:?} does not match; check the secret key and what was signed", .0.access_key_id)]
    SignatureMismatch(Box<Mismatch>),
}
