//! A function's configuration: every member of CreateFunction and UpdateFunctionConfiguration, its default, and in which
//! order they are checked. What needs a store or a policy to be
//! checked comes after (`Lambda::check_named`).
//! Source: Lambda API Reference, "CreateFunction" and "UpdateFunctionConfiguration"; the order is that of recorded answers.

use std::collections::BTreeMap;

use lambent_identity::Identity;
use lambent_model_lambda::{
    Architecture, CreateFunctionRequest, DeadLetterConfig, Environment, EphemeralStorage, FileSystemConfig,
    ImageConfig, LoggingConfig, PackageType, Runtime, SnapStart, SnapStartApplyOn, TracingConfig,
    UpdateFunctionConfigurationRequest, VpcConfig,
};
use lambent_wire::ApiError;

use crate::asynchronous::dead_letter_config;
use crate::configuration::environment_seal::Variables;
use crate::configuration::{environment_variables, logging, network, runtime_names, tenancy};
use crate::errors::{self, unsupported};
use crate::images::image_config;
use crate::limits;
use crate::rows::{CodeRef, ImageRow, Settings};

const MEMORY_DEFAULT_MIB: i32 = 128;
const TIMEOUT_DEFAULT_S: i32 = 3;
const EPHEMERAL_DEFAULT_MIB: i32 = 512;
const X86_64: &str = "x86_64";
const ARM64: &str = "arm64";

