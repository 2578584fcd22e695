//! `cargo xtask e2e`: official clients against a freshly started `lambent up`.
//!
//! The clients (boto3 and the `aws` command in a Python environment, the JavaScript SDK) are installed below the
//! target folder, from the pinned lists in `tests/`, and again only when a list has changed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, bail};

use crate::tally::{Tally, run_counted};
use crate::tools;

/// What to run, and with which binary.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// The `lambent` to test; built with the `ci` profile when it is not given.
    binary: Option<PathBuf>,
    only: Option<Suite>,
    /// Given to the suite's runner as they are.
    runner_arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suite {
    Python,
    Escape,
    Js,
}

/// Of `tests/`: what pytest runs, each in a cloud of its own.
const END_TO_END: &str = "e2e";
const ESCAPE: &str = "escape";

/// So many processes of pytest take the files of the end-to-end suite, each with a shared cloud of its own. Two keep two
/// processors busy; whoever gives pytest arguments has one, or says `-n` as well.
const WORKERS: &str = "2";

/// Tells the suites where the packages of the runtimes are, so that each new cloud need not fetch them again.
const RUNTIMES: &str = "LAMBENT_TEST_RUNTIMES";
/// Tells the suites where the function on AWS's Rust runtime is.
const RUST_FUNCTION: &str = "LAMBENT_TEST_RUST_FUNCTION";
/// Its package, and its program.
const RUST_FUNCTION_PACKAGE: &str = "lambent-test-function";
/// Tells them where the JavaScript SDK is installed.
const JS_SDK: &str = "LAMBENT_TEST_JS";
/// Tells them where the program with the Rust SDK is.
const RUST_SDK: &str = "LAMBENT_TEST_RUST_SDK";
/// That program, a workspace of its own below `tests/`.
const RUST_SDK_PROGRAM: &str = "lambent-test-rust-sdk";

/// Tells the suites where the WebAssembly components are.
const COMPONENTS: &str = "LAMBENT_TEST_COMPONENTS";

const USAGE: &str = "usage: cargo xtask e2e [--bin PATH] [--only python|escape|js] [-- RUNNER ARGUMENTS]";

/// Runs the suites; an error when a test fails.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let tally = suites(&parse(arguments)?)?;
    println!("\n{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

/// Runs the suites and counts their tests.
pub(crate) fn suites(options: &Options) -> anyhow::Result<Tally> {
    let binary = match &options.binary {
        Some(path) => path.canonicalize().with_context(|| format!("there is no {}", path.display()))?,
        None => build()?.join("lambent"),
    };
    let home = home()?;
    let python = python_environment()?;
    let runtimes = runtimes(&binary)?;
    let mut given = vec![(RUNTIMES, runtimes.clone()), (RUST_FUNCTION, rust_function()?)];
    let mut tally = Tally::default();
    let arguments = options.runner_arguments.as_slice();
    let wants = |suite| options.only.is_none_or(|only| only == suite);
    if wants(Suite::Escape) {
        tally = tally.plus(pytest_suite(ESCAPE, &python, &binary, &given, arguments)?);
    }
    if wants(Suite::Python) {
        given.extend([(JS_SDK, js_sdk(&home)?), (RUST_SDK, rust_sdk()?), (COMPONENTS, components()?)]);
        tally = tally.plus(pytest_suite(END_TO_END, &python, &binary, &given, arguments)?);
    }
    if wants(Suite::Js) {
        tally = tally.plus(js_suite(&home, &binary, &runtimes, arguments)?);
    }
    Ok(tally)
}

fn parse(arguments: &[String]) -> anyhow::Result<Options> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("`{argument}` needs a value\n{USAGE}"));
        match argument.as_str() {
            "--bin" => options.binary = Some(PathBuf::from(value()?)),
            "--only" => {
                options.only = Some(match value()?.as_str() {
                    "python" => Suite::Python,
                    "escape" => Suite::Escape,
                    "js" => Suite::Js,
                    other => bail!("there is no suite `{other}`\n{USAGE}"),
                });
            }
            "--" => {
                options.runner_arguments = rest.cloned().collect();
                break;
            }
            other => bail!("`{other}` is not an argument of `e2e`\n{USAGE}"),
        }
    }
    Ok(options)
}

/// Builds the server, with everything that it can do, and the torture, each with the `ci` profile; gives the folder.
///
/// In one build, since two would compile most libraries twice: cargo unites the features that are asked for at once.
/// What the server gets by it, as `cargo tree --edges features` shows, are nix's `ioctl`, which makes macros for
/// fuser, and the default features of anyhow and indexmap, which it uses with `std` anyway: nothing that it calls.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let packages = ["--package=lambent", "--package=lambent-torture", "--features=lambent/wasm"];
    tools::run(tools::cargo(&["build", "--locked", "--profile", "ci"]).args(packages))?;
    Ok(tools::target_dir().join("ci"))
}

/// Builds the function on AWS's Rust runtime. By itself, so that its libraries' features are not those of the server.
pub(crate) fn rust_function() -> anyhow::Result<PathBuf> {
    tools::run(&mut tools::cargo(&[
        "build",
        "--locked",
        "--profile",
        "ci",
        "--package",
        RUST_FUNCTION_PACKAGE,
    ]))?;
    Ok(tools::target_dir().join("ci").join(RUST_FUNCTION_PACKAGE))
}

/// Builds the program that uses the Rust SDK: a minute of CPU time, once.
fn rust_sdk() -> anyhow::Result<PathBuf> {
    let mut build = tools::cargo(&[
        "build",
        "--locked",
        "--manifest-path",
        "tests/clients/rust/Cargo.toml",
        "--target-dir",
    ]);
    tools::run(build.arg(tools::target_dir()))?;
    Ok(tools::target_dir().join("debug").join(RUST_SDK_PROGRAM))
}

