//! What the store holds of functions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lambent_base::{Place, text};
use lambent_identity::{Identity, Pins};
use lambent_store::{Txn, get_large, load_large, put_large};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::configuration::environment_seal::Variables;
use crate::configuration::logging::JsonRow;
use crate::configuration::network::{FileSystemRow, VpcRow};
use crate::errors::LambdaError;
use crate::keys;
use crate::names::Which;

/// One function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FunctionRow {
    pub(crate) name: String,
    /// A new UUID with each change, those of state included.
    pub(crate) revision_id: String,
    pub(crate) phase: Phase,
    /// As the last CreateFunction or UpdateFunction* left it.
    pub(crate) settings: Settings,
    /// What invocations still run while an update is in progress, or after one that failed.
    pub(crate) previous: Option<Settings>,
    pub(crate) tags: BTreeMap<String, String>,
    /// The version that was published with the change which is under way: it becomes what the change becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) publishing: Option<u64>,
}

/// A published version, which nobody changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VersionRow {
    pub(crate) number: u64,
    pub(crate) revision_id: String,
    /// [`Phase::Creating`], [`Phase::Ready`] or [`Phase::CreateFailed`].
    pub(crate) phase: Phase,
    /// The function's, when it was published.
    pub(crate) settings: Settings,
    /// The version's own, or the function's.
    pub(crate) description: String,
}

/// A name for a version, which moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AliasRow {
    pub(crate) name: String,
    /// A new UUID with each change.
    pub(crate) revision_id: String,
    pub(crate) description: String,
    /// `None` for `$LATEST`.
    pub(crate) version: Option<u64>,
    /// Where another part of the calls goes.
    pub(crate) additional: Option<AdditionalVersion>,
}

/// The second version of an alias.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AdditionalVersion {
    pub(crate) version: u64,
    /// Its part of the calls, 0 to 1.
    pub(crate) weight: f64,
}

/// Where a function is in its life; State and LastUpdateStatus follow from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Creating,
    Ready,
    Updating,
    /// With a reason for people.
    CreateFailed(String),
    UpdateFailed(String),
}

/// All that decides how a function runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// A UUID that changes with these settings only: environments of other settings are retired by it.
    pub(crate) run_revision: String,
    /// Milliseconds since 1970.
    pub(crate) last_modified_ms: i64,
    pub(crate) runtime: String,
    pub(crate) handler: String,
    pub(crate) role: String,
    pub(crate) description: String,
    pub(crate) memory_mib: i32,
    pub(crate) timeout_s: i32,
    pub(crate) ephemeral_mib: i32,
    /// `None` where the caller never gave an Environment.
    pub(crate) environment: Option<Variables>,
    /// `x86_64` or `arm64`.
    pub(crate) architecture: String,
    pub(crate) log_group: String,
    /// Where LogFormat is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) json_logging: Option<JsonRow>,
    /// TracingConfig's mode is Active.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) tracing_active: bool,
    pub(crate) code: CodeRef,
    /// SnapStart's ApplyOn is PublishedVersions.
    #[serde(default)]
    pub(crate) snap_start: bool,
    /// `None` where the caller never gave a VpcConfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vpc: Option<VpcRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) file_systems: Vec<FileSystemRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kms_key_arn: Option<String>,
    /// The SourceKMSKeyArn that came with the code; shown, and not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_kms_key_arn: Option<String>,
    /// DeadLetterConfig's TargetArn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dead_letter_arn: Option<String>,
    /// TenancyConfig's PER_TENANT: one environment serves calls of one tenant only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_per_tenant: bool,
    /// In their order: later ones lie over earlier ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) layers: Vec<LayerRef>,
    /// PackageType is Image: then `code` is the image's manifest, and runtime and handler are empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<ImageRow>,
}

/// Where a function's container image came from, and what is executed otherwise than it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRow {
    /// As the caller wrote it.
    pub(crate) uri: String,
    /// The same with the manifest's digest.
    pub(crate) resolved: String,
    /// ImageConfig, where there is anything in it.
    pub(crate) config: Option<ImageConfigRow>,
}

/// ImageConfig's members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageConfigRow {
    pub(crate) entry_point: Option<Vec<String>>,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) working_directory: Option<String>,
}

/// A version of a layer as a function has it, whatever becomes of that version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRef {
    /// Of the version.
    pub(crate) arn: String,
    pub(crate) code: CodeRef,
}

