//! Finding parameters in a raw query string.

/// `name=value` pieces as they came, still encoded. Empty pieces are left out; a missing value is empty.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}
