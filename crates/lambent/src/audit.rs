//! `/_lambent/audit`: the audit log, for the commands that read it.

use std::sync::Arc;

use lambent_api::{ApiError, Guarded};
use lambent_audit::{Answered, Audit, Mark, Wanted};
use lambent_gateway::{Admin, RequestEnd, RequestEnds};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::joints::{invalid, is_set, parameter};

/// Events that one answer has at most, give or take what was written together with the last of them.
const EVENTS_PAGE: usize = 500;

/// How requests ended, told to the audit log.
pub(crate) struct Answers(pub(crate) Audit);

impl RequestEnds for Answers {
    fn ended(&self, end: &RequestEnd<'_>) {
        self.0.answered(&Answered {
            request_id: end.request_id,
            service: end.service,
            operation: end.operation,
            error: end.error.map(|error| (error.code.as_ref(), error.message.as_str())),
            is_answered: end.is_answered,
        });
    }
}

/// `/_lambent/audit?denied=true&request=ID&principal=ARN&action=ACTION&since=MS&limit=N&before=MARK`: events of the caller's
/// account, the newest first, and the mark of where to go on.
pub(crate) fn admin(audit: Guarded<Audit>) -> Admin {
    Admin {
        path: "/_lambent/audit",
        action: "lambent:ListEvents",
        handler: Arc::new(move |call, query| {
            let audit = audit.clone();
            Box::pin(async move {
                let wanted = wanted(call.account().to_owned(), &query)?;
                let limit = number(&query, "limit")?.unwrap_or(EVENTS_PAGE).min(EVENTS_PAGE);
                let before = parameter(&query, "before").map(str::parse::<Mark>).transpose();
                let before = before.map_err(|error| invalid(error.to_string()))?;
                let page = audit.of(&call).events(&wanted, limit, before).await;
                let page = page.map_err(|error| ApiError::internal(&error))?;
                Ok(json!({ "events": page.events, "next": page.next }))
            })
        }),
    }
}

fn wanted(account: String, query: &str) -> Result<Wanted, ApiError> {
    let text = |name| {
        let decoded = parameter(query, name).map(|value| percent_decode_str(value).decode_utf8());
        decoded.transpose().map(|text| text.map(String::from))
    };
    let text = |name| text(name).map_err(|_| invalid(format!("expected {name} to be UTF-8")));
    Ok(Wanted {
        account,
        is_denied: is_set(query, "denied"),
        request_id: text("request")?,
        principal: text("principal")?,
        action: text("action")?,
        since_ms: number(query, "since")?,
    })
}

fn number<N: std::str::FromStr>(query: &str, name: &str) -> Result<Option<N>, ApiError> {
    let read = |text: &str| {
        text.parse().map_err(|_| invalid(format!("expected {name} to be a number, got `{text}`")))
    };
    parameter(query, name).map(read).transpose()
}
