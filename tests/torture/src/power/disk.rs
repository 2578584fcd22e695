//! A disk that forgets: what was written and what of it is surely kept when the power fails.
//!
//! A file's bytes are kept once the file was synced; a name is kept once its directory was synced, be it of a new
//! file, of a renamed one or of one that is gone (strict: many file systems promise more). A rename is one change:
//! without a sync either both directories know of it or none, unless one of them was synced later.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::pages::Pages;

/// The number of a file or directory.
pub(crate) type NodeId = u64;
pub(crate) const ROOT: NodeId = 1;

#[derive(Debug)]
pub(crate) struct Disk {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) next: NodeId,
    /// Changes of names that no sync of their directory has covered, in order.
    pub(super) names: Vec<NameChange>,
    /// With a disk that lies, losses must be noticed.
    pub(super) lies: Lies,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) mode: u32,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    File(FileData),
    Directory(Directory),
    Link(PathBuf),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FileData {
    /// As the process sees it.
    pub(crate) live: Pages,
    /// As of the last sync.
    pub(super) durable: Pages,
    /// What came since.
    pub(super) changes: Vec<FileChange>,
}

#[derive(Clone, Debug)]
pub(super) enum FileChange {
    Write { offset: u64, bytes: Vec<u8> },
    Resize(u64),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub(crate) live: BTreeMap<OsString, NodeId>,
    pub(super) durable: BTreeMap<OsString, NodeId>,
}

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Set { directory: NodeId, name: OsString, node: NodeId },
    Remove { directory: NodeId, name: OsString },
    Rename { from: NodeId, from_name: OsString, to: NodeId, to_name: OsString, node: NodeId },
}

/// Of which syncs a disk says that they are done though they are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lies {
    Never,
    OfAll,
    /// Files are synced, and their names are not.
    OfDirectories,
}

/// Why something cannot be done; the kernel's numbers are the file system's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotFound,
    Exists,
    NotEmpty,
    WrongKind,
}

