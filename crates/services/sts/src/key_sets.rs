//! The key sets of OpenID Connect providers, fetched from where each says that its own are.
//! Source: OpenID Connect Discovery 1.0 section 4; RFC 7517 section 5.
//!
//! Who registers a provider chooses its address, so [`Guard`] has a word in what is connected to. An address is asked again
//! when what is known of it is old, or lacks a key, but never as often as strangers send tokens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lambent_base::Clock;
use lambent_identity::KeySet;
use lambent_outbound::{Guard, HostRule};
use parking_lot::Mutex;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex as AsyncMutex;

/// Where a provider describes itself, below its address.
const DESCRIPTION: &str = ".well-known/openid-configuration";
const DESCRIPTION_BYTES_MAX: usize = 64 * 1024;
const KEYS_BYTES_MAX: usize = 512 * 1024;
/// How long both requests may take together.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long keys are good without being asked for again.
const KEYS_AGE_MAX: Duration = Duration::from_secs(3_600);
/// How long a provider is left alone after it was asked.
const PAUSE: Duration = Duration::from_secs(15);
/// Providers whose keys are remembered; beyond it all are forgotten.
const PROVIDERS_MAX: usize = 1_000;

/// The key sets of all providers that were asked. Cheap to clone.
#[derive(Clone)]
pub struct KeySets(Arc<Inner>);

struct Inner {
    guard: Guard,
    clock: Clock,
    /// By address.
    known: Mutex<HashMap<String, Arc<Provider>>>,
}

#[derive(Default)]
struct Provider {
    known: Mutex<Option<Known>>,
    /// Held by who asks the provider. Who needs its answer waits with others; who needs just what is known does not.
    asking: AsyncMutex<()>,
}

#[derive(Clone)]
struct Known {
    /// When the provider was asked last, on the monotonic clock.
    asked: Duration,
    /// When it gave these keys: it may have been asked since, and silent.
    given: Duration,
    keys: Result<Arc<KeySet>, FetchError>,
}

/// Why there are no keys.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("expected {url} to be allowed: {why}")]
    Refused { url: String, why: String },
    #[error("expected {url} to answer: {why}")]
    Silent { url: String, why: String },
    #[error("expected {what} at {url}, got something else")]
    Odd { url: String, what: &'static str },
}

#[derive(Deserialize)]
struct Description {
    issuer: String,
    jwks_uri: String,
}

