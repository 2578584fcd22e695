//! Every published signing case: accepted as signed, refused with anything changed, and signed alike by us.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cases;

use cases::{Case, Kind, load, names, send};
use lambent_sigv4::{AuthError, ServiceRules, Signer, SigningKey, VerifyOptions, parse, sha256};

/// Cases of version 4 that cannot arrive as they are written, and what arrives instead; see [`send`].
/// All others, and in this form these too, are verified.
const SENT_DIFFERENTLY: [(&str, &str); 3] = [
    (
        "get-header-value-multiline",
        "HTTP/1.1 forbids folded headers; a proxy unfolds them to spaces (RFC 9112, 5.2)",
    ),
    ("get-space-normalized", "a request line cannot hold a space in its path; clients escape it"),
    ("get-space-unnormalized", "a request line cannot hold a space in its path; clients escape it"),
];

/// Cases of version 4a that cannot be sent, each with its reason.
const NOT_APPLICABLE_V4A: [(&str, &str); 2] = [
    ("get-vanilla-query-order-key", "the folder holds a context and an unsigned request only"),
    ("get-vanilla-query-order-value", "the folder holds a context and an unsigned request only"),
];

/// How many there must be, so that a missing folder is noticed.
const V4_CASES: usize = 38;
const V4A_CASES: usize = 40;

/// The vectors encode the path once; otherwise they are like every service but S3.
fn rules(case: &Case) -> ServiceRules {
    ServiceRules { normalise_path: case.normalise, double_encode_path: false, ..ServiceRules::OTHER }
}

fn applicable() -> Vec<Case> {
    let names = names("v4");
    assert_eq!(names.len(), V4_CASES);
    for (name, reason) in SENT_DIFFERENTLY {
        assert!(names.iter().any(|known| known == name), "{name} ({reason}) is no case");
    }
    names.iter().map(|name| load("v4", name)).collect()
}

fn verify(case: &Case, request: &http::Request<Vec<u8>>) -> Result<(), AuthError> {
    let (parts, body) = request.clone().into_parts();
    let signed = parse(&parts)?.ok_or(AuthError::NotSigned)?;
    let key = SigningKey::derive(&case.secret, signed.date(), signed.region(), signed.service());
    let options = VerifyOptions {
        rules: rules(case),
        service: &case.service,
        region: Some(&case.region),
        body_sha256: Some(sha256(&body)),
    };
    signed.verify(&parts, &key, case.now_unix_s, &options).map(drop)
}

#[test]
fn every_v4_case_is_accepted() {
    for case in applicable() {
        for kind in [Kind::Header, Kind::Query] {
            let request = send(&case.text(kind, "signed-request"));
            assert_eq!(verify(&case, &request), Ok(()), "{} {kind:?}", case.name);
            let signed_by = parse_id(&request);
            assert_eq!(signed_by, case.access_key_id, "{}", case.name);
        }
    }
}

fn parse_id(request: &http::Request<Vec<u8>>) -> String {
    let (parts, _) = request.clone().into_parts();
    parse(&parts).unwrap().unwrap().access_key_id().to_owned()
}

#[test]
fn canonical_request_and_string_to_sign_are_the_published_ones() {
    for case in applicable() {
        for kind in [Kind::Header, Kind::Query] {
            // A signature of zeros makes the verifier show what it computed.
            let text = case.text(kind, "signed-request");
            let zeros = text.replace(case.text(kind, "signature").trim(), &"0".repeat(64));
            let Err(AuthError::SignatureMismatch(mismatch)) = verify(&case, &send(&zeros)) else {
                panic!("{} {kind:?}: a signature of zeros was not refused as a mismatch", case.name);
            };
            // A presigned request may have got its token after signing: then the verifier shows its first try.
            if kind == Kind::Query && case.omit_session_token {
                continue;
            }
            assert_eq!(mismatch.canonical_request, case.text(kind, "canonical-request"), "{}", case.name);
            assert_eq!(mismatch.string_to_sign, case.text(kind, "string-to-sign"), "{}", case.name);
        }
    }
}

#[test]
fn one_changed_byte_is_refused() {
    for case in applicable() {
        for kind in [Kind::Header, Kind::Query] {
            let request = send(&case.text(kind, "signed-request"));
            for (what, changed) in cases::changes(&request, case.text(kind, "signature").trim()) {
                assert!(
                    verify(&case, &changed).is_err(),
                    "{} {kind:?}: changed {what} was accepted",
                    case.name
                );
            }
        }
    }
}

#[test]
fn another_secret_time_region_or_service_is_refused() {
    for case in applicable() {
        for kind in [Kind::Header, Kind::Query] {
            let request = send(&case.text(kind, "signed-request"));
            let other = |change: fn(&mut Case)| {
                let mut other = load("v4", &case.name);
                change(&mut other);
                verify(&other, &request).unwrap_err()
            };
            assert!(matches!(other(|case| case.secret.push('x')), AuthError::SignatureMismatch(_)));
            assert!(matches!(other(|case| case.region.push('x')), AuthError::ScopeRegion { .. }));
            assert!(matches!(other(|case| case.service.push('x')), AuthError::ScopeService { .. }));
            let late = other(|case| case.now_unix_s += 3601);
            let early = other(|case| case.now_unix_s -= 901);
            match kind {
                Kind::Header => {
                    assert!(matches!((late, early), (AuthError::Skewed { .. }, AuthError::Skewed { .. })));
                }
                Kind::Query => {
                    assert!(matches!(
                        (late, early),
                        (AuthError::Expired { .. }, AuthError::NotYetValid { .. })
                    ));
                }
            }
        }
    }
}

#[test]
fn our_signer_gives_the_published_signatures() {
    for case in applicable() {
        // The signer always signs the token.
        if case.omit_session_token {
            continue;
        }
        let signer = Signer {
            access_key_id: &case.access_key_id,
            secret: &case.secret,
            session_token: case.token.as_deref(),
            region: &case.region,
            service: &case.service,
            rules: rules(&case),
            now_unix_s: case.now_unix_s,
        };
        let (mut parts, body) = send(&case.raw("request.txt")).into_parts();
        let hash = lambent_base::text::hex(&sha256(&body));
        let mut presigned = parts.clone();
        if case.sign_body {
            parts.headers.insert("x-amz-content-sha256", hash.parse().unwrap());
        }
        let signed = signer.sign(&mut parts, &hash).unwrap();
        assert_eq!(signed.seed_signature, case.text(Kind::Header, "signature").trim(), "{}", case.name);
        signer.presign(&mut presigned, case.life_s, &hash).unwrap();
        let query = presigned.uri.query().unwrap();
        let (_, signature) = query.split_once("X-Amz-Signature=").unwrap();
        assert_eq!(signature, case.text(Kind::Query, "signature").trim(), "{}", case.name);
    }
}

#[test]
fn every_v4a_case_is_refused_by_name() {
    let names = names("v4a");
    assert_eq!(names.len(), V4A_CASES);
    for (name, reason) in NOT_APPLICABLE_V4A {
        assert!(names.iter().any(|known| known == name), "{name} ({reason}) is no case");
    }
    for name in names.iter().filter(|name| !NOT_APPLICABLE_V4A.iter().any(|(skipped, _)| skipped == name)) {
        let case = load("v4a", name);
        for kind in [Kind::Header, Kind::Query] {
            let request = send(&case.text(kind, "signed-request"));
            assert_eq!(parse(&request.into_parts().0).unwrap_err(), AuthError::SigV4a, "{name} {kind:?}");
        }
    }
}
