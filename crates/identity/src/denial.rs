//! What was decided and why: for the client's message, the audit log, and explanations.

use std::fmt;
use std::sync::Arc;

use crate::{Caller, Circumstances, Identity};

/// A decision's no. Displays as AWS's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// As `s3:PutObject`.
    pub action: String,
    /// The ARN that was decided on.
    pub resource: String,
    /// The ARN of who asked.
    pub principal: String,
    /// Which kind of policy denied, or failed to allow.
    pub kind: PolicyKind,
    /// Whether a statement denied; else none allowed.
    pub is_explicit: bool,
    /// The statements that denied.
    pub statements: Vec<StatementRef>,
    /// For the client, in AWS's words.
    pub message: String,
}

/// The kinds of policies that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// Inline and attached policies of users, groups and roles.
    Identity,
    /// The policy of a bucket, a function.
    Resource,
    /// A permissions boundary.
    Boundary,
    /// A policy that a session was made with.
    Session,
    /// The policy of a role that says who may assume it.
    Trust,
}

/// A statement that took part in a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRef {
    pub kind: PolicyKind,
    /// Name of an inline policy, ARN of a managed one; empty where there is but one.
    pub policy: Arc<str>,
    pub sid: Option<Arc<str>>,
    /// Which statement of its policy, from 0.
    pub index: usize,
    pub is_allow: bool,
}

/// Something that was decided.
#[derive(Debug)]
pub struct Decision<'a> {
    pub caller: &'a Caller,
    pub at: &'a Circumstances,
    /// As `s3:PutObject`.
    pub action: &'a str,
    pub resource: &'a str,
    /// The account that the resource belongs to.
    pub owner: &'a str,
    /// The statements that allowed, none for root in its own account; or why not.
    pub outcome: Result<&'a [StatementRef], &'a Denial>,
}

/// Is told each decision: the audit log.
pub trait Witness: Send + Sync {
    /// Called in the request's path: must be quick.
    fn decided(&self, decision: &Decision<'_>);
}

impl Identity {
    /// Tells every decision from now on to `witness`, too.
    pub fn tell(&self, witness: Arc<dyn Witness>) {
        self.witnesses.write().push(witness);
    }
}

impl Denial {
    /// No statement of this kind of policy allowed it.
    pub(crate) fn silent(caller: &Caller, action: &str, resource: &str, kind: PolicyKind) -> Self {
        let reason = format!("because no {kind} allows the {action} action");
        Self::new(caller, action, resource, kind, Vec::new(), &reason)
    }

    /// These statements denied it.
    pub(crate) fn explicit(
        caller: &Caller,
        action: &str,
        resource: &str,
        kind: PolicyKind,
        statements: Vec<StatementRef>,
    ) -> Self {
        let article = if kind == PolicyKind::Identity { "an" } else { "a" };
        let reason = format!("with an explicit deny in {article} {kind}");
        Self { is_explicit: true, ..Self::new(caller, action, resource, kind, statements, &reason) }
    }

    fn new(
        caller: &Caller,
        action: &str,
        resource: &str,
        kind: PolicyKind,
        statements: Vec<StatementRef>,
        reason: &str,
    ) -> Self {
        let principal = caller.arn.clone();
        let message = format!(
            "User: {principal} is not authorized to perform: {action} on resource: {resource} {reason}"
        );
        Self {
            action: action.to_owned(),
            resource: resource.to_owned(),
            principal,
            kind,
            is_explicit: false,
            statements,
            message,
        }
    }

    /// The same no, without saying why: whether a thing exists is nobody's business who may not have it.
    #[must_use]
    pub(crate) fn without_reason(mut self) -> Self {
        let Self { principal, action, resource, .. } = &self;
        self.message =
            format!("User: {principal} is not authorized to perform: {action} on resource: {resource}");
        self
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// As AWS's messages call it.
impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity-based policy",
            Self::Resource => "resource-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Trust => "role trust policy",
        })
    }
}
