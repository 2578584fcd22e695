//! Whether a resource policy lets somebody in. Conditions that Lambent cannot judge never allow, and always deny.

use std::collections::BTreeMap;

use lambent_identity::{Caller, CallerKind};
use lambent_wire::ApiError;

use crate::rows::{Effect, OneOrMore, PolicyRow, PrincipalRow, StatementRow, WrittenPrincipal, WrittenRow};

/// Who wants to do something with a function, as far as its policy may ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    /// As `lambda:InvokeFunction`.
    pub(crate) action: &'a str,
    pub(crate) who: Who<'a>,
    /// The resource for which a service asks.
    pub(crate) source_arn: Option<&'a str>,
    pub(crate) source_account: Option<&'a str>,
    /// `NONE` or `AWS_IAM`, for who comes through a function URL.
    pub(crate) url_auth_type: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Who<'a> {
    /// As `s3.amazonaws.com`.
    Service(&'a str),
    /// The ARN of a principal of IAM.
    Aws(&'a str),
    Anonymous,
}

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    Deny,
    Nothing,
}

/// Whether a condition holds, as far as can be told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Unknown,
}

/// What a policy says of this.
pub(crate) fn decide(policy: Option<&PolicyRow>, asking: &Asking<'_>) -> Verdict {
    let Some(policy) = policy else { return Verdict::Nothing };
    let mut verdict = Verdict::Nothing;
    for statement in &policy.written {
        match (statement.effect, applies(statement, asking)) {
            (_, Holds::No) | (Effect::Allow, Holds::Unknown) => {}
            (Effect::Deny, Holds::Yes | Holds::Unknown) => return Verdict::Deny,
            (Effect::Allow, Holds::Yes) => verdict = Verdict::Allow,
        }
    }
    if policy.statements.iter().any(|statement| allows(statement, asking)) {
        verdict = Verdict::Allow;
    }
    verdict
}

/// What a policy says of a caller; of a role's session, what it says of either.
pub(crate) fn decide_for(
    policy: Option<&PolicyRow>,
    action: &str,
    caller: &Caller,
    url_auth_type: Option<&str>,
) -> Verdict {
    let ask = |arn| {
        let who = Who::Aws(arn);
        decide(policy, &Asking { action, who, source_arn: None, source_account: None, url_auth_type })
    };
    let own = ask(&caller.arn);
    match &caller.kind {
        CallerKind::RoleSession { role_arn, .. } => match (own, ask(role_arn)) {
            (Verdict::Deny, _) | (_, Verdict::Deny) => Verdict::Deny,
            (Verdict::Allow, _) | (_, Verdict::Allow) => Verdict::Allow,
            (Verdict::Nothing, Verdict::Nothing) => Verdict::Nothing,
        },
        _ => own,
    }
}

/// Errors: AccessDeniedException where the policy of the resource with this ARN denies the caller one of the actions,
/// whatever the caller's own policies say.
pub(crate) fn check_no_deny(
    policy: Option<&PolicyRow>,
    actions: &[&str],
    caller: &Caller,
    arn: &str,
) -> Result<(), ApiError> {
    match actions.iter().find(|action| decide_for(policy, action, caller, None) == Verdict::Deny) {
        None => Ok(()),
        Some(action) => {
            let message = format!(
                "User: {} is not authorized to perform: {action} on resource: {arn} with an explicit deny in a \
                 resource-based policy",
                caller.arn
            );
            Err(ApiError::new("AccessDeniedException", 403, message).message_in("Message"))
        }
    }
}

fn allows(statement: &StatementRow, asking: &Asking<'_>) -> bool {
    let is_principal = match (&statement.principal, asking.who) {
        (PrincipalRow::Everyone, _) => true,
        (PrincipalRow::Service(named), Who::Service(service)) => named == service,
        (PrincipalRow::Aws(named), Who::Aws(arn)) => is_meant(named, arn, Effect::Allow),
        _ => false,
    };
    let is_same = |wanted: &Option<String>, has: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| has == Some(wanted))
    };
    let is_unjudged = statement.principal_org_id.is_some() || statement.event_source_token.is_some();
    let source_arn = statement.source_arn.as_deref();
    is_principal
        && !is_unjudged
        && is_action(&statement.action, asking.action)
        && is_same(&statement.source_account, asking.source_account)
        && is_same(&statement.function_url_auth_type, asking.url_auth_type)
        && statement.invoked_via_function_url.is_none_or(|via_url| via_url == asking.url_auth_type.is_some())
        && source_arn.is_none_or(|pattern| asking.source_arn.is_some_and(|arn| arn_like(pattern, arn)))
}

