//! First calls of functions that are container images, beside those of the same program in a zip.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::functions::{self, Kind, Packages};
use super::server::Folder;
use super::table::{Row, Table};
use super::{Bench, cold};
use crate::e2e;

/// Functions of each form.
const FUNCTIONS: usize = 40;
const PAUSE: Duration = Duration::from_millis(150);
/// The name of the image in the folder that the server is given.
const NAME: &str = "bench";
const PROGRAM: &str = "srv/bootstrap";

pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new(bench)?;
    let shelf = folder.path().join("images");
    make_layout(&shelf.join(NAME), &folder.path().join("tree"))?;
    let shelf = shelf.to_str().context("the folder's path is no text")?;
    let server = functions::server(bench, &folder, &["--images", shelf])?;
    let packages = Packages::of(Kind::Rust)?;
    for (form, target) in [("zip", ""), ("image", "p50 at most 3 times that of a zip")] {
        let names = functions::names(form, bench.count(FUNCTIONS).max(10) + 1);
        if form == "zip" {
            packages.deploy(bench, &server, &names, true)?;
        } else {
            functions::deploy_image(&server.api(bench), &names, &format!("oci:{NAME}"))?;
        }
        let (very_first, names) = names.split_first().context("there is at least one name")?;
        cold::one_by_one(bench, &server, std::slice::from_ref(very_first), PAUSE)?;
        let times_us = cold::one_by_one(bench, &server, names, PAUSE)?;
        let what = format!("Invoke, cold, never-seen function, Rust (lambda_runtime) as {form}");
        table.row(Row { target: target.to_owned(), ..Row::times(what, times_us) });
    }
    Ok(())
}

/// An OCI layout of the program that the zip has, and of the libraries that it needs.
fn make_layout(layout: &Path, tree: &Path) -> anyhow::Result<()> {
    let program = e2e::rust_function()?;
    copy(&program, &tree.join(PROGRAM))?;
    for library in libraries(&program)? {
        let inside = library.strip_prefix("/").unwrap_or(&library);
        copy(&library, &tree.join(inside))?;
    }
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("could not make {}", blobs.display()))?;
    let layer = tree.with_extension("tar");
    run(Command::new("tar").arg("-cf").arg(&layer).arg("-C").arg(tree).arg("."))?;
    let layer = fs::read(&layer).context("could not read the layer")?;
    let layer = put(&blobs, &layer)?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = serde_json::json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Entrypoint": [format!("/{PROGRAM}")] },
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let config = put(&blobs, config.to_string().as_bytes())?;
    let mut layer = layer;
    layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into();
    let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let manifest = put(&blobs, manifest.to_string().as_bytes())?;
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string()).context("could not write the image's index")
}

/// Adds a part; gives its descriptor.
fn put(blobs: &Path, content: &[u8]) -> anyhow::Result<serde_json::Value> {
    let digest = lambent_base::text::hex(&lambent_sigv4::sha256(content));
    fs::write(blobs.join(&digest), content).context("could not write a part of an image")?;
    Ok(serde_json::json!({ "digest": format!("sha256:{digest}"), "size": content.len() }))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let folder = to.parent().context("it lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("could not copy {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).context("could not set a mode")
}

/// What the loader says that a program needs; nothing of one that is linked statically.
fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = Command::new("ldd").arg(program).output().context("could not run ldd")?;
    let text = String::from_utf8_lossy(&listed.stdout);
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(PathBuf::from).collect())
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("could not run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
