//! What V8 made of a function's code once, so that its cold starts need not: which functions have it, and for which Node it is.
//! (The bootstrap makes and reads it; it looks again at what this says.)

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::catalogue::{Family, Runtime};
use crate::launch::{matters_at_start, node_heap_mib};

/// Where a function finds the folder with its compiled code.
pub const CODE_CACHE_DIR: &str = "/var/cache/node";
/// The file in it.
pub const CODE_CACHE_FILE: &str = "code";
/// Whether a file is code that V8 may compile ahead, by its name's extension.
pub const CODE_CACHE_EXTENSIONS: [&str; 2] = ["js", "cjs"];

/// Names what of Node makes one form of compiled code different from another, as a file's name: what was made under one name
/// is of no use under another. `None` where a function has none, as for the sake of variables
/// of its own that matter while Node starts. Looks at the disk.
pub fn code_cache_key(runtime: &Runtime, memory_mib: u32, own: &[(String, String)]) -> Option<String> {
    let interpreter = runtime.interpreter.as_ref().filter(|_| runtime.family == Family::Node)?;
    // Some change how Node compiles, or ask it to tell about it.
    if own.iter().any(|(name, _)| matters_at_start(name)) {
        return None;
    }
    let program = fs::metadata(&interpreter.program).ok()?;
    let (inode, bytes, changed) = (program.ino(), program.len(), program.mtime());
    // V8's tag for its flags depends on this one.
    let heap_mib = node_heap_mib(memory_mib);
    Some(format!("node{}-{inode}-{bytes}-{changed}-{heap_mib}", interpreter.version.0))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::catalogue::Interpreter;

    fn runtime(program: &str) -> Runtime {
        let interpreter = Interpreter {
            family: Family::Node,
            version: (20, 0),
            prefix: PathBuf::from("/usr"),
            program: PathBuf::from(program),
        };
        let identifier = "nodejs20.x".to_owned();
        Runtime { identifier, family: Family::Node, interpreter: Some(interpreter), note: None }
    }

    #[test]
    fn another_node_or_another_heap_has_another_key() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| {
            let path = dir.path().join(name);
            fs::write(&path, name).unwrap();
            runtime(path.to_str().unwrap())
        });
        let key = code_cache_key(&one, 128, &[]).unwrap();
        assert_eq!(code_cache_key(&one, 128, &[("A".to_owned(), "b".to_owned())]).unwrap(), key);
        assert_ne!(code_cache_key(&one, 256, &[]).unwrap(), key);
        assert_ne!(code_cache_key(&other, 128, &[]).unwrap(), key);
    }

    #[test]
    fn a_function_with_options_of_its_own_has_none() {
        let own = [("NODE_OPTIONS".to_owned(), "--enable-source-maps".to_owned())];
        let node = runtime("/bin/sh");
        assert!(code_cache_key(&node, 128, &[]).is_some());
        assert_eq!(code_cache_key(&node, 128, &own), None);
        assert_eq!(code_cache_key(&Runtime { family: Family::Python, ..node }, 128, &[]), None);
    }
}
