//! Inline policies of a principal: by name, in its row.

use std::collections::BTreeMap;

use super::{Kind, limits};
use crate::{IdentityError, Policy};

/// These policies with one more, or one replaced, which is read first.
pub(crate) fn with(
    policies: &BTreeMap<String, String>,
    name: &str,
    document: &str,
) -> Result<BTreeMap<String, String>, IdentityError> {
    Policy::identity(document)?;
    let mut policies = policies.clone();
    policies.insert(name.to_owned(), document.to_owned());
    Ok(policies)
}

/// Refuses policies that are together larger than a principal may have.
pub(crate) fn check_size(
    kind: Kind,
    name: &str,
    policies: &BTreeMap<String, String>,
    max: usize,
) -> Result<(), IdentityError> {
    let chars: usize =
        policies.values().map(|text| text.chars().filter(|c| !c.is_whitespace()).count()).sum();
    let bytes: usize = policies.iter().map(|(name, text)| name.len() + text.len()).sum();
    if chars > max || bytes > limits::INLINE_POLICIES_BYTES_MAX {
        return Err(IdentityError::PolicyTooLarge { kind, name: name.to_owned(), max });
    }
    Ok(())
}