/// Writes the WebAssembly components that were made by hand; gives the folder.
pub(crate) fn components() -> anyhow::Result<PathBuf> {
    let folder = home()?.join("components");
    let mut make =
        tools::cargo(&["run", "--locked", "--quiet", "--package", "lambent-test-components", "--"]);
    tools::run(make.arg(&folder))?;
    Ok(folder)
}

/// What is installed for the tests lies here.
fn home() -> anyhow::Result<PathBuf> {
    let home = tools::target_dir().join("e2e");
    std::fs::create_dir_all(&home).with_context(|| format!("could not make {}", home.display()))?;
    Ok(home)
}

/// Makes the Python environment with the pinned clients; gives its folder of programs.
pub(crate) fn python_environment() -> anyhow::Result<PathBuf> {
    let requirements = tools::root().join("tests/e2e/requirements.txt");
    let folder = home()?.join("python");
    once_for(&requirements, &folder, || {
        println!("installing boto3, the aws command and pytest");
        tools::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
            .context("python3 with its `venv` module is needed (Debian: python3-venv)")?;
        let mut pip = Command::new(folder.join("bin/python"));
        tools::run(pip.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements))
    })?;
    Ok(folder.join("bin"))
}

/// Installs boto3 and the JavaScript SDK for functions, as a user does; gives the folder with both.
fn runtimes(binary: &Path) -> anyhow::Result<PathBuf> {
    let data = home()?.join("runtimes-data");
    for name in ["python", "nodejs"] {
        tools::run(Command::new(binary).args(["runtime", "install", name, "--data"]).arg(&data))?;
    }
    Ok(data.join("runtimes"))
}

/// Links the packages of the runtimes into a data directory that is not there yet.
pub(crate) fn give_runtimes(binary: &Path, data: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if FOUND.get().is_none() {
        // Another thread's answer is the same.
        let _ = FOUND.set(runtimes(binary)?);
    }
    let runtimes = FOUND.get().expect("it was just set");
    let made = std::fs::DirBuilder::new().mode(0o700).create(data);
    made.with_context(|| format!("could not make {}", data.display()))?;
    let mut copy = Command::new("cp");
    tools::run(copy.args(["--archive", "--link"]).arg(runtimes).arg(data.join("runtimes")))
}

fn pytest_suite(
    folder: &str,
    programs: &Path,
    binary: &Path,
    given: &[(&str, PathBuf)],
    arguments: &[String],
) -> anyhow::Result<Tally> {
    println!("{folder} suite");
    let mut pytest = Command::new(programs.join("python"));
    pytest.current_dir(tools::root().join("tests").join(folder)).args(["-m", "pytest"]);
    // Escapes are attempted one after the other: some take all of a processor, and others are timed meanwhile.
    if folder == END_TO_END && arguments.is_empty() {
        pytest.args(["-n", WORKERS, "--no-loadscope-reorder"]);
    }
    pytest.args(arguments);
    pytest.env("LAMBENT_BIN", binary).env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.envs(given.iter().map(|(name, path)| (name, path)));
    run_counted(&mut pytest)
}

/// The JavaScript tests run from a copy, as their modules must lie beside them and the clone stays clean.
fn js_suite(home: &Path, binary: &Path, runtimes: &Path, arguments: &[String]) -> anyhow::Result<Tally> {
    println!("js suite");
    let folder = js_sdk(home)?;
    copy_files(&tools::root().join("tests/e2e-js"), &folder)?;
    let mut node = Command::new("node");
    node.current_dir(&folder).args(["--test", "--test-reporter=spec"]).args(arguments);
    node.env("LAMBENT_BIN", binary).env(RUNTIMES, runtimes);
    let first = run_counted(&mut node)?;
    if first.failed == 0 {
        return Ok(first);
    }
    // pytest does so by itself, with what failed.
    println!("js suite once more");
    let again = run_counted(&mut node)?;
    if again.failed == 0 {
        println!("FLAKY: the js suite failed, and passed when it was run once more: a defect to mend");
    }
    Ok(again)
}

/// Installs the JavaScript SDK; gives the folder.
fn js_sdk(home: &Path) -> anyhow::Result<PathBuf> {
    let source = tools::root().join("tests/e2e-js");
    let folder = home.join("js");
    once_for(&source.join("package-lock.json"), &folder, || {
        println!("installing the JavaScript SDK");
        copy_files(&source, &folder)?;
        tools::run(Command::new("npm").current_dir(&folder).args(["ci", "--no-audit", "--no-fund"]))
            .context("node and npm are needed (Debian: nodejs, npm)")
    })?;
    Ok(folder)
}

/// Does the work unless `folder` was already made from this very `list`.
fn once_for(list: &Path, folder: &Path, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let wanted = std::fs::read(list).with_context(|| format!("could not read {}", list.display()))?;
    let stamp = folder.join("made-from");
    if std::fs::read(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    work()?;
    std::fs::write(&stamp, wanted).with_context(|| format!("could not write {}", stamp.display()))
}

/// Copies the files (not the folders) of one folder over another's; files that went away go away there too.
fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("could not make {}", to.display()))?;
    for entry in std::fs::read_dir(to)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "mjs") {
            std::fs::remove_file(&path)?;
        }
    }
    for entry in std::fs::read_dir(from).with_context(|| format!("could not list {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let target = to.join(entry.file_name());
            std::fs::copy(entry.path(), &target)
                .with_context(|| format!("could not copy to {}", target.display()))?;
        }
    }
    Ok(())
}