fn applies(statement: &WrittenRow, asking: &Asking<'_>) -> Holds {
    let is_principal = match &statement.principal {
        WrittenPrincipal::Everyone(_) => true,
        WrittenPrincipal::Named(named) => named.iter().any(|(kind, names)| {
            names.all().iter().any(|name| match (kind.as_str(), asking.who) {
                ("AWS", _) if name == "*" => true,
                ("AWS", Who::Aws(arn)) => is_meant(name, arn, statement.effect),
                ("Service", Who::Service(service)) => name == service,
                _ => false,
            })
        }),
    };
    if !is_principal || !statement.action.all().iter().any(|pattern| is_action(pattern, asking.action)) {
        return Holds::No;
    }
    let conditions = statement.condition.iter().flatten();
    let mut all = Holds::Yes;
    for (operator, keys) in conditions {
        match condition(operator, keys, asking) {
            Holds::No => return Holds::No,
            Holds::Unknown => all = Holds::Unknown,
            Holds::Yes => {}
        }
    }
    all
}

fn condition(operator: &str, keys: &BTreeMap<String, OneOrMore>, asking: &Asking<'_>) -> Holds {
    let is_match: fn(&str, &str) -> bool = match operator {
        "StringEquals" => |wanted, has| wanted == has,
        "StringEqualsIgnoreCase" | "Bool" => str::eq_ignore_ascii_case,
        "StringLike" => |wanted, has| glob(wanted.as_bytes(), has.as_bytes()),
        "ArnLike" | "ArnEquals" => arn_like,
        _ => return Holds::Unknown,
    };
    let mut all = Holds::Yes;
    for (key, wanted) in keys {
        let via_url = if asking.url_auth_type.is_some() { "true" } else { "false" };
        let has = match key.to_ascii_lowercase().as_str() {
            "aws:sourcearn" => asking.source_arn,
            "aws:sourceaccount" => asking.source_account,
            "lambda:functionurlauthtype" => asking.url_auth_type,
            "lambda:invokedviafunctionurl" => Some(via_url),
            _ => {
                all = Holds::Unknown;
                continue;
            }
        };
        if !has.is_some_and(|has| wanted.all().iter().any(|wanted| is_match(wanted, has))) {
            return Holds::No;
        }
    }
    all
}

fn is_action(pattern: &str, action: &str) -> bool {
    glob(pattern.to_ascii_lowercase().as_bytes(), action.to_ascii_lowercase().as_bytes())
}

/// `named` is an ARN, the root of an account, or an account's number. The latter two deny all that is in the account;
/// an Allow leaves it to the account whom of its own its policies let in.
/// Source: IAM User Guide, "AWS JSON policy elements: Principal", "AWS account principals".
fn is_meant(named: &str, arn: &str, effect: Effect) -> bool {
    let account = named.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root"));
    let is_number = named.len() == 12 && named.bytes().all(|byte| byte.is_ascii_digit());
    match account.or(is_number.then_some(named)) {
        Some(account) => effect == Effect::Deny && arn.split(':').nth(4) == Some(account),
        None => named == arn,
    }
}

/// IAM's ArnLike: each of the six parts matches by itself, `*` any characters and `?` any one.
fn arn_like(pattern: &str, arn: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) =
        (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    patterns.len() == parts.len()
        && patterns.iter().zip(parts).all(|(pattern, part)| glob(pattern.as_bytes(), part.as_bytes()))
}

