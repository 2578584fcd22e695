//! JSON Web Tokens of OpenID Connect providers: read strictly, their signature checked against the provider's key set.
//! Source: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 section 3, RFC 7519 (JWT); OpenID Connect Core 1.0 section 2.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Bounds on what strangers send. The token's is AWS's.
pub mod limits {
    /// Bytes of a token. Source: AWS STS API Reference, "AssumeRoleWithWebIdentity".
    pub const TOKEN_BYTES_MAX: usize = 20_000;
    /// Keys of a provider that are looked at.
    pub const KEYS_MAX: usize = 100;
    /// Seconds by which the provider's clock may be wrong.
    pub const SKEW_SECONDS: i64 = 300;
}

/// Bytes of a coordinate of a point of P-256.
const P256_BYTES: usize = 32;
/// What stands before the coordinates of a point that is not compressed. Source: SEC 1 section 2.3.3.
const UNCOMPRESSED: u8 = 4;

/// A token that is well formed; nobody has vouched for it yet.
#[derive(Debug)]
pub struct Unverified<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Claims,
}

/// The claims that STS looks at; conditions may ask for the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// `iss`, as the token says it.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`: one or several.
    pub audiences: Vec<String>,
    /// `azp`, to whom the token was issued.
    pub authorized_party: Option<String>,
    /// `amr`, how the user was recognised.
    pub methods: Vec<String>,
    expires_s: i64,
    issued_s: i64,
    not_before_s: Option<i64>,
    all: Map<String, Value>,
}

/// The public keys of a provider.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<PublicKey>);

