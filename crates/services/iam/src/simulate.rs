//! SimulateCustomPolicy and SimulatePrincipalPolicy: the real decision, on facts that the request brings along.

use std::collections::BTreeMap;
use std::sync::Arc;

use lambent_api::{ApiError, Call};
use lambent_base::Arn;
use lambent_identity::{
    Caller, Circumstances, Keys, MalformedPolicy, Policy, PolicyKind, PolicySource, PrincipalKind, Simulated,
    SimulatedDecision, Simulation, SourcedPolicy, StatementRef, simulate,
};
use lambent_model_iam as model;
use lambent_model_iam::PolicyEvaluationDecisionType as Decision;
use lambent_model_iam::errors;

use crate::Iam;
use crate::ask::{invalid, max_items};
use crate::positions::{self, Place};
use crate::simulated_principal::{Source, unnamed};

/// What AWS calls the policies that speak for a principal.
const IAM_POLICY: &str = "IAM Policy";
const RESOURCE_POLICY: &str = "Resource Policy";

/// What one answer may cost at most, in bytes of policies and context times pairs decided on. The rest is on further pages.
const BYTES_TIMES_PAIRS_MAX: usize = 64 * 1024 * 1024;

/// A policy of a simulation, by what answers call it.
pub(crate) struct Labelled {
    pub(crate) id: String,
    pub(crate) document: String,
}

/// What both requests ask alike.
struct Asked {
    actions: Vec<String>,
    resources: Option<Vec<String>>,
    resource_owner: Option<String>,
    resource_policy: Option<String>,
    context: Vec<model::ContextEntry>,
    marker: Option<String>,
    max_items: Option<i32>,
}

/// All that speaks for whom.
struct Speakers {
    caller: Caller,
    tags: Vec<(String, String)>,
    policies: Vec<Labelled>,
    boundary: Option<Labelled>,
}

impl Iam {
    pub(crate) async fn simulate_custom_policy(
        &self,
        call: &Call,
        input: model::SimulateCustomPolicyRequest,
    ) -> Result<model::SimulatePolicyResponse, ApiError> {
        let account = call.account();
        let (caller, tags) = match &input.caller_arn {
            Some(arn) => {
                let Source { caller, tags, .. } = self.source(call, arn, true).await?;
                (caller, tags)
            }
            None => (unnamed(account), Vec::new()),
        };
        let speakers = Speakers {
            caller,
            tags,
            policies: given("PolicyInputList", input.policy_input_list),
            boundary: bounding(input.permissions_boundary_policy_input_list)?,
        };
        let asked = Asked {
            actions: input.action_names,
            resources: input.resource_arns,
            resource_owner: input.resource_owner,
            resource_policy: input.resource_policy,
            context: input.context_entries.unwrap_or_default(),
            marker: input.marker,
            max_items: input.max_items,
        };
        if asked.resource_policy.is_some() && input.caller_arn.is_none() {
            return Err(errors::invalid_input_exception("A resource policy needs a CallerArn."));
        }
        answer(call, speakers, asked, None).await
    }

    pub(crate) async fn simulate_principal_policy(
        &self,
        call: &Call,
        input: model::SimulatePrincipalPolicyRequest,
    ) -> Result<model::SimulatePolicyResponse, ApiError> {
        let source = self.source(call, &input.policy_source_arn, false).await?;
        let excluded = input.policy_exclusion_list.unwrap_or_default();
        let kept = source.policies.policies.into_iter().filter(|policy| !is_excluded(policy, &excluded));
        let mut policies: Vec<_> = kept.map(labelled).collect();
        policies.extend(given("PolicyInputList", input.policy_input_list.unwrap_or_default()));
        let boundary = match bounding(input.permissions_boundary_policy_input_list)? {
            Some(boundary) => Some(boundary),
            None => source.policies.boundary.filter(|_| !excludes_boundary(&excluded)).map(labelled),
        };
        let (mut caller, mut tags) = (source.caller, source.tags);
        if let Some(arn) = &input.caller_arn {
            Source { caller, tags, .. } = self.source(call, arn, true).await?;
        }
        let asked = Asked {
            actions: input.action_names,
            resources: input.resource_arns,
            resource_owner: input.resource_owner,
            resource_policy: input.resource_policy,
            context: input.context_entries.unwrap_or_default(),
            marker: input.marker,
            max_items: input.max_items,
        };
        let organization = model::OrganizationsDecisionDetail { allowed_by_organizations: Some(true) };
        answer(call, Speakers { caller, tags, policies, boundary }, asked, Some(organization)).await
    }
}

