//! Deployment packages: what passes, what does not, and how they come to disk.

use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use bytes::Bytes;
use proptest::prelude::*;

use super::zips::{self, Raw};
use crate::code::space::Space;
use crate::code::{CodeError, Depth, check, unpack};
use crate::errors::LambdaError;

fn whole(zip: Vec<u8>) -> Result<(), CodeError> {
    check(Bytes::from(zip), Depth::Whole).map(drop)
}

/// A disk that counts as full with less than so many bytes free.
fn room(reserve_bytes: u64) -> Space {
    Space { root: std::env::temp_dir(), reserve_bytes }
}

fn refusal(entries: &[Raw]) -> String {
    whole(zips::raw(entries)).unwrap_err().to_string()
}

#[test]
fn a_package_is_unpacked_with_modes_that_its_function_can_read() {
    let zip = zips::raw(&[
        Raw::file("bin/tool", "#!/bin/sh\n"),
        Raw { mode: 0o100_700, ..Raw::file("bin/run", "x") },
        Raw { name: b"lib/deep/".to_vec(), mode: 0o040_700, ..Raw::default() },
        Raw { mode: 0, ..Raw::file("made-on-windows.txt", "y") },
        Raw::link("lib/current", "deep"),
    ]);
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("code");
    let package = check(Bytes::from(zip), Depth::Names).unwrap();
    unpack(&package, &root.path().join("scratch"), &folder, &room(0)).unwrap();
    let mode = |path: &str| std::fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(["bin/tool", "bin/run", "made-on-windows.txt"].map(mode), [0o644, 0o755, 0o644]);
    assert_eq!(["", "bin", "lib", "lib/deep"].map(mode), [0o755; 4]);
    assert_eq!(std::fs::read_link(folder.join("lib/current")).unwrap(), Path::new("deep"));
    assert_eq!(std::fs::read(folder.join("bin/tool")).unwrap(), b"#!/bin/sh\n");
    assert!(!root.path().join("scratch").exists());
    // The same content once more, as when two requests bring it at once: the first stays.
    unpack(&package, &root.path().join("scratch"), &folder, &room(0)).unwrap();
    assert!(!root.path().join("scratch").exists());
}

