//! What we sign we accept, and nothing else.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use http::{HeaderValue, Method, Request};
use lambent_sigv4::{AuthError, ServiceRules, Signer, SigningKey, VerifyOptions, parse, sha256};
use proptest::prelude::*;

const NOW_S: i64 = 1_700_000_000;

#[derive(Debug, Clone)]
struct Call {
    method: Method,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    token: Option<String>,
    service: &'static str,
}

fn calls() -> impl Strategy<Value = Call> {
    let piece = "([A-Za-z0-9._~:@!$'()*,;/-]|%[0-9a-fA-F]{2}){0,12}";
    let query =
        "(([A-Za-z0-9._~/:+-]|%[0-9a-fA-F]{2}){0,6}(=([A-Za-z0-9._~/:+=-]|%[0-9a-fA-F]{2}){0,6})?&){0,5}";
    let value = "[\\x20-\\x7e\\t]{0,20}";
    let headers = prop::collection::vec(("(x-amz-meta|my)-[a-z]{1,5}", value), 0..5);
    (
        prop::sample::select(vec![Method::GET, Method::PUT, Method::POST, Method::DELETE]),
        (piece, query),
        headers,
        prop::collection::vec(any::<u8>(), 0..50),
        prop::option::of("[A-Za-z0-9/+=]{1,40}"),
        prop::sample::select(vec!["s3", "lambda"]),
    )
        .prop_map(|(method, (path, query), headers, body, token, service)| Call {
            method,
            target: format!("/{path}?{query}"),
            headers: headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
            body,
            token,
            service,
        })
}

fn sign(call: &Call, presign: bool) -> http::request::Parts {
    let mut request =
        Request::builder().method(&call.method).uri(&call.target).header("host", "localhost:4566");
    for (name, value) in &call.headers {
        request = request.header(name, HeaderValue::from_bytes(value).unwrap());
    }
    let mut parts = request.body(()).unwrap().into_parts().0;
    let signer = Signer {
        access_key_id: "AKIDEXAMPLE",
        secret: "secret",
        session_token: call.token.as_deref(),
        region: "eu-central-1",
        service: call.service,
        rules: ServiceRules::of(call.service),
        now_unix_s: NOW_S,
    };
    let hash = lambent_base::text::hex(&sha256(&call.body));
    if !presign {
        signer.sign(&mut parts, &hash).unwrap();
        return parts;
    }
    let hash = if call.service == "s3" { lambent_sigv4::UNSIGNED_PAYLOAD } else { &hash };
    signer.presign(&mut parts, 100, hash).unwrap();
    parts
}

fn verify(parts: &http::request::Parts, call: &Call) -> Result<(), AuthError> {
    let signed = parse(parts)?.ok_or(AuthError::NotSigned)?;
    assert_eq!(signed.session_token(), call.token.as_deref());
    let key = SigningKey::of(&signed, "secret");
    let options = VerifyOptions {
        rules: ServiceRules::of(call.service),
        service: call.service,
        region: Some("eu-central-1"),
        body_sha256: Some(sha256(&call.body)),
    };
    signed.verify(parts, &key, NOW_S + 50, &options).map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn signed_is_accepted(call in calls(), presign: bool) {
        prop_assert_eq!(verify(&sign(&call, presign), &call), Ok(()));
    }

    #[test]
    fn an_added_parameter_header_or_byte_is_refused(call in calls(), presign: bool) {
        let parts = sign(&call, presign);
        let mut changed = parts.clone();
        changed.uri = format!("{}&zz=1", parts.uri).parse().unwrap();
        prop_assert!(verify(&changed, &call).is_err());
        let mut changed = parts.clone();
        changed.headers.insert("x-amz-acl", HeaderValue::from_static("public-read"));
        prop_assert!(verify(&changed, &call).is_err());
        if call.service != "s3" {
            let mut other = call;
            other.body.push(0);
            prop_assert!(verify(&parts, &other).is_err());
        }
    }

    #[test]
    fn no_header_or_query_panics(header in "[ -~]{0,80}", query in "[!$-~]{0,80}") {
        let query = query.replace(['#', '"', '<', '>', '`', '{', '}', '\\', '^', '|'], "");
        let request = Request::get(format!("/?X-Amz-Algorithm=AWS4-HMAC-SHA256&{query}")).body(()).unwrap();
        prop_assert!(parse(&request.into_parts().0).is_err());
        let header = format!("AWS4-HMAC-SHA256 {header}");
        let request = Request::get("/").header("authorization", header).body(()).unwrap();
        prop_assert!(parse(&request.into_parts().0).is_err());
    }
}
