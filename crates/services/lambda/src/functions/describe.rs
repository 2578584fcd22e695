//! Functions as answers show them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lambent_base::{Place, text};
use lambent_identity::Identity;
use lambent_model_lambda::{
    Architecture, EnvironmentError, EnvironmentResponse, EphemeralStorage, FunctionConfiguration,
    LastUpdateStatus, LastUpdateStatusReasonCode, Layer, PackageType, Runtime, RuntimeVersionConfig,
    SnapStartApplyOn, SnapStartOptimizationStatus, SnapStartResponse, State, StateReasonCode,
};
use lambent_wire::Timestamp;

use crate::asynchronous::dead_letter_config;
use crate::configuration::runtime_management::version_arn;
use crate::configuration::{logging, network, tenancy};
use crate::errors::NOT_DECRYPTED;
use crate::images::{self, image_config};
use crate::names::{LATEST, function_arn};
use crate::rows::{FunctionRow, LayerRef, Phase, Settings, VersionRow};

/// What AWS says while it works on a function, be it new or not.
const BUSY: &str = "The function is being created.";
const CREATING: &str = "Creating";

/// A function or a published version of it, as it is shown.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    name: &'a str,
    /// `None` for `$LATEST`.
    number: Option<u64>,
    revision_id: &'a str,
    phase: &'a Phase,
    settings: &'a Settings,
    description: &'a str,
}

impl<'a> From<&'a FunctionRow> for Shown<'a> {
    fn from(row: &'a FunctionRow) -> Self {
        let FunctionRow { name, revision_id, phase, settings, .. } = row;
        Self { name, number: None, revision_id, phase, settings, description: &settings.description }
    }
}

impl<'a> Shown<'a> {
    pub(crate) fn version(name: &'a str, row: &'a VersionRow) -> Self {
        let VersionRow { number, revision_id, phase, settings, description } = row;
        Self { name, number: Some(*number), revision_id, phase, settings, description }
    }

    pub(crate) fn settings(&self) -> &'a Settings {
        self.settings
    }
}

/// With its states. `note` is a sentence on its runtime, for people.
pub(crate) fn whole(
    one: Shown<'_>,
    place: &Place,
    identity: &Identity,
    is_qualified: bool,
    note: Option<String>,
) -> FunctionConfiguration {
    let mut shown = listed(one, place, identity, is_qualified);
    let runtime = &one.settings.runtime;
    shown.runtime_version_config = one.settings.image.is_none().then(|| RuntimeVersionConfig {
        error: None,
        runtime_version_arn: Some(version_arn(runtime, &place.region)),
    });
    show_phase(&mut shown, one.phase, note);
    shown
}

/// As ListFunctions shows it, without states.
pub(crate) fn listed(
    one: Shown<'_>,
    place: &Place,
    identity: &Identity,
    is_qualified: bool,
) -> FunctionConfiguration {
    let Shown { name, number, revision_id, settings, description, .. } = one;
    let arn = function_arn(place, name);
    let version = number.map_or_else(|| LATEST.to_owned(), |number| number.to_string());
    FunctionConfiguration {
        architectures: Some(vec![Architecture::from(settings.architecture.as_str())]),
        code_sha256: Some(code_digest(settings)),
        code_size: Some(i64::try_from(settings.code.size).unwrap_or(i64::MAX)),
        dead_letter_config: dead_letter_config::shown(settings),
        description: Some(description.to_owned()),
        environment: environment(settings, identity),
        ephemeral_storage: Some(EphemeralStorage { size: settings.ephemeral_mib }),
        file_system_configs: network::shown_file_systems(&settings.file_systems),
        function_arn: Some(if is_qualified { format!("{arn}:{version}") } else { arn }),
        function_name: Some(name.to_owned()),
        handler: settings.image.is_none().then(|| settings.handler.clone()),
        image_config_response: settings.image.as_ref().and_then(image_config::shown),
        kms_key_arn: settings.kms_key_arn.clone(),
        last_modified: Some(last_modified(settings.last_modified_ms)),
        layers: Some(settings.layers.iter().map(layer).collect())
            .filter(|list: &Vec<Layer>| !list.is_empty()),
        logging_config: Some(logging::shown(settings)),
        memory_size: Some(settings.memory_mib),
        package_type: Some(if settings.image.is_some() { PackageType::Image } else { PackageType::Zip }),
        revision_id: Some(revision_id.to_owned()),
        role: Some(settings.role.clone()),
        runtime: settings.image.is_none().then(|| Runtime::from(settings.runtime.as_str())),
        snap_start: Some(snap_start(settings, number.is_some())),
        tenancy_config: tenancy::shown(settings),
        timeout: Some(settings.timeout_s),
        tracing_config: Some(logging::shown_tracing(settings)),
        version: Some(version),
        vpc_config: settings.vpc.as_ref().map(|vpc| network::shown_vpc(vpc, place)),
        ..FunctionConfiguration::default()
    }
}

