//! `cargo xtask tidy`: the house rules that a machine can check.
//!
//! The rules are those of the blueprint's sections 3 and 6. Each check takes texts and gives findings, so that
//! it can be tested without a disk.

mod layers;
mod lexer;
mod links;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::tools;

/// One file of the repository.
#[derive(Debug)]
struct File {
    /// From the workspace's root, with `/` between folders.
    path: String,
    text: String,
}

/// One broken rule, at a place that an editor can open.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Files longer than this are not read: nothing that is written by hand comes near it.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Checks every file that git knows or would add; prints what breaks a rule.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    if let Some(extra) = arguments.first() {
        bail!("`tidy` takes no arguments, but was given `{extra}`");
    }
    let files = repository_files(&tools::root())?;
    let findings = check(&files)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy: {} files, nothing to mend", files.len());
            Ok(())
        }
        count => bail!("{count} broken rules in {} files", files.len()),
    }
}

fn check(files: &[File]) -> anyhow::Result<Vec<Finding>> {
    let mut findings = layers::check(files)?;
    for file in files {
        source::check(file, &mut findings);
    }
    links::check(files, &mut findings);
    findings.sort_by(|left, right| (&left.path, left.line).cmp(&(&right.path, right.line)));
    Ok(findings)
}

/// The text files of the repository: those git tracks and those it does not ignore.
fn repository_files(root: &Path) -> anyhow::Result<Vec<File>> {
    let mut command = Command::new("git");
    command.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = command.output().context("could not start `git ls-files`: tidy needs git")?;
    if !output.status.success() {
        bail!("`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let listing = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let mut files = Vec::new();
    for path in listing.split('\0').filter(|path| !path.is_empty()) {
        let on_disk = root.join(path);
        match std::fs::symlink_metadata(&on_disk) {
            Ok(about) if about.is_file() && about.len() <= FILE_BYTES_MAX => {}
            // Deleted but not yet committed, a link, or no text anyone wrote.
            _ => continue,
        }
        let bytes = std::fs::read(&on_disk).with_context(|| format!("could not read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}
