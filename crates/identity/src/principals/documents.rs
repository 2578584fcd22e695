//! All policies that speak for a principal, with where each comes from.

use lambent_store::Txn;

use super::Principals;
use super::attachments::{PrincipalKind, PrincipalName, PrincipalRow};
use super::groups::load_group_by_id;
use super::managed::default_document;
use crate::IdentityError;

/// Where a policy of a principal comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// A policy in the row of a user, group or role; of a user's group it is the group.
    Inline { kind: PrincipalKind, principal: String, name: String },
    /// A managed policy.
    Managed { arn: String, name: String },
}

/// A policy of a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcedPolicy {
    pub source: PolicySource,
    /// As it was given.
    pub document: String,
}

/// The policies of a principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrincipalPolicies {
    /// Inline ones before managed ones, a user's own before those of its groups.
    pub policies: Vec<SourcedPolicy>,
    /// What bounds them. A boundary whose document is not known denies everything.
    pub boundary: Option<SourcedPolicy>,
}

impl Principals<'_> {
    /// All policies that speak for a principal, from one view of the store.
    pub async fn policies_of(self, who: PrincipalName<'_>) -> Result<PrincipalPolicies, IdentityError> {
        let who = &who;
        self.db.read(|txn| async move { load_policies(&txn, who).await }).await
    }
}

/// All policies that speak for a principal.
pub(crate) async fn load_policies(
    txn: &Txn,
    who: &PrincipalName<'_>,
) -> Result<PrincipalPolicies, IdentityError> {
    let mut row = PrincipalRow::load(txn, who).await?;
    let mut all = PrincipalPolicies::default();
    add(txn, who, &mut row, &mut all.policies).await?;
    if let PrincipalRow::User(user) = &row {
        for id in &user.groups {
            let Some(group) = load_group_by_id(txn, who.account, id).await? else { continue };
            let name = group.name.clone();
            let group_name = PrincipalName { account: who.account, kind: PrincipalKind::Group, name: &name };
            add(txn, &group_name, &mut PrincipalRow::Group(group), &mut all.policies).await?;
        }
    }
    if let Some(arn) = row.boundary() {
        // A boundary that cannot be read bounds all.
        let unreadable = || {
            (
                arn.to_owned(),
                r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#
                    .to_owned(),
            )
        };
        let found = default_document(txn, who.account, arn).await?;
        let (name, document) = found.unwrap_or_else(unreadable);
        all.boundary =
            Some(SourcedPolicy { source: PolicySource::Managed { arn: arn.to_owned(), name }, document });
    }
    Ok(all)
}

async fn add(
    txn: &Txn,
    who: &PrincipalName<'_>,
    row: &mut PrincipalRow,
    policies: &mut Vec<SourcedPolicy>,
) -> Result<(), IdentityError> {
    for (name, document) in row.inline() {
        let source =
            PolicySource::Inline { kind: who.kind, principal: who.name.to_owned(), name: name.clone() };
        policies.push(SourcedPolicy { source, document: document.clone() });
    }
    for arn in row.attached().iter() {
        // The policies of services' roles have no documents here: they allow nothing.
        let Some((name, document)) = default_document(txn, who.account, arn).await? else { continue };
        let source = PolicySource::Managed { arn: arn.clone(), name };
        policies.push(SourcedPolicy { source, document });
    }
    Ok(())
}
