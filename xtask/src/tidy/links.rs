//! Links between the documents: the file must exist, and so must the heading.

use std::collections::BTreeSet;

use super::{File, Finding};

pub(super) fn check(files: &[File], findings: &mut Vec<Finding>) {
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, target) in targets(&file.text) {
            if let Some(message) = judge(file, target, files, &paths) {
                findings.push(Finding { path: file.path.clone(), line, message });
            }
        }
    }
}

fn judge(file: &File, target: &str, files: &[File], paths: &BTreeSet<&str>) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path)? };
    // What lies beside the repository cannot be checked from here.
    if path.starts_with("../") {
        return None;
    }
    let folder = format!("{}/", path.trim_end_matches('/'));
    let is_folder = paths.range(folder.as_str()..).next().is_some_and(|next| next.starts_with(&folder));
    if !paths.contains(path.as_str()) && !is_folder {
        return Some(format!("the link `{target}` leads to `{path}`, which does not exist"));
    }
    let linked = files.iter().find(|other| other.path == path && other.path.ends_with(".md"));
    let lacks_heading = |linked: &File| !heading.is_empty() && !headings(&linked.text).contains(heading);
    linked.is_some_and(lacks_heading).then(|| format!("`{path}` has no heading for the link `{target}`"))
}

/// The path that `link`, written in the file `from`, leads to; `../...` when that is outside the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

/// Every `[text](target)` outside code blocks and code spans, with its line.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        for (number, piece) in line.split("](").enumerate().skip(1) {
            let before: String = line.split("](").take(number).collect();
            let in_span = before.matches('`').count() % 2 == 1;
            if let (false, Some((target, _))) = (in_span, piece.split_once(')')) {
                found.push((index + 1, target.split_whitespace().next().unwrap_or_default()));
            }
        }
    }
    found
}

/// The anchors that a renderer makes of a document's headings.
fn headings(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let titles = text.lines().filter(|line| line.starts_with('#'));
    for title in titles.map(|line| line.trim_start_matches('#').trim()) {
        let kept =
            title.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        found.insert(
            kept.map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() }).collect(),
        );
    }
    found
}
