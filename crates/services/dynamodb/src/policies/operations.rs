//! PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy.
//! Source: Amazon DynamoDB API Reference; Amazon DynamoDB Developer Guide, "Using resource-based policies for DynamoDB".

use lambent_api::{ApiError, Call};
use lambent_base::Place;
use lambent_identity::Pins;
use lambent_model_dynamodb::errors::{policy_not_found_exception, resource_not_found_exception};
use lambent_model_dynamodb::{
    DeleteResourcePolicyInput, DeleteResourcePolicyOutput, GetResourcePolicyInput, GetResourcePolicyOutput,
    PutResourcePolicyInput, PutResourcePolicyOutput,
};
use lambent_store::Txn;
use serde::{Deserialize, Serialize};

use crate::policies::document;
use crate::{Dynamo, DynamoError, keys, names, rows, streams};

/// Said in place of a revision by who expects that there is no policy yet.
const NO_POLICY: &str = "NO_POLICY";

/// The policy of a table or of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PolicyRow {
    /// As it was given.
    pub(crate) text: String,
    /// Whom its principals mean.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    pub(crate) pins: Pins,
    /// Milliseconds since 1970 when it was put, or one more than its predecessor's.
    pub(crate) revision: i64,
}

/// The table or stream that an ARN names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) place: Place,
    pub(crate) table: String,
    /// Of a stream.
    pub(crate) label: Option<String>,
}

impl Target {
    /// Errors: ValidationException for what is neither a table's ARN nor a stream's.
    pub(crate) fn parse(arn: &str) -> Result<Self, ApiError> {
        let (table, label) = match arn.split_once("/stream/") {
            Some((table, label)) => (table, Some(label.to_owned())),
            None => (arn, None),
        };
        let (place, table) = names::of_arn(table)?;
        Ok(Self { place, table, label })
    }

    /// What a request is about. Errors: likewise, and for what is in another region.
    fn of(call: &Call, arn: &str) -> Result<Self, ApiError> {
        let target = Self::parse(arn)?;
        names::check_region(call.place(), &target.place, "ResourceArn")?;
        Ok(target)
    }

    pub(super) fn arn(&self) -> String {
        let table = names::table_arn(&self.place, &self.table);
        match &self.label {
            Some(label) => format!("{table}/stream/{label}"),
            None => table,
        }
    }

    /// What a stream's policy hangs on, as a table's hangs on its id.
    pub(super) async fn stream(&self, txn: &Txn, label: &str) -> Result<Option<u64>, DynamoError> {
        Ok(streams::find(txn, &self.place, &self.table, label).await?.map(|stream| stream.id))
    }
}

impl Dynamo {
    pub(crate) async fn put_resource_policy(
        &self,
        call: &Call,
        input: PutResourcePolicyInput,
    ) -> Result<PutResourcePolicyOutput, DynamoError> {
        let target = &Target::of(call, &input.resource_arn)?;
        let may_lock_out = input.confirm_remove_self_resource_access == Some(true);
        let pins = &document::check(&self.identity, call, target, &input.policy, may_lock_out).await?;
        let (input, now_ms) = (&input, call.time_ms());
        let committed = self.rows.of(call).run(|txn| async move {
            let (id, current) = self.policy_of(&txn, target, &input.resource_arn).await?;
            expect(input.expected_revision_id.as_deref(), current.as_ref(), target)?;
            let is_same = |current: &&PolicyRow| current.text == input.policy && current.pins == *pins;
            if let Some(same) = current.as_ref().filter(is_same) {
                return Ok(same.revision);
            }
            let revision = current.map_or(now_ms, |current| now_ms.max(current.revision + 1));
            let row = PolicyRow { text: input.policy.clone(), pins: pins.clone(), revision };
            put_policy(&txn, id, &row);
            Ok::<_, DynamoError>(revision)
        });
        let revision = committed.await?;
        self.known.forget(&target.place, &target.table);
        Ok(PutResourcePolicyOutput { revision_id: Some(revision.to_string()) })
    }

