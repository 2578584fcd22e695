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

const BOOTSTRAPS: [(&str, &str); 6] = [
    ("bootstrap.py", include_str!("../bootstraps/bootstrap.py")),
    ("zygote.py", include_str!("../bootstraps/zygote.py")),
    ("snapshot.py", include_str!("../bootstraps/snapshot.py")),
    ("bootstrap.cjs", include_str!("../bootstraps/bootstrap.cjs")),
    ("code_cache.cjs", include_str!("../bootstraps/code_cache.cjs")),
    ("streaming.cjs", include_str!("../bootstraps/streaming.cjs")),
];
/// What functions may import although nobody brought it, as on AWS.
const FALLBACKS: [(&str, &str); 1] =
    [("snapshot_restore_py.py", include_str!("../bootstraps/snapshot_restore_py.py"))];
/// Where AWS keeps its own interpreters; tracebacks show it.
const LANGUAGE_DIR: &str = "/var/lang";
const PACKAGES_DIR: &str = "/var/runtime";
pub(crate) const BOOTSTRAP_DIR: &str = "/var/rapid";
/// Defaults that matter when a program starts; functions see them, too.
pub(crate) const START_DEFAULTS: [(&str, &str); 2] = [
    ("LANG", "C.UTF-8"),
    (
        "LD_LIBRARY_PATH",
        "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
    ),
];
/// Of the function's memory; the rest is for Node itself, buffers and code.
const NODE_HEAP_PERCENT: u32 = 75;
const CUSTOM_BOOTSTRAP: &str = "/var/task/bootstrap";

/// How to start a runtime in an environment: read-only binds (host path, path inside, whether it may be absent), links
/// (path inside, target), and how the program comes to life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    pub binds: Vec<(PathBuf, String, bool)>,
    pub links: Vec<(String, String)>,
    pub start: Start,
    pub program: String,
    pub args: Vec<String>,
    /// What the program's own variables are before it has a function; one that starts with its function has that one's.
    pub env: Vec<(String, String)>,
    /// A container image's tree, which is the whole root, and the folder in it where the program starts.
    pub root: Option<(PathBuf, String)>,
}

/// When the runtime's program starts, seen from the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Before there is one: the program asks the Runtime API for it, at the path `/runtime/function`.
    Ahead,
    /// As a fork of one that was started before.
    Forked,
    /// When it is there.
    With,
}

impl Launch {
    /// Describes a start, and makes sure that our bootstraps are on disk beneath `data_dir`. For functions with variables
    /// that are [`matters_at_start`] nothing is started before the function is there: such a variable may name code of
    /// the function's, which must not run in anything that others might get.
    pub fn new(runtime: &Runtime, data_dir: &Path, memory_mib: u32, with_function: bool) -> io::Result<Self> {
        let Some(interpreter) = &runtime.interpreter else {
            return Ok(Self {
                binds: Vec::new(),
                links: Vec::new(),
                start: Start::With,
                program: CUSTOM_BOOTSTRAP.to_owned(),
                args: vec![CUSTOM_BOOTSTRAP.to_owned()],
                env: Vec::new(),
                root: None,
            });
        };
        let bootstraps = make_bootstraps(data_dir)?;
        let packages = Catalogue::packages_dir(data_dir, interpreter.family);
        let mut launch = Self {
            binds: vec![(bootstraps, BOOTSTRAP_DIR.to_owned(), false)],
            links: Vec::new(),
            start: Start::Ahead,
            program: String::new(),
            args: Vec::new(),
            env: START_DEFAULTS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            root: None,
        };
        if packages.is_dir() {
            launch.binds.push((packages, PACKAGES_DIR.to_owned(), false));
        }
        launch.place(interpreter);
        match interpreter.family {
            Family::Python => launch.start_python(with_function),
            _ => launch.start_node(memory_mib),
        }
        if with_function {
            launch.start = Start::With;
            launch.env.clear();
        }
        Ok(launch)
    }

    /// Without the site module, whose packages are the host's and not the function's.
    fn start_python(&mut self, with_function: bool) {
        self.start = Start::Forked;
        let file = if with_function { "bootstrap.py" } else { "zygote.py" };
        self.args = vec![self.program.clone(), "-S".to_owned(), format!("{BOOTSTRAP_DIR}/{file}")];
        self.env.push(("PYTHONPATH".to_owned(), PACKAGES_DIR.to_owned()));
    }

