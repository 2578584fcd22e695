//! The first step: reading who claims to have signed a request, and what.

use crate::encode::decode_query;
use crate::query::pairs;
use crate::scope::Credential;
use crate::{
    ALGORITHM, ALGORITHM_V4A, AmzDate, AuthError, MAX_PRESIGNED_LIFE_S, MAX_SIGNED_HEADERS_BYTES,
    PayloadKind, Piece, Place,
};
use http::HeaderMap;
use http::request::Parts;
use std::borrow::Cow;

/// A signature as a request claims it, well formed but not yet verified: see [`SignedRequest::verify`].
#[derive(Clone, Debug)]
pub struct SignedRequest<'a> {
    pub(crate) place: Place,
    pub(crate) credential: Credential<'a>,
    pub(crate) signed_headers: Cow<'a, str>,
    pub(crate) signature: Cow<'a, str>,
    pub(crate) at: AmzDate,
    pub(crate) session_token: Option<Cow<'a, str>>,
    /// `x-amz-content-sha256` as it was sent, which is how it was signed.
    pub(crate) payload: Option<(Cow<'a, str>, PayloadKind)>,
    pub(crate) life_s: Option<i64>,
}

impl<'a> SignedRequest<'a> {
    /// Whose secret must have signed.
    pub fn access_key_id(&self) -> &str {
        self.credential.access_key_id()
    }

    /// `20150830/us-east-1/s3/aws4_request`.
    pub fn scope(&self) -> &str {
        self.credential.scope()
    }

    /// The day of the scope, `20150830`.
    pub fn date(&self) -> &str {
        self.credential.date()
    }

    /// The region of the scope.
    pub fn region(&self) -> &str {
        self.credential.region()
    }

    /// The service of the scope, by its signing name.
    pub fn service(&self) -> &str {
        self.credential.service()
    }

    /// When it was signed, as the client's clock says.
    pub fn signed_at(&self) -> AmzDate {
        self.at
    }

    /// The token of temporary credentials, from the header or the query.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// Names of the headers that the signature covers, lower-case and sorted.
    pub fn signed_headers(&self) -> impl Iterator<Item = &str> {
        self.signed_headers.split(';')
    }

    /// What the request itself says about its body; `None` when it says nothing.
    pub fn payload(&self) -> Option<PayloadKind> {
        self.payload.as_ref().map(|(_, kind)| *kind)
    }

    /// Whether the signature is in the query string.
    pub fn is_presigned(&self) -> bool {
        self.place == Place::Query
    }

    /// When a presigned request stops to be valid, in seconds since 1970.
    pub fn expires_at_s(&self) -> Option<i64> {
        self.life_s.map(|life_s| self.at.unix_s() + life_s)
    }

    pub(crate) fn credential(&self) -> &Credential<'a> {
        &self.credential
    }
}

/// Reads the signature of a request. `None` when it carries none of any kind.
pub fn parse(parts: &Parts) -> Result<Option<SignedRequest<'_>>, AuthError> {
    let query = QueryPieces::read(parts.uri.query().unwrap_or(""))?;
    let header = single_header(&parts.headers, "authorization", Piece::Authorization)?;
    match (header, query.is_signed()) {
        (Some(_), true) => Err(AuthError::TwoMechanisms),
        (Some(text), false) => from_header(text, &parts.headers).map(Some),
        (None, true) => from_query(query, &parts.headers).map(Some),
        (None, false) => Ok(None),
    }
}

