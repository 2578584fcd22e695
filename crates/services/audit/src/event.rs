//! What is kept of a request.

use std::borrow::Cow;

use lambent_identity::{Caller, CallerKind, Decision, Denial, PolicyKind, StatementRef};
use serde::{Deserialize, Serialize};

use crate::Answered;

/// How much of what a client says of itself is kept, in bytes.
const USER_AGENT_BYTES: usize = 256;
/// How much of an error's message is kept, in bytes.
const MESSAGE_BYTES: usize = 1_024;
/// Statements of one decision that are kept.
const STATEMENTS_MAX: usize = 20;
/// Bytes of decisions that one event has: half of it may be allowed ones, since a no is worth more than a yes.
const DECISIONS_BYTES: usize = 24 * 1024;
/// What a decision or an event takes beside its texts, roughly.
const FRAME_BYTES: usize = 200;
/// The policies whose statements are the business of whose resource it is, as AWS's messages call them.
const RESOURCE_POLICY: &str = "resource-based policy";

/// A request, or something that the platform did in somebody's name: who, what was decided, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Empty for what the platform did by itself.
    pub request_id: String,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    pub region: String,
    pub who: Who,
    pub source_ip: Option<String>,
    pub user_agent: Option<String>,
    /// Whether it came over TLS.
    pub is_secure: bool,
    /// As in actions: `s3`.
    pub service: String,
    /// As `PutObject`; the action's name where the gateway knew none.
    pub operation: String,
    /// In the order in which they were made.
    pub decisions: Vec<Decided>,
    /// How many more there were than an event has room for.
    #[serde(default, skip_serializing_if = "is_none")]
    pub omitted: u32,
    /// Code and message of the error that the caller got.
    pub error: Option<(String, String)>,
    /// Whether it is known what came of it: not of requests whose caller went away.
    pub is_answered: bool,
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// CloudTrail's `userIdentity.type`: `Root`, `IAMUser`, `AssumedRole`, `FederatedUser`, `AWSService`, `Anonymous`.
    pub kind: String,
    /// Twelve digits; empty for who has no account.
    pub account: String,
    pub arn: String,
    pub user_id: String,
    pub access_key_id: String,
    /// Of a user or a role.
    pub name: Option<String>,
    /// Of a role's session.
    pub role_arn: Option<String>,
    /// When the session began, seconds since 1970.
    pub session_unix_s: Option<i64>,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// As `s3:PutObject`.
    pub action: String,
    /// An ARN, or `*`.
    pub resource: String,
    /// The account that the resource belongs to.
    pub owner: String,
    pub is_allowed: bool,
    /// Whether a statement denied; of a no without one, no statement allowed.
    pub is_explicit: bool,
    /// Which kind of policy said no, as AWS's messages call it.
    pub denied_by: Option<String>,
    /// The statements that allowed or denied; none of a root's own.
    pub statements: Vec<Statement>,
}

/// A statement that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The kind of its policy, as AWS's messages call it.
    pub kind: String,
    /// Name or ARN of its policy; empty where there is but one.
    pub policy: String,
    pub sid: Option<String>,
    /// Which statement of its policy, from 0.
    pub index: usize,
    pub is_allow: bool,
}

impl Event {
    /// An event as its first decision begins it; `now_ms` is for what the platform decides at no request's time.
    pub(crate) fn begin(id: String, now_ms: i64, decision: &Decision<'_>) -> Self {
        let (service, name) = decision.action.split_once(':').unwrap_or(("", decision.action));
        let at = decision.at;
        Self {
            id,
            request_id: at.request_id.clone(),
            time_ms: if at.time_ms == 0 { now_ms } else { at.time_ms },
            region: at.region.clone(),
            who: Who::of(decision.caller),
            source_ip: at.source_ip.map(|ip| ip.to_string()),
            user_agent: at.user_agent.as_deref().map(|text| shortened(text, USER_AGENT_BYTES)),
            is_secure: at.is_secure,
            service: service.to_owned(),
            operation: name.to_owned(),
            decisions: vec![Decided::of(decision)],
            omitted: 0,
            error: None,
            is_answered: false,
        }
    }

