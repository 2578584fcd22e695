//! What an environment must show and execute to run a runtime.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::catalogue::{Catalogue, Family, Interpreter, Runtime};

/// Ports on an environment's own loopback.
pub const RUNTIME_API_PORT: u16 = 9001;
pub const ENDPOINT_PORT: u16 = 4566;
/// The descriptor on which runtimes may write framed log events; the sandbox makes it.
pub(crate) const TELEMETRY_FD: u8 = 3;

const PYTHON_BOOTSTRAP: &str = include_str!("../bootstraps/bootstrap.py");
const NODE_BOOTSTRAP: &str = include_str!("../bootstraps/bootstrap.cjs");
/// Where AWS keeps its own interpreters; tracebacks show it.
const LANGUAGE_DIR: &str = "/var/lang";
const PACKAGES_DIR: &str = "/var/runtime";
const BOOTSTRAP_DIR: &str = "/var/rapid";
/// Of the function's memory; the rest is for Node itself, buffers and code.
const NODE_HEAP_PERCENT: u32 = 75;
const CUSTOM_BOOTSTRAP: &str = "/var/task/bootstrap";

/// How to start a runtime in an environment: read-only binds (host path, path inside, whether it may be absent), links
/// (path inside, target), and the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    pub binds: Vec<(PathBuf, String, bool)>,
    pub links: Vec<(String, String)>,
    pub program: String,
    pub args: Vec<String>,
}

impl Launch {
    /// Describes a start, and makes sure that our bootstrap is on disk beneath `data_dir`.
    pub fn new(runtime: &Runtime, data_dir: &Path, memory_mib: u32) -> io::Result<Self> {
        let Some(interpreter) = &runtime.interpreter else {
            let args = vec![CUSTOM_BOOTSTRAP.to_owned()];
            return Ok(Self {
                binds: Vec::new(),
                links: Vec::new(),
                program: CUSTOM_BOOTSTRAP.to_owned(),
                args,
            });
        };
        let (file, text) = match interpreter.family {
            Family::Node => ("bootstrap.cjs", NODE_BOOTSTRAP),
            _ => ("bootstrap.py", PYTHON_BOOTSTRAP),
        };
        let bootstraps = data_dir.join("runtimes/bootstraps");
        write_if_different(&bootstraps, file, text)?;
        let packages = Catalogue::packages_dir(data_dir, interpreter.family);
        let mut launch = Self {
            binds: vec![
                (bootstraps, BOOTSTRAP_DIR.to_owned(), false),
                (packages, PACKAGES_DIR.to_owned(), true),
            ],
            links: Vec::new(),
            program: String::new(),
            args: Vec::new(),
        };
        launch.place(interpreter);
        launch.args = match interpreter.family {
            // Without the site module, whose packages are the host's and not the function's.
            Family::Python => vec![launch.program.clone(), "-S".to_owned()],
            // Node cannot see the environment's memory limit, and would take garbage for the function's due.
            _ => vec![
                launch.program.clone(),
                format!("--max-old-space-size={}", memory_mib * NODE_HEAP_PERCENT / 100),
            ],
        };
        launch.args.push(format!("{BOOTSTRAP_DIR}/{file}"));
        if interpreter.family == Family::Node {
            // ES modules do not look at NODE_PATH; they find this on their way up from /var/task.
            launch.links.push(("/node_modules".to_owned(), format!("{PACKAGES_DIR}/node_modules")));
        }
        Ok(launch)
    }

    /// Shows the interpreter at one place inside, wherever the host keeps it.
    fn place(&mut self, interpreter: &Interpreter) {
        let name = interpreter.program.file_name().and_then(|name| name.to_str()).unwrap_or("program");
        self.program = format!("{LANGUAGE_DIR}/bin/{name}");
        if interpreter.prefix == Path::new("/usr") {
            // Its folders are in every environment already.
            for folder in ["bin", "lib", "lib64"] {
                self.links.push((format!("{LANGUAGE_DIR}/{folder}"), format!("/usr/{folder}")));
            }
        } else {
            self.binds.push((interpreter.prefix.clone(), LANGUAGE_DIR.to_owned(), false));
        }
    }
}

static WRITING: Mutex<()> = Mutex::new(());

/// Environments that are starting may read the file at any moment, so it is replaced, never rewritten. Functions run as
/// users who own nothing, so it is made readable for everyone.
fn write_if_different(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let path = folder.join(name);
    let _one_at_a_time = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let new = folder.join(format!("{name}.{}.new", std::process::id()));
    fs::write(&new, text)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644))?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_interpreter_is_shown_at_a_neutral_place() {
        let dir = tempfile::tempdir().unwrap();
        let prefix = PathBuf::from("/root/.pyenv/versions/3.12.1");
        let program = prefix.join("bin/python3.12");
        let interpreter =
            Interpreter { family: Family::Python, version: (3, 12), prefix: prefix.clone(), program };
        let runtime = Catalogue::of(vec![interpreter]).resolve("python3.12").unwrap();
        let launch = Launch::new(&runtime, dir.path(), 128).unwrap();
        assert_eq!(launch.program, "/var/lang/bin/python3.12");
        assert!(launch.binds.contains(&(prefix, "/var/lang".to_owned(), false)));
        assert!(dir.path().join("runtimes/bootstraps/bootstrap.py").is_file());
    }

    #[test]
    fn a_custom_runtime_is_its_own_program() {
        let runtime = Catalogue::of(Vec::new()).resolve("provided.al2023").unwrap();
        let launch = Launch::new(&runtime, Path::new("/nowhere"), 128).unwrap();
        assert_eq!(launch.program, "/var/task/bootstrap");
    }
}
