//! The principals that simulations and questions about policies start from, by their ARNs.

use lambent_api::{ApiError, Call};
use lambent_base::Arn;
use lambent_identity::{
    Caller, CallerKind, IdentityError, Kind, Policy, PolicySource, PrincipalKind, PrincipalPolicies,
    SourcedPolicy,
};
use lambent_model_iam as model;
use lambent_model_iam::errors;

use crate::Iam;
use crate::errors::api_error;

/// A principal with what speaks for it.
pub(crate) struct Source {
    pub(crate) caller: Caller,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) policies: PrincipalPolicies,
}

impl Iam {
    /// The principal of an ARN: of the account, or, where it only asks, of any.
    pub(crate) async fn source(&self, call: &Call, arn: &str, only_asks: bool) -> Result<Source, ApiError> {
        let account = call.account();
        let invalid = || {
            errors::invalid_input_exception(format!(
                "Invalid Entity Arn: {arn} does not clearly define entity type and name."
            ))
        };
        let parsed: Arn = arn.parse().map_err(|_| invalid())?;
        let (kind, name) = named(&parsed).ok_or_else(invalid)?;
        if parsed.account != account && only_asks {
            let caller = caller(&parsed, kind, name, String::new());
            return Ok(Source { caller, tags: Vec::new(), policies: PrincipalPolicies::default() });
        }
        if parsed.account != account {
            return Err(api_error(IdentityError::NoSuch { kind: noun(kind), name: name.to_owned() }));
        }
        let who = self.principals(call).named(kind, name);
        let (id, tags) = self.known(call, (kind, name), arn).await?;
        let policies = self.principals(call).policies_of(who).await.map_err(api_error)?;
        Ok(Source { caller: caller(&parsed, kind, name, id), tags, policies })
    }

    /// Id and tags of the principal that has this very ARN: it was decided on that one, and another one of the same name
    /// below another path is somebody else.
    async fn known(
        &self,
        call: &Call,
        (kind, name): (PrincipalKind, &str),
        arn: &str,
    ) -> Result<(String, Vec<(String, String)>), ApiError> {
        let (known, id, tags) = match kind {
            PrincipalKind::User => {
                let user = self.principals(call).user(name).await.map_err(api_error)?;
                (user.arn(), user.id, user.tags)
            }
            PrincipalKind::Role => {
                let role = self.principals(call).role(name).await.map_err(api_error)?;
                (role.arn(), role.id, role.tags)
            }
            PrincipalKind::Group => {
                let group = self.principals(call).group(name).await.map_err(api_error)?;
                (group.arn(), String::new(), Vec::new())
            }
        };
        if known == arn {
            return Ok((id, tags));
        }
        Err(api_error(IdentityError::NoSuch { kind: noun(kind), name: name.to_owned() }))
    }

    pub(crate) async fn get_context_keys_for_custom_policy(
        &self,
        _call: &Call,
        input: model::GetContextKeysForCustomPolicyRequest,
    ) -> Result<model::GetContextKeysForPolicyResponse, ApiError> {
        context_keys(&input.policy_input_list)
    }

    pub(crate) async fn get_context_keys_for_principal_policy(
        &self,
        call: &Call,
        input: model::GetContextKeysForPrincipalPolicyRequest,
    ) -> Result<model::GetContextKeysForPolicyResponse, ApiError> {
        let source = self.source(call, &input.policy_source_arn, false).await?;
        let stored = source.policies.policies.into_iter().map(|policy| policy.document);
        let documents: Vec<_> = stored.chain(input.policy_input_list.unwrap_or_default()).collect();
        context_keys(&documents)
    }

