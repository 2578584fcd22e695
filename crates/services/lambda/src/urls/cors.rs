//! What browsers are told about pages of other origins.
//! Source: AWS Lambda Developer Guide, "Cross-origin resource sharing (CORS)"; the Fetch Standard, "CORS protocol".

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::CorsRow;

const ANY: &str = "*";
/// What a function may say itself as long as its URL says nothing.
const OURS: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

impl CorsRow {
    /// The answer to a browser's question before a request; `None` when this is none.
    pub(super) fn preflight(&self, request: &HeaderMap) -> Option<HeaderMap> {
        request.get(ORIGIN)?;
        request.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let mut answer = HeaderMap::new();
        if self.admit(request, &mut answer) {
            put_list(&mut answer, ACCESS_CONTROL_ALLOW_METHODS, self.allow_methods.as_deref());
            put_list(&mut answer, ACCESS_CONTROL_ALLOW_HEADERS, self.allow_headers.as_deref());
            if let Some(seconds) = self.max_age {
                answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
            }
        }
        Some(answer)
    }

    /// Adds to an answer what pages of other origins may know of it, over what the function says of that.
    pub(super) fn add(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        for name in &OURS {
            answer.remove(name);
        }
        if self.admit(request, answer) {
            put_list(answer, ACCESS_CONTROL_EXPOSE_HEADERS, self.expose_headers.as_deref());
        }
    }

    /// Names the origin of a request if it is one of those that are allowed; whether it is.
    fn admit(&self, request: &HeaderMap, answer: &mut HeaderMap) -> bool {
        let Some(origin) = request.get(ORIGIN) else { return false };
        let allowed = self.allow_origins.as_deref().unwrap_or_default();
        let is_any = allowed.iter().any(|one| one == ANY);
        if !is_any && !allowed.iter().any(|one| one.as_bytes() == origin.as_bytes()) {
            return false;
        }
        let with_credentials = self.allow_credentials == Some(true);
        // Browsers send no credentials to who allows everybody in so many words.
        let named = if is_any && !with_credentials { HeaderValue::from_static(ANY) } else { origin.clone() };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, named);
        answer.append(VARY, HeaderValue::from_static("Origin"));
        if with_credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        true
    }
}

fn put_list(headers: &mut HeaderMap, name: HeaderName, values: Option<&[String]>) {
    let text = values.unwrap_or_default().join(",");
    // What no header can carry was stored with the model's leave; nobody can ask for it.
    if let Ok(value) = HeaderValue::from_str(&text)
        && !text.is_empty()
    {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors() -> CorsRow {
        CorsRow {
            allow_origins: Some(vec!["https://a.example".to_owned(), "https://b.example".to_owned()]),
            allow_methods: Some(vec!["GET".to_owned(), "PUT".to_owned()]),
            allow_headers: Some(vec!["X-One".to_owned()]),
            expose_headers: Some(vec!["X-Two".to_owned(), "Date".to_owned()]),
            max_age: Some(300),
            allow_credentials: None,
        }
    }

    fn from(origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
        headers
    }

    fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn questions_of_known_origins_are_answered() {
        let answer = cors().preflight(&from("https://b.example")).unwrap();
        assert_eq!(text(&answer, "access-control-allow-origin"), Some("https://b.example"));
        assert_eq!(text(&answer, "access-control-allow-methods"), Some("GET,PUT"));
        assert_eq!(text(&answer, "access-control-allow-headers"), Some("X-One"));
        assert_eq!(text(&answer, "access-control-max-age"), Some("300"));
        assert_eq!(text(&answer, "access-control-allow-credentials"), None);
        assert!(cors().preflight(&from("https://evil.example")).unwrap().is_empty());
        let mut plain = from("https://b.example");
        plain.remove(ACCESS_CONTROL_REQUEST_METHOD);
        assert_eq!(cors().preflight(&plain), None, "an OPTIONS request of the function's own");
    }

    #[test]
    fn the_url_has_the_last_word() {
        let mut answer = HeaderMap::new();
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static(ANY));
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        cors().add(&from("https://a.example"), &mut answer);
        assert_eq!(text(&answer, "access-control-allow-origin"), Some("https://a.example"));
        assert_eq!(text(&answer, "access-control-expose-headers"), Some("X-Two,Date"));
        assert_eq!(text(&answer, "access-control-allow-credentials"), None);
        cors().add(&from("https://evil.example"), &mut answer);
        assert_eq!(text(&answer, "access-control-allow-origin"), None);
    }

    #[test]
    fn everybody_is_named_where_credentials_come_along() {
        let any = CorsRow { allow_origins: Some(vec![ANY.to_owned()]), ..CorsRow::default() };
        let mut answer = HeaderMap::new();
        any.add(&from("https://x.example"), &mut answer);
        assert_eq!(text(&answer, "access-control-allow-origin"), Some("*"));
        let with_credentials = CorsRow { allow_credentials: Some(true), ..any };
        with_credentials.add(&from("https://x.example"), &mut answer);
        assert_eq!(text(&answer, "access-control-allow-origin"), Some("https://x.example"));
        assert_eq!(text(&answer, "access-control-allow-credentials"), Some("true"));
    }
}
