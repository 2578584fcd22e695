//! Rules about one file's text: its length, its functions, its words.

use super::lexer::code_only;
use super::{File, Finding};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

/// The folder whose files are printed by the generator.
const GENERATED: &str = "crates/models/";
/// What may hold `unsafe` code: the sandbox, and the one file that maps compiled WebAssembly.
const UNSAFE_ALLOWED: [&str; 2] = ["crates/compute/sandbox/", "crates/compute/wasm/src/artifact.rs"];
/// Shows that no request is served; only the binary may say so, when it puts the parts together.
const PLATFORM_WORK: &str = "PlatformWork::for_the(";
const PLATFORM_WORK_ALLOWED: [&str; 2] = ["crates/lambent/", "crates/services/api/src/guarded.rs"];
/// How many lines above an `unsafe` block its reason may begin.
const REASON_LINES_MAX: usize = 6;

/// Words that say that something is unfinished, or left over from a hunt for a bug.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("dbg", "!(")];

/// Words that tie the project to one machine or one package host.
const FOREIGN: [&str; 8] = [
    concat!("registry.", "npmjs.org"),
    concat!("registry.", "yarnpkg.com"),
    concat!("files.", "pythonhosted.org"),
    concat!("pypi", ".org"),
    concat!("static.", "crates.io"),
    concat!("index.", "crates.io"),
    concat!("proxy.", "golang.org"),
    concat!("/work", "/"),
];

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    let generated = file.path.starts_with(GENERATED) && file.path.contains("/src/");
    if is_lock(&file.path) {
        words(file, &FOREIGN[..4], "names a package host", findings);
        return;
    }
    words(file, &FOREIGN, "ties the project to one machine or package host", findings);
    words(file, &UNFINISHED, "says that something is unfinished", findings);
    if is_code(&file.path) && !generated {
        length(file, findings);
    }
    if file.path.ends_with(".rs") {
        rust(file, generated, findings);
    }
}

fn is_lock(path: &str) -> bool {
    path.ends_with("Cargo.lock") || path.ends_with("package-lock.json")
}

fn is_code(path: &str) -> bool {
    let endings = [".rs", ".py", ".js", ".mjs", ".cjs", ".ts", ".sh", ".toml", ".md", ".c", ".html", ".css"];
    endings.iter().any(|ending| path.ends_with(ending))
}

fn push(findings: &mut Vec<Finding>, file: &File, line: usize, message: String) {
    findings.push(Finding { path: file.path.clone(), line, message });
}

fn words(file: &File, words: &[&str], what: &str, findings: &mut Vec<Finding>) {
    for (index, line) in file.text.lines().enumerate() {
        for word in words.iter().filter(|word| line.contains(**word)) {
            push(findings, file, index + 1, format!("`{word}` {what}"));
        }
    }
}

fn length(file: &File, findings: &mut Vec<Finding>) {
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX {
        let message = format!("{lines} lines; a file has one subject and at most {FILE_LINES_MAX} lines");
        push(findings, file, lines, message);
    }
}

fn rust(file: &File, generated: bool, findings: &mut Vec<Finding>) {
    let code = code_only(&file.text);
    let lines: Vec<&str> = code.lines().collect();
    if !generated {
        functions(file, &lines, findings);
    }
    let in_tests = test_lines(&file.path, &lines);
    let originals: Vec<&str> = file.text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.contains(".unwrap()") && !in_tests[index] {
            let message =
                "`unwrap` outside tests: return an error, or `expect` with the invariant".to_owned();
            push(findings, file, index + 1, message);
        }
        let own_rules = file.path.starts_with("crates/base/") || file.path.starts_with("xtask/");
        if line.contains("clippy::disallowed_") && !own_rules {
            let message = "only `base` reads clocks, randomness and the environment".to_owned();
            push(findings, file, index + 1, message);
        }
        let may_make = PLATFORM_WORK_ALLOWED.iter().any(|allowed| file.path.starts_with(allowed));
        if line.contains(PLATFORM_WORK) && !may_make && !in_tests[index] && !own_rules {
            let message =
                "only the binary gives out leave to work without a decision: take a PlatformWork".to_owned();
            push(findings, file, index + 1, message);
        }
        unsafety(file, index, &lines, &originals, findings);
    }
}

fn unsafety(file: &File, index: usize, lines: &[&str], originals: &[&str], findings: &mut Vec<Finding>) {
    let line = lines[index];
    let lifts_the_ban = ["allow(unsafe_code", "expect(unsafe_code"].iter().any(|word| line.contains(word));
    let is_unsafe = has_word(line, "unsafe");
    if UNSAFE_ALLOWED.iter().any(|allowed| file.path.starts_with(allowed)) {
        let above = &originals[index.saturating_sub(REASON_LINES_MAX)..=index];
        let has_reason = above.iter().any(|line| line.contains("//"));
        if line.contains("unsafe {") && !has_reason {
            push(findings, file, index + 1, "an `unsafe` block without its reason above it".to_owned());
        }
    } else if is_unsafe || lifts_the_ban {
        push(findings, file, index + 1, format!("`unsafe` belongs to {} only", UNSAFE_ALLOWED[0]));
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|character: char| !character.is_alphanumeric() && character != '_').any(|part| part == word)
}

/// Finds functions longer than the limit; relies on rustfmt, which puts the closing brace below the `fn`'s line.
fn functions(file: &File, lines: &[&str], findings: &mut Vec<Finding>) {
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        let body = &lines[index..];
        let end = body.iter().position(|line| line.trim_end() == closing);
        let head_end = body.iter().map(|line| line.trim_end()).find(|line| line.ends_with([';', '{', '}']));
        let ends_at_once = head_end.is_some_and(|line| line.ends_with([';', '}']));
        let length = end.map_or(0, |end| end + 1);
        if !ends_at_once && length > FUNCTION_LINES_MAX {
            let message = format!("`{name}` has {length} lines; a function has at most {FUNCTION_LINES_MAX}");
            push(findings, file, index + 1, message);
        }
    }
}

/// The name, when the line begins a function's definition.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    loop {
        match words.next()? {
            "fn" => break,
            "const" | "async" | "unsafe" | "extern" | "default" => {}
            word if word.starts_with("pub") || word == "super)" || word == "self)" => {}
            _ => return None,
        }
    }
    words.next().map(|name| name.split(['(', '<']).next().unwrap_or(name))
}

/// For each line whether it is test code: a test's or measurement's whole file, or within a module under `#[cfg(test)]`.
fn test_lines(path: &str, lines: &[&str]) -> Vec<bool> {
    let folders = ["/tests/", "/benches/", "/examples/", "/testing/"];
    let whole_file = folders.iter().any(|folder| path.contains(folder))
        || path.starts_with("tests/")
        || path.ends_with("tests.rs")
        || path.ends_with("testing.rs")
        || path.ends_with("conformance.rs");
    let mut marks = vec![whole_file; lines.len()];
    let mut index = 0;
    while index < lines.len() {
        if !lines[index].trim_start().starts_with("#[cfg(test)]") {
            index += 1;
            continue;
        }
        let indent = lines[index].len() - lines[index].trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        let opens_a_block = lines.get(index + 1).is_some_and(|line| line.trim_end().ends_with('{'));
        let is_last = |line: &&str| match opens_a_block {
            true => line.trim_end() == closing,
            false => line.trim_end().ends_with(';'),
        };
        let end = lines[index..].iter().position(is_last).map_or(lines.len(), |length| index + length + 1);
        marks[index..end].fill(true);
        index = end;
    }
    marks
}
