//! What is left when the power fails: all that was synced, and of the rest whatever the disk had got round to.

use std::collections::BTreeSet;

use lambent_base::Random;

use super::disk::{Directory, Disk, FileChange, FileData, Kind, Node, NodeId, ROOT};
use super::pages::Pages;
use crate::content::below;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;
/// What a page cache hands to the disk at once.
const BLOCK_BYTES: u64 = 4096;

/// What becomes of changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    /// The first of them are kept: what a journalling file system does with names.
    Prefix,
    /// Each is kept or lost by itself; of a write each sector or block, so that a place has an older or the newest
    /// state, whatever other places have.
    Torn,
}

/// How much was at stake and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) names_open: usize,
    pub(crate) names_lost: usize,
    pub(crate) writes_open: usize,
    /// Writes and resizes that are lost at least in part.
    pub(crate) writes_lost: usize,
}

impl Disk {
    /// The disk as it is found after a power cut now.
    pub(crate) fn cut(mut self, random: &Random) -> (Self, Losses) {
        let mut losses = Losses::default();
        self.cut_names(random, &mut losses);
        let mut survivor = Self { next: self.next, ..Self::new(self.lies) };
        let mut open = vec![ROOT];
        while let Some(id) = open.pop() {
            let Some(node) = self.nodes.remove(&id) else { continue };
            let kind = match node.kind {
                Kind::File(data) => Kind::File(cut_file(data, random, &mut losses)),
                Kind::Directory(Directory { durable, .. }) => {
                    open.extend(durable.values());
                    Kind::Directory(Directory { live: durable.clone(), durable })
                }
                link @ Kind::Link(_) => link,
            };
            survivor.nodes.insert(id, Node { mode: node.mode, kind });
        }
        survivor.drop_dangling();
        (survivor, losses)
    }

    fn cut_names(&mut self, random: &Random, losses: &mut Losses) {
        let changes = std::mem::take(&mut self.names);
        losses.names_open += changes.len();
        let fate = fate(random);
        let prefix = below(random, changes.len() + 1);
        // What happens to one name happens in order: after a change that is lost, so are the later ones.
        let mut behind = BTreeSet::new();
        for (index, change) in changes.into_iter().enumerate() {
            let touched = change.touched();
            let kept = match fate {
                Fate::Lost => false,
                Fate::Kept => true,
                Fate::Prefix => index < prefix,
                Fate::Torn => below(random, 2) == 0 && !touched.iter().any(|name| behind.contains(name)),
            };
            if !kept {
                behind.extend(touched);
            }
            match kept {
                true => self.settle_name(change),
                false => losses.names_lost += 1,
            }
        }
    }

    /// A name may stand for something that was found under another name first, or for nothing any more.
    fn drop_dangling(&mut self) {
        let there: BTreeSet<NodeId> = self.nodes.keys().copied().collect();
        for node in self.nodes.values_mut() {
            if let Kind::Directory(directory) = &mut node.kind {
                directory.live.retain(|_, id| there.contains(id));
                directory.durable.retain(|_, id| there.contains(id));
            }
        }
    }
}

fn fate(random: &Random) -> Fate {
    match below(random, 8) {
        0..=1 => Fate::Lost,
        2 => Fate::Kept,
        3..=4 => Fate::Prefix,
        _ => Fate::Torn,
    }
}

fn cut_file(data: FileData, random: &Random, losses: &mut Losses) -> FileData {
    let FileData { live, mut durable, changes } = data;
    losses.writes_open += changes.len();
    let fate = fate(random);
    let prefix = below(random, changes.len() + 1);
    let sector = if below(random, 2) == 0 { SECTOR_BYTES } else { BLOCK_BYTES };
    let kept_of_eight = 1 + below(random, 7);
    for (index, change) in changes.iter().enumerate() {
        let whole = match fate {
            Fate::Lost => false,
            Fate::Kept => true,
            Fate::Prefix => index < prefix,
            Fate::Torn => tear(change, &mut durable, sector, kept_of_eight, random),
        };
        if whole && fate != Fate::Torn {
            change.apply(&mut durable);
        }
        losses.writes_lost += usize::from(!whole);
    }
    // A new length may be kept though its bytes are not: zeros then.
    if fate != Fate::Lost && durable.length() < live.length() && below(random, 2) == 0 {
        durable.resize(live.length());
    }
    FileData { live: durable.clone(), durable, changes: Vec::new() }
}

/// Applies a part of a change; says whether that was all of it.
fn tear(change: &FileChange, pages: &mut Pages, sector: u64, kept_of_eight: usize, random: &Random) -> bool {
    let kept = || below(random, 8) < kept_of_eight;
    let FileChange::Write { offset, bytes } = change else {
        let kept = kept();
        if kept {
            change.apply(pages);
        }
        return kept;
    };
    let (mut done, mut whole) = (0, true);
    while done < bytes.len() {
        let at = offset + done as u64;
        let to_the_next = usize::try_from(sector - at % sector).expect("at most a block");
        let length = to_the_next.min(bytes.len() - done);
        if kept() {
            pages.write(at, &bytes[done..done + length]);
        } else {
            whole = false;
        }
        done += length;
    }
    whole
}
