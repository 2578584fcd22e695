//! How IAM tells of broken constraints: without the values, and of names in words of its own.

const NAME_PATTERN: &str = "Member must satisfy regular expression pattern: [\\w+=,.@-]+";

/// IAM's words for what most services say.
pub(crate) fn words(message: String) -> String {
    let message = without_values(message);
    let one = message.strip_prefix("1 validation error detected: Value at '");
    if let Some((member, constraint)) =
        one.and_then(|rest| rest.split_once("' failed to satisfy constraint: "))
        && constraint == NAME_PATTERN
    {
        return format!(
            "The specified value for {member} is invalid. It must contain only alphanumeric characters and/or the \
             following: +=,.@_-"
        );
    }
    message
}

/// Takes the values, and the lists of those that an enumeration has, out of a message.
fn without_values(mut message: String) -> String {
    for (before, after, kept) in
        [("Value '", "' at '", "Value at '"), (" enum value set: [", "]", " enum value set")]
    {
        let mut from = 0;
        while let Some(start) = message[from..].find(before).map(|at| from + at) {
            let inside = start + before.len();
            let Some(end) = message[inside..].find(after).map(|at| inside + at + after.len()) else { break };
            message.replace_range(start..end, kept);
            from = start + kept.len();
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_told() {
        for (said, told) in [
            (
                "1 validation error detected: Value 'a b' at 'serviceSpecificCredentialId' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: [\\w]+",
                "1 validation error detected: Value at 'serviceSpecificCredentialId' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: [\\w]+",
            ),
            (
                "1 validation error detected: Value 'x' at 'status' failed to satisfy constraint: Member must satisfy \
                 enum value set: [Active, Inactive]",
                "1 validation error detected: Value at 'status' failed to satisfy constraint: Member must satisfy \
                 enum value set",
            ),
            (
                "1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: Member must \
                 satisfy regular expression pattern: [\\w+=,.@-]+",
                "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the \
                 following: +=,.@_-",
            ),
            (
                "2 validation errors detected: Value '' at 'userName' failed to satisfy constraint: A; Value '' at \
                 'policyName' failed to satisfy constraint: B",
                "2 validation errors detected: Value at 'userName' failed to satisfy constraint: A; Value at \
                 'policyName' failed to satisfy constraint: B",
            ),
        ] {
            assert_eq!(words(said.to_owned()), told);
        }
    }
}
