//! Fetching the packages that AWS's managed runtimes carry: boto3 for Python, the AWS SDK for Node.js.
//!
//! Versions are pinned in `packages/`; pip and npm fetch them, into a folder beside the final one that takes its place
//! in one step, so that no environment ever sees half of it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::catalogue::{Catalogue, Family, Interpreter, RuntimeError};

const REQUIREMENTS: &str = include_str!("../packages/python/requirements.txt");
const PACKAGE: &str = include_str!("../packages/nodejs/package.json");
const PACKAGE_LOCK: &str = include_str!("../packages/nodejs/package-lock.json");
/// boto3's pinned version needs it.
const OLDEST_PYTHON_FOR_PACKAGES: (u32, u32) = (3, 10);
/// Names what is installed, so that a newer platform installs again.
const STAMP: &str = ".lambent-packages";
/// Of what an installer says on its error output.
const MAX_ERROR_BYTES: u64 = 8 * 1024;

/// How far an installation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub done: u32,
    pub total: u32,
    /// One line, as `boto3 1.44.5`.
    pub message: String,
}

/// Why packages could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("the provided runtimes bring everything themselves: there is nothing to install")]
    NothingToInstall,
    #[error("expected {0} on this host, found none: install it and try again")]
    NoInstaller(&'static str),
    #[error(
        "expected Python {major}.{minor} on this host, found none, and no registry of packages has it: install it (a package \
         of your system, `pyenv install {major}.{minor}` or `uv python install {major}.{minor}`, or from a container image with \
         `--from IMAGE`), and start the cloud again"
    )]
    NoPython { major: u32, minor: u32 },
    #[error(transparent)]
    NotRun(RuntimeError),
    #[error(
        "expected {identifier} beneath /var/lang, /usr/local or /usr of the image, as AWS's base images and those of its makers \
         have it: it is not in the image"
    )]
    NotInImage { identifier: String },
    #[error("npm's package {package} is not the version that was asked for")]
    Strange { package: String },
    #[error("expected to write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{program} could not be run: {source}")]
    Run { program: &'static str, source: io::Error },
    #[error("{program} failed ({status}); it said: {said}")]
    Failed { program: &'static str, status: String, said: String },
}

/// Whether the pinned packages of a family are there.
pub fn is_installed(family: Family, data_dir: &Path) -> bool {
    let stamp = Catalogue::packages_dir(data_dir, family).join(STAMP);
    family == Family::Provided || fs::read_to_string(stamp).is_ok_and(|text| text == contents(family))
}

/// Installs the packages of a family beneath `data_dir`, unless they are there. Blocks for some seconds to minutes.
pub fn install(
    family: Family,
    catalogue: &Catalogue,
    data_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), InstallError> {
    if family == Family::Provided {
        return Err(InstallError::NothingToInstall);
    }
    if is_installed(family, data_dir) {
        return Ok(());
    }
    let target = Catalogue::packages_dir(data_dir, family);
    let new = target.with_extension(format!("new-{}", std::process::id()));
    write(|| fs::create_dir_all(&new), &new)?;
    let installed = match family {
        Family::Python => install_python(catalogue, &new, progress),
        _ => install_node(&new, progress),
    };
    let installed = installed.and_then(|()| publish(family, &new, &target));
    if installed.is_err() {
        let _ = fs::remove_dir_all(&new);
    }
    installed
}

fn contents(family: Family) -> &'static str {
    match family {
        Family::Python => REQUIREMENTS,
        Family::Node => PACKAGE_LOCK,
        Family::Provided => "",
    }
}

/// Environments that run keep the folder that they were started with.
fn publish(family: Family, new: &Path, target: &Path) -> Result<(), InstallError> {
    write(|| fs::write(new.join(STAMP), contents(family)), new)?;
    write(|| make_readable(new), new)?;
    let old = target.with_extension(format!("old-{}", std::process::id()));
    if target.exists() {
        write(|| fs::rename(target, &old), target)?;
    }
    write(|| fs::rename(new, target), target)?;
    if old.exists() {
        write(|| fs::remove_dir_all(&old), &old)?;
    }
    Ok(())
}

/// Functions run as users who own nothing, whatever the umask of the one who installs.
pub(crate) fn make_readable(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok(());
    }
    let mode = found.permissions().mode();
    let readable = if found.is_dir() || mode & 0o100 != 0 { 0o555 } else { 0o444 };
    if mode & readable != readable {
        fs::set_permissions(path, fs::Permissions::from_mode(mode | readable))?;
    }
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            make_readable(&entry?.path())?;
        }
    }
    Ok(())
}