fn from_header<'a>(text: &'a str, headers: &'a HeaderMap) -> Result<SignedRequest<'a>, AuthError> {
    let place = Place::Header;
    let (scheme, rest) = text.trim().split_once([' ', '\t']).unwrap_or((text.trim(), ""));
    accept_algorithm(scheme)?;
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for piece in rest.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let (slot, piece) = match name.trim_end() {
            "Credential" => (&mut credential, Piece::Credential),
            "SignedHeaders" => (&mut signed_headers, Piece::SignedHeaders),
            "Signature" => (&mut signature, Piece::Signature),
            _ => return Err(AuthError::UnknownPiece { found: piece.into() }),
        };
        if slot.replace(value.trim_start()).is_some() {
            return Err(AuthError::Duplicate { place, piece });
        }
    }
    let credential = credential.ok_or(AuthError::Missing { place, piece: Piece::Credential })?;
    let signed_headers = signed_headers.ok_or(AuthError::Missing { place, piece: Piece::SignedHeaders })?;
    let signature = signature.ok_or(AuthError::Missing { place, piece: Piece::Signature })?;
    Ok(SignedRequest {
        place,
        credential: read_credential(credential.into(), place)?,
        signed_headers: read_signed_headers(signed_headers.into(), place)?,
        signature: signature.into(),
        at: header_date(headers)?,
        session_token: single_header(headers, "x-amz-security-token", Piece::SecurityToken)?.map(Into::into),
        payload: header_payload(headers)?,
        life_s: None,
    })
}

fn from_query<'a>(query: QueryPieces<'a>, headers: &'a HeaderMap) -> Result<SignedRequest<'a>, AuthError> {
    let place = Place::Query;
    if query.is_sigv2 {
        return Err(AuthError::SigV2);
    }
    let need = |value: Option<Cow<'a, str>>, piece| value.ok_or(AuthError::Missing { place, piece });
    accept_algorithm(&need(query.algorithm, Piece::Algorithm)?)?;
    let credential = need(query.credential, Piece::Credential)?;
    let signature = need(query.signature, Piece::Signature)?;
    let date = need(query.date, Piece::Date)?;
    let signed_headers = need(query.signed_headers, Piece::SignedHeaders)?;
    let expires = need(query.expires, Piece::Expires)?;
    let header_token = single_header(headers, "x-amz-security-token", Piece::SecurityToken)?;
    if header_token.is_some() && query.security_token.is_some() {
        return Err(AuthError::Duplicate { place, piece: Piece::SecurityToken });
    }
    let payload = match query.content_sha256 {
        Some(text) => PayloadKind::parse(&text).map(|kind| Some((text, kind)))?,
        None => header_payload(headers)?,
    };
    Ok(SignedRequest {
        place,
        credential: read_credential(credential, place)?,
        signed_headers: read_signed_headers(signed_headers, place)?,
        signature,
        at: AmzDate::parse(&date)
            .ok_or_else(|| AuthError::DateMalformed { place, found: date.into_owned() })?,
        session_token: query.security_token.or(header_token.map(Into::into)),
        payload,
        life_s: Some(read_life(&expires)?),
    })
}

/// The parameters of a presigned request, decoded.
#[derive(Default)]
struct QueryPieces<'a> {
    algorithm: Option<Cow<'a, str>>,
    credential: Option<Cow<'a, str>>,
    date: Option<Cow<'a, str>>,
    expires: Option<Cow<'a, str>>,
    signed_headers: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    security_token: Option<Cow<'a, str>>,
    content_sha256: Option<Cow<'a, str>>,
    is_sigv2: bool,
}

impl<'a> QueryPieces<'a> {
    fn read(query: &'a str) -> Result<Self, AuthError> {
        let mut pieces = Self::default();
        for (name, value) in pairs(query) {
            let (slot, piece) = match name {
                "X-Amz-Algorithm" => (&mut pieces.algorithm, Piece::Algorithm),
                "X-Amz-Credential" => (&mut pieces.credential, Piece::Credential),
                "X-Amz-Date" => (&mut pieces.date, Piece::Date),
                "X-Amz-Expires" => (&mut pieces.expires, Piece::Expires),
                "X-Amz-SignedHeaders" => (&mut pieces.signed_headers, Piece::SignedHeaders),
                "X-Amz-Signature" => (&mut pieces.signature, Piece::Signature),
                "X-Amz-Security-Token" => (&mut pieces.security_token, Piece::SecurityToken),
                "X-Amz-Content-Sha256" => (&mut pieces.content_sha256, Piece::ContentSha256),
                "AWSAccessKeyId" => {
                    pieces.is_sigv2 = true;
                    continue;
                }
                _ => continue,
            };
            let place = Place::Query;
            let value = decode_query(value).ok_or(AuthError::NotText { place, piece })?;
            if slot.replace(value).is_some() {
                return Err(AuthError::Duplicate { place, piece });
            }
        }
        Ok(pieces)
    }

