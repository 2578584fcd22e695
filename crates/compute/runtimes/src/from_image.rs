//! Taking an interpreter out of a container image's tree: its program, its standard library, and the shared libraries that
//! it needs and the image has. Nothing of the image is executed for it, and no link of its is followed.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::catalogue::{Family, Interpreter, RuntimeError, version_of};
use crate::elf::needed_by;
use crate::install::{InstallError, make_readable, write};
use crate::interpreters::fetched_dir;

/// Where images have interpreters, AWS's first.
const PREFIXES: [&str; 3] = ["var/lang", "usr/local", "usr"];
/// Where they have shared libraries, besides the interpreter's own.
const LIBRARY_DIRS: [&str; 6] = [
    "usr/local/lib",
    "usr/lib64",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib",
    "lib64",
];
/// The C library, which is the host's: it goes with the loader, which every program of an environment shares.
const OF_THE_HOST: [&str; 9] = [
    "libc.so",
    "libm.so",
    "libdl.so",
    "librt.so",
    "libpthread.so",
    "libresolv.so",
    "libutil.so",
    "ld-linux",
    "libnss_",
];
/// A library's name leads to its file over so many links at most.
const LINKS_MAX: usize = 4;
/// More shared libraries than any interpreter needs.
const LIBRARIES_MAX: usize = 200;

/// Moves the interpreter of a runtime (`python3.12`, `nodejs22.x`) out of an unpacked image's tree to where those of the data
/// directory are; it comes before the host's own of the same version. Blocks for some seconds.
pub fn take_interpreter(identifier: &str, tree: &Path, data_dir: &Path) -> Result<Interpreter, InstallError> {
    let unknown = || InstallError::NotRun(RuntimeError::of_unknown(identifier));
    let family = Family::of(identifier).ok_or_else(unknown)?;
    let version = version_of(identifier).ok_or_else(unknown)?;
    let program = match family {
        Family::Python => format!("python3.{}", version.1),
        Family::Node => "node".to_owned(),
        Family::Provided => return Err(InstallError::NothingToInstall),
    };
    let mut prefixes = PREFIXES.iter().map(|prefix| tree.join(prefix));
    let from = prefixes.find(|prefix| is_whole(tree, prefix, family, version, &program));
    let from = from.ok_or_else(|| InstallError::NotInImage { identifier: identifier.to_owned() })?;

    let root = fetched_dir(data_dir, family);
    let new = root.join(format!(".taken-{}", std::process::id()));
    let prefix = root.join(format!("v{}.{}.0", version.0, version.1));
    let taken = take(&from, &new, version, &program)
        .and_then(|()| bring_libraries(tree, &from, &new, &program))
        .and_then(|()| put(&new, &prefix));
    if taken.is_err() {
        let _ = fs::remove_dir_all(&new);
    }
    write(|| taken, &prefix)?;
    let program = prefix.join("bin").join(program);
    Ok(Interpreter { family, version, prefix, program })
}

/// Whether the interpreter is there, in folders of the image's own.
fn is_whole(tree: &Path, prefix: &Path, family: Family, version: (u32, u32), program: &str) -> bool {
    let file = |path: &str| {
        is_real_folder(tree, prefix.join(path).parent().unwrap_or(prefix))
            && fs::symlink_metadata(prefix.join(path)).is_ok_and(|found| found.is_file())
    };
    let library = |folder: &str| file(&format!("{folder}/python3.{}/os.py", version.1));
    file(&format!("bin/{program}"))
        && match family {
            Family::Python => library("lib") || library("lib64"),
            _ => node_major(prefix).is_none_or(|major| major == version.0),
        }
}

/// Whether a folder of the tree is reached without any link.
fn is_real_folder(tree: &Path, folder: &Path) -> bool {
    let mut within = folder.ancestors().take_while(|one| *one != tree);
    folder.starts_with(tree) && within.all(|one| fs::symlink_metadata(one).is_ok_and(|found| found.is_dir()))
}

/// As its headers say, where they are.
fn node_major(prefix: &Path) -> Option<u32> {
    let text = fs::read_to_string(prefix.join("include/node/node_version.h")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("#define NODE_MAJOR_VERSION "))?.trim().parse().ok()
}

/// Moves the interpreter's own files. Of a prefix that holds all of a system that is not everything.
fn take(from: &Path, to: &Path, version: (u32, u32), program: &str) -> io::Result<()> {
    let _ = fs::remove_dir_all(to);
    for folder in ["bin", "lib", "lib64"] {
        fs::create_dir_all(to.join(folder))?;
    }
    fs::rename(from.join("bin").join(program), to.join("bin").join(program))?;
    let own = format!("python3.{}", version.1);
    let shared = format!("lib{own}.so");
    for folder in ["lib", "lib64"] {
        let Ok(entries) = fs::read_dir(from.join(folder)) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_own = program != "node" && (name == own || name.starts_with(&shared));
            let is_real = entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_file());
            if is_own && is_real {
                fs::rename(entry.path(), to.join(folder).join(&*name))?;
            }
        }
    }
    Ok(())
}

