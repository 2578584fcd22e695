//! Zips for tests: good ones, and ones that no tool would write.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A good zip with one handler, whose content is `text`.
pub(crate) fn handler(text: &str) -> Vec<u8> {
    packed(&[("index.py", text.as_bytes())])
}

/// A good zip of these files.
pub(crate) fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// One entry of a zip that is written byte by byte.
#[derive(Clone, Default)]
pub(crate) struct Raw {
    pub(crate) name: Vec<u8>,
    pub(crate) content: Vec<u8>,
    /// Of a Unix file; zero for none.
    pub(crate) mode: u32,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    /// What the header says of the length and the checksum, where that is a lie.
    pub(crate) claimed: Option<u32>,
    pub(crate) crc: Option<u32>,
    /// Points at the first entry's bytes instead of its own.
    pub(crate) shares_first: bool,
}

impl Raw {
    pub(crate) fn file(name: &str, content: &str) -> Self {
        Self { name: name.into(), content: content.into(), mode: 0o100_600, ..Self::default() }
    }

    pub(crate) fn link(name: &str, target: &str) -> Self {
        Self { mode: 0o120_777, ..Self::file(name, target) }
    }
}

/// A zip of stored entries, as they are given.
pub(crate) fn raw(entries: &[Raw]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let at = if entry.shares_first { 0 } else { bytes.len() };
        let mut crc = flate2::Crc::new();
        crc.update(&entry.content);
        let crc = entry.crc.unwrap_or_else(|| crc.sum()).to_le_bytes();
        let length = u32::try_from(entry.content.len()).unwrap();
        let claimed = entry.claimed.unwrap_or(length).to_le_bytes();
        let name_length = u16::try_from(entry.name.len()).unwrap().to_le_bytes();
        let (flags, method) = (entry.flags.to_le_bytes(), entry.method.to_le_bytes());
        let shared = [
            &[20, 0][..],
            &flags,
            &method,
            &[0; 4],
            &crc,
            &length.to_le_bytes(),
            &claimed,
            &name_length,
            &[0; 2],
        ]
        .concat();
        if !entry.shares_first {
            bytes.extend([&0x0403_4b50_u32.to_le_bytes()[..], &shared, &entry.name, &entry.content].concat());
        }
        let attributes = (entry.mode << 16).to_le_bytes();
        let at = u32::try_from(at).unwrap().to_le_bytes();
        directory.extend(
            [&0x0201_4b50_u32.to_le_bytes()[..], &[20, 3], &shared, &[0; 6], &attributes, &at, &entry.name]
                .concat(),
        );
    }
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let length = u32::try_from(directory.len()).unwrap().to_le_bytes();
    let at = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let end = [&0x0605_4b50_u32.to_le_bytes()[..], &[0; 4], &count, &count, &length, &at, &[0; 2]].concat();
    [bytes, directory, end].concat()
}
