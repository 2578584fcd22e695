//! Which runtimes this host can run.

use std::path::{Path, PathBuf};

/// A language whose runtimes Lambent can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `python3.*`
    Python,
    /// `nodejs*`
    Node,
    /// `provided`, `provided.al2`, `provided.al2023`: the deployment package brings its own `bootstrap`.
    Provided,
}

/// An interpreter found on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    pub family: Family,
    /// Major, minor, patch.
    pub version: (u32, u32, u32),
    /// The installation's folder, which holds `bin/` and `lib/`.
    pub prefix: PathBuf,
    /// The real binary (not a shim), beneath `prefix`.
    pub program: PathBuf,
}

/// What a function of some runtime runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// As the function's configuration says, `python3.12`.
    pub identifier: String,
    pub family: Family,
    /// `None` for [`Family::Provided`].
    pub interpreter: Option<Interpreter>,
    /// A sentence for StateReason and the log when the host lacks the exact version and another stands in.
    pub note: Option<String>,
}

/// Why a runtime cannot be run here.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("expected a runtime that Lambent runs (python3.*, nodejs*, provided*), got `{0}`")]
    UnknownIdentifier(String),
    #[error(
        "expected {program} on this host to run `{identifier}`, found none: install {program} and start again"
    )]
    NoInterpreter { identifier: String, program: &'static str },
}

/// The interpreters found on this host.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    interpreters: Vec<Interpreter>,
}

impl Catalogue {
    /// The interpreters, in no particular order.
    pub fn interpreters(&self) -> &[Interpreter] {
        &self.interpreters
    }

    /// Where packages for `family` are installed beneath the platform's data directory.
    pub fn packages_dir(data_dir: &Path, family: Family) -> PathBuf {
        let name = match family {
            Family::Python => "python",
            Family::Node => "nodejs",
            Family::Provided => "provided",
        };
        data_dir.join("runtimes").join(name)
    }
}
