//! Why a command failed, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::exit;

/// Every failure of the commands.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("expected {} to have a certificate authority, found none", data.display())]
    NoAuthority { data: PathBuf },
    #[error("expected a running cloud in {}, found none", data.display())]
    NoCloud { data: PathBuf },
    #[error("expected a cloud to answer at {endpoint}: {source}")]
    Unreachable { endpoint: String, source: io::Error },
    #[error("the cloud at {endpoint} ended the connection: {source}")]
    Http { endpoint: String, source: hyper::Error },
    #[error("the cloud at {endpoint} did not answer within {seconds} s")]
    Silent { endpoint: String, seconds: u64 },
    #[error("expected {} to hold {expected}, got something else: {found}", path.display())]
    File { path: PathBuf, expected: &'static str, found: String },
    #[error("expected to {action} {}: {source}", path.display())]
    Disk { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the request cannot be signed: {0}")]
    Sign(#[from] lambent_sigv4::SignError),
    #[error("{action} was refused ({status} {code}): {message}")]
    Refused { action: String, status: u16, code: String, message: String },
    #[error("expected {expected} from {action}, got: {found}")]
    Answer { action: String, expected: &'static str, found: String },
    #[error("expected logs of `{name}`, but there is no log group {group}")]
    NoLogs { name: String, group: String },
    #[error("expected a --limit of at most {most} with --slow, got {asked}")]
    TooManySlow { asked: usize, most: usize },
    #[error(transparent)]
    Runtime(#[from] lambent_runtimes::RuntimeError),
    #[error(transparent)]
    Install(#[from] lambent_runtimes::InstallError),
    #[error("expected to fetch and unpack the image {image}: {why}")]
    Image { image: String, why: String },
    #[error(transparent)]
    Sandbox(#[from] lambent_sandbox::SandboxError),
    #[error("expected a runtime that can be installed (as nodejs22.x, or python, nodejs), got `{0}`")]
    UnknownRuntime(String),
    #[error("expected a Python with pip on this host, found none")]
    NoPip,
    #[error("pip failed ({status}); it said: {said}")]
    Pip { status: String, said: String },
    #[error("expected to make or read the package {}: {source}", path.display())]
    Zip { path: PathBuf, source: zip::result::ZipError },
    #[error("expected {name} with SHA-256 {expected}, got {found}")]
    WrongPhoto { name: String, expected: String, found: String },
    #[error("the cloud of the demonstration did not start: {0}")]
    DemoCloud(String),
    #[error("expected {what} within {seconds} s; the function's log:\n{log}")]
    DemoLate { what: String, seconds: u64, log: String },
    #[error("expected to find a cache directory: neither XDG_CACHE_HOME nor HOME is set")]
    NoHome,
    #[error("expected to start the command's own machinery: {0}")]
    Start(io::Error),
    #[error("stopped")]
    Interrupted,
    /// Whoever read our output has gone: nothing to complain about.
    #[error("the reader of the output has gone")]
    Closed,
    #[error("expected to write the output: {0}")]
    Output(io::Error),
}

impl CliError {
    /// What to do next.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoAuthority { .. } => {
                "name the cloud's directory with --data; one that was started with --tls-certificate has the authority of that"
            }
            Self::NoCloud { .. } => "start one with `lambent up`, or name its directory with --data",
            Self::Unreachable { .. } => "if it has ended, start it again with `lambent up`",
            Self::Silent { .. } => "see what `lambent up` says on its stderr",
            Self::Refused { status: 403, .. } => {
                "the clock of this host and the root key of the data directory decide about signatures; check both"
            }
            Self::NoLogs { .. } => {
                "a group is made when a function first writes; invoke it, or list the functions with `aws lambda list-functions`"
            }
            Self::UnknownRuntime(_) => "`lambent runtime list` shows what there is",
            Self::NoPip => "install Python 3.10 or newer with pip (Debian: apt install python3-pip)",
            Self::WrongPhoto { .. } => {
                "remove the `photos` folder of the cache and run the demonstration again"
            }
            Self::NoHome => "set HOME",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// One of [`exit::TABLE`].
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoCloud { .. } | Self::Unreachable { .. } => exit::NO_CLOUD,
            Self::Interrupted => exit::INTERRUPTED,
            Self::TooManySlow { .. } => exit::USAGE,
            Self::Closed => exit::DONE,
            _ => exit::FAILED,
        }
    }

    pub(crate) fn disk(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk { action, path, source }
    }
}
