//! A function's configuration: AWS's defaults and bounds, and what Lambent does not act on.
//! Source: Lambda API Reference, "CreateFunction" and "UpdateFunctionConfiguration".

use std::collections::BTreeMap;

use lambent_model_lambda::{
    Architecture, CreateFunctionRequest, DeadLetterConfig, Environment, FileSystemConfig, LogFormat,
    LoggingConfig, PackageType, Runtime, SnapStart, SnapStartApplyOn, TracingConfig, TracingMode,
    UpdateFunctionConfigurationRequest, VpcConfig,
};
use lambent_wire::ApiError;

use crate::errors::{self, unsupported};
use crate::limits;
use crate::rows::{CodeRef, Settings};
use crate::runtime_names;

const MEMORY_DEFAULT_MIB: i32 = 128;
const TIMEOUT_DEFAULT_S: i32 = 3;
const EPHEMERAL_DEFAULT_MIB: i32 = 512;
const X86_64: &str = "x86_64";
const ARM64: &str = "arm64";

/// Environment variables that Lambda sets itself. Source: "Using Lambda environment variables".
const RESERVED_VARIABLES: [&str; 19] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

/// Members that change how a function runs; what is `None` stays as it is.
#[derive(Default)]
pub(crate) struct Changes<'a> {
    pub(crate) runtime: Option<&'a Runtime>,
    pub(crate) handler: Option<&'a str>,
    pub(crate) role: Option<&'a str>,
    pub(crate) description: Option<&'a str>,
    pub(crate) memory_mib: Option<i32>,
    pub(crate) timeout_s: Option<i32>,
    pub(crate) ephemeral_mib: Option<i32>,
    pub(crate) environment: Option<&'a Environment>,
    pub(crate) logging: Option<&'a LoggingConfig>,
    pub(crate) snap_start: Option<&'a SnapStart>,
}