#[derive(Clone, Debug)]
struct PublicKey {
    id: Option<String>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// The point, not compressed.
    P256(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Es256,
}

/// Why a token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token, or not of a kind that is taken.
    #[error("{0}")]
    Malformed(&'static str),
    /// Its signature is of none of the provider's keys.
    #[error("the signature is of no key of the provider")]
    Signature,
    /// The provider has no key of this name: it may have a new one by now.
    #[error("the provider has no key that fits")]
    NoKey,
    #[error("the token expired at {expired_s} s since 1970, and it is {now_s}")]
    Expired { expired_s: i64, now_s: i64 },
    /// It is of the future.
    #[error("the token is valid from {valid_s} s since 1970 on, and it is {now_s}")]
    Early { valid_s: i64, now_s: i64 },
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl<'a> Unverified<'a> {
    /// Reads a token. Who issued it is known then, and must not be believed before [`Unverified::verify`].
    ///
    /// Errors: `Malformed`.
    pub fn read(token: &'a str) -> Result<Self, TokenError> {
        let malformed = TokenError::Malformed;
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err(malformed("it is longer than any token"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed("it has not three parts"))?;
        let (header, claims) = signed.split_once('.').ok_or(malformed("it has not three parts"))?;
        let bytes = |part: &str| BASE64_URL.decode(part).map_err(|_| malformed("a part is not base64url"));
        let header: Header =
            serde_json::from_slice(&bytes(header)?).map_err(|_| malformed("its header is not one"))?;
        if header.crit.is_some() {
            return Err(malformed("its header asks for extensions that are not known"));
        }
        let algorithm = match header.alg.as_str() {
            "RS256" => Algorithm::Rs256,
            "ES256" => Algorithm::Es256,
            // Above all `none`, and HMAC, whose key would be the provider's public one.
            _ => return Err(malformed("its algorithm is neither RS256 nor ES256")),
        };
        let claims = serde_json::from_slice(&bytes(claims)?).map_err(|_| malformed("its claims are none"))?;
        let claims = Claims::read(claims)?;
        Ok(Self { signed, signature: bytes(signature)?, algorithm, key_id: header.kid, claims })
    }

    /// Who says that it issued the token.
    pub fn issuer(&self) -> &str {
        &self.claims.issuer
    }

    /// The claims, if a key of the provider has signed them and it is their time.
    ///
    /// Errors: `NoKey`, `Signature`, `Expired`, `Early`.
    pub fn verify(&self, keys: &KeySet, now_s: i64) -> Result<&Claims, TokenError> {
        let fits = |key: &&PublicKey| {
            key.material.algorithm() == self.algorithm
                && (self.key_id.is_none() || key.id.is_none() || key.id == self.key_id)
        };
        let mut fitting = keys.0.iter().filter(fits).peekable();
        if fitting.peek().is_none() {
            return Err(TokenError::NoKey);
        }
        if !fitting.any(|key| key.material.has_signed(self.signed.as_bytes(), &self.signature)) {
            return Err(TokenError::Signature);
        }
        self.claims.expect_current(now_s)?;
        Ok(&self.claims)
    }
}

impl Claims {
    /// A claim that is a text, a number or a truth value, or several of them: for conditions.
    pub fn texts(&self, name: &str) -> Vec<String> {
        texts(self.all.get(name))
    }

    /// A claim as it stands in the token.
    pub(crate) fn claim(&self, name: &str) -> Option<&Value> {
        self.all.get(name)
    }

    fn read(all: Map<String, Value>) -> Result<Self, TokenError> {
        let missing = TokenError::Malformed;
        let text = |name: &str| all.get(name).and_then(Value::as_str).map(str::to_owned);
        let filled = |name: &str| text(name).filter(|text| !text.is_empty());
        let audiences = texts(all.get("aud"));
        if audiences.is_empty() {
            return Err(missing("the claim aud is missing"));
        }
        Ok(Self {
            issuer: filled("iss").ok_or(missing("the claim iss is missing"))?,
            subject: filled("sub").ok_or(missing("the claim sub is missing"))?,
            audiences,
            authorized_party: text("azp"),
            methods: texts(all.get("amr")),
            expires_s: seconds(all.get("exp")).ok_or(missing("the claim exp is missing"))?,
            issued_s: seconds(all.get("iat")).ok_or(missing("the claim iat is missing"))?,
            not_before_s: all
                .get("nbf")
                .map(|nbf| seconds(Some(nbf)).ok_or(missing("the claim nbf is none")))
                .transpose()?,
            all,
        })
    }

    fn expect_current(&self, now_s: i64) -> Result<(), TokenError> {
        let skew = limits::SKEW_SECONDS;
        if self.expires_s <= now_s {
            return Err(TokenError::Expired { expired_s: self.expires_s, now_s });
        }
        let valid_s = self.issued_s.max(self.not_before_s.unwrap_or(i64::MIN));
        if valid_s > now_s.saturating_add(skew) {
            return Err(TokenError::Early { valid_s, now_s });
        }
        Ok(())
    }
}

impl KeySet {
    /// Reads a JWK set; keys of kinds that are not taken are left out. `None` when it is no set.
    pub fn read(text: &[u8]) -> Option<Self> {
        let set: JwkSet = serde_json::from_slice(text).ok()?;
        let keys = set.keys.into_iter().take(limits::KEYS_MAX);
        Some(Self(keys.filter_map(|key| PublicKey::of(serde_json::from_value(key).ok()?)).collect()))
    }
}

impl PublicKey {
    fn of(jwk: Jwk) -> Option<Self> {
        let bytes = |text: &Option<String>| BASE64_URL.decode(text.as_deref()?.trim_end_matches('=')).ok();
        if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let material = match jwk.kty.as_str() {
            "RSA" => Material::Rsa { modulus: bytes(&jwk.n)?, exponent: bytes(&jwk.e)? },
            "EC" if jwk.crv.as_deref() == Some("P-256") => {
                let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
                if x.len() != P256_BYTES || y.len() != P256_BYTES {
                    return None;
                }
                Material::P256([&[UNCOMPRESSED][..], &x, &y].concat())
            }
            _ => return None,
        };
        let is_meant = jwk.alg.is_none_or(|algorithm| algorithm == material.algorithm().name());
        is_meant.then_some(Self { id: jwk.kid, material })
    }
}

impl Material {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { modulus, exponent } => {
                // Leading zeros are none of the number's, and ring refuses them.
                let plain = |number: &[u8]| {
                    number.iter().position(|byte| *byte != 0).map_or(Vec::new(), |at| number[at..].to_vec())
                };
                let key = RsaPublicKeyComponents { n: plain(modulus), e: plain(exponent) };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
        }
    }
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// Seconds since 1970; the fraction that some providers write is dropped.
fn seconds(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float is cut off, and one out of range is a far time"
    )]
    let cut = |float: f64| float as i64;
    value.as_i64().or_else(|| value.as_f64().map(cut))
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    match value {
        Some(Value::Array(values)) => values.iter().filter_map(one).collect(),
        Some(single) => one(single).into_iter().collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    /// A provider with one P-256 key.
    pub(crate) struct Provider {
        pair: EcdsaKeyPair,
        random: SystemRandom,
    }

    impl Provider {
        pub(crate) fn new() -> Self {
            let random = SystemRandom::new();
            let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let pair =
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random).unwrap();
            Self { pair, random }
        }

        pub(crate) fn keys(&self) -> Vec<u8> {
            let point = self.pair.public_key().as_ref();
            let (x, y) = (BASE64_URL.encode(&point[1..33]), BASE64_URL.encode(&point[33..]));
            let key = json!({ "kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "x": x, "y": y });
            json!({ "keys": [{ "kty": "oct", "k": "AA" }, key] }).to_string().into_bytes()
        }

        pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| BASE64_URL.encode(value.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let signature = self.pair.sign(&self.random, signed.as_bytes()).unwrap();
            format!("{signed}.{}", BASE64_URL.encode(signature))
        }
    }

    fn claims() -> Value {
        json!({ "iss": "https://id.example", "sub": "anna", "aud": ["app"], "exp": NOW + 60, "iat": NOW - 60, "amr": "pwd" })
    }

    fn header() -> Value {
        json!({ "alg": "ES256", "kid": "one", "typ": "JWT" })
    }

    fn verify(token: &str, keys: &[u8]) -> Result<Claims, TokenError> {
        Unverified::read(token)?.verify(&KeySet::read(keys).unwrap(), NOW).cloned()
    }

    #[test]
    fn a_token_of_the_provider_proves_its_claims() {
        let provider = Provider::new();
        let found = verify(&provider.token(&header(), &claims()), &provider.keys()).unwrap();
        assert_eq!((found.issuer.as_str(), found.subject.as_str()), ("https://id.example", "anna"));
        assert_eq!((found.audiences, found.methods), (vec!["app".to_owned()], vec!["pwd".to_owned()]));
    }

    #[test]
    fn nobody_elses_does() {
        let (provider, other) = (Provider::new(), Provider::new());
        let token = provider.token(&header(), &claims());
        assert_eq!(verify(&token, &other.keys()), Err(TokenError::Signature));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (head, _) = signed.split_once('.').unwrap();
        let mut richer = claims();
        richer["sub"] = json!("root");
        let forged = format!("{head}.{}.{signature}", BASE64_URL.encode(richer.to_string()));
        assert_eq!(verify(&forged, &provider.keys()), Err(TokenError::Signature));
        let unknown = provider.token(&json!({ "alg": "ES256", "kid": "two" }), &claims());
        assert_eq!(verify(&unknown, &provider.keys()), Err(TokenError::NoKey));
    }

    #[test]
    fn algorithms_that_prove_nothing_are_refused() {
        let provider = Provider::new();
        for algorithm in ["none", "None", "HS256", "RS512", ""] {
            let token = provider.token(&json!({ "alg": algorithm }), &claims());
            assert!(matches!(verify(&token, &provider.keys()), Err(TokenError::Malformed(_))), "{algorithm}");
        }
        let token = provider.token(&json!({ "alg": "RS256", "kid": "one" }), &claims());
        assert_eq!(verify(&token, &provider.keys()), Err(TokenError::NoKey), "a key has one algorithm");
        let critical = provider.token(&json!({ "alg": "ES256", "crit": ["exp"] }), &claims());
        assert!(matches!(verify(&critical, &provider.keys()), Err(TokenError::Malformed(_))));
    }

    #[test]
    fn a_token_has_its_time() {
        let provider = Provider::new();
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            verify(&provider.token(&header(), &claims), &provider.keys())
        };
        assert!(matches!(with("exp", json!(NOW)), Err(TokenError::Expired { .. })));
        assert!(matches!(with("nbf", json!(NOW + 301)), Err(TokenError::Early { .. })));
        assert!(matches!(with("iat", json!(NOW + 301)), Err(TokenError::Early { .. })));
        assert!(
            with("nbf", json!(NOW + 299)).is_ok() && with("exp", json!(1_800_000_000.5_f64 + 1.0)).is_ok()
        );
        for claim in ["iss", "sub", "aud", "exp", "iat"] {
            assert!(matches!(with(claim, Value::Null), Err(TokenError::Malformed(_))), "{claim}");
        }
    }

    #[test]
    fn what_is_no_token_is_said_to_be_none() {
        let long = "a.".repeat(limits::TOKEN_BYTES_MAX);
        for text in ["", ".", "..", "a.b", "a.b.c", "e30.e30.", "####.e30.e30", &long] {
            assert!(matches!(Unverified::read(text), Err(TokenError::Malformed(_))), "{text:.20}");
        }
        assert!(KeySet::read(b"{}").is_none() && KeySet::read(b"[").is_none());
    }

    /// The example of RFC 7515, appendix A.2, whose key and signature others made.
    #[test]
    fn rsa_signatures_are_checked() {
        let modulus = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
        let signed = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let keys =
            json!({ "keys": [{ "kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256" }] }).to_string();
        let keys = KeySet::read(keys.as_bytes()).unwrap();
        let signature = BASE64_URL.decode(signature).unwrap();
        assert!(keys.0[0].material.has_signed(signed.as_bytes(), &signature));
        assert!(!keys.0[0].material.has_signed(&signed.as_bytes()[1..], &signature));
    }
}
