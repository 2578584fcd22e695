//! VpcConfig and FileSystemConfigs: kept and shown as AWS shows them, and not acted on: a function's network is the one
//! that the operator configured. Source: Lambda API Reference, "VpcConfig", "VpcConfigResponse", "FileSystemConfig".

use lambent_base::{Place, text};
use lambent_model_lambda::{DirectS3Read, FileSystemConfig, S3FilesConfig, VpcConfig, VpcConfigResponse};
use lambent_wire::ApiError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::errors;
use crate::rows::Settings;

/// Digits of a VPC's id.
const VPC_ID_DIGITS: usize = 17;

/// VpcConfig; with empty lists where the function was taken out of its VPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VpcRow {
    pub(crate) subnet_ids: Vec<String>,
    pub(crate) security_group_ids: Vec<String>,
    pub(crate) has_ipv6: bool,
}

/// One of FileSystemConfigs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileSystemRow {
    pub(crate) arn: String,
    pub(crate) local_mount_path: String,
    /// S3FilesConfig's DirectS3Read, where there is an S3FilesConfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) direct_s3_read: Option<String>,
}

/// Takes over what a request says of the network.
pub(crate) fn apply(
    settings: &mut Settings,
    vpc: Option<&VpcConfig>,
    file_systems: Option<&[FileSystemConfig]>,
) -> Result<(), ApiError> {
    if let Some(vpc) = vpc {
        let subnet_ids = vpc.subnet_ids.clone().unwrap_or_default();
        let security_group_ids = vpc.security_group_ids.clone().unwrap_or_default();
        if subnet_ids.is_empty() != security_group_ids.is_empty() {
            return Err(errors::invalid("SubnetIds and SecurityIds must coexist or be both empty list."));
        }
        let has_ipv6 = vpc.ipv6_allowed_for_dual_stack == Some(true);
        settings.vpc = Some(VpcRow { subnet_ids, security_group_ids, has_ipv6 });
    }
    if let Some(file_systems) = file_systems {
        settings.file_systems = file_systems.iter().map(file_system).collect();
    }
    let has_vpc = settings.vpc.as_ref().is_some_and(|vpc| !vpc.subnet_ids.is_empty());
    match settings.file_systems.first() {
        Some(file_system) if !has_vpc => Err(errors::invalid(format!(
            "Function must be configured to execute in a VPC to reference access point {}.",
            file_system.arn
        ))),
        _ => Ok(()),
    }
}

/// VpcConfig as answers have it.
pub(crate) fn shown_vpc(vpc: &VpcRow, place: &Place) -> VpcConfigResponse {
    VpcConfigResponse {
        ipv6_allowed_for_dual_stack: Some(vpc.has_ipv6),
        security_group_ids: Some(vpc.security_group_ids.clone()),
        subnet_ids: Some(vpc.subnet_ids.clone()),
        vpc_id: Some(if vpc.subnet_ids.is_empty() { String::new() } else { vpc_id(place) }),
    }
}

/// FileSystemConfigs as answers have them; `None` where there are none.
pub(crate) fn shown_file_systems(rows: &[FileSystemRow]) -> Option<Vec<FileSystemConfig>> {
    let shown = rows.iter().map(|row| FileSystemConfig {
        arn: row.arn.clone(),
        local_mount_path: row.local_mount_path.clone(),
        s3_files_config: row
            .direct_s3_read
            .as_deref()
            .map(|read| S3FilesConfig { direct_s3_read: Some(DirectS3Read::from(read)) }),
    });
    (!rows.is_empty()).then(|| shown.collect())
}

fn file_system(config: &FileSystemConfig) -> FileSystemRow {
    let direct = config.s3_files_config.as_ref().and_then(|files| files.direct_s3_read.as_ref());
    FileSystemRow {
        arn: config.arn.clone(),
        local_mount_path: config.local_mount_path.clone(),
        direct_s3_read: direct.map(|read| read.as_str().to_owned()),
    }
}

/// All subnets of an account in a region count as of one VPC, as nobody knows them.
fn vpc_id(place: &Place) -> String {
    let digest = text::hex(&Sha256::digest(format!("{}/{}", place.account, place.region)));
    format!("vpc-{}", &digest[..VPC_ID_DIGITS])
}