/// Whoever may see the function may see its variables: they are decrypted for the answer.
fn environment(settings: &Settings, identity: &Identity) -> Option<EnvironmentResponse> {
    settings.environment.as_ref()?;
    Some(match settings.variables(identity) {
        Ok(variables) => EnvironmentResponse { error: None, variables: Some(variables) },
        Err(_) => EnvironmentResponse {
            error: Some(EnvironmentError {
                error_code: Some("AccessDeniedException".to_owned()),
                message: Some(NOT_DECRYPTED.to_owned()),
            }),
            variables: None,
        },
    })
}

fn layer(layer: &LayerRef) -> Layer {
    Layer {
        arn: Some(layer.arn.clone()),
        code_size: Some(i64::try_from(layer.code.size).unwrap_or(i64::MAX)),
        ..Layer::default()
    }
}

/// What is asked for, and that published versions have it.
fn snap_start(settings: &Settings, is_published: bool) -> SnapStartResponse {
    let (apply_on, status) = match (settings.snap_start, is_published) {
        (false, _) => (SnapStartApplyOn::None, SnapStartOptimizationStatus::Off),
        (true, false) => (SnapStartApplyOn::PublishedVersions, SnapStartOptimizationStatus::Off),
        (true, true) => (SnapStartApplyOn::PublishedVersions, SnapStartOptimizationStatus::On),
    };
    SnapStartResponse { apply_on: Some(apply_on), optimization_status: Some(status) }
}

fn show_phase(shown: &mut FunctionConfiguration, phase: &Phase, note: Option<String>) {
    match phase {
        Phase::Creating => {
            shown.state = Some(State::Pending);
            shown.state_reason = Some(BUSY.to_owned());
            shown.state_reason_code = Some(StateReasonCode::Creating);
        }
        Phase::CreateFailed(reason) => {
            shown.state = Some(State::Failed);
            shown.state_reason = Some(reason.clone());
            shown.state_reason_code = Some(StateReasonCode::from(reason_code(reason)));
            shown.last_update_status = Some(LastUpdateStatus::Failed);
        }
        Phase::Ready | Phase::Updating | Phase::UpdateFailed(_) => {
            shown.state = Some(State::Active);
            shown.state_reason = note;
        }
    }
    match phase {
        Phase::Ready => shown.last_update_status = Some(LastUpdateStatus::Successful),
        Phase::Updating => {
            shown.last_update_status = Some(LastUpdateStatus::InProgress);
            shown.last_update_status_reason = Some(BUSY.to_owned());
            // The model does not list this code, and AWS gives it.
            shown.last_update_status_reason_code = Some(LastUpdateStatusReasonCode::from(CREATING));
        }
        Phase::UpdateFailed(reason) => {
            shown.last_update_status = Some(LastUpdateStatus::Failed);
            shown.last_update_status_reason = Some(reason.clone());
            shown.last_update_status_reason_code =
                Some(LastUpdateStatusReasonCode::from(reason_code(reason)));
        }
        Phase::Creating | Phase::CreateFailed(_) => {}
    }
}

/// AWS's code for a reason.
fn reason_code(reason: &str) -> &'static str {
    images::reason_code(reason).unwrap_or("InternalError")
}

/// The zip's digest in base64, as CodeSha256 has it; an image's in hexadecimal digits.
pub(crate) fn code_digest(settings: &Settings) -> String {
    if settings.image.is_some() {
        return settings.code.sha256.clone();
    }
    BASE64.encode(text::unhex(&settings.code.sha256).unwrap_or_default())
}

/// As `2026-11-21T16:00:00.000+0000`.
pub(crate) fn last_modified(unix_ms: i64) -> String {
    let mut text = Timestamp::from_ms(unix_ms).iso8601_ms();
    if text.ends_with('Z') {
        text.truncate(text.len() - 1);
    }
    text + "+0000"
}
