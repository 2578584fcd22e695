//! Which hosts may be asked. Callers choose their names, so the operator has a word in it.
//!
//! A host that the operator named may be anywhere, also on this host. Whatever else is connected to must be reached by HTTPS
//! and have an address that is globally routable: the addresses that a name has are judged when the connection is made.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use lambent_egress::Policy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;
use reqwest::{Client, Url};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long nothing may come.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A host that the operator names: `HOST[:PORT]`, or `http://HOST[:PORT]` for one without TLS; `*` for all that are public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule(Rule);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    AnyPublic,
    Host { scheme: &'static str, host: String },
}

impl FromStr for HostRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self(Rule::AnyPublic));
        }
        let (scheme, host) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(host), _) => ("http", host),
            (_, Some(host)) => ("https", host),
            _ => ("https", text),
        };
        if !is_host(host) {
            return Err("expected HOST[:PORT], http://HOST[:PORT], or * for all that are public".to_owned());
        }
        Ok(Self(Rule::Host { scheme, host: host.to_ascii_lowercase() }))
    }
}

/// Who may be asked, and the clients that ask.
pub struct Guard {
    rules: Vec<HostRule>,
    /// For hosts that the operator named.
    named: Client,
    /// For all others.
    public: Client,
}

impl Guard {
    /// Errors: when the host's own certificate authorities cannot be read.
    pub fn new(rules: Vec<HostRule>) -> Result<Self, reqwest::Error> {
        // Fails where somebody did so before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            // Redirects are judged one by one, and a proxy would decide instead of this.
            let builder = Client::builder().redirect(redirect::Policy::none()).no_proxy();
            let agent = concat!("lambent/", env!("CARGO_PKG_VERSION"));
            builder.connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).user_agent(agent)
        };
        let public = builder().https_only(true).dns_resolver(Arc::new(PublicOnly)).build()?;
        Ok(Self { rules, named: builder().build()?, public })
    }

    /// How a host is spoken to that the operator named, or allowed with all others: `https` or `http`.
    pub fn scheme_of(&self, host: &str) -> Option<&'static str> {
        let is_any = || self.rules.iter().any(|HostRule(rule)| *rule == Rule::AnyPublic);
        self.scheme_of_named(host).or_else(|| is_any().then_some("https"))
    }

    /// How a host is spoken to that the operator named.
    pub fn scheme_of_named(&self, host: &str) -> Option<&'static str> {
        self.rules.iter().find_map(|HostRule(rule)| match rule {
            Rule::Host { scheme, host: known } if known == host => Some(*scheme),
            _ => None,
        })
    }

    /// The client that may connect to a URL; else why none may.
    pub fn client_for(&self, url: &Url) -> Result<&Client, String> {
        let host = url.host_str().ok_or("it names no host")?;
        if self.names(url.scheme(), host, url.port()) {
            return Ok(&self.named);
        }
        if url.scheme() != "https" {
            return Err("it is not HTTPS".to_owned());
        }
        // An address is connected to without being looked up.
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            judge(address)?;
        }
        Ok(&self.public)
    }

    fn names(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        let with_port = port.map(|port| format!("{host}:{port}"));
        let default = if scheme == "http" { format!("{host}:80") } else { format!("{host}:443") };
        self.rules.iter().any(|HostRule(rule)| match rule {
            Rule::AnyPublic => false,
            Rule::Host { scheme: its, host: known } if *its == scheme => match &with_port {
                Some(with_port) => known == with_port,
                None => known == host || *known == default,
            },
            Rule::Host { .. } => false,
        })
    }
}

/// Names that only have addresses that anybody could reach.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut refused = None;
            let public: Vec<SocketAddr> = found
                .filter(|address| judge(address.ip()).inspect_err(|why| refused = Some(why.clone())).is_ok())
                .collect();
            match refused {
                Some(why) if public.is_empty() => Err(why.into()),
                _ => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

/// A name or address that has a dot or a port, or is `localhost`: what else would be a repository without its host.
pub fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number != 0));
    let is_address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
        && (name.contains('.') || port.is_some() || name == "localhost");
    is_port && (is_address || is_name)
}

fn judge(address: IpAddr) -> Result<(), String> {
    let public: Policy = "public".parse().expect("it is a policy");
    public.judge(address).map_err(|why| format!("its address {address} is {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(rules: &[&str]) -> Guard {
        Guard::new(rules.iter().map(|rule| rule.parse().unwrap()).collect()).unwrap()
    }

    fn may(guard: &Guard, url: &str) -> bool {
        guard.client_for(&url.parse().unwrap()).is_ok()
    }

    #[test]
    fn nothing_may_be_asked_by_itself() {
        let none = guard(&[]);
        assert_eq!(none.scheme_of("registry.example"), None);
        assert_eq!(guard(&["*"]).scheme_of("registry.example"), Some("https"));
        let one = guard(&["http://127.0.0.1:5000", "registry.example"]);
        assert_eq!(one.scheme_of("127.0.0.1:5000"), Some("http"));
        assert_eq!(one.scheme_of("registry.example"), Some("https"));
        assert_eq!(one.scheme_of("127.0.0.1:5001"), None);
    }

    #[test]
    fn named_hosts_may_be_anywhere_and_others_in_public_only() {
        let one = guard(&["http://127.0.0.1:5000", "registry.example", "inner.example:443"]);
        assert!(may(&one, "http://127.0.0.1:5000/v2/"));
        assert!(may(&one, "https://registry.example/v2/"));
        assert!(may(&one, "https://inner.example/v2/"));
        assert!(may(&one, "https://cdn.example/blob"), "judged by its address, later");
        for url in [
            "http://127.0.0.1:5001/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest/meta-data/",
            "http://registry.example/v2/",
            "http://cdn.example/blob",
            "http://2130706433/",
        ] {
            assert!(!may(&one, url), "{url}");
        }
    }

    #[test]
    fn rules_are_hosts() {
        for wrong in ["", "registry", "registry.example/team", "ftp://registry.example", "**"] {
            assert!(wrong.parse::<HostRule>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_refused() {
        let error = guard(&["*"]).public.get("https://localhost:9/").send().await.unwrap_err();
        assert!(format!("{error:?}").contains("never reached: loopback"), "{error:?}");
    }
}