    /// Node cannot see the environment's memory limit, and would take garbage for the function's due. Its own limit cannot
    /// be changed once it runs.
    fn start_node(&mut self, memory_mib: u32) {
        let heap_mib = node_heap_mib(memory_mib);
        self.args = vec![
            self.program.clone(),
            format!("--max-old-space-size={heap_mib}"),
            format!("{BOOTSTRAP_DIR}/bootstrap.cjs"),
        ];
        // ES modules do not look at NODE_PATH; they find this on their way up from /var/task.
        self.links.push(("/node_modules".to_owned(), format!("{PACKAGES_DIR}/node_modules")));
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

/// Our bootstraps' folder, with all of them on disk.
pub(crate) fn make_bootstraps(data_dir: &Path) -> io::Result<PathBuf> {
    let bootstraps = data_dir.join("runtimes/bootstraps");
    BOOTSTRAPS.iter().try_for_each(|(file, text)| write_if_different(&bootstraps, file, text))?;
    let fallbacks = bootstraps.join("packages");
    FALLBACKS.iter().try_for_each(|(file, text)| write_if_different(&fallbacks, file, text))?;
    Ok(bootstraps)
}

/// How large Node's heap may become, in MiB, in a function of so much memory.
pub(crate) fn node_heap_mib(memory_mib: u32) -> u32 {
    memory_mib * NODE_HEAP_PERCENT / 100
}

/// Names a program that executes the interpreter in place of the platform, often one of a layer.
/// Source: AWS Lambda Developer Guide, "Modifying the runtime environment", "Wrapper scripts".
pub const EXEC_WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";

/// Variables that an interpreter or the C library looks at once, when the program starts, begin with one of these.
const START_PREFIXES: [&str; 9] =
    ["LD_", "GLIBC_", "MALLOC_", "LC_", "UV_", "PYTHON", "OPENSSL_", "SSL_CERT_", "NODE_"];
/// These do, too, and are looked at again when the function is there, by our bootstraps or by nobody but the function.
const NOT_AT_START: [&str; 3] = ["PYTHONPATH", "NODE_PATH", "NODE_ENV"];

/// Whether a function's own variable makes a difference already while an interpreter starts.
pub fn matters_at_start(name: &str) -> bool {
    let is_one = name == "LANG"
        || name == EXEC_WRAPPER
        || START_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    is_one && !NOT_AT_START.contains(&name)
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
        let launch = Launch::new(&runtime, dir.path(), 128, false).unwrap();
        assert_eq!(launch.program, "/var/lang/bin/python3.12");
        assert!(launch.binds.contains(&(prefix, "/var/lang".to_owned(), false)));
        assert!(dir.path().join("runtimes/bootstraps/bootstrap.py").is_file());
        assert_eq!(
            (launch.start, launch.args.last().unwrap().as_str()),
            (Start::Forked, "/var/rapid/zygote.py")
        );
        let late = Launch::new(&runtime, dir.path(), 128, true).unwrap();
        assert_eq!(
            (late.start, late.args.last().unwrap().as_str()),
            (Start::With, "/var/rapid/bootstrap.py")
        );
        assert!(late.env.is_empty());
    }

    #[test]
    fn variables_that_may_name_code_are_known() {
        for name in [
            "NODE_OPTIONS",
            "NODE_EXTRA_CA_CERTS",
            "LD_PRELOAD",
            "PYTHONSTARTUP",
            "OPENSSL_CONF",
            "LANG",
            EXEC_WRAPPER,
        ] {
            assert!(matters_at_start(name), "{name}");
        }
        for name in ["COLOUR", "NODE_ENV", "NODE_PATH", "PYTHONPATH", "TZ", "LANGUAGE"] {
            assert!(!matters_at_start(name), "{name}");
        }
    }

    #[test]
    fn a_custom_runtime_is_its_own_program() {
        let runtime = Catalogue::of(Vec::new()).resolve("provided.al2023").unwrap();
        let launch = Launch::new(&runtime, Path::new("/nowhere"), 128, false).unwrap();
        assert_eq!(launch.program, "/var/task/bootstrap");
    }
}