impl Disk {
    /// An empty disk.
    pub(crate) fn new(lies: Lies) -> Self {
        let root = Node { mode: 0o755, kind: Kind::Directory(Directory::default()) };
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1, names: Vec::new(), lies }
    }

    pub(crate) fn node(&self, id: NodeId) -> Result<&Node, Refusal> {
        self.nodes.get(&id).ok_or(Refusal::NotFound)
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, Refusal> {
        self.nodes.get_mut(&id).ok_or(Refusal::NotFound)
    }

    pub(crate) fn file(&mut self, id: NodeId) -> Result<&mut FileData, Refusal> {
        match &mut self.node_mut(id)?.kind {
            Kind::File(data) => Ok(data),
            _ => Err(Refusal::WrongKind),
        }
    }

    pub(crate) fn directory(&mut self, id: NodeId) -> Result<&mut Directory, Refusal> {
        match &mut self.node_mut(id)?.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Refusal::WrongKind),
        }
    }

    /// What a name stands for now.
    pub(crate) fn look_up(&mut self, directory: NodeId, name: &OsStr) -> Result<NodeId, Refusal> {
        self.directory(directory)?.live.get(name).copied().ok_or(Refusal::NotFound)
    }

    /// A new file, directory or link under a name that is free.
    pub(crate) fn make(
        &mut self,
        directory: NodeId,
        name: &OsStr,
        mode: u32,
        kind: Kind,
    ) -> Result<NodeId, Refusal> {
        let entries = &mut self.directory(directory)?.live;
        if entries.contains_key(name) {
            return Err(Refusal::Exists);
        }
        let node = self.next;
        self.next += 1;
        self.nodes.insert(node, Node { mode, kind });
        self.directory(directory)?.live.insert(name.to_owned(), node);
        self.names.push(NameChange::Set { directory, name: name.to_owned(), node });
        Ok(node)
    }

    /// Another name, which is free, for a file.
    pub(crate) fn link(&mut self, node: NodeId, directory: NodeId, name: &OsStr) -> Result<(), Refusal> {
        self.file(node)?;
        let entries = &mut self.directory(directory)?.live;
        if entries.contains_key(name) {
            return Err(Refusal::Exists);
        }
        entries.insert(name.to_owned(), node);
        self.names.push(NameChange::Set { directory, name: name.to_owned(), node });
        Ok(())
    }

    /// Takes a name away; what it stood for lives on while it is open.
    pub(crate) fn remove(&mut self, directory: NodeId, name: &OsStr) -> Result<(), Refusal> {
        let node = self.look_up(directory, name)?;
        if matches!(&self.node(node)?.kind, Kind::Directory(inner) if !inner.live.is_empty()) {
            return Err(Refusal::NotEmpty);
        }
        self.directory(directory)?.live.remove(name);
        self.names.push(NameChange::Remove { directory, name: name.to_owned() });
        Ok(())
    }

    /// Renames, replacing what had the new name.
    pub(crate) fn rename(
        &mut self,
        (from, from_name): (NodeId, &OsStr),
        (to, to_name): (NodeId, &OsStr),
    ) -> Result<(), Refusal> {
        let node = self.look_up(from, from_name)?;
        self.directory(to)?;
        self.directory(from)?.live.remove(from_name);
        self.directory(to)?.live.insert(to_name.to_owned(), node);
        let (from_name, to_name) = (from_name.to_owned(), to_name.to_owned());
        self.names.push(NameChange::Rename { from, from_name, to, to_name, node });
        Ok(())
    }

    pub(crate) fn write(&mut self, file: NodeId, offset: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let data = self.file(file)?;
        data.live.write(offset, bytes);
        data.changes.push(FileChange::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    pub(crate) fn resize(&mut self, file: NodeId, length: u64) -> Result<(), Refusal> {
        let data = self.file(file)?;
        data.live.resize(length);
        data.changes.push(FileChange::Resize(length));
        Ok(())
    }

    /// Makes a file's bytes durable; not its name.
    pub(crate) fn sync_file(&mut self, file: NodeId) -> Result<(), Refusal> {
        let lies = self.lies;
        let data = self.file(file)?;
        if lies != Lies::OfAll {
            for change in std::mem::take(&mut data.changes) {
                change.apply(&mut data.durable);
            }
        }
        Ok(())
    }

    /// Makes a directory's names durable; not what they stand for.
    pub(crate) fn sync_directory(&mut self, directory: NodeId) -> Result<(), Refusal> {
        self.directory(directory)?;
        if self.lies != Lies::Never {
            return Ok(());
        }
        for change in std::mem::take(&mut self.names) {
            match change {
                NameChange::Set { directory: of, .. } | NameChange::Remove { directory: of, .. }
                    if of == directory =>
                {
                    self.settle_name(change);
                }
                // The name in the new directory is kept; that the old one is gone is that directory's matter.
                NameChange::Rename { from, from_name, to, to_name, node }
                    if to == directory && from != to =>
                {
                    self.settle_name(NameChange::Set { directory: to, name: to_name, node });
                    self.names.push(NameChange::Remove { directory: from, name: from_name });
                }
                NameChange::Rename { from, .. } if from == directory => self.settle_name(change),
                other => self.names.push(other),
            }
        }
        Ok(())
    }

    /// Makes everything durable: the state from which a test begins.
    pub(crate) fn sync_all(&mut self) {
        let lies = std::mem::replace(&mut self.lies, Lies::Never);
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            // Each is one or the other.
            let _ = self.sync_file(id).or_else(|_| self.sync_directory(id));
        }
        self.lies = lies;
    }

    /// Changes the durable names.
    pub(super) fn settle_name(&mut self, change: NameChange) {
        match change {
            NameChange::Set { directory, name, node } => {
                if let Ok(directory) = self.directory(directory) {
                    directory.durable.insert(name, node);
                }
            }
            NameChange::Remove { directory, name } => {
                if let Ok(directory) = self.directory(directory) {
                    directory.durable.remove(&name);
                }
            }
            NameChange::Rename { from, from_name, to, to_name, node } => {
                self.settle_name(NameChange::Remove { directory: from, name: from_name });
                self.settle_name(NameChange::Set { directory: to, name: to_name, node });
            }
        }
    }
}

impl NameChange {
    /// The names that it changes.
    pub(super) fn touched(&self) -> Vec<(NodeId, OsString)> {
        match self {
            Self::Set { directory, name, .. } | Self::Remove { directory, name } => {
                vec![(*directory, name.clone())]
            }
            Self::Rename { from, from_name, to, to_name, .. } => {
                vec![(*from, from_name.clone()), (*to, to_name.clone())]
            }
        }
    }
}

impl FileChange {
    pub(super) fn apply(&self, pages: &mut Pages) {
        match self {
            Self::Write { offset, bytes } => pages.write(*offset, bytes),
            Self::Resize(length) => pages.resize(*length),
        }
    }
}
