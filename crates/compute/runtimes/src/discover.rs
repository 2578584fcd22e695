//! Finding interpreters: real installations on disk, never the shims that version managers put in PATH.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::catalogue::{Family, Interpreter};

const USUAL_FOLDERS: [&str; 2] = ["/usr/bin", "/usr/local/bin"];
/// Folders (beneath the home directory) that hold one installation per version, each with `bin/`.
const PYTHON_MANAGERS: [&str; 3] = [".pyenv/versions", ".local/share/uv/python", ".asdf/installs/python"];
const NODE_MANAGERS: [&str; 4] = [
    ".nvm/versions/node",
    ".asdf/installs/nodejs",
    ".volta/tools/image/node",
    ".local/share/fnm/node-versions",
];
/// AWS's oldest Python runtime that boto3's authors still support.
const OLDEST_PYTHON_MINOR: u32 = 8;
const OLDEST_NODE: u32 = 16;

/// Every Python 3 of this host, one for each minor version, oldest first; those in `fetched` before others.
pub(crate) fn pythons(fetched: Option<&Path>) -> Vec<Interpreter> {
    let mut found = BTreeMap::new();
    for folder in fetched_bins(fetched).into_iter().chain(folders(&PYTHON_MANAGERS)) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_python =
                name.to_str().is_some_and(|name| name == "python3" || name.starts_with("python3."));
            if let Some(one) = is_python.then(|| python(&entry.path())).flatten() {
                found.entry(one.version).or_insert(one);
            }
        }
    }
    found.into_values().collect()
}

/// Every Node.js of this host, one for each major version, oldest first; those in `fetched` before others, and of them the
/// newest.
pub(crate) fn nodes(fetched: Option<&Path>) -> Vec<Interpreter> {
    let mut found = BTreeMap::new();
    for folder in fetched_bins(fetched).into_iter().chain(folders(&NODE_MANAGERS)) {
        for name in ["node", "nodejs", "installation/bin/node"] {
            if let Some(one) = node(&folder.join(name)) {
                found.entry(one.version).or_insert(one);
            }
        }
    }
    found.into_values().collect()
}

/// Of interpreters that the operator installed by name; the newest first.
fn fetched_bins(fetched: Option<&Path>) -> Vec<PathBuf> {
    let versions = fetched.map(versions_in).unwrap_or_default();
    versions.iter().rev().map(|version| version.join("bin")).collect()
}

/// PATH's folders first, so that what the operator's shell would run wins over others of its version.
fn folders(managers: &[&str]) -> Vec<PathBuf> {
    let path = lambent_base::env::var("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> =
        path.split(':').filter(|folder| folder.starts_with('/')).map(PathBuf::from).collect();
    folders.extend(USUAL_FOLDERS.map(PathBuf::from));
    let home = lambent_base::env::var("HOME").map(PathBuf::from);
    for manager in managers.iter().filter_map(|manager| Some(home.as_ref()?.join(manager))) {
        let versions = versions_in(&manager);
        folders.extend(versions.iter().map(|version| version.join("bin")));
        folders.extend(versions);
    }
    folders
}

/// What a folder of installations holds, in the order of names.
fn versions_in(folder: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    versions.sort();
    versions
}

/// The installation that a file named like Python belongs to. The standard library beside it is the proof: shims and
/// `python3-config` have none, and a virtual environment's link leads to the installation it was made from.
fn python(path: &Path) -> Option<Interpreter> {
    let program = fs::canonicalize(path).ok()?;
    let minor: u32 = program.file_name()?.to_str()?.strip_prefix("python3.")?.parse().ok()?;
    let prefix = program.parent()?.parent()?.to_owned();
    let library = format!("python3.{minor}/os.py");
    let there = ["lib", "lib64"].iter().any(|folder| prefix.join(folder).join(&library).is_file());
    (there && minor >= OLDEST_PYTHON_MINOR).then_some(Interpreter {
        family: Family::Python,
        version: (3, minor),
        prefix,
        program,
    })
}

fn node(path: &Path) -> Option<Interpreter> {
    let program = fs::canonicalize(path).ok()?;
    // A shim is a script; Node is a program of many megabytes.
    if fs::metadata(&program).ok()?.len() < 1 << 20 {
        return None;
    }
    let prefix = program.parent()?.parent()?.to_owned();
    let named = major_in(prefix.file_name()?.to_str()?);
    let major = named.or_else(|| major_in_header(&prefix)).or_else(|| ask_node(&program))?;
    let interpreter = Interpreter { family: Family::Node, version: (major, 0), prefix, program };
    (major >= OLDEST_NODE).then_some(interpreter)
}

/// Version managers name an installation's folder after its version: `v20.11.1`, `20.11.1`.
fn major_in(name: &str) -> Option<u32> {
    let (major, rest) = name.trim_start_matches('v').split_once('.')?;
    rest.contains('.').then_some(())?;
    major.parse().ok()
}

/// Most installations bring the headers for native modules, which are read a hundred times faster than Node starts.
fn major_in_header(prefix: &Path) -> Option<u32> {
    let text = fs::read_to_string(prefix.join("include/node/node_version.h")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("#define NODE_MAJOR_VERSION "))?.trim().parse().ok()
}

fn ask_node(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").env_clear().output().ok()?;
    major_in(String::from_utf8(output.stdout).ok()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_folder_names() {
        assert_eq!(major_in("v20.11.1"), Some(20));
        assert_eq!(major_in("22.1.0"), Some(22));
        assert_eq!(major_in("usr"), None);
        assert_eq!(major_in("python3.11"), None);
    }

    #[test]
    fn a_python_without_its_library_is_not_one() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        let program = bin.join("python3.12");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        assert_eq!(python(&program), None);
        fs::create_dir_all(dir.path().join("lib/python3.12")).unwrap();
        fs::write(dir.path().join("lib/python3.12/os.py"), "").unwrap();
        assert_eq!(python(&program).unwrap().version, (3, 12));
    }
}
