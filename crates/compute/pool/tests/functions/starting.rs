//! What must be there when an interpreter starts, and what must not run before its function is.

use std::process::Command;

use lambent_pool::FunctionSpec;
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, descendants, trial};
use crate::waiting::{is_of, until};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("starting_finds_the_functions_libraries", libraries),
        trial("starting_python_with_its_own_variables", python_variables),
        trial("starting_node_with_its_own_code", node_code),
    ]
}

const LOADS: &str = "
import ctypes, os
found = ctypes.CDLL('libanswer.so').answer()
def handler(event, context):
    return [found, hash('lambent'), os.environ.get('PYTHONHASHSEED')]
";

/// Adds a library whose only function gives 42.
fn add_library(function: &FunctionSpec, folder: &str) {
    use std::os::unix::fs::PermissionsExt;
    let folder = function.code_dir.join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let source = folder.join("answer.c");
    std::fs::write(&source, "int answer(void) { return 42; }\n").unwrap();
    let library = folder.join("libanswer.so");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(made.unwrap().success());
    std::fs::set_permissions(&library, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_variables(mut function: FunctionSpec, variables: &[(&str, &str)]) -> FunctionSpec {
    function.environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    function
}

async fn libraries() {
    let bench = Bench::new();
    for is_ready in [false, true] {
        let function = bench.python(LOADS);
        add_library(&function, "lib");
        assert_eq!(bench.once(function, "{}").await.result()[0], json!(42), "ready ahead: {is_ready}");
        until("the next ones are ready", || bench.pool.ready() == 2).await;
    }
}

async fn python_variables() {
    let bench = Bench::new();
    let mut results = Vec::new();
    for seed in ["7", "7", "8"] {
        let variables = [("PYTHONHASHSEED", seed), ("LD_LIBRARY_PATH", "/var/task/mine")];
        let function = with_variables(bench.python(LOADS), &variables);
        add_library(&function, "mine");
        let result = bench.once(function, "{}").await.result();
        assert_eq!((&result[0], &result[2]), (&json!(42), &json!(seed)));
        results.push(result[1].clone());
        until("the next ones are ready", || bench.pool.ready() == 2).await;
    }
    assert_eq!(results[0], results[1]);
    assert_ne!(results[0], results[2]);
}

fn runs_node(pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program.ends_with("node"))
}

async fn node_code() {
    let bench = Bench::new();
    let files = [
        ("early.cjs", "globalThis.early = process.env.AWS_LAMBDA_FUNCTION_NAME;", 0o644),
        ("index.js", "exports.handler = async () => [globalThis.early, process.env.NODE_OPTIONS];", 0o644),
    ];
    let options = "--require /var/task/early.cjs";
    for _ in 0..2 {
        let function = bench.function("nodejs20.x", "index.handler", &files);
        let function = with_variables(function, &[("NODE_OPTIONS", options)]);
        let name = function.key.name.clone();
        assert_eq!(bench.once(function, "{}").await.result(), json!([name, options]));
        until("the next ones are ready", || bench.pool.ready() == 2).await;
    }
    let ours = descendants();
    let running = ours.iter().filter(|one| is_of(one.pid, &bench) && runs_node(one.pid));
    assert_eq!(running.count(), 2, "none but those of the two functions");
}
