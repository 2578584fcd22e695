use super::{File, check};

/// The findings for the files, as one prints them.
fn findings(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<File> = files
        .iter()
        .map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() })
        .collect();
    let findings = check(&files).expect("the manifests are TOML");
    findings.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn expect(files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(findings(files), expected);
}

fn manifest(name: &str, dependencies: &str) -> String {
    format!("[package]\nname = \"{name}\"\n\n[dependencies]\n{dependencies}")
}

#[test]
fn a_lower_layer_may_not_use_a_higher_one() {
    let store = manifest("lambent-store", "lambent-base.workspace = true\nlambent-bus.workspace = true\n");
    let files = [
        ("crates/base/Cargo.toml", manifest("lambent-base", "")),
        ("crates/bus/Cargo.toml", manifest("lambent-bus", "lambent-store.workspace = true\n")),
        ("crates/store/Cargo.toml", store),
    ];
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    expect(&files, &["crates/store/Cargo.toml:6: `store` lies below `bus`, so it may not use `lambent-bus`"]);
}

#[test]
fn tests_may_use_what_lies_above() {
    let bus = manifest("lambent-bus", "");
    let store = manifest("lambent-store", "\n[dev-dependencies]\nlambent-bus.workspace = true\n");
    expect(&[("crates/bus/Cargo.toml", &bus), ("crates/store/Cargo.toml", &store)], &[]);
}

#[test]
fn a_service_may_use_the_contract_but_no_other_service() {
    let s3 = manifest("lambent-s3", "lambent-api.workspace = true\nlambent-lambda.workspace = true\n");
    let files = [
        ("crates/services/api/Cargo.toml", manifest("lambent-api", "")),
        ("crates/services/lambda/Cargo.toml", manifest("lambent-lambda", "")),
        ("crates/services/s3/Cargo.toml", s3),
    ];
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let expected = "crates/services/s3/Cargo.toml:6: a service may not use another service (`lambent-lambda`): \
                    what it needs is a small trait in `bus`";
    expect(&files, &[expected]);
}

#[test]
fn an_engine_belongs_to_its_layer() {
    let good = manifest("lambent-store", "fjall.workspace = true\n");
    let bad = manifest("lambent-bus", "fjall = \"3\"\n");
    expect(
        &[("crates/store/Cargo.toml", &good), ("crates/bus/Cargo.toml", &bad)],
        &["crates/bus/Cargo.toml:5: `fjall` belongs to crates/store: only the store knows its engine"],
    );
}

#[test]
fn a_file_has_at_most_800_lines_unless_it_is_generated() {
    let long = "// x\n".repeat(801);
    let expected = "crates/s/src/lib.rs:801: 801 lines; a file has one subject and at most 800 lines";
    expect(&[("crates/s/src/lib.rs", &long)], &[expected]);
    expect(&[("crates/models/s3/src/lib.rs", &long)], &[]);
    expect(&[("crates/s/src/lib.rs", &"// x\n".repeat(800))], &[]);
}

#[test]
fn a_function_has_at_most_70_lines() {
    let function = |lines: usize| {
        format!("    pub(crate) async fn long() {{\n{}    }}\n", "        x();\n".repeat(lines - 2))
    };
    expect(&[("crates/s/src/lib.rs", &function(70))], &[]);
    let expected = "crates/s/src/lib.rs:1: `long` has 71 lines; a function has at most 70";
    expect(&[("crates/s/src/lib.rs", &function(71))], &[expected]);
}

#[test]
fn a_trait_method_without_a_body_is_not_as_long_as_what_follows() {
    let text = format!("trait T {{\n    fn one(&self);\n{}    }}\n}}\n", "    x();\n".repeat(80));
    expect(&[("crates/s/src/lib.rs", &text)], &[]);
    let text = text.replace("one(&self)", "one(\n        &self,\n    )");
    expect(&[("crates/s/src/lib.rs", &text)], &[]);
}

#[test]
fn only_the_binary_gives_leave_to_work_without_a_decision() {
    let text = "fn f() {\n    PlatformWork::for_the(\"x\");\n}\n";
    expect(&[("crates/lambent/src/a.rs", text), ("crates/services/s3/src/tests/a.rs", text)], &[]);
    let found = findings(&[("crates/services/s3/src/a.rs", text)]);
    assert!(found.len() == 1 && found[0].contains("take a PlatformWork"), "{found:?}");
}