    /// A date or token alone, as other parameters may carry them, is no signature.
    fn is_signed(&self) -> bool {
        self.is_sigv2 || self.algorithm.is_some() || self.credential.is_some() || self.signature.is_some()
    }
}

fn accept_algorithm(found: &str) -> Result<(), AuthError> {
    match found {
        ALGORITHM => Ok(()),
        ALGORITHM_V4A => Err(AuthError::SigV4a),
        "AWS" => Err(AuthError::SigV2),
        _ => Err(AuthError::UnknownScheme { found: found.into() }),
    }
}

fn read_credential(text: Cow<'_, str>, place: Place) -> Result<Credential<'_>, AuthError> {
    let found = text.clone();
    Credential::parse(text).ok_or_else(|| AuthError::CredentialMalformed { place, found: found.into_owned() })
}

fn read_signed_headers(text: Cow<'_, str>, place: Place) -> Result<Cow<'_, str>, AuthError> {
    if text.len() > MAX_SIGNED_HEADERS_BYTES {
        return Err(AuthError::SignedHeadersMalformed { place, found: format!("{} bytes long", text.len()) });
    }
    let mut before: &[u8] = b"";
    for name in text.as_bytes().split(|byte| *byte == b';') {
        if name <= before || name.iter().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii_graphic()) {
            return Err(AuthError::SignedHeadersMalformed { place, found: text.into_owned() });
        }
        before = name;
    }
    Ok(text)
}

fn read_life(text: &str) -> Result<i64, AuthError> {
    match text.parse::<i64>() {
        Err(_) => Err(AuthError::ExpiresNotANumber { found: text.into() }),
        Ok(found) if found < 0 => Err(AuthError::ExpiresNegative { found }),
        Ok(found) if found > MAX_PRESIGNED_LIFE_S => Err(AuthError::ExpiresTooLong { found }),
        Ok(found) => Ok(found),
    }
}

fn header_date(headers: &HeaderMap) -> Result<AmzDate, AuthError> {
    let place = Place::Header;
    let malformed = |found: &str| AuthError::DateMalformed { place, found: found.into() };
    if let Some(text) = single_header(headers, "x-amz-date", Piece::Date)? {
        return AmzDate::parse(text).ok_or_else(|| malformed(text));
    }
    match single_header(headers, "date", Piece::Date)? {
        Some(text) => AmzDate::parse_http(text).ok_or_else(|| malformed(text)),
        None => Err(AuthError::Missing { place, piece: Piece::Date }),
    }
}

fn header_payload(headers: &HeaderMap) -> Result<Option<(Cow<'_, str>, PayloadKind)>, AuthError> {
    let Some(text) = single_header(headers, "x-amz-content-sha256", Piece::ContentSha256)? else {
        return Ok(None);
    };
    Ok(Some((text.into(), PayloadKind::parse(text)?)))
}

/// The one value of a header; more than one is an error, because client and server might take different ones.
fn single_header<'a>(headers: &'a HeaderMap, name: &str, piece: Piece) -> Result<Option<&'a str>, AuthError> {
    let place = Place::Header;
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(AuthError::Duplicate { place, piece });
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| AuthError::NotText { place, piece })?;
    Ok(Some(text.trim()))
}
