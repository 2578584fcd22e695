//! Resource policies as whole documents, beside [`crate::policies::statements`], which adds and removes single statements.
//! Source: Lambda API Reference, "PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy".

use std::collections::BTreeSet;
use std::sync::Arc;

use lambent_api::Call;
use lambent_base::Place;
use lambent_identity::{IdentityError, Policy};
use lambent_model_lambda::{
    DeleteResourcePolicyRequest, GetResourcePolicyRequest, GetResourcePolicyResponse,
    PutResourcePolicyRequest, PutResourcePolicyResponse,
};
use lambent_wire::{ApiError, Empty};
use serde::Deserialize;
use serde_json::Value;

use crate::errors::{self, LambdaError};
use crate::functions::existing;
use crate::keys;
use crate::lambda::Lambda;
use crate::names::{FunctionName, LATEST};
use crate::policies::document::document;
use crate::policies::statements::{self, NO_POLICY, check_size};
use crate::rows::{self, OneOrMore, PolicyRow, WrittenPrincipal, WrittenRow};

/// Versions of the policy language.
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];
const PRINCIPALS: [&str; 4] = ["AWS", "Service", "Federated", "CanonicalUser"];

impl Lambda {
    pub(crate) async fn put_resource_policy(
        self: &Arc<Self>,
        call: &Call,
        input: PutResourcePolicyRequest,
    ) -> Result<PutResourcePolicyResponse, LambdaError> {
        let name = &resource_name(&input.resource_arn, &call.owner_place())?;
        let (written, compiled) = read(&input.policy, &name.qualified_arn())?;
        let pins = self.parts.identity.names(call.authorized()).pin(&compiled).await;
        let pins = pins.map_err(|error| match error {
            IdentityError::MalformedPolicy(why) => malformed(&why.to_string()),
            other => ApiError::internal(&other),
        })?;
        let policy =
            &PolicyRow { revision_id: self.parts.random.uuid(), written, pins, statements: Vec::new() };
        let text = document(policy, &name.qualified_arn());
        check_size(&text)?;
        let expected = input.revision_id.as_deref();
        let committed = self.db(call).run(|txn| async move {
            let target = statements::target(&txn, name).await?;
            let key = statements::key(name);
            let old = rows::get::<PolicyRow>(&txn, &key).await?;
            statements::check_revision(old.as_ref(), target.as_deref(), expected)?;
            rows::put(&txn, &key, policy);
            txn.on_commit(keys::CHANGED);
            Ok::<_, LambdaError>(())
        });
        committed.await?;
        self.forget(&name.arn());
        Ok(PutResourcePolicyResponse { policy: Some(text), revision_id: Some(policy.revision_id.clone()) })
    }

    pub(crate) async fn get_resource_policy(
        self: &Arc<Self>,
        call: &Call,
        input: GetResourcePolicyRequest,
    ) -> Result<GetResourcePolicyResponse, LambdaError> {
        let name = resource_name(&input.resource_arn, &call.owner_place())?;
        let (policy, revision_id) = self.policy_text(call, &name).await?;
        Ok(GetResourcePolicyResponse { policy: Some(policy), revision_id: Some(revision_id) })
    }

    pub(crate) async fn delete_resource_policy(
        self: &Arc<Self>,
        call: &Call,
        input: DeleteResourcePolicyRequest,
    ) -> Result<Empty, LambdaError> {
        let name = &resource_name(&input.resource_arn, &call.owner_place())?;
        let expected = input.revision_id.as_deref();
        let deleted = self.db(call).run(|txn| async move {
            statements::target(&txn, name).await?;
            let key = statements::key(name);
            let old = rows::get::<PolicyRow>(&txn, &key).await?;
            let old = old.ok_or_else(|| statements::not_found(NO_POLICY))?;
            statements::check_revision(Some(&old), None, expected)?;
            txn.delete(&key);
            txn.on_commit(keys::CHANGED);
            Ok::<_, LambdaError>(())
        });
        deleted.await?;
        self.forget(&name.arn());
        Ok(Empty {})
    }
}

/// A document as PutResourcePolicy takes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Written {
    version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    /// One, or an array.
    statement: Value,
}

/// The function, version or alias that a whole ARN names.
fn resource_name(arn: &str, place: &Place) -> Result<FunctionName, ApiError> {
    if arn.split(':').nth(5).is_some_and(|kind| kind.starts_with("runtime/")) {
        return Err(errors::unsupported("policies of runtimes", "give them to a function"));
    }
    let name = existing(arn, None, place)?;
    if name.qualifier.as_deref() == Some(LATEST) {
        return Err(errors::invalid("We currently do not support adding policies for $LATEST."));
    }
    Ok(name)
}

/// The statements of a document about the resource with this ARN, and what they mean.
fn read(text: &str, arn: &str) -> Result<(Vec<WrittenRow>, Policy), ApiError> {
    let written: Written = serde_json::from_str(text).map_err(|why| malformed(&why.to_string()))?;
    if written.version.is_some_and(|version| !VERSIONS.contains(&version.as_str())) {
        return Err(malformed("its Version is neither 2012-10-17 nor 2008-10-17"));
    }
    let statements = match written.statement {
        Value::Array(several) => several,
        one => vec![one],
    };
    let statements: Result<Vec<WrittenRow>, _> = statements.into_iter().map(serde_json::from_value).collect();
    let mut statements = statements.map_err(|why| malformed(&why.to_string()))?;
    if statements.is_empty() {
        return Err(malformed("it has no Statement"));
    }
    let mut sids = BTreeSet::new();
    for statement in &mut statements {
        check_statement(statement, arn).map_err(|problem| malformed(&problem))?;
        statement.resource.get_or_insert_with(|| OneOrMore::One(arn.to_owned()));
        if let Some(sid) = statement.sid.clone()
            && !sids.insert(sid)
        {
            return Err(malformed("two of its statements have the same Sid"));
        }
    }
    // What only the evaluator knows to be wrong; it takes no member twice, either.
    let compiled = Policy::resource(text, "lambda").map_err(|why| malformed(&why.to_string()))?;
    Ok((statements, compiled))
}

fn check_statement(statement: &WrittenRow, arn: &str) -> Result<(), String> {
    if let WrittenPrincipal::Named(named) = &statement.principal {
        if let Some(kind) = named.keys().find(|kind| !PRINCIPALS.contains(&kind.as_str())) {
            return Err(format!("{kind} is no kind of principal"));
        }
        if named.is_empty() {
            return Err("a statement has no Principal".to_owned());
        }
    } else if statement.principal != WrittenPrincipal::Everyone("*".to_owned()) {
        return Err("a statement's Principal is neither * nor an object".to_owned());
    }
    let actions = statement.action.all();
    if let Some(action) = actions.iter().find(|action| *action != "*" && !action.starts_with("lambda:")) {
        return Err(format!("{action} is no action of Lambda's"));
    }
    let resources = statement.resource.iter().flat_map(OneOrMore::all);
    for resource in resources {
        let is_meant = match resource.strip_suffix('*') {
            Some(beginning) => arn.starts_with(beginning),
            None => resource == arn,
        };
        if !is_meant {
            return Err(format!("{resource} is not the resource of this policy, {arn}"));
        }
    }
    Ok(())
}

fn malformed(problem: &str) -> ApiError {
    errors::invalid(format!("The policy document is not one that can hang on a function: {problem}."))
}
