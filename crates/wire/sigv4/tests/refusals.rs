//! Each malformed, missing or doubled piece has its own error, and each error AWS's code, status and wording.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use http::Request;
use http::request::Parts;
use lambent_sigv4::{
    AuthError, ErrorStyle, PayloadKind, Piece, Place, ServiceRules, Signer, SigningKey, UNSIGNED_PAYLOAD,
    VerifyOptions, parse,
};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOW_S: i64 = 1_440_938_160;

fn signer(service: &str) -> Signer<'_> {
    Signer {
        access_key_id: "AKIDEXAMPLE",
        secret: SECRET,
        session_token: None,
        region: "us-east-1",
        service,
        rules: ServiceRules::of(service),
        now_unix_s: NOW_S,
    }
}

fn request(uri: &str) -> Parts {
    Request::get(uri).header("host", "bucket.s3.localhost").body(()).unwrap().into_parts().0
}

fn s3_signed() -> Parts {
    let mut parts = request("/key?versioning");
    signer("s3").sign(&mut parts, UNSIGNED_PAYLOAD).unwrap();
    parts
}

fn s3_presigned(life_s: i64) -> Parts {
    let mut parts = request("/key?versioning");
    signer("s3").presign(&mut parts, life_s, UNSIGNED_PAYLOAD).unwrap();
    parts
}

fn verify_at(parts: &Parts, now_s: i64) -> Result<PayloadKind, AuthError> {
    let signed = parse(parts)?.ok_or(AuthError::NotSigned)?;
    let service = signed.service().to_owned();
    let key = SigningKey::derive(SECRET, signed.date(), signed.region(), &service);
    let options = VerifyOptions {
        rules: ServiceRules::of(&service),
        service: "s3",
        region: Some("us-east-1"),
        body_sha256: None,
    };
    signed.verify(parts, &key, now_s, &options).map(|verified| verified.payload)
}

fn with_authorization(edit: impl Fn(&str) -> String) -> Parts {
    let mut parts = s3_signed();
    let value = edit(parts.headers["authorization"].to_str().unwrap());
    parts.headers.insert("authorization", value.parse().unwrap());
    parts
}

fn with_query(edit: impl Fn(&str) -> String) -> Parts {
    let mut parts = s3_presigned(60);
    parts.uri = edit(&parts.uri.to_string()).parse().unwrap();
    parts
}

/// The error, and code, status and message for S3.
fn refused(parts: &Parts) -> (AuthError, &'static str, u16, String) {
    let error = verify_at(parts, NOW_S).unwrap_err();
    let aws = error.aws_error(ErrorStyle::S3);
    (error, aws.code, aws.status, aws.message)
}

#[test]
fn what_is_signed_is_accepted_and_what_is_not_is_none() {
    assert_eq!(verify_at(&s3_signed(), NOW_S), Ok(PayloadKind::Unsigned));
    assert_eq!(verify_at(&s3_presigned(60), NOW_S), Ok(PayloadKind::Unsigned));
    assert!(parse(&request("/key?X-Amz-Date=20150830T123600Z")).unwrap().is_none());
}

#[test]
fn the_header_may_be_written_without_spaces_and_in_any_order() {
    assert!(verify_at(&with_authorization(|text| text.replace(", ", ",")), NOW_S).is_ok());
    let reversed = with_authorization(|text| {
        let (scheme, rest) = text.split_once(' ').unwrap();
        let mut pieces: Vec<&str> = rest.split(", ").collect();
        pieces.reverse();
        format!("{scheme} {}", pieces.join(" , "))
    });
    assert!(verify_at(&reversed, NOW_S).is_ok());
}

#[test]
fn missing_and_doubled_pieces_of_the_header_are_named() {
    let place = Place::Header;
    for (name, piece) in [
        ("Credential", Piece::Credential),
        ("SignedHeaders", Piece::SignedHeaders),
        ("Signature", Piece::Signature),
    ] {
        let edited = |twice: bool| {
            with_authorization(|text| {
                let (scheme, rest) = text.split_once(' ').unwrap();
                let (own, mut pieces): (Vec<&str>, Vec<&str>) =
                    rest.split(", ").partition(|piece| piece.starts_with(name));
                if twice {
                    pieces.extend([own[0], own[0]]);
                }
                format!("{scheme} {}", pieces.join(","))
            })
        };
        let (error, code, status, message) = refused(&edited(false));
        assert_eq!(
            (error, code, status),
            (AuthError::Missing { place, piece }, "AuthorizationHeaderMalformed", 400)
        );
        assert!(message.ends_with("requires three components: Credential, SignedHeaders, and Signature."));
        assert_eq!(refused(&edited(true)).0, AuthError::Duplicate { place, piece });
    }
    let mut twice = s3_signed();
    let value = twice.headers["authorization"].clone();
    twice.headers.append("authorization", value);
    assert_eq!(refused(&twice).0, AuthError::Duplicate { place, piece: Piece::Authorization });
}

