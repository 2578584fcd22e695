//! Which paths the present layer has brought.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::digest::Digest;

/// Paths by their digests: the paths themselves, as long and as many as a hostile image may have, would fill the memory.
#[derive(Default)]
pub(crate) struct Fresh(HashSet<Digest>);

impl Fresh {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Marks a path beneath the root, and the folders that it lies in; how many of them are new.
    pub(crate) fn note(&mut self, path: &Path) -> usize {
        let named = path.ancestors().take_while(|path| !path.as_os_str().is_empty());
        // Whoever is marked has its folders marked.
        named.take_while(|path| self.0.insert(of(path))).count()
    }

    pub(crate) fn contains(&self, path: &Path) -> bool {
        self.0.contains(&of(path))
    }
}

fn of(path: &Path) -> Digest {
    Digest::of(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_noted_with_its_folders_once() {
        let mut fresh = Fresh::default();
        assert_eq!(fresh.note(Path::new("a/b/c")), 3);
        assert_eq!((fresh.note(Path::new("a/b/d")), fresh.note(Path::new("a/b"))), (1, 0));
        assert!(fresh.contains(Path::new("a")) && fresh.contains(Path::new("a/b/d")));
        assert!(!fresh.contains(Path::new("b")) && !fresh.contains(Path::new("")));
        fresh.clear();
        assert!(!fresh.contains(Path::new("a/b/c")));
    }
}