#[test]
fn unwrap_is_for_tests() {
    let text = "fn f() {\n    x.unwrap();\n    \"y.unwrap()\";\n}\n\n#[cfg(test)]\nmod tests {\n    fn g() {\n        \
                z();\n        z.unwrap();\n    }\n}\n";
    let expected =
        "crates/s/src/lib.rs:2: `unwrap` outside tests: return an error, or `expect` with the invariant";
    expect(&[("crates/s/src/lib.rs", text), ("crates/s/src/tests.rs", text)], &[expected]);
}

#[test]
fn code_after_a_test_module_in_its_own_file_is_not_test_code() {
    let text = "#[cfg(test)]\nmod tests;\n\nfn f() {\n    x.unwrap();\n}\n";
    let expected =
        "crates/s/src/lib.rs:5: `unwrap` outside tests: return an error, or `expect` with the invariant";
    expect(&[("crates/s/src/lib.rs", text)], &[expected]);
}

#[test]
fn unsafe_belongs_to_the_sandbox_with_its_reason() {
    let bare = "fn f() {\n    g(unsafe { h() });\n}\n";
    let with_reason = "fn f() {\n    // SAFETY: h has no preconditions.\n    g(unsafe { h() });\n}\n";
    expect(
        &[("crates/bus/src/lib.rs", with_reason)],
        &["crates/bus/src/lib.rs:3: `unsafe` belongs to crates/compute/sandbox/ only"],
    );
    expect(
        &[("crates/compute/sandbox/src/a.rs", bare), ("crates/compute/sandbox/src/b.rs", with_reason)],
        &["crates/compute/sandbox/src/a.rs:2: an `unsafe` block without its reason above it"],
    );
    expect(&[("crates/bus/src/lib.rs", "#![forbid(unsafe_code)]\n// unsafe\nlet x = \"unsafe\";\n")], &[]);
}

#[test]
fn unfinished_work_is_found_in_every_kind_of_file() {
    let note = concat!("# TO", "DO later\n");
    let expected = concat!("docs/a.md:1: `TO", "DO` says that something is unfinished");
    expect(&[("docs/a.md", note)], &[expected]);
}

#[test]
fn package_hosts_and_machine_paths_are_found_in_lock_files_too() {
    let lock = concat!("\"resolved\": \"https://registry.", "npmjs.org/x\"\n");
    let found = findings(&[("tests/e2e-js/package-lock.json", lock)]);
    assert_eq!(found.len(), 1, "{found:?}");
    let script = concat!("cd /work", "/main\n");
    let found = findings(&[(".ci/run", script)]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let readme = "[a](docs/a.md) [b](docs/b.md) [c](docs/a.md#two-words) [d](docs/a.md#three) `[e](no.md)`\n\
                  ```\n[f](no.md)\n```\n[g](docs) [h](https://example.com/x) [i](../shared/x.md)\n";
    expect(
        &[("README.md", readme), ("docs/a.md", "# Two words\n[up](../README.md)\n")],
        &[
            "README.md:1: the link `docs/b.md` leads to `docs/b.md`, which does not exist",
            "README.md:1: `docs/a.md` has no heading for the link `docs/a.md#three`",
        ],
    );
}

#[test]
fn only_base_may_lift_the_ban_on_clocks() {
    let text = "#[expect(clippy::disallowed_methods, reason = \"x\")]\nfn f() {}\n";
    let expected = "crates/bus/src/lib.rs:1: only `base` reads clocks, randomness and the environment";
    expect(&[("crates/base/src/clock.rs", text), ("crates/bus/src/lib.rs", text)], &[expected]);
}

#[test]
fn literals_and_comments_are_not_code() {
    let text = "let a = '\"'; let b = '\\''; let c = r#\"unsafe \" x\"#; /* unsafe /* { */ } */ let d: &'static str;\n";
    let code = super::lexer::code_only(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(
        code.split_whitespace().collect::<Vec<_>>().join(" "),
        "let a = ; let b = ; let c = ; let d: &'static str;"
    );
}
