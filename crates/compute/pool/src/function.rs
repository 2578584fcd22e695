//! What the pool must know of a function to run it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use lambent_base::BoxFuture;
use lambent_runtimes::Image;

/// Names one runnable state of a function: environments are shared by calls with equal keys, and by no others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FunctionKey {
    /// Twelve digits.
    pub account: String,
    pub region: String,
    /// The function's name, without qualifier.
    pub name: String,
    /// `$LATEST` or a published version's number.
    pub version: String,
    /// Changes whenever code or configuration changes (AWS's RevisionId will do): environments of an older
    /// revision finish what they run and are then retired.
    pub revision: String,
}

/// A function as its next environment shall run it.
pub struct FunctionSpec {
    pub key: FunctionKey,
    /// A Lambda runtime identifier, as `python3.12`, `nodejs20.x`, `provided.al2023`.
    pub runtime: String,
    /// `module.function`; ignored by `provided` runtimes, which read it from `_HANDLER`.
    pub handler: String,
    /// MemorySize, 128 to 10,240 MiB.
    pub memory_mib: u32,
    /// Timeout in milliseconds, at most 900,000.
    pub timeout_ms: u32,
    /// EphemeralStorage, 512 to 10,240 MiB: the size of `/tmp`.
    pub ephemeral_mib: u32,
    /// Environment.Variables; names that Lambda reserves are set over them.
    pub environment: Vec<(String, String)>,
    /// The unpacked deployment package, which nobody changes while this spec is alive. Files must be readable, and
    /// folders searchable, by everyone (0644, 0755): the function runs as a user that owns nothing.
    pub code_dir: PathBuf,
    /// What its environments have as `/opt`: all its layers merged into one folder, under the same conditions; `None` for
    /// a function without layers.
    pub opt_dir: Option<PathBuf>,
    /// The container image that it is, in place of a runtime, a package and layers.
    pub image: Option<Arc<Image>>,
    /// A folder with what [`crate::Pool::compile`] made of this code, if there is one; what does not fit is not used.
    pub code_cache: Option<PathBuf>,
    /// LoggingConfig.LogGroup, usually `/aws/lambda/NAME`.
    pub log_group: String,
    pub logging: Logging,
    /// TracingConfig's mode is Active: some calls without a tracing header of their caller's are sampled.
    pub tracing_active: bool,
    /// The names of the programs in `extensions/` of [`FunctionSpec::opt_dir`], which run beside the runtime.
    pub extensions: Vec<String>,
    /// SnapStart's `PublishedVersions`, for a published version: its environments may start from one that is initialised.
    pub snap_start: bool,
    /// PutFunctionConcurrency's value; zero throttles every call.
    pub reserved_concurrency: Option<u32>,
    /// Asked once for each environment, when it starts.
    pub credentials: Arc<dyn CredentialsSource>,
}

impl FunctionSpec {
    /// A function as CreateFunction makes it where nothing else is said: 128 MiB, 3 seconds, nothing besides its code.
    pub fn new(
        key: FunctionKey,
        (runtime, handler): (&str, &str),
        code_dir: PathBuf,
        credentials: Arc<dyn CredentialsSource>,
    ) -> Self {
        Self {
            log_group: format!("/aws/lambda/{}", key.name),
            key,
            runtime: runtime.to_owned(),
            handler: handler.to_owned(),
            memory_mib: 128,
            timeout_ms: 3_000,
            ephemeral_mib: 512,
            environment: Vec::new(),
            code_dir,
            opt_dir: None,
            image: None,
            code_cache: None,
            logging: Logging::default(),
            tracing_active: false,
            extensions: Vec::new(),
            snap_start: false,
            reserved_concurrency: None,
            credentials,
        }
    }
}

/// LoggingConfig: in which form a function's log is, and how much of it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logging {
    /// `None` for text.
    pub json: Option<JsonLogging>,
}

/// LogFormat JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonLogging {
    /// As `INFO`; what the function logs below it is left out.
    pub application_level: String,
    pub system_level: SystemLevel,
}

/// SystemLogLevel: how much the platform itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SystemLevel {
    Debug,
    Info,
    Warn,
}

/// Levels of functions' own records, the least first.
pub(crate) const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/// Temporary credentials of a function's role.
#[derive(Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Makes the credentials with which an environment calls the platform.
pub trait CredentialsSource: Send + Sync {
    /// Fresh credentials that outlive the environment (the pool retires an environment after
    /// [`crate::PoolConfig::max_environment_age`]). The error text goes into the log and the call's error.
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, String>>;
}