impl KeySets {
    /// `named` are providers' hosts that the operator vouches for; others must be public.
    ///
    /// Errors: the text says why no connections can be made.
    pub fn new(named: Vec<HostRule>, clock: Clock) -> Result<Self, String> {
        let guard = Guard::new(named).map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(Inner { guard, clock, known: Mutex::default() })))
    }

    /// The keys of the provider at an address, as `id.example/tenant`. With `newer_than` keys that lacked one: others, if
    /// the provider may be asked again by now.
    pub(crate) async fn of(
        &self,
        provider: &str,
        newer_than: Option<&Arc<KeySet>>,
    ) -> Result<Arc<KeySet>, FetchError> {
        let slot = self.slot(provider);
        if let Some(known) = slot.answer(self.0.clock.monotonic(), newer_than) {
            return known;
        }
        let _asking = slot.asking.lock().await;
        let now = self.0.clock.monotonic();
        // Whoever was asking meanwhile may have had what is needed.
        if let Some(known) = slot.answer(now, newer_than) {
            return known;
        }
        let keys = self.fetch(provider).await.map(Arc::new);
        slot.keep(now, &keys);
        keys
    }

    fn slot(&self, provider: &str) -> Arc<Provider> {
        let mut known = self.0.known.lock();
        if known.len() >= PROVIDERS_MAX && !known.contains_key(provider) {
            known.clear();
        }
        Arc::clone(known.entry(provider.to_owned()).or_default())
    }

    async fn fetch(&self, provider: &str) -> Result<KeySet, FetchError> {
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch_both(provider)).await;
        let why = || format!("it did not within {} s", FETCH_TIMEOUT.as_secs());
        fetched.unwrap_or_else(|_| Err(FetchError::Silent { url: provider.to_owned(), why: why() }))
    }

    async fn fetch_both(&self, provider: &str) -> Result<KeySet, FetchError> {
        let host = provider.split('/').next().unwrap_or(provider);
        let scheme = self.0.guard.scheme_of_named(host).unwrap_or("https");
        let at = format!("{scheme}://{}/{DESCRIPTION}", provider.trim_end_matches('/'));
        let odd = |url: &str, what| FetchError::Odd { url: url.to_owned(), what };
        let description = self.get(&at, DESCRIPTION_BYTES_MAX).await?;
        let description: Description = serde_json::from_slice(&description)
            .map_err(|_| odd(&at, "a description of an OpenID Connect provider"))?;
        if address_of(&description.issuer) != provider {
            return Err(odd(&at, "the description of the provider that was asked"));
        }
        let keys = self.get(&description.jwks_uri, KEYS_BYTES_MAX).await?;
        KeySet::read(&keys).ok_or_else(|| odd(&description.jwks_uri, "a set of JSON web keys"))
    }

    /// A small body. Nobody is followed to where they redirect.
    async fn get(&self, at: &str, max: usize) -> Result<Bytes, FetchError> {
        let refused = |why: String| FetchError::Refused { url: at.to_owned(), why };
        let silent =
            |error: reqwest::Error| FetchError::Silent { url: at.to_owned(), why: innermost(&error) };
        let url: Url = at.parse().map_err(|_| refused("it is no URL".to_owned()))?;
        let client = self.0.guard.client_for(&url).map_err(refused)?;
        let mut response = client.get(url).send().await.map_err(silent)?;
        if response.status() != StatusCode::OK {
            let why = format!("it answered {}", response.status());
            return Err(FetchError::Silent { url: at.to_owned(), why });
        }
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(silent)? {
            if body.len() + piece.len() > max {
                return Err(FetchError::Odd { url: at.to_owned(), what: "a short text" });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }
}

impl Provider {
    /// What is known, unless it is time to ask again.
    fn answer(
        &self,
        now: Duration,
        newer_than: Option<&Arc<KeySet>>,
    ) -> Option<Result<Arc<KeySet>, FetchError>> {
        let known = self.known.lock().clone()?;
        let is_left_alone = now.saturating_sub(known.asked) < PAUSE;
        let is_answer = match &known.keys {
            Ok(keys) => {
                let is_unfit = newer_than.is_some_and(|old| Arc::ptr_eq(old, keys));
                known.is_young(now) && (!is_unfit || is_left_alone)
            }
            Err(_) => is_left_alone,
        };
        is_answer.then_some(known.keys)
    }

    /// Remembers what was fetched. A provider that is silent for once keeps the keys that are still good.
    fn keep(&self, now: Duration, fetched: &Result<Arc<KeySet>, FetchError>) {
        let mut known = self.known.lock();
        match &mut *known {
            Some(old) if fetched.is_err() && old.keys.is_ok() && old.is_young(now) => old.asked = now,
            _ => *known = Some(Known { asked: now, given: now, keys: fetched.clone() }),
        }
    }
}

impl Known {
    fn is_young(&self, now: Duration) -> bool {
        now.saturating_sub(self.given) < KEYS_AGE_MAX
    }
}

/// An issuer without its scheme, as ARNs and condition keys name it.
pub(crate) fn address_of(issuer: &str) -> &str {
    issuer.strip_prefix("https://").unwrap_or(issuer)
}

/// The error that says something.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::Poll;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A provider on this host that counts what it is asked; gives its address.
    async fn provider(answer: impl Fn(&str, &str) -> String + Send + 'static) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(AtomicUsize::new(0));
        let (at, count) = (address.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let body = answer(&at, path);
                let head =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        (address, asked)
    }

    fn good(at: &str, path: &str) -> String {
        match path {
            "/.well-known/openid-configuration" => {
                format!(r#"{{"issuer":"https://{at}","jwks_uri":"http://{at}/keys"}}"#)
            }
            _ => r#"{"keys":[]}"#.to_owned(),
        }
    }

    fn named(address: &str) -> Vec<HostRule> {
        vec![format!("http://{address}").parse().unwrap()]
    }

    #[tokio::test]
    async fn keys_are_fetched_once_and_again_when_one_is_missing_but_not_often() {
        let (address, asked) = provider(good).await;
        let (clock, hand) = Clock::manual(1_800_000_000_000);
        let sets = KeySets::new(named(&address), clock).unwrap();
        let first = sets.of(&address, None).await.unwrap();
        assert!(Arc::ptr_eq(&first, &sets.of(&address, None).await.unwrap()));
        assert!(Arc::ptr_eq(&first, &sets.of(&address, Some(&first)).await.unwrap()), "too early");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        hand.advance(PAUSE);
        let second = sets.of(&address, Some(&first)).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second) && asked.load(Ordering::SeqCst) == 4);
        assert!(Arc::ptr_eq(&second, &sets.of(&address, Some(&first)).await.unwrap()));
        hand.advance(KEYS_AGE_MAX);
        assert!(!Arc::ptr_eq(&second, &sets.of(&address, None).await.unwrap()));
    }

    #[tokio::test]
    async fn a_provider_that_fails_keeps_its_keys_while_they_are_young() {
        let broken = Arc::new(AtomicBool::new(false));
        let is_broken = broken.clone();
        let answer = move |at: &str, path: &str| {
            if is_broken.load(Ordering::SeqCst) { "".into() } else { good(at, path) }
        };
        let (address, asked) = provider(answer).await;
        let (clock, hand) = Clock::manual(1_800_000_000_000);
        let sets = KeySets::new(named(&address), clock).unwrap();
        let first = sets.of(&address, None).await.unwrap();
        broken.store(true, Ordering::SeqCst);
        hand.advance(PAUSE);
        assert!(sets.of(&address, Some(&first)).await.is_err(), "who needs others learns why there are none");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        assert!(Arc::ptr_eq(&first, &sets.of(&address, None).await.unwrap()));
        assert!(Arc::ptr_eq(&first, &sets.of(&address, Some(&first)).await.unwrap()), "too early");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        hand.advance(KEYS_AGE_MAX - PAUSE);
        assert!(sets.of(&address, None).await.is_err(), "too old");
    }

    #[tokio::test]
    async fn known_keys_do_not_wait_for_others() {
        let (address, _) = provider(good).await;
        let (clock, hand) = Clock::manual(1_800_000_000_000);
        let sets = KeySets::new(named(&address), clock).unwrap();
        let first = sets.of(&address, None).await.unwrap();
        hand.advance(PAUSE);
        let mut refetch = pin!(sets.of(&address, Some(&first)));
        let waits = poll_fn(|context| Poll::Ready(refetch.as_mut().poll(context).is_pending())).await;
        assert!(waits, "the provider is being asked");
        assert!(Arc::ptr_eq(&first, &sets.of(&address, None).await.unwrap()));
        assert!(!Arc::ptr_eq(&first, &refetch.await.unwrap()));
    }

    #[tokio::test]
    async fn nobody_inside_is_asked_without_the_operators_word() {
        let (address, asked) = provider(good).await;
        let sets = KeySets::new(Vec::new(), Clock::system()).unwrap();
        for inside in [address.as_str(), "localhost:9", "169.254.169.254", "[::1]:80"] {
            let refused = sets.of(inside, None).await.unwrap_err();
            assert!(matches!(refused, FetchError::Refused { .. } | FetchError::Silent { .. }), "{refused}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn what_is_no_provider_or_another_one_has_no_keys() {
        let others: [fn(&str, &str) -> String; 4] = [
            |_, _| "{}".to_owned(),
            |at, _| format!(r#"{{"issuer":"https://id.example","jwks_uri":"http://{at}/keys"}}"#),
            |_, _| "x".repeat(DESCRIPTION_BYTES_MAX + 1),
            |at, path| good(at, path).replace(r#"{"keys":[]}"#, "none"),
        ];
        for answer in others {
            let (address, _) = provider(answer).await;
            let sets = KeySets::new(named(&address), Clock::system()).unwrap();
            assert!(matches!(sets.of(&address, None).await, Err(FetchError::Odd { .. })));
        }
    }
}
