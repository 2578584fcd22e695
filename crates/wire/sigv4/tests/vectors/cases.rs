//! Reading the shared signing cases.

use http::Request;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Header,
    Query,
}

pub(crate) struct Case {
    pub(crate) name: String,
    folder: PathBuf,
    pub(crate) access_key_id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) normalise: bool,
    pub(crate) sign_body: bool,
    pub(crate) omit_session_token: bool,
    pub(crate) life_s: i64,
    pub(crate) now_unix_s: i64,
}

fn root(version: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/data/sigv4")).join(version)
}

/// Names of all cases of a version, sorted.
pub(crate) fn names(version: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root(version)).expect("the shared signing cases");
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn load(version: &str, name: &str) -> Case {
    let folder = root(version).join(name);
    let context: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("context.json")).unwrap()).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let credentials = &context["credentials"];
    let at: jiff::Timestamp = text(&context["timestamp"]).parse().unwrap();
    Case {
        name: name.to_owned(),
        folder,
        access_key_id: text(&credentials["access_key_id"]),
        secret: text(&credentials["secret_access_key"]),
        token: credentials["token"].as_str().map(Into::into),
        region: text(&context["region"]),
        service: text(&context["service"]),
        normalise: context["normalize"].as_bool().unwrap(),
        sign_body: context["sign_body"].as_bool().unwrap(),
        omit_session_token: context["omit_session_token"].as_bool().unwrap_or(false),
        life_s: context["expiration_in_seconds"].as_i64().unwrap(),
        now_unix_s: at.as_second(),
    }
}

impl Case {
    pub(crate) fn raw(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap()
    }

    pub(crate) fn text(&self, kind: Kind, what: &str) -> String {
        let prefix = if kind == Kind::Header { "header" } else { "query" };
        self.raw(&format!("{prefix}-{what}.txt"))
    }
}

/// The request as it arrives through HTTP: a space in the path is escaped, for no HTTP/1 request line can hold
/// one, and a folded header is unfolded to spaces (RFC 9112, section 5.2).
pub(crate) fn send(text: &str) -> Request<Vec<u8>> {
    let text = text.replace("\n ", "  ");
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    let (method, rest) = first.split_once(' ').unwrap();
    let (target, _) = rest.rsplit_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target.replace(' ', "%20"));
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        request = request.header(name, value);
    }
    request.body(body.trim_matches('\n').as_bytes().to_vec()).unwrap()
}

/// The request with one thing changed, each time another.
pub(crate) fn changes(request: &Request<Vec<u8>>, signature: &str) -> Vec<(&'static str, Request<Vec<u8>>)> {
    let flipped = format!("{}{}", if signature.starts_with('0') { '1' } else { '0' }, &signature[1..]);
    let mut all = Vec::new();
    let mut change = |what, edit: &dyn Fn(&mut Request<Vec<u8>>)| {
        let mut changed = request.clone();
        edit(&mut changed);
        all.push((what, changed));
    };
    change("body", &|request| request.body_mut().push(b'x'));
    change("method", &|request| *request.method_mut() = http::Method::PUT);
    change("path", &|request| {
        let end = request.uri().path().len();
        set_uri(request, |uri| format!("{}x{}", &uri[..end], &uri[end..]));
    });
    change("query", &|request| {
        set_uri(request, |uri| format!("{uri}{}extra=1", if uri.contains('?') { '&' } else { '?' }));
    });
    change("signature", &|request| {
        set_uri(request, |uri| uri.replace(signature, &flipped));
        if let Some(value) = request.headers_mut().get_mut("authorization") {
            *value = value.to_str().unwrap().replace(signature, &flipped).parse().unwrap();
        }
    });
    let names: Vec<_> = request.headers().keys().filter(|name| *name != "authorization").cloned().collect();
    for name in names {
        // A token that was added after signing is bound to the key, not to the signature.
        if name == "x-amz-security-token" && !covers(request, "x-amz-security-token") {
            continue;
        }
        change("header", &|request| {
            let value = request.headers_mut().get_mut(&name).unwrap();
            let mut bytes = value.as_bytes().to_vec();
            let last = bytes.last_mut().unwrap();
            *last = if *last == b'1' { b'2' } else { b'1' };
            *value = http::HeaderValue::from_bytes(&bytes).unwrap();
        });
        change("removed header", &|request| {
            request.headers_mut().remove(&name);
        });
    }
    all
}

fn covers(request: &Request<Vec<u8>>, name: &str) -> bool {
    let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap());
    authorization.is_some_and(|text| text.contains(name))
}

fn set_uri(request: &mut Request<Vec<u8>>, edit: impl Fn(&str) -> String) {
    *request.uri_mut() = edit(&request.uri().to_string()).parse().unwrap();
}