/// Decides on the page of pairs of actions and resources that was asked for.
async fn answer(
    call: &Call,
    speakers: Speakers,
    asked: Asked,
    organization: Option<model::OrganizationsDecisionDetail>,
) -> Result<model::SimulatePolicyResponse, ApiError> {
    if let Some(action) = asked.actions.iter().find(|action| !action.contains(':')) {
        return Err(errors::invalid_input_exception(format!("Invalid action name: {action}")));
    }
    let owner = match &asked.resource_owner {
        Some(arn) => arn.parse::<Arn>().map_err(|_| invalid("Invalid ARN:  Could not be parsed!"))?.account,
        None => speakers.caller.account.clone(),
    };
    let named = |at: usize, policy: &Labelled| -> Result<(Arc<str>, Policy), MalformedPolicy> {
        Ok((at.to_string().into(), Policy::stored(&policy.document)?))
    };
    let refused = |problem: MalformedPolicy| errors::invalid_input_exception(problem.to_string());
    let identity = speakers.policies.iter().enumerate().map(|(at, policy)| named(at, policy));
    let identity: Vec<_> = identity.collect::<Result<_, _>>().map_err(refused)?;
    let boundary = speakers.boundary.as_ref().map(|policy| named(0, policy)).transpose().map_err(refused)?;
    let resource_policy = asked.resource_policy.as_ref().map(|text| Policy::resource(text, ""));
    let resource_policy = resource_policy.transpose().map_err(refused)?;
    let bytes = bytes_of(&speakers, &asked);
    let (keys, at) = (keys(asked.context), circumstances(call));
    let telling = Telling {
        policies: speakers.policies.iter().map(Told::of).collect(),
        boundary: speakers.boundary.as_ref().map(Told::of),
        resource_policy: asked.resource_policy.as_deref().map(positions::statements),
        organization,
    };
    let ask = |action: &str, resource: &str| {
        simulate(&Simulation {
            caller: &speakers.caller,
            principal_tags: &speakers.tags,
            identity: &identity,
            boundary: boundary.clone(),
            resource_policy: resource_policy.as_ref(),
            action,
            resource,
            owner: &owner,
            keys: &keys,
            at: &at,
        })
    };
    let names_resources = asked.resources.is_some();
    let resources = asked.resources.unwrap_or_else(|| vec!["*".to_owned()]);
    let all = asked.actions.len() * resources.len();
    let first: usize = match &asked.marker {
        Some(marker) => marker.parse().map_err(|_| invalid("Invalid Marker."))?,
        None => 0,
    };
    let end = all.min(first.saturating_add(pairs_of_page(max_items(asked.max_items), bytes)));
    let mut results = Vec::new();
    for at in first..end {
        let (action, resource) = (&asked.actions[at / resources.len()], &resources[at % resources.len()]);
        results.push(telling.result(action, resource, ask(action, resource), names_resources));
        // Others have their turn: a page of pairs takes long.
        tokio::task::yield_now().await;
    }
    Ok(model::SimulatePolicyResponse {
        evaluation_results: Some(results),
        is_truncated: Some(end < all),
        marker: (end < all).then(|| end.to_string()),
    })
}

