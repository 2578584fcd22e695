//! Which shared libraries a program or library names, read from its file.
//! Source: System V Application Binary Interface, "Dynamic Section" (64 bits, little-endian).

use std::fs;
use std::path::Path;

const MAGIC: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
const PROGRAM_HEADERS_AT: usize = 0x20;
const PROGRAM_HEADER_BYTES: usize = 56;
const COUNT_AT: usize = 0x38;
/// A sane file has a dozen.
const PROGRAM_HEADERS_MAX: usize = 100;
const LOAD: u64 = 1;
const DYNAMIC: u64 = 2;
const NEEDED: u64 = 1;
const STRINGS: u64 = 5;
const ENTRY_BYTES: usize = 16;
/// More is no interpreter or module of one.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// One segment: its kind, and where it is in the file and in memory.
struct Segment {
    kind: u64,
    offset: usize,
    address: u64,
    bytes: usize,
}

/// The names of the libraries that a file needs; nothing of a file that is no such program.
pub(crate) fn needed_by(path: &Path) -> Option<Vec<String>> {
    if fs::symlink_metadata(path).ok().filter(|found| found.is_file())?.len() > FILE_BYTES_MAX {
        return None;
    }
    needed_in(&fs::read(path).ok()?)
}

fn needed_in(file: &[u8]) -> Option<Vec<String>> {
    let segments = segments(file)?;
    let dynamic = segments.iter().find(|segment| segment.kind == DYNAMIC)?;
    let entries = file.get(dynamic.offset..dynamic.offset.checked_add(dynamic.bytes)?)?;
    let entries =
        entries.chunks_exact(ENTRY_BYTES).map(|entry| Some((number(entry, 0, 8)?, number(entry, 8, 8)?)));
    let entries: Vec<(u64, u64)> = entries.collect::<Option<_>>()?;
    let strings = entries.iter().find(|(tag, _)| *tag == STRINGS)?.1;
    let mut loaded = segments.iter().filter(|segment| segment.kind == LOAD);
    let holds =
        |segment: &&Segment| strings.checked_sub(segment.address).is_some_and(|at| at < segment.bytes as u64);
    let segment = loaded.find(holds)?;
    let at = segment.offset.checked_add(usize::try_from(strings - segment.address).ok()?)?;
    let name = |offset: u64| {
        let rest = file.get(at.checked_add(usize::try_from(offset).ok()?)?..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        String::from_utf8(rest[..end].to_vec()).ok()
    };
    entries.iter().filter(|(tag, _)| *tag == NEEDED).map(|(_, offset)| name(*offset)).collect()
}

fn segments(file: &[u8]) -> Option<Vec<Segment>> {
    if !file.starts_with(&MAGIC) {
        return None;
    }
    let at = usize::try_from(number(file, PROGRAM_HEADERS_AT, 8)?).ok()?;
    let count = usize::try_from(number(file, COUNT_AT, 2)?).ok()?.min(PROGRAM_HEADERS_MAX);
    let headers = file.get(at..at.checked_add(count * PROGRAM_HEADER_BYTES)?)?;
    let segment = |header: &[u8]| {
        Some(Segment {
            kind: number(header, 0, 4)?,
            offset: usize::try_from(number(header, 8, 8)?).ok()?,
            address: number(header, 16, 8)?,
            bytes: usize::try_from(number(header, 32, 8)?).ok()?,
        })
    };
    headers.chunks_exact(PROGRAM_HEADER_BYTES).map(segment).collect()
}

/// Of `bytes` bytes, at most eight.
fn number(file: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let taken = file.get(at..at.checked_add(bytes)?)?;
    Some(taken.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_names_its_libraries() {
        let own = std::env::current_exe().unwrap();
        let needed = needed_by(&own).unwrap();
        assert!(needed.iter().any(|name| name.starts_with("libc.so")), "{needed:?}");
    }

    #[test]
    fn nonsense_needs_nothing() {
        let mut file = fs::read(std::env::current_exe().unwrap()).unwrap();
        file.truncate(4096);
        assert_eq!(needed_in(b"#!/bin/sh"), None);
        for at in 0..0x40 {
            let mut wrong = file.clone();
            wrong[at] = 0xff;
            // Whatever it makes of it, it ends.
            let _ = needed_in(&wrong);
        }
        assert_eq!(needed_in(&file[..0x40]), None);
    }
}
