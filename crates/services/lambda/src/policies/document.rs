//! Resource policies as AWS writes them, their members in AWS's order.

use serde::Serialize;

use crate::rows::{PolicyRow, PrincipalRow, StatementRow, WrittenRow};

/// The whole policy.
pub(crate) fn document(policy: &PolicyRow, arn: &str) -> String {
    let written = policy.written.iter().map(Shown::Written);
    let given = policy.statements.iter().map(|statement| Shown::Given(shown(statement, arn)));
    let statement = written.chain(given).collect();
    to_json(&Document { version: "2012-10-17", id: "default", statement })
}

/// One statement.
pub(crate) fn statement_text(statement: &StatementRow, arn: &str) -> String {
    to_json(&shown(statement, arn))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    version: &'static str,
    id: &'static str,
    statement: Vec<Shown<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Written(&'a WrittenRow),
    Given(Statement<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement<'a> {
    sid: &'a str,
    effect: &'static str,
    principal: Principal<'a>,
    action: &'a str,
    resource: &'a str,
    #[serde(skip_serializing_if = "Condition::is_empty")]
    condition: Condition<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Principal<'a> {
    Everyone(&'static str),
    Service {
        #[serde(rename = "Service")]
        service: &'a str,
    },
    Aws {
        #[serde(rename = "AWS")]
        aws: &'a str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Condition<'a> {
    #[serde(skip_serializing_if = "StringEquals::is_empty")]
    string_equals: StringEquals<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bool: Option<ViaFunctionUrl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arn_like: Option<ArnLike<'a>>,
}

#[derive(Serialize)]
struct StringEquals<'a> {
    #[serde(rename = "AWS:SourceAccount", skip_serializing_if = "Option::is_none")]
    source_account: Option<&'a str>,
    #[serde(rename = "lambda:FunctionUrlAuthType", skip_serializing_if = "Option::is_none")]
    function_url_auth_type: Option<&'a str>,
    #[serde(rename = "lambda:EventSourceToken", skip_serializing_if = "Option::is_none")]
    event_source_token: Option<&'a str>,
    #[serde(rename = "aws:PrincipalOrgID", skip_serializing_if = "Option::is_none")]
    principal_org_id: Option<&'a str>,
}

#[derive(Serialize)]
struct ViaFunctionUrl {
    #[serde(rename = "lambda:InvokedViaFunctionUrl")]
    invoked: &'static str,
}

#[derive(Serialize)]
struct ArnLike<'a> {
    #[serde(rename = "AWS:SourceArn")]
    source_arn: &'a str,
}

impl Condition<'_> {
    fn is_empty(&self) -> bool {
        self.string_equals.is_empty() && self.bool.is_none() && self.arn_like.is_none()
    }
}

impl StringEquals<'_> {
    fn is_empty(&self) -> bool {
        let Self { source_account, function_url_auth_type, event_source_token, principal_org_id } = self;
        [source_account, function_url_auth_type, event_source_token, principal_org_id]
            .iter()
            .all(|value| value.is_none())
    }
}

fn shown<'a>(statement: &'a StatementRow, arn: &'a str) -> Statement<'a> {
    let invoked = |is_via_url| if is_via_url { "true" } else { "false" };
    Statement {
        sid: &statement.sid,
        effect: "Allow",
        principal: match &statement.principal {
            PrincipalRow::Everyone => Principal::Everyone("*"),
            PrincipalRow::Service(service) => Principal::Service { service },
            PrincipalRow::Aws(aws) => Principal::Aws { aws },
        },
        action: &statement.action,
        resource: arn,
        condition: Condition {
            string_equals: StringEquals {
                source_account: statement.source_account.as_deref(),
                function_url_auth_type: statement.function_url_auth_type.as_deref(),
                event_source_token: statement.event_source_token.as_deref(),
                principal_org_id: statement.principal_org_id.as_deref(),
            },
            bool: statement.invoked_via_function_url.map(|via| ViaFunctionUrl { invoked: invoked(via) }),
            arn_like: statement.source_arn.as_deref().map(|source_arn| ArnLike { source_arn }),
        },
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("structs of texts are JSON")
}
