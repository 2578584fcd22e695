//! Managed policies: of an account, with up to five versions, or of AWS.

use lambent_base::Arn;
use lambent_store::{KeyRange, ScanOptions, Txn};
use serde::{Deserialize, Serialize};

use super::aws_managed::{self, AWS, AwsManaged};
use super::lists::Counted;
use super::{ID_ALPHABET, ID_LENGTH, Kind, Listed, Principals, UsageCount, limits, tags};
use crate::{IdentityError, Policy, keys, policy_set};

/// A managed policy as it is stored; its documents lie in rows of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// Twelve digits, or `aws`.
    pub account: String,
    pub name: String,
    /// Starts and ends with a slash.
    pub path: String,
    /// `ANPA` and seventeen letters.
    pub id: String,
    pub description: Option<String>,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// The number of the version that counts.
    pub default_version: u64,
    /// The number of the newest version that there ever was.
    pub last_version: u64,
    /// By key.
    pub tags: Vec<(String, String)>,
}

/// What CreatePolicy says of the new policy.
#[derive(Clone, Debug)]
pub struct NewPolicy<'a> {
    pub name: &'a str,
    pub path: &'a str,
    pub description: Option<&'a str>,
    pub document: &'a str,
    pub tags: &'a [(String, String)],
}

/// One version of a managed policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyVersion {
    pub number: u64,
    pub is_default: bool,
    pub created_ms: i64,
    /// As it was given.
    pub document: String,
}

/// Which managed policies are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyScope {
    All,
    Aws,
    /// Those of the account.
    Local,
}

/// The row of a version.
#[derive(Serialize, Deserialize)]
struct VersionRow {
    created_ms: i64,
    document: String,
}

/// How AWS says that there is no such policy, which depends on what it was wanted for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Missing {
    Policy,
    Attachable,
    Scope,
}

impl ManagedPolicy {
    pub fn arn(&self) -> String {
        Arn::new("iam", "", &self.account, format!("policy{}{}", self.path, self.name)).to_string()
    }

    pub fn is_aws(&self) -> bool {
        self.account == AWS
    }

    pub(crate) fn from_row(row: &[u8]) -> Result<Self, IdentityError> {
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))
    }
}

impl From<&AwsManaged> for ManagedPolicy {
    fn from(policy: &AwsManaged) -> Self {
        let made_ms = policy.made_s * 1000;
        Self {
            account: AWS.to_owned(),
            name: policy.name.to_owned(),
            path: policy.path.to_owned(),
            id: policy.id(),
            description: Some(policy.description.to_owned()),
            created_ms: made_ms,
            updated_ms: made_ms,
            default_version: policy.version,
            last_version: policy.version,
            tags: Vec::new(),
        }
    }
}