    /// A further decision on the same request.
    pub(crate) fn add(&mut self, decision: &Decision<'_>) {
        let decided = Decided::of(decision);
        let room = if decided.is_allowed { DECISIONS_BYTES / 2 } else { DECISIONS_BYTES };
        let taken: usize = self.decisions.iter().map(Decided::bytes).sum();
        if taken + decided.bytes() <= room {
            self.decisions.push(decided);
        } else {
            self.omitted += 1;
        }
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.request_id, &self.who.arn, &self.who.user_id, &self.operation];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        let said = self.user_agent.as_ref().map_or(0, String::len);
        let error = self.error.as_ref().map_or(0, |(_, message)| message.len());
        let decisions: usize = self.decisions.iter().map(Decided::bytes).sum();
        2 * FRAME_BYTES + texts + said + error + decisions
    }

    /// What an account is told of it: of another account's request what was decided on its own resources, and none of the
    /// policies that are not its own. `None` when nothing is left.
    pub(crate) fn for_account(&self, account: &str, home: &str) -> Option<Cow<'_, Self>> {
        let is_callers = account == self.who.account || (self.who.account.is_empty() && account == home);
        if is_callers && self.decisions.iter().all(|decided| decided.owner == account) {
            return (!self.decisions.is_empty()).then_some(Cow::Borrowed(self));
        }
        let mut told = self.clone();
        told.decisions.retain(|decided| is_callers || decided.owner == account);
        for decided in &mut told.decisions {
            let is_owners = decided.owner == account;
            decided.statements.retain(|statement| match statement.kind == RESOURCE_POLICY {
                true => is_owners,
                false => is_callers,
            });
        }
        if !is_callers {
            told.who.access_key_id.clear();
        }
        (!told.decisions.is_empty()).then_some(Cow::Owned(told))
    }

    /// What was answered, and to what.
    pub(crate) fn end(&mut self, answered: &Answered<'_>) {
        self.is_answered = answered.is_answered;
        answered.service.clone_into(&mut self.service);
        if let Some(operation) = answered.operation {
            operation.clone_into(&mut self.operation);
        }
        self.error =
            answered.error.map(|(code, message)| (code.to_owned(), shortened(message, MESSAGE_BYTES)));
    }

    /// Whether nobody signed for it.
    pub(crate) fn is_strangers(&self) -> bool {
        self.who.kind == "Anonymous"
    }

    /// Whether any of its decisions was a no.
    pub fn is_denied(&self) -> bool {
        self.decisions.iter().any(|decided| !decided.is_allowed)
    }

    /// Whether the operation changes nothing, as its name says.
    pub fn is_read_only(&self) -> bool {
        const READING: [&str; 9] =
            ["Get", "List", "Describe", "Head", "Filter", "Simulate", "BatchGet", "Scan", "Query"];
        READING.iter().any(|verb| self.operation.starts_with(verb))
    }

    /// The accounts in whose logs it stands: the caller's, and those whose resources it is about; `home` if there is none.
    pub(crate) fn accounts<'a>(&'a self, home: &'a str) -> Vec<&'a str> {
        let owners = self.decisions.iter().map(|decided| decided.owner.as_str());
        let mut accounts: Vec<&str> = std::iter::once(self.who.account.as_str()).chain(owners).collect();
        accounts.retain(|account| !account.is_empty());
        accounts.sort_unstable();
        accounts.dedup();
        if accounts.is_empty() { vec![home] } else { accounts }
    }
}

impl Who {
    fn of(caller: &Caller) -> Self {
        let (kind, name, role_arn) = match &caller.kind {
            CallerKind::Root => ("Root", None, None),
            CallerKind::User { name } => ("IAMUser", Some(name), None),
            CallerKind::RoleSession { role_name, role_arn, .. } => {
                ("AssumedRole", Some(role_name), Some(role_arn))
            }
            CallerKind::FederatedUser { name, .. } => ("FederatedUser", Some(name), None),
            CallerKind::Anonymous => ("Anonymous", None, None),
            CallerKind::Service { .. } => ("AWSService", None, None),
        };
        Self {
            kind: kind.to_owned(),
            account: caller.account.clone(),
            arn: caller.arn.clone(),
            user_id: caller.user_id.clone(),
            access_key_id: caller.access_key_id.clone(),
            name: name.cloned(),
            role_arn: role_arn.cloned(),
            session_unix_s: caller.session.map(|session| session.issued_unix_s),
        }
    }
}

impl Decided {
    fn bytes(&self) -> usize {
        let statements: usize = self.statements.iter().map(|one| FRAME_BYTES + one.policy.len()).sum();
        FRAME_BYTES + self.action.len() + self.resource.len() + statements
    }

    pub(crate) fn of(decision: &Decision<'_>) -> Self {
        let (statements, denial) = match decision.outcome {
            Ok(statements) => (statements, None),
            Err(denial) => (denial.statements.as_slice(), Some(denial)),
        };
        Self {
            action: decision.action.to_owned(),
            resource: decision.resource.to_owned(),
            owner: decision.owner.to_owned(),
            is_allowed: denial.is_none(),
            is_explicit: denial.is_some_and(|denial: &Denial| denial.is_explicit),
            denied_by: denial.map(|denial| denial.kind.to_string()),
            statements: statements.iter().take(STATEMENTS_MAX).map(Statement::of).collect(),
        }
    }
}

impl Statement {
    fn of(statement: &StatementRef) -> Self {
        let kind: PolicyKind = statement.kind;
        Self {
            kind: kind.to_string(),
            policy: statement.policy.to_string(),
            sid: statement.sid.as_deref().map(str::to_owned),
            index: statement.index,
            is_allow: statement.is_allow,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

fn shortened(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}