/// Bytes of all that each pair is decided with.
fn bytes_of(speakers: &Speakers, asked: &Asked) -> usize {
    let policies = speakers.policies.iter().chain(&speakers.boundary).map(|policy| policy.document.len());
    let values = asked.context.iter().flat_map(|entry| entry.context_key_values.iter().flatten());
    policies.sum::<usize>()
        + values.map(String::len).sum::<usize>()
        + asked.resource_policy.as_ref().map_or(0, String::len)
}

/// How many pairs a page has: what is asked for, one at least, and fewer where each costs much.
fn pairs_of_page(asked: usize, bytes: usize) -> usize {
    asked.min(BYTES_TIMES_PAIRS_MAX / bytes.max(1)).max(1)
}

/// What answers say of a policy: what it is called, and where its statements stand.
struct Told<'a> {
    id: &'a str,
    places: Places,
}

/// Begin and end of each statement of a policy.
type Places = Vec<(Place, Place)>;

impl<'a> Told<'a> {
    fn of(policy: &'a Labelled) -> Self {
        Self { id: &policy.id, places: positions::statements(&policy.document) }
    }
}

/// What answers say of policies.
struct Telling<'a> {
    policies: Vec<Told<'a>>,
    boundary: Option<Told<'a>>,
    resource_policy: Option<Places>,
    organization: Option<model::OrganizationsDecisionDetail>,
}

impl Telling<'_> {
    fn result(
        &self,
        action: &str,
        resource: &str,
        simulated: Simulated,
        names_resources: bool,
    ) -> model::EvaluationResult {
        let decision = match simulated.decision {
            SimulatedDecision::Allowed => Decision::Allowed,
            SimulatedDecision::ExplicitDeny => Decision::ExplicitDeny,
            SimulatedDecision::ImplicitDeny => Decision::ImplicitDeny,
        };
        let statements: Vec<_> = simulated.statements.iter().map(|found| self.statement(found)).collect();
        let missing: Vec<_> = simulated.missing_keys.into_iter().collect();
        let boundary = simulated.boundary_allows.map(|allows| model::PermissionsBoundaryDecisionDetail {
            allowed_by_permissions_boundary: Some(allows),
        });
        let specific = model::ResourceSpecificResult {
            eval_decision_details: None,
            eval_resource_decision: decision.clone(),
            eval_resource_name: resource.to_owned(),
            matched_statements: Some(statements.clone()),
            missing_context_values: Some(missing.clone()),
            permissions_boundary_decision_detail: boundary.clone(),
        };
        model::EvaluationResult {
            eval_action_name: action.to_owned(),
            eval_decision: decision,
            eval_decision_details: Some(BTreeMap::new()),
            eval_resource_name: Some(resource.to_owned()),
            matched_statements: Some(statements),
            missing_context_values: Some(missing),
            organizations_decision_detail: self.organization.clone(),
            permissions_boundary_decision_detail: boundary,
            resource_specific_results: names_resources.then(|| vec![specific]),
        }
    }

    fn statement(&self, found: &StatementRef) -> model::Statement {
        let (policy, kind) = match found.kind {
            PolicyKind::Identity => {
                // Policies are simulated under the number of their place.
                (found.policy.parse().ok().and_then(|at: usize| self.policies.get(at)), IAM_POLICY)
            }
            PolicyKind::Boundary => (self.boundary.as_ref(), IAM_POLICY),
            _ => (None, RESOURCE_POLICY),
        };
        let id = policy.map_or("ResourcePolicy", |policy| policy.id);
        let places = policy.map(|policy| &policy.places).or(self.resource_policy.as_ref());
        let place = places.and_then(|places| places.get(found.index)).copied();
        model::Statement {
            end_position: place.map(|(_, end)| position(end)),
            source_policy_id: Some(id.to_owned()),
            // The model knows other names, and AWS tells these.
            source_policy_type: Some(model::PolicySourceType::Unknown(kind.to_owned())),
            start_position: place.map(|(begin, _)| position(begin)),
        }
    }
}