impl Principals<'_> {
    /// Makes a managed policy with its first version, which is the default.
    pub async fn create_policy(self, new: NewPolicy<'_>) -> Result<ManagedPolicy, IdentityError> {
        check_document(new.document)?;
        let now_ms = self.clock.unix_ms();
        let mut policy = ManagedPolicy {
            account: self.account().to_owned(),
            name: new.name.to_owned(),
            path: new.path.to_owned(),
            id: format!("ANPA{}", self.random.string(ID_ALPHABET, ID_LENGTH)),
            description: new.description.map(str::to_owned),
            created_ms: now_ms,
            updated_ms: now_ms,
            default_version: 1,
            last_version: 1,
            tags: Vec::new(),
        };
        tags::add(&mut policy.tags, new.tags)?;
        let (policy_row, document) = (&policy, new.document);
        self.db
            .run(|txn| async move {
                let key = keys::managed_policy(&policy_row.account, &policy_row.name);
                if txn.get(&key).await?.is_some() {
                    let name = policy_row.name.clone();
                    return Err(IdentityError::Exists { kind: Kind::Policy, name });
                }
                Counted::Policies.one_more(&txn, &policy_row.account).await?;
                put_version(&txn, policy_row, 1, now_ms, document)?;
                put_policy(&txn, policy_row)
            })
            .await?;
        Ok(policy)
    }

    /// The managed policy of an ARN, of the account or of AWS.
    pub async fn managed_policy(self, arn: &str) -> Result<ManagedPolicy, IdentityError> {
        let account = self.account();
        self.db.read(|txn| async move { load_policy(&txn, account, arn, Missing::Policy).await }).await
    }

    /// Deletes a policy that nobody uses, and of which no version but the default is left.
    pub async fn delete_policy(self, arn: &str) -> Result<(), IdentityError> {
        let account = self.account();
        self.db
            .run(|txn| async move {
                let policy = load_own(&txn, account, arn, "DeletePolicy").await?;
                let users = keys::attachments_of(account, arn).range();
                if !txn.scan(&users, ScanOptions::rows(1)).await?.rows.is_empty() {
                    let message = "Cannot delete a policy attached to entities.";
                    return Err(IdentityError::Conflict(message));
                }
                let versions = keys::policy_versions(account, &policy.name).range();
                if txn.scan(&versions, ScanOptions::rows(2)).await?.rows.len() > 1 {
                    let message = "This policy has more than one version. Before you delete a policy, you must \
                        delete the policy's versions. The default version is deleted with the policy.";
                    return Err(IdentityError::Conflict(message));
                }
                txn.delete_range(&versions);
                txn.delete(&keys::managed_policy(account, &policy.name));
                Counted::Policies.one_less(&txn, account);
                policy_set::raise(&txn, account);
                Ok(())
            })
            .await
    }

    /// Adds a version, and has it be the default if that is asked for.
    pub async fn create_policy_version(
        self,
        arn: &str,
        document: &str,
        is_default: bool,
    ) -> Result<PolicyVersion, IdentityError> {
        let account = self.account();
        check_document(document)?;
        let created_ms = self.clock.unix_ms();
        let number = self
            .db
            .run(|txn| async move {
                let mut policy = load_own(&txn, account, arn, "CreatePolicyVersion").await?;
                let versions = keys::policy_versions(account, &policy.name).range();
                let max = limits::POLICY_VERSIONS_MAX;
                if txn.scan(&versions, ScanOptions::rows(max)).await?.rows.len() >= max {
                    return Err(IdentityError::TooManyVersions { max });
                }
                policy.last_version += 1;
                policy.updated_ms = created_ms;
                if is_default {
                    policy.default_version = policy.last_version;
                }
                put_version(&txn, &policy, policy.last_version, created_ms, document)?;
                put_policy(&txn, &policy)?;
                Ok(policy.last_version)
            })
            .await?;
        Ok(PolicyVersion { number, is_default, created_ms, document: document.to_owned() })
    }

    /// One version, by its number.
    pub async fn policy_version(self, arn: &str, number: u64) -> Result<PolicyVersion, IdentityError> {
        let account = self.account();
        self.db
            .read(|txn| async move {
                let policy = load_policy(&txn, account, arn, Missing::Policy).await?;
                load_version(&txn, &policy, number).await
            })
            .await
    }

    /// All versions, the newest first.
    pub async fn policy_versions(self, arn: &str) -> Result<Vec<PolicyVersion>, IdentityError> {
        let account = self.account();
        self.db
            .read(|txn| async move {
                let policy = load_policy(&txn, account, arn, Missing::Policy).await?;
                if policy.is_aws() {
                    return Ok(vec![load_version(&txn, &policy, policy.default_version).await?]);
                }
                let versions = keys::policy_versions(account, &policy.name).range();
                let options = ScanOptions::rows(limits::POLICY_VERSIONS_MAX).reverse();
                let page = txn.scan(&versions, options).await?;
                page.rows.iter().map(|(key, row)| read_version(&policy, key, row)).collect()
            })
            .await
    }

    /// Has another version count, from the next decision on.
    pub async fn set_default_version(self, arn: &str, number: u64) -> Result<(), IdentityError> {
        let account = self.account();
        let updated_ms = self.clock.unix_ms();
        self.db
            .run(|txn| async move {
                let policy = load_own(&txn, account, arn, "SetDefaultPolicyVersion").await?;
                load_version(&txn, &policy, number).await?;
                put_policy(&txn, &ManagedPolicy { default_version: number, updated_ms, ..policy })
            })
            .await
    }

    /// Deletes a version that is not the default.
    pub async fn delete_policy_version(self, arn: &str, number: u64) -> Result<(), IdentityError> {
        let account = self.account();
        let updated_ms = self.clock.unix_ms();
        self.db
            .run(|txn| async move {
                let policy = load_own(&txn, account, arn, "DeletePolicyVersion").await?;
                load_version(&txn, &policy, number).await?;
                if policy.default_version == number {
                    let message = "Cannot delete the default version of a policy.";
                    return Err(IdentityError::Conflict(message));
                }
                txn.delete(&keys::policy_version(account, &policy.name, number));
                put_policy(&txn, &ManagedPolicy { updated_ms, ..policy })
            })
            .await
    }

    pub async fn tag_policy(self, arn: &str, new: &[(String, String)]) -> Result<(), IdentityError> {
        self.change_policy(arn, "TagPolicy", |policy| tags::add(&mut policy.tags, new)).await
    }

    pub async fn untag_policy(self, arn: &str, gone: &[String]) -> Result<(), IdentityError> {
        self.change_policy(arn, "UntagPolicy", |policy| {
            tags::remove(&mut policy.tags, gone);
            Ok(())
        })
        .await
    }

    /// The policies of a scope that `is_wanted`, with how much they are used: the account's own by name, then AWS's.
    pub async fn managed_policies(
        self,
        scope: PolicyScope,
        is_wanted: impl Fn(&ManagedPolicy, UsageCount) -> bool,
        marker: Option<&str>,
        max: usize,
    ) -> Result<Listed<(ManagedPolicy, UsageCount)>, IdentityError> {
        let mut all = Vec::new();
        if scope != PolicyScope::Aws {
            all = self.own_policies().await?;
        }
        if scope != PolicyScope::Local {
            all.extend(aws_managed::all().iter().map(ManagedPolicy::from));
        }
        let usages = self.policy_usages().await?;
        let all = all.into_iter().map(|policy| {
            let usage = usages.get(&policy.arn()).copied().unwrap_or_default();
            // ARNs in this order would have the digits of accounts before `aws`, too, but paths before names.
            let order = format!("{}/{}", policy.account, policy.name);
            (order, policy, usage)
        });
        let all = all.filter(|(_, policy, usage)| is_wanted(policy, *usage)).collect();
        let page = Listed::of(all, marker, max, |(order, ..)| order);
        let items = page.items.into_iter().map(|(_, policy, usage)| (policy, usage)).collect();
        Ok(Listed { items, marker: page.marker })
    }

    async fn own_policies(self) -> Result<Vec<ManagedPolicy>, IdentityError> {
        let account = self.account();
        let mut all = Vec::new();
        let mut left = Some(keys::managed_policies(account).range());
        while let Some(range) = &left {
            let (found, rest) = self.page_of_policies(range).await?;
            all.extend(found);
            left = rest;
        }
        all.sort_by(|one: &ManagedPolicy, other| one.name.cmp(&other.name));
        Ok(all)
    }

    async fn page_of_policies(
        self,
        range: &KeyRange,
    ) -> Result<(Vec<ManagedPolicy>, Option<KeyRange>), IdentityError> {
        let options = ScanOptions::rows(limits::ITEMS_PER_PAGE_MAX);
        let page = self
            .db
            .read(|txn| async move { Ok::<_, IdentityError>(txn.scan(range, options).await?) })
            .await?;
        let found =
            page.rows.iter().map(|(_, row)| ManagedPolicy::from_row(row)).collect::<Result<_, _>>()?;
        Ok((found, range.rest(&page, false)))
    }

    async fn change_policy(
        self,
        arn: &str,
        operation: &'static str,
        change: impl Fn(&mut ManagedPolicy) -> Result<(), IdentityError>,
    ) -> Result<(), IdentityError> {
        let account = self.account();
        let change = &change;
        self.db
            .run(|txn| async move {
                let mut policy = load_own(&txn, account, arn, operation).await?;
                change(&mut policy)?;
                put_policy(&txn, &policy)
            })
            .await
    }
}

