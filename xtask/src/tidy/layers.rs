//! Who may depend on whom, read from the crates' manifests.

use anyhow::Context;

use super::{File, Finding};

/// The folders below `crates/`, lowest first: a crate may use lower layers and its own.
const LAYERS: [&str; 12] = [
    "base", "wire", "models", "store", "blobs", "care", "identity", "bus", "compute", "services", "front",
    "lambent",
];

/// The crates of this layer that services may use: what a service is, for the gateway, and languages that are nobody's rows.
const SERVICE_GROUND: [&str; 2] = ["lambent-api", "lambent-expressions"];

/// Foreign crates that belong to one place: the name, the folder that may use it, and why.
const OWNED: [(&str, &str, &str); 6] = [
    ("fjall", "crates/store", "only the store knows its engine"),
    ("tokio-postgres", "crates/store", "only the store knows its engine"),
    ("quick-xml", "crates/wire", "only `wire` knows XML"),
    ("seccompiler", "crates/compute/sandbox", "only the sandbox confines processes"),
    ("wasmtime", "crates/compute/wasm", "only it knows the engine of WebAssembly"),
    ("landlock", "crates/compute/sandbox", "only the sandbox confines processes"),
];

/// One dependency line of a crate.
struct Use<'a> {
    name: &'a str,
    line: usize,
    /// Only its tests use it.
    in_tests: bool,
}

/// One crate of the workspace.
struct Crate<'a> {
    name: String,
    folder: &'a str,
    path: &'a str,
    uses: Vec<Use<'a>>,
}

pub(super) fn check(files: &[File]) -> anyhow::Result<Vec<Finding>> {
    let mut crates = Vec::new();
    for file in files {
        if let Some(folder) = file.path.strip_suffix("/Cargo.toml") {
            crates.push(read(file, folder)?);
        }
    }
    let mut findings = Vec::new();
    for one in &crates {
        for used in &one.uses {
            if let Some(message) = judge(one, used, &crates) {
                findings.push(Finding { path: one.path.to_owned(), line: used.line, message });
            }
        }
    }
    Ok(findings)
}

fn read<'a>(file: &'a File, folder: &'a str) -> anyhow::Result<Crate<'a>> {
    let manifest: toml::Table = file.text.parse().with_context(|| format!("{} is not TOML", file.path))?;
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let name = name.with_context(|| format!("{} names no package", file.path))?.to_owned();
    Ok(Crate { name, folder, path: &file.path, uses: uses(&file.text) })
}

/// The dependency lines, in the plain form the workspace uses: `name.workspace = true` or `name = ...`.
fn uses(text: &str) -> Vec<Use<'_>> {
    let mut found = Vec::new();
    let mut section = "";
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            continue;
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if section.ends_with("dependencies") && !name.is_empty() && !name.starts_with('#') {
            found.push(Use { name, line: index + 1, in_tests: section.ends_with("dev-dependencies") });
        }
    }
    found
}

fn judge(user: &Crate, used: &Use, crates: &[Crate]) -> Option<String> {
    // Tests may look up: they put together what the layers keep apart.
    if used.in_tests {
        return None;
    }
    if let Some((name, owner, reason)) = OWNED.iter().find(|(name, ..)| *name == used.name) {
        let allowed = is_within(user.folder, owner) || !user.folder.starts_with("crates/");
        return (!allowed).then(|| format!("`{name}` belongs to {owner}: {reason}"));
    }
    let other = crates.iter().find(|other| other.name == used.name)?;
    let (own_layer, its_layer) = (layer(user.folder)?, layer(other.folder)?);
    if its_layer > own_layer {
        let (own, its) = (LAYERS[own_layer], LAYERS[its_layer]);
        return Some(format!("`{own}` lies below `{its}`, so it may not use `{}`", used.name));
    }
    let service = layer_of("services");
    if own_layer == service && its_layer == service && !SERVICE_GROUND.contains(&used.name) {
        return Some(format!(
            "a service may not use another service (`{}`): what it needs is a small trait in `bus`",
            used.name
        ));
    }
    None
}

fn is_within(folder: &str, owner: &str) -> bool {
    folder.strip_prefix(owner).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn layer(folder: &str) -> Option<usize> {
    let name = folder.strip_prefix("crates/")?.split('/').next()?;
    LAYERS.iter().position(|layer| *layer == name)
}

fn layer_of(name: &str) -> usize {
    LAYERS.iter().position(|layer| *layer == name).expect("the name is one of LAYERS")
}