fn position(place: Place) -> model::Position {
    model::Position { column: Some(place.column), line: Some(place.line) }
}

/// Of the request that would be made nothing is known but when and where.
fn circumstances(call: &Call) -> Circumstances {
    Circumstances { time_ms: call.time_ms(), region: call.region().to_owned(), ..Circumstances::default() }
}

fn keys(entries: Vec<model::ContextEntry>) -> Keys {
    entries.into_iter().fold(Keys::new(), |keys, entry| match entry.context_key_name {
        Some(name) => keys.with_each(name, entry.context_key_values.unwrap_or_default()),
        None => keys,
    })
}

/// Policies that the request itself has.
fn given(list: &str, documents: Vec<String>) -> Vec<Labelled> {
    let label = |(at, document)| Labelled { id: format!("{list}.{}", at + 1), document };
    documents.into_iter().enumerate().map(label).collect()
}

/// The boundary that the request itself has.
fn bounding(documents: Option<Vec<String>>) -> Result<Option<Labelled>, ApiError> {
    let mut all = given("PermissionsBoundaryPolicyInputList", documents.unwrap_or_default());
    if all.len() > 1 {
        return Err(errors::invalid_input_exception("There can be one permissions boundary only."));
    }
    Ok(all.pop())
}

/// A stored policy as the simulator calls it.
pub(crate) fn labelled(policy: SourcedPolicy) -> Labelled {
    let id = match policy.source {
        PolicySource::Managed { name, .. } => name,
        PolicySource::Inline { kind, principal, name } => format!("{}_{principal}_{name}", kind.word()),
    };
    Labelled { id, document: policy.document }
}

fn is_excluded(policy: &SourcedPolicy, excluded: &[model::PolicyIdentifier]) -> bool {
    use model::PolicyIdentifierPolicyType as Type;
    excluded.iter().any(|one| match (one, &policy.source) {
        (model::PolicyIdentifier::PolicyArn(arn), PolicySource::Managed { arn: known, .. }) => arn == known,
        (
            model::PolicyIdentifier::InlinePolicyIdentifier(inline),
            PolicySource::Inline { kind, principal, name },
        ) => {
            let is_kind = match inline.attachment_type {
                model::AttachmentType::User => *kind == PrincipalKind::User,
                model::AttachmentType::Group => *kind == PrincipalKind::Group,
                model::AttachmentType::Role => *kind == PrincipalKind::Role,
                model::AttachmentType::Unknown(_) => false,
            };
            is_kind && inline.attachment_name == *principal && inline.policy_name == *name
        }
        (model::PolicyIdentifier::PolicyType(Type::Inline), PolicySource::Inline { .. }) => true,
        (model::PolicyIdentifier::PolicyType(Type::AwsManaged), PolicySource::Managed { arn, .. }) => {
            is_aws(arn)
        }
        (model::PolicyIdentifier::PolicyType(Type::UserManaged), PolicySource::Managed { arn, .. }) => {
            !is_aws(arn)
        }
        _ => false,
    })
}

fn excludes_boundary(excluded: &[model::PolicyIdentifier]) -> bool {
    use model::PolicyIdentifierPolicyType as Type;
    excluded.contains(&model::PolicyIdentifier::PolicyType(Type::PermissionBoundary))
}

fn is_aws(arn: &str) -> bool {
    arn.starts_with("arn:aws:iam::aws:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_shorter_where_pairs_cost_much() {
        assert_eq!(pairs_of_page(100, 0), 100);
        assert_eq!(pairs_of_page(0, 10), 1);
        assert_eq!(pairs_of_page(usize::MAX, BYTES_TIMES_PAIRS_MAX / 7), 7);
        assert_eq!(pairs_of_page(100, usize::MAX), 1);
    }
}