/// The name and the document that counts of the managed policy of an ARN; `None` where there is no such policy, or where
/// its document is not known, as with those of service-linked roles.
pub(crate) async fn default_document(
    txn: &Txn,
    account: &str,
    arn: &str,
) -> Result<Option<(String, String)>, IdentityError> {
    let policy = match load_policy(txn, account, arn, Missing::Policy).await {
        Ok(policy) => policy,
        Err(IdentityError::NoSuch { .. } | IdentityError::Invalid(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let version = load_version(txn, &policy, policy.default_version).await?;
    Ok(Some((policy.name, version.document)))
}

/// The managed policy of an ARN, of the account or of AWS.
pub(crate) async fn load_policy(
    txn: &Txn,
    account: &str,
    arn: &str,
    missing: Missing,
) -> Result<ManagedPolicy, IdentityError> {
    let kind = match missing {
        Missing::Policy => Kind::Policy,
        Missing::Attachable => Kind::AttachablePolicy,
        Missing::Scope => Kind::BoundaryPolicy,
    };
    let none = || IdentityError::NoSuch { kind, name: arn.to_owned() };
    let parsed = parse_arn(arn)?;
    if parsed.account == AWS {
        return aws_managed::find(&parsed).map(ManagedPolicy::from).ok_or_else(none);
    }
    if parsed.account != account {
        return Err(none());
    }
    let name = parsed.resource.rsplit('/').next().unwrap_or_default();
    let row = txn.get(&keys::managed_policy(account, name)).await?;
    match row.map(|row| ManagedPolicy::from_row(&row)).transpose()? {
        Some(policy) if policy.arn() == arn => Ok(policy),
        _ => Err(none()),
    }
}

/// The ARN of a managed policy, in its parts.
pub(crate) fn parse_arn(arn: &str) -> Result<Arn, IdentityError> {
    let invalid = "Invalid ARN:  Could not be parsed!";
    let parsed: Arn = arn.parse().map_err(|_| IdentityError::Invalid(invalid.to_owned()))?;
    if parsed.service != "iam" || !parsed.resource.starts_with("policy/") {
        return Err(IdentityError::Invalid(format!("ARN {arn} is not valid.")));
    }
    Ok(parsed)
}

/// A policy of the account, to be changed.
async fn load_own(
    txn: &Txn,
    account: &str,
    arn: &str,
    operation: &'static str,
) -> Result<ManagedPolicy, IdentityError> {
    let policy = load_policy(txn, account, arn, Missing::Policy).await?;
    if policy.is_aws() {
        return Err(IdentityError::OwnedByAws { arn: arn.to_owned(), operation });
    }
    Ok(policy)
}

async fn load_version(
    txn: &Txn,
    policy: &ManagedPolicy,
    number: u64,
) -> Result<PolicyVersion, IdentityError> {
    let arn: Arn = policy.arn().parse().map_err(|_| IdentityError::Damaged(policy.arn()))?;
    let none = || {
        let name = format!("{arn} version v{number}");
        IdentityError::NoSuch { kind: Kind::AttachablePolicy, name }
    };
    if let Some(known) = aws_managed::find(&arn).filter(|_| policy.is_aws()) {
        let version = PolicyVersion {
            number: known.version,
            is_default: true,
            created_ms: known.made_s * 1000,
            document: known.document.to_owned(),
        };
        return if number == known.version { Ok(version) } else { Err(none()) };
    }
    let key = keys::policy_version(&policy.account, &policy.name, number);
    let row = txn.get(&key).await?.ok_or_else(none)?;
    read_version(policy, &key, &row)
}

fn read_version(policy: &ManagedPolicy, key: &[u8], row: &[u8]) -> Result<PolicyVersion, IdentityError> {
    let damaged = || IdentityError::Damaged(format!("policy version {}", key.escape_ascii()));
    let (_, number) = key.split_last_chunk().ok_or_else(damaged)?;
    let number = u64::from_be_bytes(*number);
    let VersionRow { created_ms, document } =
        serde_json::from_slice(row).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    Ok(PolicyVersion { number, is_default: number == policy.default_version, created_ms, document })
}

/// Whether the row of a version can be read.
pub(crate) fn check_version(row: &[u8]) -> Result<(), IdentityError> {
    let row: Result<VersionRow, _> = serde_json::from_slice(row);
    row.map(drop).map_err(|error| IdentityError::Damaged(error.to_string()))
}

fn put_version(
    txn: &Txn,
    policy: &ManagedPolicy,
    number: u64,
    created_ms: i64,
    document: &str,
) -> Result<(), IdentityError> {
    let row = VersionRow { created_ms, document: document.to_owned() };
    let row = serde_json::to_vec(&row).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    if row.len() > lambent_store::limits::MAX_VALUE_BYTES {
        return Err(too_large());
    }
    txn.put(&keys::policy_version(&policy.account, &policy.name, number), &row);
    Ok(())
}

/// Writes a policy; what was decided for anybody in the account before is to be decided anew.
fn put_policy(txn: &Txn, policy: &ManagedPolicy) -> Result<(), IdentityError> {
    let row = serde_json::to_vec(policy).map_err(|error| IdentityError::Damaged(error.to_string()))?;
    txn.put(&keys::managed_policy(&policy.account, &policy.name), &row);
    policy_set::raise(txn, &policy.account);
    Ok(())
}

fn check_document(document: &str) -> Result<(), IdentityError> {
    Policy::managed(document)?;
    let chars = document.chars().filter(|c| !c.is_whitespace()).count();
    if chars > limits::MANAGED_POLICY_CHARS_MAX { Err(too_large()) } else { Ok(()) }
}

fn too_large() -> IdentityError {
    IdentityError::Quota { quota: "PolicySize", max: limits::MANAGED_POLICY_CHARS_MAX }
}