/// A deployment package, by content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeRef {
    /// Of the zip; hexadecimal.
    pub(crate) sha256: String,
    /// Bytes of the zip.
    pub(crate) size: u64,
}

/// Where a deployment package is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeRow {
    /// The id of the zip's blob.
    pub(crate) blob: [u8; 16],
    /// Bytes of the zip.
    pub(crate) size: u64,
    /// Bytes of all files in it; of packages that were kept before this was noted, nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unpacked: Option<u64>,
}

/// A version of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerVersionRow {
    pub(crate) number: u64,
    pub(crate) description: String,
    pub(crate) license_info: Option<String>,
    /// `None` where the caller never gave any.
    pub(crate) compatible_runtimes: Option<Vec<String>>,
    pub(crate) compatible_architectures: Option<Vec<String>>,
    /// Milliseconds since 1970.
    pub(crate) created_ms: i64,
    pub(crate) code: CodeRef,
}

/// Who else may use a layer's version; there is no row where there is no statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerPolicyRow {
    pub(crate) revision_id: String,
    pub(crate) statements: Vec<LayerStatementRow>,
}

/// What AddLayerVersionPermission was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerStatementRow {
    pub(crate) sid: String,
    pub(crate) action: String,
    /// `*`, an account's twelve digits, or the ARN of its root.
    pub(crate) principal: String,
    pub(crate) organization_id: Option<String>,
}

/// A function's resource policy; there is no row where there is no statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyRow {
    pub(crate) revision_id: String,
    /// What PutResourcePolicy was given: it replaces all that was there before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) written: Vec<WrittenRow>,
    /// Whom the principals of `written` mean.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    pub(crate) pins: Pins,
    /// What AddPermission was given, since then.
    pub(crate) statements: Vec<StatementRow>,
}

/// A statement of a whole document; as it is kept, so it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct WrittenRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    pub(crate) principal: WrittenPrincipal,
    pub(crate) action: OneOrMore,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<OneOrMore>,
    /// By operator and key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<BTreeMap<String, BTreeMap<String, OneOrMore>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// Whom a statement of a whole document is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum WrittenPrincipal {
    /// `*`.
    Everyone(String),
    /// By kind: `AWS`, `Service`, `Federated`, `CanonicalUser`.
    Named(BTreeMap<String, OneOrMore>),
}

/// Policies have a text where they may have an array of texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// What AddPermission was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatementRow {
    pub(crate) sid: String,
    pub(crate) principal: PrincipalRow,
    /// The unique id of the user or role that `principal` means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) principal_id: Option<String>,
    pub(crate) action: String,
    pub(crate) source_arn: Option<String>,
    pub(crate) source_account: Option<String>,
    pub(crate) principal_org_id: Option<String>,
    pub(crate) event_source_token: Option<String>,
    pub(crate) function_url_auth_type: Option<String>,
    pub(crate) invoked_via_function_url: Option<bool>,
}

/// Whom a statement allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PrincipalRow {
    #[default]
    Everyone,
    /// As `s3.amazonaws.com`.
    Service(String),
    /// An ARN of IAM.
    Aws(String),
}

impl FunctionRow {
    /// What an invocation runs now; `None` when there is nothing yet.
    pub(crate) fn runnable(&self) -> Option<&Settings> {
        match self.phase {
            Phase::Creating | Phase::CreateFailed(_) => None,
            Phase::Ready => Some(&self.settings),
            Phase::Updating | Phase::UpdateFailed(_) => self.previous.as_ref(),
        }
    }

    /// All that the function may still run.
    pub(crate) fn held(&self) -> BTreeSet<Held> {
        let settings = std::iter::once(&self.settings).chain(&self.previous);
        settings.flat_map(Settings::held).collect()
    }
}

impl AliasRow {
    /// What it means, but for what the additional version gets.
    pub(crate) fn which(&self) -> Which {
        self.version.map_or(Which::Latest, Which::Published)
    }

    /// Whether calls may go to this version.
    pub(crate) fn leads_to(&self, number: u64) -> bool {
        self.version == Some(number) || self.additional.is_some_and(|other| other.version == number)
    }
}

/// What is kept as long as a function or a version needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    /// A package, of a function or a layer, by its digest.
    Package(String),
    /// Layers in their order, by the digest of that list.
    LayerSet(String),
}

impl VersionRow {
    /// What an invocation runs; `None` when there is nothing yet.
    pub(crate) fn runnable(&self) -> Option<&Settings> {
        (self.phase == Phase::Ready).then_some(&self.settings)
    }
}

