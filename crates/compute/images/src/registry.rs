//! Registries. Source: OCI distribution specification, "Pull"; Docker Registry's "Token Authentication".

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use lambent_outbound::Guard;
use parking_lot::Mutex;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use crate::digest::Digest;
use crate::error::ImageError;
use crate::limits::{MANIFEST_BYTES_MAX, REDIRECTS_MAX, TOKEN_BYTES_MAX};
use crate::manifest::MANIFEST_TYPES;

/// One repository of a registry.
pub(crate) struct Registry<'a> {
    guard: &'a Guard,
    host: String,
    base: String,
    repository: String,
    /// The operator's user and password.
    credentials: Option<Credentials>,
    /// What the registry's own challenge was answered with.
    answer: Mutex<Option<HeaderValue>>,
}

/// A user and a password, in base64 with a colon between.
pub(crate) struct Credentials(pub(crate) String);

/// A registry's demand for something to know us by.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Registry<'a> {
    /// Errors: `RegistryNotAllowed`. `scheme` is what the image's name says, if it says one.
    pub(crate) fn new(
        guard: &'a Guard,
        scheme: Option<&str>,
        host: &str,
        repository: &str,
        credentials: Option<Credentials>,
    ) -> Result<Self, ImageError> {
        let allowed = guard.scheme_of(host).filter(|allowed| scheme.is_none_or(|scheme| scheme == *allowed));
        let not_allowed = || {
            let prefix = scheme.filter(|scheme| *scheme == "http").map_or("", |_| "http://");
            ImageError::RegistryNotAllowed { host: format!("{prefix}{host}") }
        };
        let allowed = allowed.ok_or_else(not_allowed)?;
        Ok(Self {
            guard,
            host: host.to_owned(),
            base: format!("{allowed}://{host}/v2/{repository}"),
            repository: repository.to_owned(),
            credentials,
            answer: Mutex::default(),
        })
    }

    /// The bytes of a manifest or an index, by its tag or digest.
    pub(crate) async fn manifest(&self, version: &str) -> Result<Bytes, ImageError> {
        let url = self.url(&format!("manifests/{version}"))?;
        let response = self.get(url, Some(&MANIFEST_TYPES.join(", "))).await?;
        self.whole(response, MANIFEST_BYTES_MAX, "a manifest").await
    }

    /// The beginning of an answer with a part.
    pub(crate) async fn blob(&self, digest: &Digest) -> Result<Response, ImageError> {
        self.get(self.url(&format!("blobs/{digest}"))?, None).await
    }

    /// A small part.
    pub(crate) async fn small_blob(&self, digest: &Digest, max: usize) -> Result<Bytes, ImageError> {
        let response = self.blob(digest).await?;
        self.whole(response, max, "a configuration").await
    }

    /// More of an answer's body.
    pub(crate) async fn more(&self, response: &mut Response) -> Result<Option<Bytes>, ImageError> {
        response.chunk().await.map_err(|error| self.unreachable(&error))
    }

    fn url(&self, rest: &str) -> Result<Url, ImageError> {
        format!("{}/{rest}", self.base).parse().map_err(|_| ImageError::Reference(self.host.clone()))
    }

    /// Asks, answers a challenge once, and goes where it is sent.
    async fn get(&self, url: Url, accept: Option<&str>) -> Result<Response, ImageError> {
        let mut response = self.ask(&url, accept, true).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let answer = self.answer_challenge(&response).await?;
            *self.answer.lock() = Some(answer);
            response = self.ask(&url, accept, true).await?;
        }
        let mut from = url;
        for _ in 0..REDIRECTS_MAX {
            if !response.status().is_redirection() {
                return self.checked(response, &from);
            }
            let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let to = location.and_then(|to| from.join(to).ok());
            from = to.ok_or_else(|| self.odd("a redirect to nowhere"))?;
            // What the registry knows us by is nobody else's business.
            let is_own = format!("{from}").starts_with(&self.base);
            response = self.ask(&from, accept, is_own).await?;
        }
        Err(self.odd("more redirects than are followed"))
    }

    async fn ask(&self, url: &Url, accept: Option<&str>, is_own: bool) -> Result<Response, ImageError> {
        let sent_away = |why| self.sent_away(url, why);
        let mut request = self.guard.client_for(url).map_err(sent_away)?.get(url.clone());
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        if let Some(answer) = self.answer.lock().clone().filter(|_| is_own) {
            request = request.header(AUTHORIZATION, answer);
        }
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    fn checked(&self, response: Response, url: &Url) -> Result<Response, ImageError> {
        let status = response.status();
        match status {
            StatusCode::OK => Ok(response),
            StatusCode::NOT_FOUND => Err(ImageError::Missing { what: self.named(url) }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(ImageError::Denied { host: self.host.clone(), status: status.as_u16() })
            }
            other => Err(self.odd(&format!("{other}"))),
        }
    }

    /// What a URL asks for, in words.
    fn named(&self, url: &Url) -> String {
        let path = url.path();
        match (path.rsplit_once("/manifests/"), path.rsplit_once("/blobs/")) {
            (Some((_, version)), _) => format!("{} of {}/{}", version, self.host, self.repository),
            (_, Some((_, digest))) => format!("the layer {} of {}/{}", digest, self.host, self.repository),
            _ => format!("what {} sends to", self.host),
        }
    }

    async fn answer_challenge(&self, response: &Response) -> Result<HeaderValue, ImageError> {
        let denied = || ImageError::Denied { host: self.host.clone(), status: response.status().as_u16() };
        let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let mut challenges = challenges.filter_map(|value| read_challenge(value.to_str().ok()?));
        let text = match challenges.next().ok_or_else(denied)? {
            Challenge::Basic => format!("Basic {}", self.credentials.as_ref().ok_or_else(denied)?.0),
            Challenge::Bearer { realm, service, scope } => {
                let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.repository));
                format!("Bearer {}", self.token(&realm, service.as_deref(), &scope).await?)
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| self.odd("a token that is none"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn token(&self, realm: &str, service: Option<&str>, scope: &str) -> Result<String, ImageError> {
        let mut url: Url = realm.parse().map_err(|_| self.odd("a token server that is none"))?;
        url.query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .append_pair("scope", scope);
        let client = self.guard.client_for(&url).map_err(|why| self.sent_away(&url, why))?;
        let mut request = client.get(url.clone());
        if let Some(Credentials(pair)) = &self.credentials {
            request = request.header(AUTHORIZATION, format!("Basic {pair}"));
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_client_error() {
            return Err(ImageError::Denied { host: self.host.clone(), status: status.as_u16() });
        }
        let answer = self.whole(response, TOKEN_BYTES_MAX, "a token").await?;
        let token = serde_json::from_slice::<Token>(&answer).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        token.ok_or_else(|| self.odd("no token"))
    }

    async fn whole(&self, response: Response, max: usize, what: &'static str) -> Result<Bytes, ImageError> {
        let mut response = response;
        let mut bytes = BytesMut::new();
        while let Some(piece) = self.more(&mut response).await? {
            if bytes.len() + piece.len() > max {
                let got = response.content_length().unwrap_or(0).max(max as u64 + 1);
                return Err(ImageError::TooLarge { what, got, max: max as u64 });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    fn odd(&self, what: &str) -> ImageError {
        ImageError::Protocol { host: self.host.clone(), what: what.to_owned() }
    }

    fn sent_away(&self, url: &Url, why: String) -> ImageError {
        let to = url.host_str().unwrap_or_default().to_owned();
        ImageError::SentAway { host: self.host.clone(), to, why }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ImageError {
        // The innermost error is the one that says something.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        ImageError::Unreachable { host: self.host.clone(), cause: cause.to_string() }
    }
}

impl Credentials {
    pub(crate) fn of(user: &str, password: &str) -> Self {
        Self(BASE64.encode(format!("{user}:{password}")))
    }
}

/// `Basic realm="x"`, or `Bearer realm="https://...",service="...",scope="..."`.
fn read_challenge(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let parameter = |wanted: &str| {
        parameters(rest)
            .into_iter()
            .find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then_some(value))
    };
    let realm = parameter("realm")?;
    Some(Challenge::Bearer { realm, service: parameter("service"), scope: parameter("scope") })
}

/// `name="value"` with commas between; a value may hold commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((name.trim().to_owned(), value.to_owned()));
        rest = after.trim_start_matches([',', ' ']);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_understood() {
        let bearer = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.example/token".to_owned(),
            service: Some("registry.example".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        };
        assert_eq!(read_challenge(bearer), Some(expected));
        assert_eq!(read_challenge("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(read_challenge("Negotiate"), None);
        assert_eq!(read_challenge("Bearer service=x"), None);
    }
}