/// The members that both requests have; what is `None` stays as it is.
struct Changes<'a> {
    runtime: Option<&'a Runtime>,
    handler: Option<&'a str>,
    role: Option<&'a str>,
    description: Option<&'a str>,
    memory_size: Option<i32>,
    timeout: Option<i32>,
    ephemeral_storage: Option<&'a EphemeralStorage>,
    environment: Option<&'a Environment>,
    logging: Option<&'a LoggingConfig>,
    tracing: Option<&'a TracingConfig>,
    snap_start: Option<&'a SnapStart>,
    vpc: Option<&'a VpcConfig>,
    file_systems: Option<&'a [FileSystemConfig]>,
    kms_key_arn: Option<&'a str>,
    dead_letter: Option<&'a DeadLetterConfig>,
    image: Option<&'a ImageConfig>,
    /// Members of which Lambent has nothing: the name, and whether the request has it.
    strange: [(&'static str, bool); 4],
}

/// What a request changes. The two requests have most members in common, and no type for them.
macro_rules! changes {
    ($input:expr, role: $role:expr) => {{
        let input = $input;
        Changes {
            runtime: input.runtime.as_ref(),
            handler: input.handler.as_deref(),
            role: $role,
            description: input.description.as_deref(),
            memory_size: input.memory_size,
            timeout: input.timeout,
            ephemeral_storage: input.ephemeral_storage.as_ref(),
            environment: input.environment.as_ref(),
            logging: input.logging_config.as_ref(),
            tracing: input.tracing_config.as_ref(),
            snap_start: input.snap_start.as_ref(),
            vpc: input.vpc_config.as_ref(),
            file_systems: input.file_system_configs.as_deref(),
            kms_key_arn: input.kms_key_arn.as_deref(),
            dead_letter: input.dead_letter_config.as_ref(),
            image: input.image_config.as_ref(),
            strange: [
                ("DurableConfig", input.durable_config.is_some()),
                ("CapacityProviderConfig", input.capacity_provider_config.is_some()),
                ("AcceleratorConfig", input.accelerator_config.is_some()),
                ("RuntimeConfig", input.runtime_config.is_some()),
            ],
        }
    }};
}

/// The settings of a new function; `code` and the times come later.
pub(crate) fn create(
    input: &CreateFunctionRequest,
    name: &str,
    identity: &Identity,
) -> Result<Settings, ApiError> {
    let is_image = input.package_type.as_ref().is_some_and(|kind| *kind == PackageType::Image);
    if is_image && input.code_signing_config_arn.is_some() {
        return Err(errors::not_for_images("Code signing is"));
    }
    refuse_publish_to(input.publish_to.is_some())?;
    if !is_image && (input.runtime.is_none() || input.handler.is_none()) {
        return Err(errors::invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    }
    let mut settings = defaults(name);
    settings.image = is_image.then(ImageRow::default);
    settings.architecture = architecture(input.architectures.as_deref())?.unwrap_or(X86_64).to_owned();
    settings.source_kms_key_arn = source_key(input.code.source_kms_key_arn.as_deref());
    tenancy::apply(&mut settings, input.tenancy_config.as_ref());
    apply(&mut settings, &changes!(input, role: Some(&input.role)), identity)?;
    Ok(settings)
}

/// Changes the settings of a function.
pub(crate) fn update(
    settings: &mut Settings,
    input: &UpdateFunctionConfigurationRequest,
    identity: &Identity,
) -> Result<(), ApiError> {
    apply(settings, &changes!(input, role: input.role.as_deref()), identity)
}

/// Takes over all members, each checked on its own, and then together.
fn apply(settings: &mut Settings, changes: &Changes<'_>, identity: &Identity) -> Result<(), ApiError> {
    refuse(changes)?;
    image_config::apply(settings, changes.image)?;
    if settings.image.is_some() && (changes.runtime.is_some() || changes.handler.is_some()) {
        return Err(errors::not_for_images("The Runtime and Handler parameters are"));
    }
    if let Some(runtime) = changes.runtime {
        settings.runtime = runtime_names::checked(runtime)?;
    }
    apply_texts(settings, changes);
    apply_numbers(settings, changes)?;
    if let Some(environment) = changes.environment {
        let variables = environment_variables::checked(environment)?;
        settings.environment = Some(Variables::seal(&variables, identity));
    }
    network::apply(settings, changes.vpc, changes.file_systems)?;
    dead_letter_config::apply(settings, changes.dead_letter);
    logging::apply(settings, changes.logging)?;
    logging::apply_tracing(settings, changes.tracing);
    if let Some(on) = changes.snap_start.and_then(|snap| snap.apply_on.as_ref()) {
        settings.snap_start = *on == SnapStartApplyOn::PublishedVersions;
    }
    check_together(settings)
}

fn apply_texts(settings: &mut Settings, changes: &Changes<'_>) {
    let texts = [
        (changes.handler, &mut settings.handler),
        (changes.role, &mut settings.role),
        (changes.description, &mut settings.description),
    ];
    for (new, old) in texts {
        if let Some(new) = new {
            new.clone_into(old);
        }
    }
    if let Some(arn) = changes.kms_key_arn {
        settings.kms_key_arn = Some(arn.to_owned()).filter(|arn| !arn.is_empty());
    }
}

fn apply_numbers(settings: &mut Settings, changes: &Changes<'_>) -> Result<(), ApiError> {
    let ephemeral_mib = changes.ephemeral_storage.map(|storage| storage.size);
    let numbers = [
        (changes.memory_size, &mut settings.memory_mib, "memorySize", limits::MEMORY_MIB),
        (changes.timeout, &mut settings.timeout_s, "timeout", limits::TIMEOUT_S),
        (ephemeral_mib, &mut settings.ephemeral_mib, "ephemeralStorage.size", limits::EPHEMERAL_MIB),
    ];
    for (new, old, path, bounds) in numbers {
        if let Some(new) = new {
            *old = in_bounds(new, path, &bounds)?;
        }
    }
    Ok(())
}

/// What members forbid each other.
fn check_together(settings: &Settings) -> Result<(), ApiError> {
    if settings.snap_start && settings.image.is_some() {
        return Err(errors::not_for_images("SnapStart is"));
    }
    if settings.snap_start && !runtime_names::has_snap_start(&settings.runtime) {
        return Err(errors::no_snap_start(&settings.runtime));
    }
    if settings.snap_start { tenancy::refuse(settings, "SnapStart") } else { Ok(()) }
}

/// The key that new code comes with, if there is one.
pub(crate) fn source_key(arn: Option<&str>) -> Option<String> {
    arn.filter(|arn| !arn.is_empty()).map(str::to_owned)
}

/// The one architecture of a list, if there is one.
pub(crate) fn architecture(list: Option<&[Architecture]>) -> Result<Option<&'static str>, ApiError> {
    match list {
        None | Some([]) => Ok(None),
        Some([Architecture::X8664]) => Ok(Some(X86_64)),
        Some([Architecture::Arm64]) => Ok(Some(ARM64)),
        Some(list) => {
            let names: Vec<&str> = list.iter().map(Architecture::as_str).collect();
            let constraint = if list.len() > 1 {
                "Member must have length less than or equal to 1"
            } else {
                "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must \
                 not be null]"
            };
            Err(errors::violation(format!("[{}]", names.join(", ")), "architectures", constraint))
        }
    }
}

/// The architecture of this host, in Lambda's words.
pub(crate) fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => ARM64,
        other => other,
    }
}