#[test]
fn missing_and_doubled_pieces_of_the_query_are_named() {
    let place = Place::Query;
    for piece in [
        Piece::Algorithm,
        Piece::Credential,
        Piece::Date,
        Piece::Expires,
        Piece::SignedHeaders,
        Piece::Signature,
    ] {
        let prefix = format!("X-Amz-{}=", piece.name());
        let without = with_query(|uri| {
            let (path, query) = uri.split_once('?').unwrap();
            let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with(&prefix)).collect();
            format!("{path}?{}", kept.join("&"))
        });
        let (error, code, status, message) = refused(&without);
        assert_eq!((error, code), (AuthError::Missing { place, piece }, "AuthorizationQueryParametersError"));
        assert_eq!(status, 400);
        // Recorded from AWS.
        assert_eq!(
            message,
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, \
             X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        );
        let twice = with_query(|uri| format!("{uri}&{prefix}x"));
        assert_eq!(refused(&twice).0, AuthError::Duplicate { place, piece });
    }
}

#[test]
fn other_schemes_are_refused_by_name() {
    let with = |value: &str| with_authorization(|_| value.to_owned());
    assert_eq!(refused(&with("AWS AKID:c2lnbmF0dXJl")).0, AuthError::SigV2);
    assert_eq!(refused(&request("/key?AWSAccessKeyId=AKID&Expires=1&Signature=x")).0, AuthError::SigV2);
    assert_eq!(refused(&with("AWS4-ECDSA-P256-SHA256 Credential=x")).0, AuthError::SigV4a);
    let (error, code, _, message) = refused(&with("Bearer abc"));
    assert_eq!(error, AuthError::UnknownScheme { found: "Bearer".into() });
    assert_eq!((code, message.as_str()), ("InvalidArgument", "Unsupported Authorization Type"));
    let mut both = s3_presigned(60);
    both.headers = s3_signed().headers;
    assert_eq!(refused(&both).0, AuthError::TwoMechanisms);
    let streaming = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD";
    let mut v4a_chunks = s3_signed();
    v4a_chunks.headers.insert("x-amz-content-sha256", streaming.parse().unwrap());
    assert_eq!(refused(&v4a_chunks).0, AuthError::PayloadSigV4a { found: streaming.into() });
}

#[test]
fn wrong_scopes_are_named() {
    let (error, code, status, message) =
        refused(&with_authorization(|text| text.replace("us-east-1", "aws-global")));
    assert!(matches!(error, AuthError::ScopeRegion { .. }));
    assert_eq!((code, status), ("AuthorizationHeaderMalformed", 400));
    // Recorded from AWS.
    assert_eq!(
        message,
        "The authorization header is malformed; the region 'aws-global' is wrong; expecting 'us-east-1'"
    );
    let edit =
        |from: &'static str, to: &'static str| refused(&with_authorization(|text| text.replace(from, to))).0;
    assert!(matches!(edit("/s3/", "/s3-outposts/"), AuthError::ScopeService { .. }));
    assert!(matches!(edit("aws4_request", "aws5_request"), AuthError::ScopeTerminator { .. }));
    assert!(matches!(edit("20150830", "20150831"), AuthError::ScopeDate { .. }));
    assert!(matches!(edit("/s3/", "/"), AuthError::CredentialMalformed { .. }));
    assert!(matches!(edit("host;", "host;host;"), AuthError::SignedHeadersMalformed { .. }));
    assert!(matches!(edit("host;", "Host;"), AuthError::SignedHeadersMalformed { .. }));
}

#[test]
fn times_are_held_to_the_second() {
    let signed = s3_signed();
    assert!(verify_at(&signed, NOW_S + 900).is_ok() && verify_at(&signed, NOW_S - 900).is_ok());
    for now_s in [NOW_S + 901, NOW_S - 901] {
        let error = verify_at(&signed, now_s).unwrap_err();
        assert_eq!(error, AuthError::Skewed { date_s: NOW_S, now_s });
        assert_eq!(error.aws_error(ErrorStyle::S3).code, "RequestTimeTooSkewed");
    }
    let presigned = s3_presigned(60);
    assert!(verify_at(&presigned, NOW_S + 60).is_ok() && verify_at(&presigned, NOW_S - 900).is_ok());
    let error = verify_at(&presigned, NOW_S + 61).unwrap_err();
    let aws = error.aws_error(ErrorStyle::S3);
    // Recorded from AWS.
    assert_eq!((aws.code, aws.status, aws.message.as_str()), ("AccessDenied", 403, "Request has expired"));
    assert_eq!(aws.details[1], ("Expires", "2015-08-30T12:37:00Z".to_owned()));
    assert!(matches!(verify_at(&presigned, NOW_S - 901), Err(AuthError::NotYetValid { .. })));
}

