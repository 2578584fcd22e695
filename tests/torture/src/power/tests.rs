//! A layer that loses too little proves nothing: programs that forget a sync must be caught by it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;

use lambent_base::Random;

use super::disk::{Disk, FileData, Kind, NodeId, ROOT};
use super::{Layer, Lies, is_possible};

const CUTS: u64 = 300;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn file(disk: &mut Disk, text: &str) -> NodeId {
    disk.make(ROOT, name(text), 0o600, Kind::File(FileData::default())).unwrap()
}

/// What the file under that name holds; `None` when the name is gone.
fn read(disk: &mut Disk, text: &str) -> Option<Vec<u8>> {
    let node = disk.look_up(ROOT, name(text)).ok()?;
    Some(disk.file(node).unwrap().live.read(0, usize::MAX))
}

/// What is found under a name after many cuts of a disk on which `program` was run.
fn after_cuts(text: &str, program: impl Fn(&mut Disk)) -> Vec<Option<Vec<u8>>> {
    let cut = |seed| {
        let mut disk = Disk::new(Lies::Never);
        program(&mut disk);
        let (mut survivor, _) = disk.cut(&Random::seeded(seed));
        read(&mut survivor, text)
    };
    (0..CUTS).map(cut).collect()
}

const OLD: &[u8] = &[1; 10_000];
const NEW: &[u8] = &[2; 10_000];

#[test]
fn what_is_synced_with_its_name_is_always_there() {
    let found = after_cuts("a", |disk| {
        let node = file(disk, "a");
        disk.write(node, 0, NEW).unwrap();
        disk.sync_file(node).unwrap();
        disk.sync_directory(ROOT).unwrap();
    });
    assert!(found.iter().all(|found| found.as_deref() == Some(NEW)));
}

#[test]
fn an_unsynced_write_is_lost_kept_or_torn() {
    let found = after_cuts("a", |disk| {
        let node = file(disk, "a");
        disk.sync_directory(ROOT).unwrap();
        disk.write(node, 0, NEW).unwrap();
    });
    let found: Vec<Vec<u8>> = found.into_iter().map(|found| found.expect("the name was synced")).collect();
    assert!(found.iter().any(Vec::is_empty), "never lost");
    assert!(found.iter().any(|bytes| bytes == NEW), "never kept");
    let holes = |bytes: &&Vec<u8>| bytes.contains(&0) && bytes.contains(&2);
    let torn = found.iter().filter(holes).count();
    assert!(torn > 30, "torn only {torn} times");
    let later_without_earlier = |bytes: &Vec<u8>| bytes.first() == Some(&0) && bytes.last() == Some(&2);
    assert!(found.iter().any(later_without_earlier), "never out of order");
}

#[test]
fn an_overwritten_place_is_old_or_new() {
    let found = after_cuts("a", |disk| {
        let node = file(disk, "a");
        disk.write(node, 0, OLD).unwrap();
        disk.sync_file(node).unwrap();
        disk.sync_directory(ROOT).unwrap();
        disk.write(node, 0, NEW).unwrap();
    });
    let mut mixed = 0;
    for bytes in found.into_iter().map(|found| found.expect("the name was synced")) {
        assert_eq!(bytes.len(), OLD.len());
        assert!(bytes.iter().all(|byte| [1, 2].contains(byte)));
        assert!(
            bytes.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])),
            "half a sector"
        );
        mixed += usize::from(bytes.contains(&1) && bytes.contains(&2));
    }
    assert!(mixed > 30, "torn only {mixed} times");
}

#[test]
fn a_synced_file_without_a_synced_name_may_be_gone() {
    let found = after_cuts("a", |disk| {
        let node = file(disk, "a");
        disk.write(node, 0, NEW).unwrap();
        disk.sync_file(node).unwrap();
    });
    assert!(found.contains(&None), "the name was never lost");
    assert!(found.iter().flatten().all(|bytes| bytes == NEW), "the bytes were synced");
}

/// Writes a new version beside the old one and renames it; `careful` programs sync before they rename.
fn replace(disk: &mut Disk, careful: bool) {
    let old = file(disk, "current");
    disk.write(old, 0, OLD).unwrap();
    disk.sync_all();
    let new = file(disk, "temporary");
    disk.write(new, 0, NEW).unwrap();
    if careful {
        disk.sync_file(new).unwrap();
    }
    disk.rename((ROOT, name("temporary")), (ROOT, name("current"))).unwrap();
}

