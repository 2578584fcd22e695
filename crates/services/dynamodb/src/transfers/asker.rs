//! Who asked for an export or an import, in a form that outlasts the request.
//!
//! The request itself writes or lists in the caller's name, with all that is known of it. What the job does later is decided
//! on again, for the same session: with the moment that it was made, so that a session which is revoked ends its jobs, too.
//! Policies of a session are not kept, so that who has some cannot ask for what would outgrow them.

use lambent_api::{Call, CallContext, Client};
use lambent_base::Place;
use lambent_identity::{Caller, CallerKind, SessionFacts};
use lambent_wire::ApiError;
use serde::{Deserialize, Serialize};

use super::InNameOf;
use crate::Dynamo;
use crate::error::validation;

/// A caller, and where it called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asker {
    account: String,
    region: String,
    arn: String,
    user_id: String,
    kind: AskerKind,
    /// When temporary credentials were made, and end; seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<(i64, i64)>,
    request_id: String,
    source_ip: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum AskerKind {
    Root,
    User {
        name: String,
    },
    Role {
        name: String,
        arn: String,
        tags: Vec<(String, String)>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_identity: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        federated: Option<String>,
    },
}

impl Asker {
    /// The caller of a request.
    ///
    /// Errors: ValidationException for sessions with policies of their own, and for services and strangers, who do not ask for
    /// such things.
    pub(super) fn of(call: &Call) -> Result<Self, ApiError> {
        Self::new(call.caller(), &call.context)
    }

    fn new(caller: &Caller, context: &CallContext) -> Result<Self, ApiError> {
        let kind = match &caller.kind {
            CallerKind::Root => AskerKind::Root,
            CallerKind::User { name } => AskerKind::User { name: name.clone() },
            CallerKind::RoleSession {
                role_name,
                role_arn,
                session_policies,
                session_tags,
                source_identity,
                federated,
                ..
            } if session_policies.is_empty() => AskerKind::Role {
                name: role_name.clone(),
                arn: role_arn.clone(),
                tags: session_tags.clone(),
                source_identity: source_identity.clone(),
                federated: federated.clone(),
            },
            CallerKind::RoleSession { .. } | CallerKind::FederatedUser { .. } => {
                return Err(validation(
                    "Exports and imports cannot be asked for by a session that has policies of its own, as they outlast the \
                     request: use a user, or a session of a role without session policies",
                ));
            }
            CallerKind::Anonymous | CallerKind::Service { .. } => {
                return Err(validation("Exports and imports can be asked for by users and roles only"));
            }
        };
        Ok(Self {
            account: caller.account.clone(),
            region: context.place.region.clone(),
            arn: caller.arn.clone(),
            user_id: caller.user_id.clone(),
            kind,
            session: caller.session.map(|session| (session.issued_unix_s, session.expires_unix_s)),
            request_id: context.request_id.clone(),
            source_ip: context.source_ip.clone(),
        })
    }

    /// For what a job does.
    pub(super) fn again(&self, dynamo: &Dynamo) -> InNameOf {
        let kind = match self.kind.clone() {
            AskerKind::Root => CallerKind::Root,
            AskerKind::User { name } => CallerKind::User { name },
            AskerKind::Role { name, arn, tags, source_identity, federated } => CallerKind::RoleSession {
                role_name: name,
                role_arn: arn,
                session_policies: std::sync::Arc::from([]),
                session_tags: tags,
                transitive_tag_keys: Vec::new(),
                source_identity,
                federated,
            },
        };
        let session = self
            .session
            .map(|(issued_unix_s, expires_unix_s)| SessionFacts { issued_unix_s, expires_unix_s });
        let caller = Caller {
            account: self.account.clone(),
            arn: self.arn.clone(),
            user_id: self.user_id.clone(),
            access_key_id: String::new(),
            kind,
            session,
        };
        let context = CallContext {
            request_id: self.request_id.clone(),
            place: Place { account: self.account.clone(), region: self.region.clone() },
            time_ms: dynamo.clock.unix_ms(),
            source_ip: self.source_ip.clone(),
            endpoint: String::new(),
            trace: None,
            client: Client::default(),
        };
        InNameOf { caller, context }
    }
}

/// For what the request itself does.
pub(super) fn of_request(call: &Call) -> InNameOf {
    InNameOf { caller: call.caller().clone(), context: call.context.clone() }
}

#[cfg(test)]
mod tests {
    use lambent_identity::Policy;

    use super::*;
    use crate::testing::Bench;

    const POLICY: &str =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:*","Resource":"*"}]}"#;

    fn session_of(bench: &Bench, session_policies: &[Policy]) -> Caller {
        Caller {
            arn: "arn:aws:sts::000000000000:assumed-role/reader/ann".to_owned(),
            user_id: "AROAEXAMPLE:ann".to_owned(),
            access_key_id: String::new(),
            kind: CallerKind::RoleSession {
                role_name: "reader".to_owned(),
                role_arn: "arn:aws:iam::000000000000:role/reader".to_owned(),
                session_policies: session_policies.into(),
                session_tags: vec![("team".to_owned(), "red".to_owned())],
                transitive_tag_keys: Vec::new(),
                source_identity: Some("ann".to_owned()),
                federated: Some("accounts.example.com".to_owned()),
            },
            session: Some(SessionFacts { issued_unix_s: 1_000, expires_unix_s: 4_600 }),
            ..bench.call().caller().clone()
        }
    }

    #[tokio::test]
    async fn a_job_is_of_the_session_that_asked() {
        let bench = Bench::new().await;
        let caller = session_of(&bench, &[]);
        let asker = Asker::new(&caller, &bench.call().context).unwrap();
        let stored = serde_json::to_vec(&asker).unwrap();
        let asker: Asker = serde_json::from_slice(&stored).unwrap();
        assert_eq!(asker.again(&bench.dynamo).caller, caller);
    }

    #[tokio::test]
    async fn who_has_policies_of_a_session_cannot_outgrow_them() {
        let bench = Bench::new().await;
        let policies = [Policy::session(POLICY).unwrap()];
        let federated = Caller {
            kind: CallerKind::FederatedUser {
                name: "ann".to_owned(),
                by: Box::new(bench.call().caller().clone()),
                session_policies: policies.clone().into(),
                session_tags: Vec::new(),
            },
            ..bench.call().caller().clone()
        };
        for caller in [session_of(&bench, &policies), federated] {
            let refused = Asker::new(&caller, &bench.call().context).unwrap_err();
            assert!(refused.message.contains("policies of its own"), "{refused:?}");
        }
    }
}