    pub(crate) async fn list_policies_granting_service_access(
        &self,
        call: &Call,
        input: model::ListPoliciesGrantingServiceAccessRequest,
    ) -> Result<model::ListPoliciesGrantingServiceAccessResponse, ApiError> {
        let invalid = || {
            errors::invalid_input_exception(format!(
                "Invalid Entity Arn: {} does not clearly define entity type and name.",
                input.arn
            ))
        };
        let arn: Arn = input.arn.parse().map_err(|_| invalid())?;
        let (kind, name) = named(&arn).filter(|_| arn.account == call.account()).ok_or_else(invalid)?;
        self.known(call, (kind, name), &input.arn).await?;
        let who = self.principals(call).named(kind, name);
        let granting = self.principals(call).policies_granting(who, &input.service_namespaces).await;
        let entry = |(service, policies): (String, Vec<SourcedPolicy>)| {
            model::ListPoliciesGrantingServiceAccessEntry {
                policies: Some(policies.into_iter().map(granting_policy).collect()),
                service_namespace: Some(service),
            }
        };
        Ok(model::ListPoliciesGrantingServiceAccessResponse {
            is_truncated: Some(false),
            marker: None,
            policies_granting_service_access: granting.map_err(api_error)?.into_iter().map(entry).collect(),
        })
    }
}

/// Nobody in particular: conditions and variables that ask who it is find nothing.
pub(crate) fn unnamed(account: &str) -> Caller {
    session(account, String::new(), String::new(), String::new())
}

/// Who would ask; a group asks nothing, so one of its users does, no matter which.
fn caller(arn: &Arn, kind: PrincipalKind, name: &str, id: String) -> Caller {
    match kind {
        PrincipalKind::User => Caller {
            arn: arn.to_string(),
            user_id: id,
            kind: CallerKind::User { name: name.to_owned() },
            ..unnamed(&arn.account)
        },
        PrincipalKind::Role => session(&arn.account, arn.to_string(), name.to_owned(), id),
        PrincipalKind::Group => unnamed(&arn.account),
    }
}

fn session(account: &str, role_arn: String, role_name: String, user_id: String) -> Caller {
    Caller {
        account: account.to_owned(),
        arn: role_arn.clone(),
        user_id,
        access_key_id: String::new(),
        kind: CallerKind::RoleSession {
            role_name,
            role_arn,
            session_policies: [].into(),
            session_tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            source_identity: None,
            federated: None,
        },
        session: None,
    }
}

fn granting_policy(policy: SourcedPolicy) -> model::PolicyGrantingServiceAccess {
    match policy.source {
        PolicySource::Managed { arn, name } => model::PolicyGrantingServiceAccess {
            entity_name: None,
            entity_type: None,
            policy_arn: Some(arn),
            policy_name: name,
            policy_type: model::PolicyType::Managed,
        },
        PolicySource::Inline { kind, principal, name } => model::PolicyGrantingServiceAccess {
            entity_name: Some(principal),
            entity_type: Some(match kind {
                PrincipalKind::User => model::PolicyOwnerEntityType::User,
                PrincipalKind::Group => model::PolicyOwnerEntityType::Group,
                PrincipalKind::Role => model::PolicyOwnerEntityType::Role,
            }),
            policy_arn: None,
            policy_name: name,
            policy_type: model::PolicyType::Inline,
        },
    }
}

fn context_keys(documents: &[String]) -> Result<model::GetContextKeysForPolicyResponse, ApiError> {
    let mut names = std::collections::BTreeSet::new();
    for document in documents {
        let policy = Policy::identity(document);
        names.extend(
            policy.map_err(|error| errors::invalid_input_exception(error.to_string()))?.context_keys(),
        );
    }
    Ok(model::GetContextKeysForPolicyResponse { context_key_names: Some(names.into_iter().collect()) })
}

/// Kind and name of the principal that an ARN of IAM names.
fn named(arn: &Arn) -> Option<(PrincipalKind, &str)> {
    let (kind, name) = arn.resource.split_once('/')?;
    let kind = match kind {
        "user" => PrincipalKind::User,
        "group" => PrincipalKind::Group,
        "role" => PrincipalKind::Role,
        _ => return None,
    };
    (arn.service == "iam").then_some((kind, name.rsplit('/').next().unwrap_or(name)))
}

fn noun(kind: PrincipalKind) -> Kind {
    match kind {
        PrincipalKind::User => Kind::User,
        PrincipalKind::Group => Kind::Group,
        PrincipalKind::Role => Kind::Role,
    }
}
