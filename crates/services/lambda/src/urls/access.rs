//! Who may use a function URL.
//!
//! Since October 2025 a request takes two actions: InvokeFunctionUrl, and InvokeFunction with the condition key
//! `lambda:InvokedViaFunctionUrl`. Source: AWS Lambda Developer Guide, "Control access to Lambda function URLs".

use lambent_identity::{Caller, Circumstances, Identity, IdentityError, Wanted};
use lambent_wire::ApiError;

use crate::policies::decision::{Asking, Verdict, Who, decide, decide_for};
use crate::policies::statements::INVOKE;
use crate::rows::PolicyRow;

const INVOKE_URL: &str = "lambda:InvokeFunctionUrl";
const FORBIDDEN: &str = "Forbidden. For troubleshooting Function URL authorization issues, see: \
                         https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";

/// Fails unless the caller, or anybody where there is none, may use the URL of this resource.
pub(super) async fn check(
    identity: &Identity,
    at: &Circumstances,
    caller: Option<&Caller>,
    policy: Option<&PolicyRow>,
    resource: &str,
) -> Result<(), ApiError> {
    for action in [INVOKE_URL, INVOKE] {
        let verdict = verdict(policy, action, caller);
        let is_allowed = match caller {
            _ if verdict == Verdict::Deny => false,
            None => verdict == Verdict::Allow,
            Some(caller) => {
                let granted = verdict == Verdict::Allow;
                match identity.authorize_beside(caller, at, Wanted::new(action, resource), granted).await {
                    Ok(_) => true,
                    Err(IdentityError::Denied(_)) => false,
                    Err(other) => return Err(ApiError::internal(&other)),
                }
            }
        };
        if !is_allowed {
            tracing::debug!(resource, action, "a request to a function URL is not allowed");
            return Err(forbidden());
        }
    }
    Ok(())
}

pub(super) fn forbidden() -> ApiError {
    ApiError::new("AccessDeniedException", 403, FORBIDDEN).message_in("Message")
}

/// What the resource's own policy says.
fn verdict(policy: Option<&PolicyRow>, action: &str, caller: Option<&Caller>) -> Verdict {
    match caller {
        Some(caller) => decide_for(policy, action, caller, Some("AWS_IAM")),
        None => {
            let who = Who::Anonymous;
            let url_auth_type = Some("NONE");
            decide(policy, &Asking { action, who, source_arn: None, source_account: None, url_auth_type })
        }
    }
}

#[cfg(test)]
mod tests {
    use lambent_identity::CallerKind;

    use super::*;
    use crate::rows::{PrincipalRow, StatementRow};

    fn caller() -> Caller {
        Caller {
            account: "000000000000".to_owned(),
            arn: "arn:aws:sts::000000000000:assumed-role/reader/me".to_owned(),
            user_id: "AROA:me".to_owned(),
            access_key_id: "ASIA".to_owned(),
            kind: CallerKind::RoleSession {
                role_name: "reader".to_owned(),
                role_arn: "arn:aws:iam::000000000000:role/reader".to_owned(),
                session_policies: std::sync::Arc::new([]),
                session_tags: Vec::new(),
                transitive_tag_keys: Vec::new(),
                source_identity: None,
                federated: None,
            },
            session: None,
        }
    }

    fn statement(action: &str) -> StatementRow {
        StatementRow { action: action.to_owned(), ..StatementRow::default() }
    }

    fn allows(statement: &StatementRow, action: &str, caller: Option<&Caller>) -> bool {
        let policy = PolicyRow { statements: vec![statement.clone()], ..PolicyRow::default() };
        verdict(Some(&policy), action, caller) == Verdict::Allow
    }

    #[test]
    fn statements_hold_for_their_way_of_calling() {
        let public =
            StatementRow { function_url_auth_type: Some("NONE".to_owned()), ..statement(INVOKE_URL) };
        assert!(allows(&public, INVOKE_URL, None));
        assert!(!allows(&public, INVOKE, None), "another action");
        assert!(!allows(&public, INVOKE_URL, Some(&caller())), "another AuthType");
        let via = StatementRow { invoked_via_function_url: Some(true), ..statement(INVOKE) };
        assert!(allows(&via, INVOKE, None) && allows(&via, INVOKE, Some(&caller())));
        let direct = StatementRow { invoked_via_function_url: Some(false), ..statement(INVOKE) };
        assert!(!allows(&direct, INVOKE, None));
        let all = statement("lambda:*");
        assert!(allows(&all, INVOKE, None) && allows(&all, INVOKE_URL, None));
    }

    #[test]
    fn conditions_that_a_request_cannot_meet_never_hold() {
        let open = statement("*");
        for closed in [
            StatementRow { source_account: Some("000000000000".to_owned()), ..open.clone() },
            StatementRow { source_arn: Some("arn:aws:s3:::b".to_owned()), ..open.clone() },
            StatementRow { principal_org_id: Some("o-1".to_owned()), ..open.clone() },
            StatementRow { event_source_token: Some("t".to_owned()), ..open.clone() },
            StatementRow { principal: PrincipalRow::Service("s3.amazonaws.com".to_owned()), ..open },
        ] {
            assert!(!allows(&closed, INVOKE, None), "{closed:?}");
            assert!(!allows(&closed, INVOKE, Some(&caller())), "{closed:?}");
        }
    }

    #[test]
    fn a_role_is_its_sessions_principal() {
        let of = |arn: &str| StatementRow { principal: PrincipalRow::Aws(arn.to_owned()), ..statement("*") };
        for (arn, allowed) in [
            ("arn:aws:iam::000000000000:role/reader", true),
            ("arn:aws:sts::000000000000:assumed-role/reader/me", true),
            ("arn:aws:iam::000000000000:role/other", false),
            // The role's own policies say whether it may.
            ("arn:aws:iam::000000000000:root", false),
            ("arn:aws:iam::111111111111:root", false),
        ] {
            assert_eq!(allows(&of(arn), INVOKE, Some(&caller())), allowed, "{arn}");
            assert!(!allows(&of(arn), INVOKE, None));
        }
    }
}