fn install_python(
    catalogue: &Catalogue,
    new: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), InstallError> {
    let fit = |one: &&Interpreter| one.version >= OLDEST_PYTHON_FOR_PACKAGES;
    let interpreters: Vec<&Interpreter> = catalogue.interpreters(Family::Python).iter().filter(fit).collect();
    let with_pip = interpreters.iter().rev().find(|one| has_pip(one));
    let installer = with_pip.ok_or(InstallError::NoInstaller("a Python 3.10 or newer with pip"))?;
    let list = new.join(".requirements.txt");
    write(|| fs::write(&list, REQUIREMENTS), &list)?;
    let packages = count(REQUIREMENTS.lines().filter(|line| line.contains("==")).count());
    let total = packages + count(interpreters.len());
    let mut command = Command::new(&installer.program);
    command.args(["-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-compile"]);
    command.args(["--no-warn-script-location", "--root-user-action=ignore", "--no-deps", "--target"]);
    command.arg(new).arg("--requirement").arg(&list);
    let mut done = 0;
    run("pip", command, &mut |line| {
        if let Some(package) = line.strip_prefix("Collecting ") {
            let name = package.split(" (").next().unwrap_or(package).replace("==", " ");
            progress(Progress { done, total, message: name });
            done += 1;
        }
    })?;
    // So that no function pays for compiling it, again and again, on a file system that it cannot write.
    for (at, interpreter) in interpreters.iter().enumerate() {
        let (major, minor) = interpreter.version;
        let message = format!("compiling for Python {major}.{minor}");
        progress(Progress { done: packages + count(at), total, message });
        let mut command = Command::new(&interpreter.program);
        command.args(["-I", "-m", "compileall", "-q", "-j", "0"]).arg(new);
        run("compileall", command, &mut |_| {})?;
    }
    progress(Progress { done: total, total, message: "Python packages are installed".to_owned() });
    Ok(())
}

fn install_node(new: &Path, progress: &mut dyn FnMut(Progress)) -> Result<(), InstallError> {
    for (name, text) in [("package.json", PACKAGE), ("package-lock.json", PACKAGE_LOCK)] {
        write(|| fs::write(new.join(name), text), new)?;
    }
    let total =
        count(PACKAGE_LOCK.lines().filter(|line| line.trim_start().starts_with("\"node_modules/")).count());
    let mut command = Command::new("npm");
    command.args(["ci", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=http"]);
    command.current_dir(new);
    run_npm(command, total, progress)?;
    progress(Progress { done: total, total, message: "Node.js packages are installed".to_owned() });
    Ok(())
}

/// Runs npm to its end. It says what it fetches on its error output; without a terminal it says nothing else.
pub(crate) fn run_npm(
    mut command: Command,
    total: u32,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), InstallError> {
    let (mut done, mut said) = (0, Vec::new());
    let mut child = start("npm", &mut command)?;
    let stderr = child.stderr.take().map(BufReader::new);
    for line in stderr.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
        if let Some(package) = line.split("GET 200 ").nth(1).and_then(package_in_address) {
            done = u32::min(done + 1, total);
            progress(Progress { done, total, message: package });
        } else if said.len() < 100 && !line.contains("npm http") {
            said.push(line);
        }
    }
    finish("npm", child, || said.join("\n"))
}

/// `client-s3-3.1.0` of an address that ends in `/client-s3-3.1.0.tgz`.
fn package_in_address(address: &str) -> Option<String> {
    let path = address.split_whitespace().next()?;
    Some(path.rsplit('/').next()?.strip_suffix(".tgz")?.to_owned())
}

fn has_pip(interpreter: &Interpreter) -> bool {
    let mut command = Command::new(&interpreter.program);
    let quiet = command.args(["-I", "-c", "import pip"]).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Runs a program to its end and hands on each line that it writes.
fn run(program: &'static str, mut command: Command, line: &mut dyn FnMut(&str)) -> Result<(), InstallError> {
    let mut child = start(program, &mut command)?;
    // Read apart, so that a program that complains much does not wait for us while we wait for it.
    let stderr = child.stderr.take();
    let said = std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut stderr = stderr;
        if let Some(stderr) = &mut stderr {
            let _ = stderr.take(MAX_ERROR_BYTES).read_to_end(&mut text);
            let _ = io::copy(stderr, &mut io::sink());
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let stdout = child.stdout.take().map(BufReader::new);
    for text in stdout.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
        line(&text);
    }
    finish(program, child, || said.join().unwrap_or_default())
}

fn start(program: &'static str, command: &mut Command) -> Result<Child, InstallError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => InstallError::NoInstaller(program),
        _ => InstallError::Run { program, source },
    })
}

fn finish(
    program: &'static str,
    mut child: Child,
    said: impl FnOnce() -> String,
) -> Result<(), InstallError> {
    let status = child.wait().map_err(|source| InstallError::Run { program, source })?;
    let said = said();
    if status.success() {
        return Ok(());
    }
    Err(InstallError::Failed { program, status: status.to_string(), said: said.trim().to_owned() })
}

pub(crate) fn write<T>(act: impl FnOnce() -> io::Result<T>, path: &Path) -> Result<T, InstallError> {
    act().map_err(|source| InstallError::Write { path: path.to_owned(), source })
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_locks_name_no_registry() {
        assert!(!PACKAGE_LOCK.contains("://"));
        assert!(!REQUIREMENTS.contains("://"));
        assert!(PACKAGE_LOCK.contains("\"integrity\""));
    }

    #[test]
    fn what_is_installed_becomes_readable() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/b");
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(&file, "").unwrap();
        for (path, mode) in [(file.clone(), 0o600), (dir.path().join("a"), 0o700)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        make_readable(dir.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir.path().join("a")), mode(&file)), (0o755, 0o644));
    }

    #[test]
    fn package_names_are_read_from_addresses() {
        let address = "https://example.com/@aws-sdk/client-s3/-/client-s3-3.1169.0.tgz 12ms (cache miss)";
        assert_eq!(package_in_address(address).as_deref(), Some("client-s3-3.1169.0"));
        assert_eq!(package_in_address("https://example.com/x 1ms"), None);
    }
}
