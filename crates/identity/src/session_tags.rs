//! Tags of sessions: which a request may give, and which it inherits.
//! Source: IAM User Guide, "Pass session tags in AWS STS".

use crate::{Caller, CallerKind, IdentityError};

/// Tags of one session.
const TAGS_MAX: usize = 50;
/// What the keys of AWS's own tags begin with.
const RESERVED: &str = "aws:";

/// The tags of a new session, and the keys of those that the sessions made with it have, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionTags {
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) transitive: Vec<String>,
}

impl SessionTags {
    /// The tags that a request asks for, with those that the caller's session passes on.
    ///
    /// Errors: `InvalidParameter` in AWS's words.
    pub(crate) fn checked(
        caller: Option<&Caller>,
        tags: &[(String, String)],
        transitive: &[String],
    ) -> Result<Self, IdentityError> {
        let invalid = |told: &str| Err(IdentityError::InvalidParameter(told.to_owned()));
        let keys = || tags.iter().map(|(key, _)| key);
        for (at, (key, _)) in tags.iter().enumerate() {
            if has(keys().take(at), key) {
                return invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.");
            }
            if key.get(..RESERVED.len()).is_some_and(|start| same(start, RESERVED)) {
                return invalid("Tag keys that begin with aws: are reserved for system use.");
            }
        }
        if transitive.iter().any(|key| !has(keys(), key)) {
            return invalid("The specified transitive tag key must be included in the requested tags.");
        }
        let mut all = Self::inherited(caller);
        if tags.iter().any(|(key, _)| has(all.transitive.iter(), key)) {
            return invalid(
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from \
                 the calling session.",
            );
        }
        all.tags.extend(tags.iter().cloned());
        all.transitive.extend(transitive.iter().cloned());
        if all.tags.len() > TAGS_MAX {
            return invalid("A session has at most 50 tags, those that it inherits included.");
        }
        Ok(all)
    }

    fn inherited(caller: Option<&Caller>) -> Self {
        let Some(CallerKind::RoleSession { session_tags, transitive_tag_keys, .. }) =
            caller.map(|caller| &caller.kind)
        else {
            return Self::default();
        };
        let is_passed_on = |key: &str| has(transitive_tag_keys.iter(), key);
        let tags = session_tags.iter().filter(|(key, _)| is_passed_on(key)).cloned().collect();
        Self { tags, transitive: transitive_tag_keys.clone() }
    }
}

fn has<'a>(mut keys: impl Iterator<Item = &'a String>, key: &str) -> bool {
    keys.any(|known| same(known, key))
}

fn same(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(keys: &[&str]) -> Vec<(String, String)> {
        keys.iter().map(|key| ((*key).to_owned(), "v".to_owned())).collect()
    }

    fn told(tags: &[(String, String)], transitive: &[&str]) -> String {
        let transitive: Vec<_> = transitive.iter().map(|key| (*key).to_owned()).collect();
        SessionTags::checked(None, tags, &transitive).unwrap_err().to_string()
    }

    #[test]
    fn keys_are_compared_without_case() {
        assert!(told(&tags(&["Team", "team"]), &[]).starts_with("Duplicate tag keys"));
        assert!(told(&tags(&["Team"]), &["other"]).contains("must be included"));
        assert!(told(&tags(&["AWS:x"]), &[]).contains("reserved"));
        let all = SessionTags::checked(None, &tags(&["Team", "b"]), &["team".to_owned()]).unwrap();
        assert_eq!((all.tags.len(), all.transitive.len()), (2, 1));
    }
}
