//! Inline policies of a principal: by name, in its row.

use std::collections::BTreeMap;

use super::{Kind, limits};
use crate::{IdentityError, Policy};

/// Adds or replaces a policy of the principal of this kind and name; all of them together may have `max` characters. After
/// an error the row that they belong to must not be written.
pub(crate) fn put(
    policies: &mut BTreeMap<String, String>,
    (kind, principal): (Kind, &str),
    (policy, document): (&str, &str),
    max: usize,
) -> Result<(), IdentityError> {
    Policy::identity(document)?;
    policies.insert(policy.to_owned(), document.to_owned());
    let chars: usize =
        policies.values().map(|text| text.chars().filter(|c| !c.is_whitespace()).count()).sum();
    let bytes: usize = policies.iter().map(|(name, text)| name.len() + text.len()).sum();
    if chars > max || bytes > limits::INLINE_POLICIES_BYTES_MAX {
        return Err(IdentityError::PolicyTooLarge { kind, name: principal.to_owned(), max });
    }
    Ok(())
}

/// Takes a policy away; `kind` is as [`Kind::UserPolicy`].
pub(crate) fn remove(
    policies: &mut BTreeMap<String, String>,
    kind: Kind,
    policy: &str,
) -> Result<(), IdentityError> {
    let none = || IdentityError::NoSuch { kind, name: policy.to_owned() };
    policies.remove(policy).map(drop).ok_or_else(none)
}