/// Members that Lambent does not act on, where they ask for anything.
struct Refusable<'a> {
    layers: Option<&'a [String]>,
    vpc: Option<&'a VpcConfig>,
    tracing: Option<&'a TracingConfig>,
    dead_letter: Option<&'a DeadLetterConfig>,
    file_systems: Option<&'a [FileSystemConfig]>,
    kms_key_arn: Option<&'a str>,
    /// Name, and whether the request has it.
    others: [(&'static str, bool); 6],
}

/// The settings of a new function; `code` and the times come later.
pub(crate) fn create(input: &CreateFunctionRequest, name: &str) -> Result<Settings, ApiError> {
    if input.package_type.as_ref().is_some_and(|kind| *kind == PackageType::Image) {
        return Err(unsupported("PackageType Image", "deploy a zip file, with PackageType Zip"));
    }
    if input.code_signing_config_arn.as_deref().is_some_and(|arn| !arn.is_empty()) {
        return Err(unsupported("CodeSigningConfigArn", "leave it out"));
    }
    refuse_publish_to(input.publish_to.is_some())?;
    refuse(&Refusable {
        layers: input.layers.as_deref(),
        vpc: input.vpc_config.as_ref(),
        tracing: input.tracing_config.as_ref(),
        dead_letter: input.dead_letter_config.as_ref(),
        file_systems: input.file_system_configs.as_deref(),
        kms_key_arn: input.kms_key_arn.as_deref(),
        others: [
            ("ImageConfig", input.image_config.is_some()),
            ("DurableConfig", input.durable_config.is_some()),
            ("TenancyConfig", input.tenancy_config.is_some()),
            ("CapacityProviderConfig", input.capacity_provider_config.is_some()),
            ("AcceleratorConfig", input.accelerator_config.is_some()),
            ("RuntimeConfig", input.runtime_config.is_some()),
        ],
    })?;
    let (Some(runtime), Some(handler)) = (&input.runtime, &input.handler) else {
        return Err(errors::invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    };
    let mut settings = defaults(name);
    settings.architecture = architecture(input.architectures.as_deref())?.unwrap_or(X86_64).to_owned();
    let changes = Changes {
        runtime: Some(runtime),
        handler: Some(handler),
        role: Some(&input.role),
        description: input.description.as_deref(),
        memory_mib: input.memory_size,
        timeout_s: input.timeout,
        ephemeral_mib: input.ephemeral_storage.as_ref().map(|storage| storage.size),
        environment: input.environment.as_ref(),
        logging: input.logging_config.as_ref(),
        snap_start: input.snap_start.as_ref(),
    };
    apply(&mut settings, &changes, name)?;
    Ok(settings)
}

/// Changes the settings of a function.
pub(crate) fn update(
    settings: &mut Settings,
    input: &UpdateFunctionConfigurationRequest,
    name: &str,
) -> Result<(), ApiError> {
    refuse(&Refusable {
        layers: input.layers.as_deref(),
        vpc: input.vpc_config.as_ref(),
        tracing: input.tracing_config.as_ref(),
        dead_letter: input.dead_letter_config.as_ref(),
        file_systems: input.file_system_configs.as_deref(),
        kms_key_arn: input.kms_key_arn.as_deref(),
        others: [
            ("ImageConfig", input.image_config.is_some()),
            ("DurableConfig", input.durable_config.is_some()),
            ("CapacityProviderConfig", input.capacity_provider_config.is_some()),
            ("AcceleratorConfig", input.accelerator_config.is_some()),
            ("RuntimeConfig", input.runtime_config.is_some()),
            ("TenancyConfig", false),
        ],
    })?;
    let changes = Changes {
        runtime: input.runtime.as_ref(),
        handler: input.handler.as_deref(),
        role: input.role.as_deref(),
        description: input.description.as_deref(),
        memory_mib: input.memory_size,
        timeout_s: input.timeout,
        ephemeral_mib: input.ephemeral_storage.as_ref().map(|storage| storage.size),
        environment: input.environment.as_ref(),
        logging: input.logging_config.as_ref(),
        snap_start: input.snap_start.as_ref(),
    };
    apply(settings, &changes, name)
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

/// Versions are published by number only.
pub(crate) fn refuse_publish_to(has_publish_to: bool) -> Result<(), ApiError> {
    if has_publish_to {
        Err(unsupported("PublishTo", "use Publish, or PublishVersion without it"))
    } else {
        Ok(())
    }
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
        code: CodeRef { sha256: String::new(), size: 0 },
        snap_start: false,
    }
}

fn default_log_group(name: &str) -> String {
    format!("/aws/lambda/{name}")
}

fn apply(settings: &mut Settings, changes: &Changes<'_>, name: &str) -> Result<(), ApiError> {
    if let Some(runtime) = changes.runtime {
        settings.runtime = runtime_names::checked(runtime)?;
    }
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
    let numbers = [
        (changes.memory_mib, &mut settings.memory_mib, "memorySize", limits::MEMORY_MIB),
        (changes.timeout_s, &mut settings.timeout_s, "timeout", limits::TIMEOUT_S),
        (changes.ephemeral_mib, &mut settings.ephemeral_mib, "ephemeralStorage.size", limits::EPHEMERAL_MIB),
    ];
    for (new, old, path, bounds) in numbers {
        if let Some(new) = new {
            *old = in_bounds(new, path, &bounds)?;
        }
    }
    if let Some(environment) = changes.environment {
        settings.environment = Some(variables(environment)?);
    }
    if let Some(logging) = changes.logging {
        settings.log_group = log_group(logging, name)?;
    }
    if let Some(on) = changes.snap_start.and_then(|snap| snap.apply_on.as_ref()) {
        settings.snap_start = *on == SnapStartApplyOn::PublishedVersions;
    }
    if settings.snap_start && !runtime_names::has_snap_start(&settings.runtime) {
        return Err(errors::no_snap_start(&settings.runtime));
    }
    Ok(())
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

fn variables(environment: &Environment) -> Result<BTreeMap<String, String>, ApiError> {
    const UNABLE: &str = "Lambda was unable to configure your environment variables because the environment \
                          variables you have provided";
    let variables = environment.variables.clone().unwrap_or_default();
    let reserved: Vec<&str> =
        variables.keys().map(String::as_str).filter(|name| RESERVED_VARIABLES.contains(name)).collect();
    if !reserved.is_empty() {
        return Err(errors::invalid(format!(
            "{UNABLE} contains reserved keys that are currently not supported for modification. Reserved keys \
             used in this request: {}",
            reserved.join(", ")
        )));
    }
    let measured = serde_json::to_string(&variables).expect("a map of texts is JSON");
    if measured.len() > limits::ENVIRONMENT_BYTES_MAX {
        return Err(errors::invalid(format!("{UNABLE} exceeded the 4KB limit. String measured: {measured}")));
    }
    Ok(variables)
}

fn log_group(logging: &LoggingConfig, name: &str) -> Result<String, ApiError> {
    let is_text = logging.log_format.as_ref().is_none_or(|format| *format == LogFormat::Text);
    if !is_text || logging.application_log_level.is_some() || logging.system_log_level.is_some() {
        return Err(unsupported("LoggingConfig's JSON format and log levels", "use LogFormat Text"));
    }
    Ok(logging.log_group.clone().unwrap_or_else(|| default_log_group(name)))
}

fn refuse(members: &Refusable<'_>) -> Result<(), ApiError> {
    let has_vpc = members.vpc.is_some_and(|vpc| {
        vpc.subnet_ids.as_ref().is_some_and(|ids| !ids.is_empty())
            || vpc.security_group_ids.as_ref().is_some_and(|ids| !ids.is_empty())
    });
    let traces = members.tracing.is_some_and(|tracing| tracing.mode == Some(TracingMode::Active));
    let dead_letter = members.dead_letter.and_then(|config| config.target_arn.as_deref());
    let asked = [
        ("Layers", members.layers.is_some_and(|layers| !layers.is_empty()), "put the code into the zip file"),
        ("VpcConfig", has_vpc, "leave it out"),
        ("TracingConfig Active", traces, "use PassThrough"),
        ("DeadLetterConfig", dead_letter.is_some_and(|arn| !arn.is_empty()), "leave it out"),
        ("FileSystemConfigs", members.file_systems.is_some_and(|list| !list.is_empty()), "use /tmp"),
        ("KMSKeyArn", members.kms_key_arn.is_some_and(|arn| !arn.is_empty()), "leave it out"),
    ];
    for (member, is_asked, instead) in asked {
        if is_asked {
            return Err(unsupported(member, instead));
        }
    }
    match members.others.iter().find(|(_, is_there)| *is_there) {
        Some((member, _)) => Err(unsupported(member, "leave it out")),
        None => Ok(()),
    }
}