/// Matches in time that grows with the product of both lengths, whatever the pattern.
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_text) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => match star {
                Some((star_at, taken)) => {
                    star = Some((star_at, taken + 1));
                    at = star_at + 1;
                    in_text = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ASKING: Asking<'_> = Asking {
        action: "lambda:InvokeFunction",
        who: Who::Service("s3.amazonaws.com"),
        source_arn: Some("arn:aws:s3:::photos"),
        source_account: Some("000000000000"),
        url_auth_type: None,
    };

    fn written(statements: &str) -> PolicyRow {
        PolicyRow { written: serde_json::from_str(statements).unwrap(), ..PolicyRow::default() }
    }

    #[test]
    fn arns_match_part_by_part() {
        assert!(arn_like("arn:aws:s3:::photos", "arn:aws:s3:::photos"));
        assert!(arn_like("arn:*:s3:::pho?os*", "arn:aws:s3:::photos-2026"));
        assert!(arn_like("arn:aws:events:*:*:rule/*", "arn:aws:events:us-east-1:000000000000:rule/a:b"));
        assert!(!arn_like("arn:aws:s3:::photos", "arn:aws:s3:::photos2"));
        // A star ends at the colon, but in the last part.
        assert!(!arn_like("arn:aws:*:photos", "arn:aws:s3:::photos"));
        assert!(!arn_like("*", "arn:aws:s3:::photos"));
    }

    #[test]
    fn conditions_that_nobody_can_judge_never_hold() {
        let statement = StatementRow { action: "lambda:*".to_owned(), ..StatementRow::default() };
        assert!(allows(&statement, &ASKING));
        let refused = [
            StatementRow { principal_org_id: Some("o-1".to_owned()), ..statement.clone() },
            StatementRow { event_source_token: Some("t".to_owned()), ..statement.clone() },
            StatementRow { invoked_via_function_url: Some(true), ..statement.clone() },
            StatementRow { source_account: Some("111111111111".to_owned()), ..statement.clone() },
            StatementRow { action: "lambda:GetFunction".to_owned(), ..statement.clone() },
            StatementRow {
                principal: PrincipalRow::Service("sns.amazonaws.com".to_owned()),
                ..statement.clone()
            },
            StatementRow { principal: PrincipalRow::Aws(String::new()), ..statement },
        ];
        for statement in refused {
            assert!(!allows(&statement, &ASKING), "{statement:?}");
        }
    }

    #[test]
    fn urls_are_opened_by_statements_for_them() {
        let via_url = Asking {
            action: "lambda:InvokeFunctionUrl",
            who: Who::Anonymous,
            source_arn: None,
            source_account: None,
            url_auth_type: Some("NONE"),
        };
        let statement = StatementRow {
            action: "lambda:InvokeFunctionUrl".to_owned(),
            function_url_auth_type: Some("NONE".to_owned()),
            ..StatementRow::default()
        };
        assert!(allows(&statement, &via_url));
        assert!(!allows(&statement, &Asking { url_auth_type: Some("AWS_IAM"), ..via_url }));
        assert!(!allows(&statement, &Asking { url_auth_type: None, ..via_url }));
        let both = StatementRow { invoked_via_function_url: Some(true), ..statement };
        assert!(allows(&both, &via_url));
    }

    #[test]
    fn accounts_deny_all_that_is_in_them_and_let_nobody_in() {
        let role = "arn:aws:sts::000000000000:assumed-role/r/s";
        for (named, is_allowed, is_denied) in [
            ("000000000000", false, true),
            ("arn:aws:iam::000000000000:root", false, true),
            (role, true, true),
            ("111111111111", false, false),
            ("arn:aws:iam::000000000000:role/r", false, false),
        ] {
            assert_eq!(is_meant(named, role, Effect::Allow), is_allowed, "{named}");
            assert_eq!(is_meant(named, role, Effect::Deny), is_denied, "{named}");
        }
    }

    #[test]
    fn written_statements_are_decided_as_iam_decides() {
        let allow = r#"{"Effect": "Allow", "Principal": {"Service": ["s3.amazonaws.com"]}, "Action": "lambda:invoke*""#;
        let deny = r#"{"Effect": "Deny", "Principal": "*", "Action": ["lambda:*"]"#;
        let said = |statements: String| decide(Some(&written(&statements)), &ASKING);
        assert_eq!(said(format!("[{allow}}}]")), Verdict::Allow);
        assert_eq!(said(format!("[{allow}}}, {deny}}}]")), Verdict::Deny);
        let when = |condition: &str| format!(r#", "Condition": {{{condition}}}}}"#);
        for (condition, allowed, denied) in [
            (r#""StringEquals": {"AWS:SourceAccount": ["1", "000000000000"]}"#, true, true),
            (r#""ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}"#, true, true),
            (r#""ArnLike": {"aws:SourceArn": "arn:aws:sns:::*"}"#, false, false),
            (r#""Bool": {"lambda:InvokedViaFunctionUrl": "true"}"#, false, false),
            (r#""IpAddress": {"aws:SourceIp": "10.0.0.0/8"}"#, false, true),
            (r#""StringEquals": {"aws:PrincipalOrgID": "o-1"}"#, false, true),
            (r#""StringEquals": {"aws:PrincipalOrgID": "o-1", "aws:SourceAccount": "1"}"#, false, false),
        ] {
            let expected = if allowed { Verdict::Allow } else { Verdict::Nothing };
            assert_eq!(said(format!("[{allow}{}]", when(condition))), expected, "{condition}");
            let expected = if denied { Verdict::Deny } else { Verdict::Allow };
            assert_eq!(said(format!("[{allow}}}, {deny}{}]", when(condition))), expected, "{condition}");
        }
    }

    /// The definition of globs, in exponential time.
    fn slow_glob(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| slow_glob(rest, &text[taken..])),
            ([b'?', rest @ ..], [_, after @ ..]) => slow_glob(rest, after),
            ([byte, rest @ ..], [first, after @ ..]) => byte == first && slow_glob(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn globs_are_as_defined(pattern in "[ab*?]{0,7}", text in "[ab]{0,7}") {
            prop_assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), slow_glob(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