impl PolicyRow {
    pub(crate) fn has_statement(&self, sid: &str) -> bool {
        self.statements.iter().any(|known| known.sid == sid)
            || self.written.iter().any(|known| known.sid.as_deref() == Some(sid))
    }

    /// Whether there was one.
    pub(crate) fn remove_statement(&mut self, sid: &str) -> bool {
        let had = self.has_statement(sid);
        self.statements.retain(|known| known.sid != sid);
        self.written.retain(|known| known.sid.as_deref() != Some(sid));
        had
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.written.is_empty()
    }
}

impl OneOrMore {
    pub(crate) fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

impl Settings {
    /// Whether a function that has these and one that has the others are the same, whenever they were made.
    pub(crate) fn is_same(&self, other: &Self, identity: &Identity) -> bool {
        let known = |settings: &Self| Self {
            run_revision: String::new(),
            last_modified_ms: 0,
            environment: None,
            ..settings.clone()
        };
        // Sealed twice, the same variables are two texts.
        let variables = |settings: &Self| settings.variables(identity).ok();
        known(self) == known(other)
            && (self.environment == other.environment
                || variables(self).is_some_and(|own| variables(other) == Some(own)))
    }

    /// What these settings need.
    pub(crate) fn held(&self) -> BTreeSet<Held> {
        let packages = std::iter::once(&self.code).chain(self.layers.iter().map(|layer| &layer.code));
        let packages = packages.map(|code| Held::Package(code.sha256.clone()));
        packages.chain(self.layer_set().map(Held::LayerSet)).collect()
    }

    /// The digest of several layers in their order; of one layer, its package says the same.
    pub(crate) fn layer_set(&self) -> Option<String> {
        if self.layers.len() < 2 {
            return None;
        }
        let digests: Vec<&str> = self.layers.iter().map(|layer| layer.code.sha256.as_str()).collect();
        Some(text::hex(&Sha256::digest(digests.join("\n"))))
    }
}

/// Reads a function.
pub(crate) async fn get_function(
    txn: &Txn,
    place: &Place,
    name: &str,
) -> Result<Option<FunctionRow>, LambdaError> {
    let row = get_large(txn, &keys::function(place, name)).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Reads a published version.
pub(crate) async fn get_version(
    txn: &Txn,
    place: &Place,
    name: &str,
    number: u64,
) -> Result<Option<VersionRow>, LambdaError> {
    get(txn, &keys::version(place, name, number)).await
}

/// Reads an alias.
pub(crate) async fn get_alias(
    txn: &Txn,
    place: &Place,
    name: &str,
    alias: &str,
) -> Result<Option<AliasRow>, LambdaError> {
    get(txn, &keys::alias(place, name, alias)).await
}

/// Reads the row of an alias that a scan found.
pub(crate) fn read_alias(row: &[u8]) -> Result<AliasRow, LambdaError> {
    decode(row)
}

/// Reads the row of a version that a scan found.
pub(crate) fn read_version(row: &[u8]) -> Result<VersionRow, LambdaError> {
    decode(row)
}

/// Reads any row that a scan found.
pub(crate) fn read<T: DeserializeOwned>(row: &[u8]) -> Result<T, LambdaError> {
    decode(row)
}

/// Completes the row of a function that a scan found.
pub(crate) async fn load_function(txn: &Txn, key: &[u8], row: Bytes) -> Result<FunctionRow, LambdaError> {
    decode(&load_large(txn, key, row).await?)
}

/// Writes a function and wakes those who hold its row in memory.
pub(crate) async fn put_function(txn: &Txn, place: &Place, row: &FunctionRow) -> Result<(), LambdaError> {
    put_large(txn, &keys::function(place, &row.name), &encode(row)).await?;
    txn.on_commit(keys::CHANGED);
    Ok(())
}

/// Reads a row that [`put`] wrote.
pub(crate) async fn get<T: DeserializeOwned>(txn: &Txn, key: &[u8]) -> Result<Option<T>, LambdaError> {
    txn.get(key).await?.map(|row| decode(&row)).transpose()
}

/// Writes a row of less than 64 KiB.
pub(crate) fn put<T: Serialize>(txn: &Txn, key: &[u8], row: &T) {
    txn.put(key, &encode(row));
}

fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    serde_json::to_vec(row).expect("rows are structs of texts and numbers, with text keys")
}

fn decode<T: DeserializeOwned>(row: &[u8]) -> Result<T, LambdaError> {
    serde_json::from_slice(row).map_err(LambdaError::row)
}
