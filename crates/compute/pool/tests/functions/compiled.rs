//! Node.js functions whose code was compiled before they are called.

use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lambent_pool::FunctionSpec;
use lambent_runtimes::CODE_CACHE_FILE;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{Bench, trial};

/// Bytes of a large bundle.
const BUNDLE_BYTES: usize = 3 << 20;
/// What a handler says of itself: results, places, and whether modules are compiled by the bootstrap.
const HANDLER: &str = "
const big = require('./big.js'); const at = new Error('here').stack.split('\\n').slice(0, 2);
exports.handler = async (event) => ({
  count: big.count, value: big.f7(event.a, 2), at, thrown: big.fails(),
  main: require.main === undefined || require.main.id, id: module.id, file: __filename, folder: __dirname,
  self: module.exports === exports, cached: require.resolve('./big.js') in require.cache, data: require('./data.json').a,
  imported: (await import('./later.mjs')).default, lazy: await require('./lazy.js').load(),
  hooked: require('module').prototype._compile.toString().includes('find('),
});
";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("compiled_code_answers_as_ever", answers),
        trial("compiled_code_that_was_tampered_with_is_not_used", tampered),
        trial("nothing_runs_while_code_is_compiled", runs_nothing),
        trial("compiled_code_fails_to_load_as_ever", fails_to_load),
        trial("no_code_is_taken_from_a_function_that_runs", refused),
    ]
}

fn bundle() -> String {
    let mut text = String::from("'use strict'; const t = exports;\n");
    let mut count = 0;
    while text.len() < BUNDLE_BYTES {
        writeln!(
            text,
            "t.f{count} = function f{count}(a, b) {{ const o = {{ x: a + {count}, y: [b, 'text {count}'], \
             z() {{ return this.x % 7; }} }}; let r = 0; for (let k = 0; k < b; k++) r += k % 2 ? o.x : o.y.length; \
             return r + o.z(); }};"
        )
        .unwrap();
        count += 1;
    }
    write!(text, "t.count = {count}; t.fails = () => new TypeError('ü').stack.split('\\n')[1];").unwrap();
    text
}

fn files(bench: &Bench) -> FunctionSpec {
    let files = [
        ("index.js", HANDLER, 0o644),
        ("big.js", &bundle(), 0o644),
        ("data.json", r#"{"a": "data"}"#, 0o644),
        ("later.mjs", "export default 5;", 0o644),
        ("lazy.js", "exports.load = async () => (await import('./later.mjs')).default + 1;", 0o644),
        ("broken.js", "const = 3;", 0o644),
    ];
    bench.function("nodejs20.x", "index.handler", &files)
}

/// Has a function compiled; gives the folder, and how much it is.
async fn compile(bench: &Bench, function: &FunctionSpec) -> (PathBuf, u64) {
    let folder = function.code_dir.with_extension("compiled");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let file = File::create(folder.join(CODE_CACHE_FILE)).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o644)).unwrap();
    let length = bench.pool.compile(function, file).await.unwrap();
    (folder, length)
}

/// Another function of the same code, so that it has a cold start of its own.
fn again(function: &FunctionSpec, version: u32, code_cache: Option<&Path>) -> Arc<FunctionSpec> {
    let mut key = function.key.clone();
    key.revision = version.to_string();
    Arc::new(FunctionSpec {
        key,
        runtime: function.runtime.clone(),
        handler: function.handler.clone(),
        environment: function.environment.clone(),
        code_dir: function.code_dir.clone(),
        opt_dir: function.opt_dir.clone(),
        image: None,
        log_group: function.log_group.clone(),
        code_cache: code_cache.map(Path::to_owned),
        logging: function.logging.clone(),
        extensions: Vec::new(),
        credentials: function.credentials.clone(),
        ..*function
    })
}

