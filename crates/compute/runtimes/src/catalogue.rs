//! Which runtimes this host can run.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::discover;
use crate::interpreters::fetched_dir;
use crate::names::is_runtime;

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
    /// Major and minor version, as in `python3.12` (3, 12) and `nodejs20.x` (20, 0).
    pub version: (u32, u32),
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
        "`{0}` cannot run on this host, as Lambent has Python, Node.js and custom runtimes only: deploy the function as a \
         container image, or with a bootstrap of its own for provided.al2023"
    )]
    NotRun(String),
    #[error(
        "expected {program} on this host to run `{identifier}`, found none: install {program} and start again"
    )]
    NoInterpreter { identifier: String, program: &'static str },
}

impl RuntimeError {
    /// Why an identifier that is of no family has no runtime.
    pub(crate) fn of_unknown(identifier: &str) -> Self {
        let identifier = identifier.to_owned();
        if is_runtime(&identifier) { Self::NotRun(identifier) } else { Self::UnknownIdentifier(identifier) }
    }
}

/// The interpreters of this host, looked for when first asked about.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Where [`crate::install_interpreter`] and [`crate::take_interpreter`] have put some, too.
    data_dir: Option<PathBuf>,
    python: OnceLock<Vec<Interpreter>>,
    node: OnceLock<Vec<Interpreter>>,
}

impl Family {
    /// The family of a runtime identifier.
    pub fn of(identifier: &str) -> Option<Self> {
        match identifier {
            "provided" | "provided.al2" | "provided.al2023" => Some(Self::Provided),
            _ if identifier.starts_with("python3.") => Some(Self::Python),
            _ if identifier.starts_with("nodejs") => Some(Self::Node),
            _ => None,
        }
    }

    /// The name of the family's folder and of the command that installs its packages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "nodejs",
            Self::Provided => "provided",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Python => "python3",
            Self::Node => "node",
            Self::Provided => "bootstrap",
        }
    }

    /// How the family writes a version: `python3.12`, `nodejs20.x`.
    fn identifier(self, (major, minor): (u32, u32)) -> String {
        match self {
            Self::Node => format!("nodejs{major}.x"),
            _ => format!("python{major}.{minor}"),
        }
    }
}

impl Catalogue {
    /// A catalogue that has not looked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with the interpreters that were installed beneath the platform's data directory.
    pub fn with_installed(data_dir: &Path) -> Self {
        Self { data_dir: Some(data_dir.to_owned()), ..Self::default() }
    }

    /// A catalogue of given interpreters.
    pub fn of(interpreters: Vec<Interpreter>) -> Self {
        let (node, rest): (Vec<_>, Vec<_>) =
            interpreters.into_iter().partition(|one| one.family == Family::Node);
        Self { data_dir: None, python: OnceLock::from(rest), node: OnceLock::from(node) }
    }

    /// The interpreters of a family, oldest first. The first question looks at the host's disk; for Node it may run
    /// `node --version`, which takes some 50 ms.
    pub fn interpreters(&self, family: Family) -> &[Interpreter] {
        let fetched = || self.data_dir.as_ref().map(|data_dir| fetched_dir(data_dir, family));
        match family {
            Family::Python => self.python.get_or_init(|| discover::pythons(fetched().as_deref())),
            Family::Node => self.node.get_or_init(|| discover::nodes(fetched().as_deref())),
            Family::Provided => &[],
        }
    }

    /// What a function of this runtime runs on here.
    pub fn resolve(&self, identifier: &str) -> Result<Runtime, RuntimeError> {
        let unknown = || RuntimeError::of_unknown(identifier);
        let family = Family::of(identifier).ok_or_else(unknown)?;
        let runtime =
            |interpreter, note| Runtime { identifier: identifier.to_owned(), family, interpreter, note };
        if family == Family::Provided {
            return Ok(runtime(None, None));
        }
        let wanted = version_of(identifier).ok_or_else(unknown)?;
        let found = nearest(self.interpreters(family), wanted).ok_or_else(|| {
            RuntimeError::NoInterpreter { identifier: identifier.to_owned(), program: family.program() }
        })?;
        let note = (found.version != wanted).then(|| {
            format!(
                "{identifier} is not installed on this host: the function runs on {}, the nearest version that is.",
                family.identifier(found.version)
            )
        });
        Ok(runtime(Some(found.clone()), note))
    }

    /// Where packages for `family` are installed beneath the platform's data directory.
    pub fn packages_dir(data_dir: &Path, family: Family) -> PathBuf {
        data_dir.join("runtimes").join(family.name())
    }
}

/// The interpreter of the wanted version, else the next newer, else the newest of the older.
fn nearest(interpreters: &[Interpreter], wanted: (u32, u32)) -> Option<&Interpreter> {
    let newer = interpreters.iter().filter(|one| one.version >= wanted).min_by_key(|one| one.version);
    newer.or_else(|| interpreters.iter().max_by_key(|one| one.version))
}

/// (3, 12) of `python3.12`, (20, 0) of `nodejs20.x`.
pub(crate) fn version_of(identifier: &str) -> Option<(u32, u32)> {
    if let Some(minor) = identifier.strip_prefix("python3.") {
        return Some((3, minor.parse().ok()?));
    }
    let major = identifier.strip_prefix("nodejs")?.strip_suffix(".x")?;
    Some((major.parse().ok()?, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(minor: u32) -> Interpreter {
        let prefix = PathBuf::from(format!("/opt/python3.{minor}"));
        let program = prefix.join("bin/python3");
        Interpreter { family: Family::Python, version: (3, minor), prefix, program }
    }

    #[test]
    fn the_exact_version_runs_without_a_note() {
        let runtime = Catalogue::of(vec![python(11), python(12)]).resolve("python3.12").unwrap();
        assert_eq!((runtime.interpreter.unwrap().version, runtime.note), ((3, 12), None));
    }

    #[test]
    fn another_version_stands_in_and_says_so() {
        let catalogue = Catalogue::of(vec![python(9), python(11)]);
        let newer = catalogue.resolve("python3.10").unwrap();
        assert_eq!(newer.interpreter.unwrap().version, (3, 11));
        assert!(newer.note.unwrap().contains("runs on python3.11"));
        assert_eq!(catalogue.resolve("python3.14").unwrap().interpreter.unwrap().version, (3, 11));
    }

    #[test]
    fn what_cannot_run_is_refused_by_name() {
        let catalogue = Catalogue::of(Vec::new());
        assert!(catalogue.resolve("python3.12").unwrap_err().to_string().contains("install python3"));
        assert!(catalogue.resolve("cobol").unwrap_err().to_string().contains("`cobol`"));
        assert!(catalogue.resolve("nodejs").is_err());
        assert!(matches!(catalogue.resolve("java21"), Err(RuntimeError::NotRun(_))));
        assert_eq!(catalogue.resolve("provided.al2023").unwrap().interpreter, None);
    }
}