#[test]
fn nothing_is_left_of_a_package_that_finds_no_room() {
    let root = tempfile::tempdir().unwrap();
    let package = check(Bytes::from(zips::handler("1")), Depth::Names).unwrap();
    let scratch = root.path().join("scratch");
    let refused = unpack(&package, &scratch, &root.path().join("code"), &room(u64::MAX));
    assert!(matches!(refused, Err(LambdaError::DiskFull { .. })), "{refused:?}");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn many_files_are_unpacked_too() {
    let entries: Vec<Raw> = (0..200).map(|n| Raw::file(&format!("lib/{n}.py"), "pass")).collect();
    let root = tempfile::tempdir().unwrap();
    let package = check(Bytes::from(zips::raw(&entries)), Depth::Names).unwrap();
    unpack(&package, &root.path().join("scratch"), &root.path().join("code"), &room(0)).unwrap();
    assert_eq!(std::fs::read_dir(root.path().join("code/lib")).unwrap().count(), 200);
}

#[test]
fn zips_of_usual_tools_pass() {
    whole(zips::packed(&[("index.py", b"def handler(event, context): pass"), ("lib/x.py", b"")])).unwrap();
    let commented = {
        let mut zip = zips::handler("x");
        let end = zip.len();
        zip[end - 2..].copy_from_slice(&5_u16.to_le_bytes());
        [zip, b"hello".to_vec()].concat()
    };
    whole(commented).unwrap();
    // As an executable that carries a zip: every offset is too small by the same amount.
    whole([b"#!/usr/bin/env python3\n".to_vec(), zips::handler("x")].concat()).unwrap();
}

#[test]
fn paths_that_leave_the_package_are_refused() {
    for path in ["/etc/passwd", "../x", "a/../../x", "a/..", "x/../y"] {
        let told = refusal(&[Raw::file(path, "x")]);
        assert!(told.contains("leads out") || told.contains("absolute"), "{path}: {told}");
    }
    assert!(refusal(&[Raw::file("a\0b", "x")]).contains("zero byte"));
    assert!(refusal(&[Raw::file(&"x".repeat(300), "x")]).contains("too long a name"));
    assert!(refusal(&[Raw::file(&"d/".repeat(70), "x")]).contains("too deep"));
    assert!(refusal(&[Raw::file(&"dd/".repeat(400), "x")]).contains("longer path"));
    assert!(refusal(&[Raw::file(".", "x")]).contains("has no name"));
}

#[test]
fn links_that_leave_the_package_are_refused() {
    for target in ["/etc/passwd", "..", "../..", "d/../../x", "d/..", ""] {
        let told = refusal(&[Raw::link("l", target), Raw::file("x", "x")]);
        assert!(told.contains("link"), "{target}: {told}");
    }
    assert!(refusal(&[Raw::link("a/l", "../../x")]).contains("links out"));
    whole(zips::raw(&[Raw::link("a/l", "../b"), Raw::file("b", "x")])).unwrap();
}

#[test]
fn names_that_collide_are_refused() {
    assert!(refusal(&[Raw::file("a", "1"), Raw::file("a", "2")]).contains("comes twice"));
    assert!(refusal(&[Raw::file("a", "1"), Raw::file("./a", "2")]).contains("comes twice"));
    assert!(refusal(&[Raw::file("a/b", "1"), Raw::file("a", "2")]).contains("comes twice"));
    // A link that later entries would be written through.
    let told = refusal(&[Raw::link("l", "d"), Raw::file("l/x", "x")]);
    assert!(told.contains("lies in something that is no folder"), "{told}");
}

#[test]
fn lies_in_headers_are_found() {
    let file = Raw::file("a", "content");
    assert!(refusal(&[Raw { crc: Some(1), ..file.clone() }]).contains("not what its header says"));
    assert!(refusal(&[Raw { claimed: Some(6), ..file.clone() }]).contains("not what its header says"));
    assert!(refusal(&[Raw { flags: 1, ..file.clone() }]).contains("encryption"));
    assert!(refusal(&[Raw { method: 12, ..file.clone() }]).contains("compression"));
    assert!(refusal(&[Raw { mode: 0o020_666, ..file }]).contains("neither a file"));
    assert!(matches!(whole(zips::raw(&[])), Err(CodeError::Empty)));
}

#[test]
fn bombs_end_at_the_limit() {
    // One file of a megabyte that 300 names share: small as a zip, 300 MB unpacked.
    let content = "\0".repeat(1 << 20);
    let shared = |n: usize| Raw { shares_first: n > 0, ..Raw::file(&format!("f{n:03}"), &content) };
    let entries: Vec<Raw> = (0..300).map(shared).collect();
    let zip = zips::raw(&entries);
    assert!(zip.len() < 2 << 20);
    assert!(matches!(whole(zip), Err(CodeError::TooLarge)));
    // And the classic: one entry that deflates well.
    let zeros = vec![0; 263 << 20];
    let zip = zips::packed(&[("zeros", &zeros)]);
    assert!(zip.len() < 1 << 20);
    assert!(matches!(whole(zip), Err(CodeError::TooLarge)));
}

#[test]
fn too_many_entries_are_refused_before_they_are_read() {
    // Zip64's count of entries, beyond the bound, with nothing behind it.
    let mut end64 = vec![0; 56];
    end64[..4].copy_from_slice(&0x0606_4b50_u32.to_le_bytes());
    end64[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
    let locator = [&0x0706_4b50_u32.to_le_bytes()[..], &[0; 16]].concat();
    let end = [&0x0605_4b50_u32.to_le_bytes()[..], &[0; 4], &[0xff; 12], &[0; 2]].concat();
    let told = whole([end64, locator, end].concat()).unwrap_err().to_string();
    assert!(told.contains("more entries"), "{told}");
}

proptest! {
    // Each case goes to disk and back.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn noise_is_refused_without_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(whole(noise).is_err());
    }

    #[test]
    fn damaged_zips_never_panic(at in 0_usize..400, byte in any::<u8>()) {
        let mut zip = zips::raw(&[Raw::file("a/b", "one"), Raw::link("c", "a/b"), Raw::file("d", "two")]);
        let at = at % zip.len();
        zip[at] = byte;
        // Some bytes matter to nobody (dates, for one); what passes must still unpack where it should.
        if let Ok(package) = check(Bytes::from(zip), Depth::Whole) {
            let root = tempfile::tempdir().unwrap();
            unpack(&package, &root.path().join("scratch"), &root.path().join("code"), &room(0)).unwrap();
            let made: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            prop_assert_eq!(made, ["code"]);
        }
    }

    #[test]
    fn accepted_paths_stay_inside(name in "[a./\\\\-]{1,12}") {
        let root = tempfile::tempdir().unwrap();
        if let Ok(package) = check(Bytes::from(zips::raw(&[Raw::file(&name, "x")])), Depth::Whole) {
            let folder = root.path().join("code");
            unpack(&package, &root.path().join("scratch"), &folder, &room(0)).unwrap();
            let is_plain = Path::new(&name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            prop_assert!(is_plain, "{}", name);
            prop_assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn accepted_links_resolve_inside(targets in proptest::collection::vec("(\\.\\./){0,2}([abc./]{1,6})", 3)) {
        // Three links at three depths, each of which may lead through the others.
        let places = ["a", "b/a", "c/b/a"];
        let links: Vec<Raw> = places.iter().zip(&targets).map(|(place, target)| Raw::link(place, target)).collect();
        let entries = [links, vec![Raw::file("b/f", "x"), Raw::file("c/b/f", "x")]].concat();
        if let Ok(package) = check(Bytes::from(zips::raw(&entries)), Depth::Whole) {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path().join("code");
            unpack(&package, &root.path().join("scratch"), &folder, &room(0)).unwrap();
            let folder = folder.canonicalize().unwrap();
            for place in places {
                // Links that lead nowhere, or in circles, lead to no foreign file either.
                if let Ok(real) = folder.join(place).canonicalize() {
                    prop_assert!(real.starts_with(&folder), "{} -> {}", place, real.display());
                }
            }
        }
    }
}