/// PublishTo makes the version `$LATEST.PUBLISHED`, which only functions of a capacity provider have, and there are none here.
/// Source: Lambda Developer Guide, "$LATEST.PUBLISHED version in Lambda Managed Instances".
pub(crate) fn refuse_publish_to(has_publish_to: bool) -> Result<(), ApiError> {
    if !has_publish_to {
        return Ok(());
    }
    Err(errors::invalid(
        "PublishTo is supported for functions with a CapacityProviderConfig only: publish a numbered version with Publish or \
         PublishVersion.",
    ))
}

/// Checks the tags of a new function.
pub(crate) fn tags(tags: Option<BTreeMap<String, String>>) -> Result<BTreeMap<String, String>, ApiError> {
    let tags = tags.unwrap_or_default();
    if tags.len() > limits::TAGS_MAX {
        return Err(errors::invalid("Number of tags exceeds resource tag limit."));
    }
    if tags.keys().any(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(errors::invalid("Tag keys that start with aws: are reserved."));
    }
    Ok(tags)
}

fn defaults(name: &str) -> Settings {
    Settings {
        run_revision: String::new(),
        last_modified_ms: 0,
        runtime: String::new(),
        handler: String::new(),
        role: String::new(),
        description: String::new(),
        memory_mib: MEMORY_DEFAULT_MIB,
        timeout_s: TIMEOUT_DEFAULT_S,
        ephemeral_mib: EPHEMERAL_DEFAULT_MIB,
        environment: None,
        architecture: X86_64.to_owned(),
        log_group: default_log_group(name),
        json_logging: None,
        tracing_active: false,
        code: CodeRef { sha256: String::new(), size: 0 },
        snap_start: false,
        layers: Vec::new(),
        image: None,
        vpc: None,
        file_systems: Vec::new(),
        kms_key_arn: None,
        source_kms_key_arn: None,
        dead_letter_arn: None,
        is_per_tenant: false,
    }
}

fn default_log_group(name: &str) -> String {
    format!("/aws/lambda/{name}")
}

fn in_bounds(value: i32, path: &str, bounds: &std::ops::RangeInclusive<i32>) -> Result<i32, ApiError> {
    let constraint = if value < *bounds.start() {
        format!("Member must have value greater than or equal to {}", bounds.start())
    } else if value > *bounds.end() {
        format!("Member must have value less than or equal to {}", bounds.end())
    } else {
        return Ok(value);
    };
    Err(errors::violation(value, path, &constraint))
}

/// Members that ask for what Lambent does not have.
fn refuse(changes: &Changes<'_>) -> Result<(), ApiError> {
    match changes.strange.iter().find(|(_, is_there)| *is_there) {
        Some((member, _)) => Err(unsupported(member, "leave it out")),
        None => Ok(()),
    }
}
