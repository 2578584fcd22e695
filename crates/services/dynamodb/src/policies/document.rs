//! What a policy must be to hang on a table or a stream.
//! Source: Amazon DynamoDB Developer Guide, "Resource-based policy considerations", "DynamoDB API operations supported by
//! resource-based policies", "Blocking public access with resource-based policies".

use lambent_api::{ApiError, Call};
use lambent_identity::{Identity, IdentityError, MalformedPolicy, Pins, Policy, ResourceFacts, Wanted};
use serde_json::Value;

use crate::error::validation;
use crate::policies::operations::Target;

/// AWS's limit, blanks included.
const POLICY_MAX_BYTES: usize = 20 * 1024;
const PREFIX: &str = "dynamodb:";
const INVALID: &str = "One or more parameter values were invalid: ";

/// What policies of tables may allow.
const OF_TABLES: [&str; 29] = [
    "BatchGetItem",
    "BatchWriteItem",
    "ConditionCheckItem",
    "CreateTable",
    "DeleteItem",
    "DeleteTable",
    "DescribeContinuousBackups",
    "DescribeContributorInsights",
    "DescribeTable",
    "DescribeTableReplicaAutoScaling",
    "DescribeTimeToLive",
    "ExportTableToPointInTime",
    "GetItem",
    "ListTagsOfResource",
    "PartiQLDelete",
    "PartiQLInsert",
    "PartiQLSelect",
    "PartiQLUpdate",
    "PutItem",
    "Query",
    "RestoreTableToPointInTime",
    "Scan",
    "TagResource",
    "UntagResource",
    "UpdateContinuousBackups",
    "UpdateContributorInsights",
    "UpdateItem",
    "UpdateTable",
    "UpdateTimeToLive",
];
/// What policies of streams may allow.
const OF_STREAMS: [&str; 3] = ["DescribeStream", "GetRecords", "GetShardIterator"];
/// What both may.
const OF_BOTH: [&str; 3] = ["DeleteResourcePolicy", "GetResourcePolicy", "PutResourcePolicy"];

/// Whom a policy means. AWS stores none that names somebody whom it cannot find.
///
/// Errors: ValidationException for what cannot hang there, and, unless `may_lock_out`, for what would keep the caller from
/// changing it again.
pub(super) async fn check(
    identity: &Identity,
    call: &Call,
    target: &Target,
    text: &str,
    may_lock_out: bool,
) -> Result<Pins, ApiError> {
    if text.len() > POLICY_MAX_BYTES {
        let message = format!("Policy exceeds the maximum allowed size of {POLICY_MAX_BYTES} bytes");
        return Err(invalid(&message));
    }
    let policy = Policy::resource(text, "dynamodb").map_err(|error| match error {
        MalformedPolicy::Principal { .. } => unknown_principal(),
        other => malformed(&other.to_string()),
    })?;
    let value: Value = serde_json::from_str(text).map_err(|error| malformed(&error.to_string()))?;
    for statement in each(&value["Statement"]) {
        check_actions(target, statement)?;
        check_resources(target, statement)?;
    }
    let pins = identity.names(call.authorized()).pin(&policy).await.map_err(|error| match error {
        IdentityError::MalformedPolicy(MalformedPolicy::Principal { .. }) => unknown_principal(),
        other => ApiError::internal(&other),
    })?;
    if policy.is_public() {
        return Err(malformed(
            "it grants public access, which is blocked: name principals, or tie it to fixed values of keys",
        ));
    }
    if may_lock_out {
        return Ok(pins);
    }
    let facts = ResourceFacts { policy: Some(policy.into()), ..ResourceFacts::default() };
    let wanted = Wanted::new("dynamodb:PutResourcePolicy", target.arn());
    match identity.authorize_on(call.caller(), &call.context.circumstances(), wanted, facts).await {
        Ok(_) => Ok(pins),
        Err(IdentityError::Denied(_)) => Err(invalid(
            "The new policy would not allow you to update the policy of this resource in the future; set \
             ConfirmRemoveSelfResourceAccess to confirm.",
        )),
        Err(other) => Err(ApiError::internal(&other)),
    }
}

/// The names that a statement gives must be those of actions on such a thing; patterns may be any.
fn check_actions(target: &Target, statement: &Value) -> Result<(), ApiError> {
    let own: &[&str] = if target.label.is_some() { &OF_STREAMS } else { &OF_TABLES };
    let is_known = |action: &str| {
        let Some(bare) = action.get(..PREFIX.len()).filter(|start| start.eq_ignore_ascii_case(PREFIX)) else {
            return action == "*";
        };
        let bare = &action[bare.len()..];
        bare.contains(['*', '?']) || own.iter().chain(&OF_BOTH).any(|known| known.eq_ignore_ascii_case(bare))
    };
    let named = each(&statement["Action"]).chain(each(&statement["NotAction"])).filter_map(Value::as_str);
    let unknown: Vec<String> =
        named.filter(|action| !is_known(action)).map(|action| format!("\"{action}\"")).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(malformed(&format!("The following action names are invalid: {}", unknown.join(", "))))
}

/// A policy speaks of the thing that it hangs on, and a table's of its indexes.
fn check_resources(target: &Target, statement: &Value) -> Result<(), ApiError> {
    let arn = target.arn();
    let fits = |resource: &str| match &target.label {
        _ if resource == "*" => true,
        Some(_) => resource == arn,
        None => {
            resource.strip_prefix(&arn).is_some_and(|rest| rest.is_empty() || rest.starts_with("/index/"))
        }
    };
    let mut named =
        each(&statement["Resource"]).chain(each(&statement["NotResource"])).filter_map(Value::as_str);
    match named.find(|resource| !fits(resource)) {
        Some(other) => Err(malformed(&format!("The following resource is invalid: \"{other}\""))),
        None => Ok(()),
    }
}

/// One, several, or none.
fn each(value: &Value) -> std::slice::Iter<'_, Value> {
    match value {
        Value::Array(several) => several.iter(),
        Value::Null => [].iter(),
        one => std::slice::from_ref(one).iter(),
    }
}

fn unknown_principal() -> ApiError {
    invalid("Invalid principal in policy document.")
}

fn malformed(why: &str) -> ApiError {
    invalid(&format!("Invalid policy document: {why}"))
}

fn invalid(why: &str) -> ApiError {
    validation(format!("{INVALID}{why}"))
}
