//! Which policies of a principal give access to a service.

use serde_json::Value;

use super::{PrincipalName, Principals, SourcedPolicy};
use crate::IdentityError;

impl Principals<'_> {
    /// For each of these services (as `s3`) the policies of a principal that allow any of its actions.
    pub async fn policies_granting(
        self,
        who: PrincipalName<'_>,
        services: &[String],
    ) -> Result<Vec<(String, Vec<SourcedPolicy>)>, IdentityError> {
        let all = self.policies_of(who).await?.policies;
        let granting = |service: &String| {
            let some = all.iter().filter(|policy| grants(&policy.document, service)).cloned();
            (service.clone(), some.collect())
        };
        Ok(services.iter().map(granting).collect())
    }
}

/// Whether a document allows any action of a service, on whatever and under whichever condition.
fn grants(document: &str, service: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(document) else { return false };
    each(document.get("Statement")).any(|statement| {
        let is_allow = statement.get("Effect").and_then(Value::as_str) == Some("Allow");
        let named =
            each(statement.get("Action")).filter_map(Value::as_str).any(|action| is_of(action, service));
        let spared = || {
            let mut not = each(statement.get("NotAction")).filter_map(Value::as_str);
            statement.get("NotAction").is_some()
                && !not.any(|action| {
                    action == "*"
                        || action
                            .split_once(':')
                            .is_some_and(|(of, name)| of.eq_ignore_ascii_case(service) && name == "*")
                })
        };
        is_allow && (named || spared())
    })
}

/// Whether an action, which may be a pattern, is one of a service.
fn is_of(action: &str, service: &str) -> bool {
    let of = action.split(':').next().unwrap_or(action);
    match of.split_once('*') {
        Some((start, _)) => service.to_ascii_lowercase().starts_with(&start.to_ascii_lowercase()),
        None => of.eq_ignore_ascii_case(service),
    }
}

/// One, or each of a list.
fn each(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let (list, one) = match value {
        Some(Value::Array(list)) => (list.as_slice(), None),
        one => (&[][..], one),
    };
    list.iter().chain(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_allows_any_action_grants() {
        let document = |statement: &str| format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        for (statement, service, expected) in [
            (r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"a"}"#, "s3", true),
            (r#"[{"Effect":"Allow","Action":["sqs:*","S3:Get*"],"Resource":"a"}]"#, "s3", true),
            (r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#, "s3", true),
            (r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#, "s3", false),
            (r#"{"Effect":"Allow","Action":"sns:*","Resource":"*"}"#, "s3", false),
            (r#"{"Effect":"Allow","NotAction":["iam:*"],"Resource":"*"}"#, "s3", true),
            (r#"{"Effect":"Allow","NotAction":["iam:*"],"Resource":"*"}"#, "iam", false),
        ] {
            assert_eq!(grants(&document(statement), service), expected, "{statement} {service}");
        }
    }
}