#[test]
fn lives_of_presigned_requests_are_bounded() {
    assert!(verify_at(&s3_presigned(604_800), NOW_S + 604_800).is_ok());
    assert!(signer("s3").presign(&mut request("/"), 604_801, UNSIGNED_PAYLOAD).is_err());
    let with = |life: &str| refused(&with_query(|uri| uri.replace("Expires=60", &format!("Expires={life}"))));
    assert_eq!(with("604801").0, AuthError::ExpiresTooLong { found: 604_801 });
    assert_eq!(with("-1").0, AuthError::ExpiresNegative { found: -1 });
    assert_eq!(with("soon").0, AuthError::ExpiresNotANumber { found: "soon".into() });
    assert_eq!(with("soon").1, "AuthorizationQueryParametersError");
}

#[test]
fn headers_that_must_be_signed_are() {
    let mut added = s3_presigned(60);
    added.headers.insert("x-amz-decoded-content-length", "1".parse().unwrap());
    added.headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
    let aws = verify_at(&added, NOW_S).unwrap_err().aws_error(ErrorStyle::S3);
    // Recorded from AWS.
    assert_eq!(aws.message, "There were headers present in the request which were not signed");
    assert_eq!(aws.details, [("HeadersNotSigned", "x-amz-date, x-amz-decoded-content-length".to_owned())]);
    let no_host = with_authorization(|text| text.replace("host;", ""));
    assert_eq!(refused(&no_host).0, AuthError::HostNotSigned);
    let mut lost = s3_signed();
    lost.headers.remove("host");
    assert_eq!(refused(&lost).0, AuthError::SignedHeaderMissing { name: "host".into() });
}

#[test]
fn dates_and_payload_hashes_are_demanded() {
    let without = |name: &str| {
        let mut parts = s3_signed();
        parts.headers.remove(name);
        parts
    };
    let (error, code, status, _) = refused(&without("x-amz-date"));
    assert_eq!(error, AuthError::Missing { place: Place::Header, piece: Piece::Date });
    assert_eq!((code, status), ("AccessDenied", 403));
    assert_eq!(refused(&without("x-amz-content-sha256")).0, AuthError::PayloadHashMissing);
    let mut wrong = s3_signed();
    wrong.headers.insert("x-amz-content-sha256", "abc".parse().unwrap());
    assert_eq!(refused(&wrong).0, AuthError::PayloadHashInvalid { found: "abc".into() });
    wrong.headers.insert("x-amz-date", "yesterday".parse().unwrap());
    assert!(matches!(refused(&wrong).0, AuthError::DateMalformed { .. }));
}

#[test]
fn http2_requests_carry_the_host_in_their_uri() {
    let mut parts = s3_signed();
    parts.headers.remove("host");
    parts.uri = "http://bucket.s3.localhost/key?versioning".parse().unwrap();
    assert!(verify_at(&parts, NOW_S).is_ok());
}

#[test]
fn a_mismatch_shows_what_was_computed() {
    let mut parts = s3_signed();
    parts.uri = "/other".parse().unwrap();
    let aws = verify_at(&parts, NOW_S).unwrap_err().aws_error(ErrorStyle::S3);
    assert_eq!((aws.code, aws.status), ("SignatureDoesNotMatch", 403));
    // Recorded from AWS.
    assert_eq!(
        aws.message,
        "The request signature we calculated does not match the signature you provided. Check your key and signing \
         method."
    );
    let names: Vec<&str> = aws.details.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "AWSAccessKeyId",
            "StringToSign",
            "SignatureProvided",
            "StringToSignBytes",
            "CanonicalRequest",
            "CanonicalRequestBytes"
        ]
    );
}

#[test]
fn families_of_services_name_errors_differently() {
    let unknown = AuthError::UnknownAccessKey { access_key_id: "AKID".into() };
    for (style, code, status) in [
        (ErrorStyle::S3, "InvalidAccessKeyId", 403),
        (ErrorStyle::Query, "InvalidClientTokenId", 403),
        (ErrorStyle::Json, "UnrecognizedClientException", 400),
        (ErrorStyle::RestJson, "UnrecognizedClientException", 403),
    ] {
        let aws = unknown.aws_error(style);
        assert_eq!((aws.code, aws.status), (code, status));
    }
    let late = AuthError::Skewed { date_s: NOW_S, now_s: NOW_S + 1000 }.aws_error(ErrorStyle::Query);
    assert_eq!(late.code, "SignatureDoesNotMatch");
    assert_eq!(
        late.message,
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123740Z (20150830T125240Z - 15 min.)"
    );
}
