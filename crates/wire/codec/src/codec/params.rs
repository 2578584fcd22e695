//! Percent-encoding, and the `key=value&...` form that query strings and form bodies share.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::constants::PARAMS_MAX;
use crate::ReadError;

/// Decodes a piece of a path; `None` when it is not UTF-8.
pub(super) fn decode_path(raw: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(raw).decode_utf8().ok()
}

/// Decodes a key or value of a query string, where `+` is a space; `None` when it is not UTF-8.
pub(super) fn decode_param(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('+') {
        return decode_path(raw);
    }
    let spaced = raw.replace('+', " ");
    decode_path(&spaced).map(|decoded| Cow::Owned(decoded.into_owned()))
}

/// The raw pairs of a query string; a key without `=` has an empty value.
pub(super) fn raw_pairs(raw: &str) -> impl Iterator<Item = (&str, &str)> {
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Whether a raw key of a query string is this one.
pub(super) fn is_key(raw: &str, key: &str) -> bool {
    raw == key || (raw.contains(['%', '+']) && decode_param(raw).is_some_and(|decoded| decoded == key))
}

/// Adds the decoded pairs of a query string or form body.
pub(super) fn decode_pairs<'a>(
    raw: &'a str,
    pairs: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>,
) -> Result<(), ReadError> {
    for (key, value) in raw_pairs(raw) {
        if pairs.len() >= PARAMS_MAX {
            return Err(ReadError::Limit(format!("more than {PARAMS_MAX} parameters")));
        }
        match (decode_param(key), decode_param(value)) {
            (Some(key), Some(value)) => pairs.push((key, value)),
            _ => return Err(ReadError::Syntax(format!("the parameter `{key}` is not UTF-8"))),
        }
    }
    Ok(())
}