#[test]
fn a_rename_before_the_sync_is_caught() {
    let whole = |found: &Option<Vec<u8>>| found.as_deref() == Some(OLD) || found.as_deref() == Some(NEW);
    let careful = after_cuts("current", |disk| replace(disk, true));
    assert!(careful.iter().all(whole), "a program without fault was punished");
    assert!(careful.iter().any(|found| found.as_deref() == Some(OLD)), "the rename was never lost");
    let careless = after_cuts("current", |disk| replace(disk, false));
    let caught = careless.iter().filter(|found| !whole(found)).count();
    assert!(caught > 30, "caught only {caught} times");
}

#[test]
fn a_rename_into_a_synced_directory_is_kept() {
    for seed in 0..CUTS {
        let mut disk = Disk::new(Lies::Never);
        let into = disk.make(ROOT, name("into"), 0o700, Kind::Directory(Default::default())).unwrap();
        disk.sync_all();
        let node = file(&mut disk, "draft");
        disk.write(node, 0, NEW).unwrap();
        disk.sync_file(node).unwrap();
        disk.rename((ROOT, name("draft")), (into, name("final"))).unwrap();
        disk.sync_directory(into).unwrap();
        let (mut survivor, _) = disk.cut(&Random::seeded(seed));
        let into = survivor.look_up(ROOT, name("into")).unwrap();
        let node = survivor.look_up(into, name("final")).expect("its directory was synced");
        assert_eq!(survivor.file(node).unwrap().live.read(0, usize::MAX), NEW);
    }
}

#[test]
fn a_removed_file_may_come_back() {
    let found = after_cuts("a", |disk| {
        let node = file(disk, "a");
        disk.write(node, 0, OLD).unwrap();
        disk.sync_all();
        disk.remove(ROOT, name("a")).unwrap();
    });
    assert!(found.contains(&None) && found.contains(&Some(OLD.to_vec())));
}

#[test]
fn a_disk_that_lies_keeps_nothing_for_sure() {
    for lies in [Lies::OfAll, Lies::OfDirectories] {
        let (mut lost, mut spoiled) = (0, 0);
        for seed in 0..CUTS {
            let mut disk = Disk::new(lies);
            let node = file(&mut disk, "a");
            disk.write(node, 0, NEW).unwrap();
            disk.sync_file(node).unwrap();
            disk.sync_directory(ROOT).unwrap();
            let (mut survivor, _) = disk.cut(&Random::seeded(seed));
            let found = read(&mut survivor, "a");
            lost += usize::from(found.as_deref() != Some(NEW));
            spoiled += usize::from(found.is_some_and(|found| found != NEW));
        }
        assert!(lost > 100, "{lies:?}: lost only {lost} times");
        // Without its name's sync a file is there whole or not at all.
        assert_eq!(spoiled > 0, lies == Lies::OfAll, "{lies:?}: spoiled {spoiled} times");
    }
}

/// The same through the kernel, with the calls that programs use.
#[test]
fn mounted_it_keeps_what_was_synced_and_loses_the_rest() {
    if !is_possible() {
        println!("SKIPPED: /dev/fuse cannot be used here");
        return;
    }
    let folder = std::env::temp_dir().join(format!("lambent-power-{}", std::process::id()));
    let mut layer = Layer::mount(&folder, Lies::Never).unwrap();
    let mut lost = 0;
    for seed in 0..20 {
        let inner = folder.join(format!("inner-{seed}"));
        fs::create_dir(&inner).unwrap();
        let mut kept = File::create(inner.join("draft")).unwrap();
        kept.write_all(NEW).unwrap();
        kept.sync_data().unwrap();
        fs::rename(inner.join("draft"), inner.join("kept")).unwrap();
        File::open(&inner).unwrap().sync_all().unwrap();
        File::open(&folder).unwrap().sync_all().unwrap();
        fs::write(inner.join("careless"), NEW).unwrap();
        assert_eq!(fs::read(inner.join("careless")).unwrap(), NEW);
        drop(kept);
        layer.cut(&Random::seeded(seed)).unwrap();
        assert_eq!(fs::read(inner.join("kept")).unwrap(), NEW);
        let names: Vec<_> = fs::read_dir(&inner).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.contains(&"kept".into()), "{names:?}");
        lost += usize::from(fs::read(inner.join("careless")).ok().as_deref() != Some(NEW));
    }
    assert!(lost > 5, "lost only {lost} times");
    drop(layer);
    fs::remove_dir(&folder).unwrap();
}