/// Copies what the program and its modules need of shared libraries, and what those need.
fn bring_libraries(tree: &Path, from: &Path, to: &Path, program: &str) -> io::Result<()> {
    let mut dirs = vec![to.join("lib"), to.join("lib64"), from.join("lib"), from.join("lib64")];
    dirs.extend(LIBRARY_DIRS.map(|dir| tree.join(dir)));
    let mut files = VecDeque::from([to.join("bin").join(program)]);
    files.extend(modules(&to.join("lib")).into_iter().chain(modules(&to.join("lib64"))));
    let mut known = BTreeSet::new();
    while let Some(file) = files.pop_front() {
        for name in needed_by(&file).unwrap_or_default() {
            let is_hosts = OF_THE_HOST.iter().any(|start| name.starts_with(start));
            if is_hosts || name.contains('/') || known.len() >= LIBRARIES_MAX || !known.insert(name.clone()) {
                continue;
            }
            let mut found = dirs.iter().filter(|dir| dir.starts_with(to) || is_real_folder(tree, dir));
            let Some(found) = found.find_map(|dir| library(dir, &name)) else { continue };
            let copy = to.join("lib").join(&name);
            if !copy.exists() {
                fs::copy(&found, &copy)?;
            }
            files.push_back(copy);
        }
    }
    Ok(())
}

/// The compiled modules beneath a folder of libraries.
fn modules(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|one| one.path());
    let dynamic = entries(folder).map(|library| library.join("lib-dynload"));
    let files = dynamic.flat_map(|folder| entries(&folder).collect::<Vec<_>>());
    files.filter(|file| file.extension().is_some_and(|kind| kind == "so")).collect()
}

/// The file that a name in a folder means, over links within that folder.
fn library(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut path = folder.join(name);
    for _ in 0..=LINKS_MAX {
        let found = fs::symlink_metadata(&path).ok()?;
        if found.is_file() {
            return Some(path);
        }
        let target = fs::read_link(&path).ok()?;
        let is_beside = target.components().count() == 1 && target.file_name().is_some();
        path = is_beside.then(|| folder.join(target))?;
    }
    None
}

/// Puts it where environments look. Those that run keep what they were started with.
fn put(new: &Path, prefix: &Path) -> io::Result<()> {
    make_readable(new)?;
    let old = prefix.with_extension(format!("old-{}", std::process::id()));
    if prefix.exists() {
        fs::rename(prefix, &old)?;
    }
    fs::rename(new, prefix)?;
    if old.exists() { fs::remove_dir_all(&old) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join("tree").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        dir
    }

    fn taken(dir: &Path, identifier: &str) -> Result<Interpreter, String> {
        take_interpreter(identifier, &dir.join("tree"), &dir.join("data")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_interpreter_is_taken_without_the_rest_of_the_system() {
        let dir =
            tree(&["usr/bin/python3.12", "usr/bin/perl", "usr/lib/python3.12/os.py", "usr/lib/other/x"]);
        let found = taken(dir.path(), "python3.12").unwrap();
        assert_eq!((found.version, found.program), ((3, 12), found.prefix.join("bin/python3.12")));
        let there = |path: &str| found.prefix.join(path).exists();
        assert!(there("lib/python3.12/os.py") && !there("bin/perl") && !there("lib/other"));
        let again = taken(dir.path(), "python3.12").unwrap_err();
        assert!(again.contains("python3.12"), "{again}");
        let catalogue = crate::Catalogue::with_installed(&dir.path().join("data"));
        let resolved = catalogue.resolve("python3.12").unwrap();
        assert_eq!((resolved.interpreter.unwrap().prefix, resolved.note), (found.prefix, None));
    }

    #[test]
    fn what_is_there_already_is_replaced() {
        let files = ["var/lang/bin/python3.12", "var/lang/lib/python3.12/os.py"];
        let dir = tree(&files);
        let first = taken(dir.path(), "python3.12").unwrap();
        fs::write(first.prefix.join("old"), "").unwrap();
        let next = tree(&files);
        fs::rename(next.path().join("tree"), dir.path().join("next")).unwrap();
        let second =
            take_interpreter("python3.12", &dir.path().join("next"), &dir.path().join("data")).unwrap();
        assert!(second.prefix == first.prefix && !second.prefix.join("old").exists());
    }

    #[test]
    fn links_out_of_the_tree_are_not_followed() {
        let outside = tree(&["bin/python3.12", "lib/python3.12/os.py"]);
        let dir = tree(&["etc/passwd"]);
        symlink(outside.path().join("tree"), dir.path().join("tree/usr")).unwrap();
        assert!(taken(dir.path(), "python3.12").unwrap_err().contains("not in the image"));
        assert!(outside.path().join("tree/bin/python3.12").exists());
    }

    #[test]
    fn libraries_that_it_needs_come_along() {
        let dir = tree(&["usr/local/lib/python3.12/os.py", "usr/lib64/libgcc_s-1.so", "usr/lib64/libc.so.6"]);
        let bin = dir.path().join("tree/usr/local/bin");
        fs::create_dir(&bin).unwrap();
        // A program that needs both.
        fs::copy(std::env::current_exe().unwrap(), bin.join("python3.12")).unwrap();
        symlink("libgcc_s-1.so", dir.path().join("tree/usr/lib64/libgcc_s.so.1")).unwrap();
        let prefix = taken(dir.path(), "python3.12").unwrap().prefix;
        assert_eq!(fs::read_to_string(prefix.join("lib/libgcc_s.so.1")).unwrap(), "usr/lib64/libgcc_s-1.so");
        assert!(!prefix.join("lib/libc.so.6").exists(), "the C library is the host's");
    }

    #[test]
    fn node_is_taken_by_its_program() {
        let dir = tree(&["usr/local/bin/node"]);
        let header = dir.path().join("tree/usr/local/include/node/node_version.h");
        fs::create_dir_all(header.parent().unwrap()).unwrap();
        fs::write(&header, "#define NODE_MAJOR_VERSION 22\n").unwrap();
        assert!(taken(dir.path(), "nodejs20.x").is_err());
        assert_eq!(taken(dir.path(), "nodejs22.x").unwrap().version, (22, 0));
    }
}