    pub(crate) async fn get_resource_policy(
        &self,
        call: &Call,
        input: GetResourcePolicyInput,
    ) -> Result<GetResourcePolicyOutput, DynamoError> {
        let target = &Target::of(call, &input.resource_arn)?;
        let arn = input.resource_arn.as_str();
        let read = self.rows.of(call).read(|txn| async move { self.policy_of(&txn, target, arn).await });
        let (_, policy) = read.await?;
        let policy = policy.ok_or_else(|| policy_not_found_exception(format!("{NOT_FOUND}{arn}")))?;
        let names = self.identity.names(call.authorized());
        let shown = names.shown(&policy.text, &policy.pins).await;
        let shown = shown.map_err(|error| ApiError::internal(&error))?;
        Ok(GetResourcePolicyOutput { policy: Some(shown), revision_id: Some(policy.revision.to_string()) })
    }

    pub(crate) async fn delete_resource_policy(
        &self,
        call: &Call,
        input: DeleteResourcePolicyInput,
    ) -> Result<DeleteResourcePolicyOutput, DynamoError> {
        let target = &Target::of(call, &input.resource_arn)?;
        let input = &input;
        let committed = self.rows.of(call).run(|txn| async move {
            let (id, current) = self.policy_of(&txn, target, &input.resource_arn).await?;
            expect(input.expected_revision_id.as_deref(), current.as_ref(), target)?;
            drop_policy(&txn, id);
            Ok::<_, DynamoError>(current.map(|current| current.revision))
        });
        let revision = committed.await?;
        self.known.forget(&target.place, &target.table);
        Ok(DeleteResourcePolicyOutput { revision_id: revision.map(|revision| revision.to_string()) })
    }

    /// What the policy hangs on, and the policy.
    async fn policy_of(
        &self,
        txn: &Txn,
        target: &Target,
        arn: &str,
    ) -> Result<(u64, Option<PolicyRow>), DynamoError> {
        let missing = || {
            resource_not_found_exception(format!("Requested resource not found: ResourcArn: {arn} not found"))
        };
        let id = match &target.label {
            Some(label) => target.stream(txn, label).await?,
            None => {
                let table = rows::find_table(&self.known, txn, &target.place, &target.table).await?;
                table.map(|table| table.id)
            }
        };
        let id = id.ok_or_else(missing)?;
        let row = txn.get(&keys::policy(id)).await?;
        Ok((id, row.map(|row| rows::decode("a resource's policy", &row)).transpose()?))
    }
}

/// The policy that a table is made with.
///
/// Errors: ValidationException.
pub(crate) async fn new_policy(
    dynamo: &Dynamo,
    call: &Call,
    (place, table): (&Place, &str),
    text: String,
) -> Result<PolicyRow, ApiError> {
    let target = Target { place: place.clone(), table: table.to_owned(), label: None };
    let pins = document::check(&dynamo.identity, call, &target, &text, true).await?;
    Ok(PolicyRow { text, pins, revision: call.time_ms() })
}

/// Attaches a policy to a table or a stream.
pub(crate) fn put_policy(txn: &Txn, id: u64, row: &PolicyRow) {
    txn.put(&keys::policy(id), &rows::encode(row));
    txn.on_commit(keys::TABLES_TOPIC);
}

/// Removes the policy of a table or a stream that goes.
pub(crate) fn drop_policy(txn: &Txn, id: u64) {
    txn.delete(&keys::policy(id));
    txn.on_commit(keys::TABLES_TOPIC);
}

const NOT_FOUND: &str = "Resource-based policy not found for the provided ResourceArn: ";

/// Errors: PolicyNotFoundException where there is another revision than the caller expects.
fn expect(expected: Option<&str>, current: Option<&PolicyRow>, target: &Target) -> Result<(), ApiError> {
    let table = &target.table;
    match (expected, current) {
        (None, _) | (Some(NO_POLICY), None) => Ok(()),
        (Some(NO_POLICY), Some(PolicyRow { revision, .. })) => Err(policy_not_found_exception(format!(
            "{NOT_FOUND}Requested policy update expecting none to be present for table {table}, but a policy exists \
             with revision id {revision}."
        ))),
        (Some(expected), Some(PolicyRow { revision, .. })) if *expected != revision.to_string() => {
            Err(policy_not_found_exception(format!(
                "{NOT_FOUND}Requested update for policy with revision id {expected}, but the policy associated to \
                 target table {table} has revision id {revision}."
            )))
        }
        (Some(_), Some(_)) => Ok(()),
        (Some(expected), None) => Err(policy_not_found_exception(format!(
            "{NOT_FOUND}Requested update for policy with revision id {expected}, but no policy is associated to target \
             table {table}."
        ))),
    }
}
