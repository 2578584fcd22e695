//! Tags of principals: their keys are the same whatever the case of their letters.

use super::limits;
use crate::IdentityError;

/// Adds tags, or gives those of these keys new values.
///
/// Errors: a key twice, a key that is AWS's own, more tags than a principal may have.
pub(crate) fn add(tags: &mut Vec<(String, String)>, new: &[(String, String)]) -> Result<(), IdentityError> {
    for (index, (key, _)) in new.iter().enumerate() {
        if new[..index].iter().any(|(other, _)| is_same(other, key)) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(IdentityError::InvalidInput(message.to_owned()));
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            let message = "aws: prefixed tag key names are not allowed for external use.";
            return Err(IdentityError::InvalidInput(message.to_owned()));
        }
    }
    for (key, value) in new {
        match tags.iter_mut().find(|(known, _)| is_same(known, key)) {
            Some(known) => *known = (key.clone(), value.clone()),
            None => tags.push((key.clone(), value.clone())),
        }
    }
    if tags.len() > limits::TAGS_MAX {
        return Err(IdentityError::TooManyTags { max: limits::TAGS_MAX });
    }
    tags.sort();
    Ok(())
}

/// Takes the tags of these keys away; no harm where there is none.
pub(crate) fn remove(tags: &mut Vec<(String, String)>, gone: &[String]) {
    tags.retain(|(key, _)| !gone.iter().any(|gone| is_same(gone, key)));
}

fn is_same(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn keys_are_the_same_in_any_case() {
        let mut tags = vec![tag("Team", "a")];
        add(&mut tags, &[tag("team", "b"), tag("Stage", "")]).unwrap();
        assert_eq!(tags, [tag("Stage", ""), tag("team", "b")]);
        remove(&mut tags, &["TEAM".to_owned(), "absent".to_owned()]);
        assert_eq!(tags, [tag("Stage", "")]);
    }

    #[test]
    fn what_aws_refuses_is_refused() {
        let mut tags = Vec::new();
        for new in [vec![tag("a", "1"), tag("A", "2")], vec![tag("aws:x", "1")], vec![tag("AWS:x", "1")]] {
            let refused = add(&mut tags, &new).unwrap_err();
            assert!(matches!(refused, IdentityError::InvalidInput(_)), "{new:?}: {refused}");
        }
        let many: Vec<_> = (0..=limits::TAGS_MAX).map(|number| tag(&number.to_string(), "")).collect();
        assert!(add(&mut tags, &many[1..]).is_ok());
        assert!(matches!(add(&mut tags, &many[..1]), Err(IdentityError::TooManyTags { max: 50 })));
    }
}