async fn ask(bench: &Bench, function: &Arc<FunctionSpec>) -> (Value, bool) {
    let mut answer = bench.again(function, r#"{"a": 3}"#).await.result();
    let hooked = answer.as_object_mut().unwrap().remove("hooked").unwrap();
    (answer, hooked == json!(true))
}

async fn answers() {
    let bench = Bench::new();
    let function = files(&bench);
    let (folder, length) = compile(&bench, &function).await;
    assert_eq!(fs::metadata(folder.join(CODE_CACHE_FILE)).unwrap().len(), length);
    assert!(length > 100_000, "{length}");
    let (expected, hooked) = ask(&bench, &again(&function, 1, None)).await;
    assert!(!hooked);
    let (found, hooked) = ask(&bench, &again(&function, 2, Some(&folder))).await;
    assert_eq!(found, expected);
    assert!(hooked);
}

async fn tampered() {
    let bench = Bench::new();
    let function = files(&bench);
    let (folder, length) = compile(&bench, &function).await;
    let file = folder.join(CODE_CACHE_FILE);
    let (whole, length) = (fs::read(&file).unwrap(), usize::try_from(length).unwrap());
    let (expected, _) = ask(&bench, &again(&function, 1, None)).await;
    // The last numbers: V8's tag, then the index's CRC and length. Before them the index, and code at the beginning.
    let places = [length - 16, length - 12, length - 8, length - 1, length - 40];
    for (version, at) in (2..).zip(places) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&file, &bytes).unwrap();
        let (found, hooked) = ask(&bench, &again(&function, version, Some(&folder))).await;
        assert_eq!((found, hooked), (expected.clone(), false), "{at}");
    }
    let mut bytes = whole.clone();
    bytes[..100_000].iter_mut().step_by(7).for_each(|byte| *byte ^= 0xff);
    fs::write(&file, &bytes).unwrap();
    assert_eq!(ask(&bench, &again(&function, 10, Some(&folder))).await, (expected.clone(), true));
    fs::write(&file, &whole[..length / 2]).unwrap();
    assert_eq!(ask(&bench, &again(&function, 11, Some(&folder))).await, (expected.clone(), false));
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(ask(&bench, &again(&function, 12, Some(&folder))).await, (expected, false));
}

async fn runs_nothing() {
    let bench = Bench::new();
    let for_ever = "exports.handler = async () => 1; if (!process.env.AWS_LAMBDA_FUNCTION_NAME) for (;;);";
    let (_, length) = compile(&bench, &bench.node(for_ever)).await;
    assert!(length > 0);
    let nothing =
        bench.function("nodejs20.x", "index.handler", &[("index.mjs", "export const a = 1;", 0o644)]);
    assert_eq!(compile(&bench, &nothing).await.1, 0);
}

async fn fails_to_load() {
    let bench = Bench::new();
    let throws = "\nconst f = () => { throw new RangeError('on load'); };\nf();";
    for (handler, kind) in
        [("throws.handler", "RangeError"), ("wrong.handler", "Runtime.UserCodeSyntaxError")]
    {
        let files = [("throws.js", throws, 0o644), ("wrong.js", "});const = 3;({", 0o644)];
        let function = bench.function("nodejs20.x", handler, &files);
        let (folder, length) = compile(&bench, &function).await;
        assert!(length > 0, "the other is compiled");
        let mut told = Vec::new();
        for (version, cache) in [(1, None), (2, Some(folder.as_path()))] {
            let mut error = bench.again(&again(&function, version, cache), "{}").await.error();
            assert_eq!(error["errorType"], kind);
            // Beyond the function's own lines the numbers are Node's.
            let trace = error["trace"].as_array_mut().unwrap();
            trace.retain(|line| line.as_str().unwrap().contains("/var/task"));
            told.push(error);
        }
        assert_eq!(told[0], told[1]);
    }
}

async fn refused() {
    let bench = Bench::new();
    let code = "
exports.handler = async () => {
  const address = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/code`;
  return (await fetch(address, { method: 'POST', body: 'x' })).status;
};
";
    // For a function that path is not there.
    assert_eq!(bench.once(bench.node(code), "{}").await.result(), json!(404));
}
