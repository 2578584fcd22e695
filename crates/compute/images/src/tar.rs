//! Reading tar files as they stream, and the heads of those that we write.
//!
//! Written for layers: whatever stands in front of an entry (long names, extended headers) is bounded, and nothing is
//! interpreted beyond what a layer needs. Sources: POSIX.1-2024, "pax", "ustar Interchange Format"; GNU tar manual,
//! "Extensions to the Archive Format".

use std::io::{self, Read};

use crate::limits::TAR_RECORDS_BYTES_MAX;

/// Everything in a tar file begins at a multiple of this.
pub(crate) const BLOCK_BYTES: usize = 512;
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// One thing in a tar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As it is written.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    /// Seconds since 1970.
    pub(crate) modified: i64,
    /// Bytes of its content, which follow.
    pub(crate) size: u64,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    /// With what it points to.
    SymbolicLink(Vec<u8>),
    /// With the path of an earlier entry.
    HardLink(Vec<u8>),
    /// A device, a named pipe.
    Special,
}

/// A tar file that is read from its beginning to its end.
pub(crate) struct Reader<R> {
    source: R,
    /// Of the last entry's content, with what fills its last block up.
    left: u64,
    padding: u64,
}

/// What precedes an entry and belongs to it.
#[derive(Default)]
struct Records {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<i64>,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, left: 0, padding: 0 }
    }

    /// The next entry; what is left of the last one's content is passed over. `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut records = Records::default();
        loop {
            self.pass_over()?;
            let Some(header) = self.read_header()? else { return Ok(None) };
            let size = number(&header[124..136])?;
            match header[156] {
                b'x' => {
                    let text = self.read_records(size)?;
                    read_extended(&text, &mut records)?;
                }
                b'g' => drop(self.read_records(size)?),
                b'L' => records.path = Some(until_zero(&self.read_records(size)?).to_vec()),
                b'K' => records.link = Some(until_zero(&self.read_records(size)?).to_vec()),
                kind => return self.entry(&header, kind, size, records).map(Some),
            }
        }
    }

    /// Reads of the entry's content.
    pub(crate) fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(cut_off());
        }
        self.left -= count as u64;
        Ok(count)
    }

    pub(crate) fn into_source(self) -> R {
        self.source
    }

    /// Reads whatever follows the end, so that the source is read whole.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut self.source, &mut io::sink()).map(drop)
    }

    fn entry(
        &mut self,
        header: &[u8; BLOCK_BYTES],
        kind: u8,
        size: u64,
        records: Records,
    ) -> io::Result<Entry> {
        let path = records.path.unwrap_or_else(|| plain_path(header));
        let link = || records.link.clone().unwrap_or_else(|| until_zero(&header[157..257]).to_vec());
        let size = records.size.unwrap_or(size);
        let kind = match kind {
            // Old archives mark folders by the end of their names.
            b'0' | 0 | b'7' if path.ends_with(b"/") => Kind::Folder,
            b'0' | 0 | b'7' => Kind::File,
            b'1' => Kind::HardLink(link()),
            b'2' => Kind::SymbolicLink(link()),
            b'3' | b'4' | b'6' => Kind::Special,
            b'5' => Kind::Folder,
            b'S' => return Err(wrong("it has a sparse file, in GNU's own form")),
            other => return Err(wrong(&format!("it has an entry of type {}", other.escape_ascii()))),
        };
        // Some writers give links the size of what they link to, and no content.
        let has_content = matches!(kind, Kind::File);
        let length = if has_content { size } else { 0 };
        self.set_left(length)?;
        Ok(Entry {
            path,
            kind,
            mode: u32::try_from(number(&header[100..108])? & 0o7777).unwrap_or(0),
            modified: match records.modified {
                Some(modified) => modified,
                None => i64::try_from(number(&header[136..148])?).unwrap_or(0),
            },
            size: length,
        })
    }

    fn set_left(&mut self, length: u64) -> io::Result<()> {
        self.left = length;
        self.padding = padding_of(length);
        length.checked_add(self.padding).map(drop).ok_or_else(|| wrong("an entry's size is no size"))
    }

    fn pass_over(&mut self) -> io::Result<()> {
        let length = self.left + self.padding;
        let passed = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
        (self.left, self.padding) = (0, 0);
        if passed < length { Err(cut_off()) } else { Ok(()) }
    }

    /// `None` at the end: a block of zeros, or nothing.
    fn read_header(&mut self) -> io::Result<Option<[u8; BLOCK_BYTES]>> {
        let mut header = [0; BLOCK_BYTES];
        let mut length = 0;
        while length < BLOCK_BYTES {
            match self.source.read(&mut header[length..])? {
                0 if length == 0 => return Ok(None),
                0 => return Err(cut_off()),
                count => length += count,
            }
        }
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if number(&header[CHECKSUM])? != u64::from(checksum(&header)) {
            return Err(wrong("a header's checksum is wrong"));
        }
        Ok(Some(header))
    }

    fn read_records(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > TAR_RECORDS_BYTES_MAX {
            return Err(wrong(&format!(
                "what precedes an entry has more than {TAR_RECORDS_BYTES_MAX} bytes"
            )));
        }
        self.set_left(size)?;
        let mut text = Vec::new();
        (&mut self.source).take(size).read_to_end(&mut text)?;
        if (text.len() as u64) < size {
            return Err(cut_off());
        }
        self.left = 0;
        Ok(text)
    }
}

/// The head of a file in a tar that we write: `path` has less than 100 bytes.
pub(crate) fn header_of(path: &str, size: u64) -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(136, "00000000000\0");
    put(156, "0");
    put(257, "ustar\x0000");
    if size < 1 << 33 {
        put(124, &format!("{size:011o}\0"));
    } else {
        // GNU's form for what eleven octal digits cannot hold.
        header[124] = 0x80;
        header[128..136].copy_from_slice(&size.to_be_bytes());
    }
    let sum = checksum(&header);
    header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// What fills the last block of so much content up.
pub(crate) fn padding_of(length: u64) -> u64 {
    length.wrapping_neg() % BLOCK_BYTES as u64
}

fn checksum(header: &[u8; BLOCK_BYTES]) -> u32 {
    let bytes = header.iter().enumerate();
    bytes.map(|(at, byte)| u32::from(if CHECKSUM.contains(&at) { b' ' } else { *byte })).sum()
}

/// Octal digits, or GNU's form for large numbers.
fn number(field: &[u8]) -> io::Result<u64> {
    if field[0] & 0x80 != 0 {
        let bytes = &field[field.len() - 8..];
        return Ok(u64::from_be_bytes(bytes.try_into().expect("these are eight")));
    }
    let digits = until_zero(field).trim_ascii();
    digits.iter().try_fold(0_u64, |value, byte| match byte {
        b'0'..=b'7' => Ok(value << 3 | u64::from(byte - b'0')),
        _ => Err(wrong("a number in a header is none")),
    })
}

fn plain_path(header: &[u8; BLOCK_BYTES]) -> Vec<u8> {
    let name = until_zero(&header[..100]);
    let prefix = until_zero(&header[345..500]);
    let is_ustar = &header[257..263] == b"ustar\0";
    if is_ustar && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
}

/// `LENGTH KEY=VALUE\n`, again and again.
fn read_extended(mut text: &[u8], records: &mut Records) -> io::Result<()> {
    let malformed = || wrong("an extended header cannot be read");
    while !text.is_empty() {
        let space = text.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let length = std::str::from_utf8(&text[..space]).ok().and_then(|text| text.parse::<usize>().ok());
        let length =
            length.filter(|length| *length > space + 1 && *length <= text.len()).ok_or_else(malformed)?;
        let record = text[space + 1..length].strip_suffix(b"\n").ok_or_else(malformed)?;
        text = &text[length..];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        let whole = || std::str::from_utf8(value).ok().and_then(|text| text.split('.').next());
        match key {
            b"path" => records.path = Some(value.to_vec()),
            b"linkpath" => records.link = Some(value.to_vec()),
            b"size" => {
                records.size = Some(whole().and_then(|text| text.parse().ok()).ok_or_else(malformed)?);
            }
            b"mtime" => records.modified = whole().and_then(|text| text.parse().ok()),
            _ if key.starts_with(b"GNU.sparse.") => {
                return Err(wrong("it has a sparse file, in GNU's own form"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn until_zero(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends in the middle")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes = header_of(path, content.len() as u64).to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len() + usize::try_from(padding_of(content.len() as u64)).unwrap(), 0);
        bytes
    }

    /// A header of another type.
    fn typed(path: &str, kind: u8, size: u64) -> Vec<u8> {
        let mut header = header_of(path, size);
        header[156] = kind;
        let sum = checksum(&header);
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header.to_vec()
    }

    fn paths(bytes: &[u8]) -> io::Result<Vec<(String, Kind, u64)>> {
        let mut reader = Reader::new(bytes);
        let mut found = Vec::new();
        while let Some(entry) = reader.next()? {
            found.push((String::from_utf8(entry.path).unwrap(), entry.kind, entry.size));
        }
        Ok(found)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = [file("a", b"hello"), file("b/c", &[7; 512]), vec![0; 1024]].concat();
        let expected = vec![("a".to_owned(), Kind::File, 5), ("b/c".to_owned(), Kind::File, 512)];
        assert_eq!(paths(&bytes).unwrap(), expected);
        let mut reader = Reader::new(bytes.as_slice());
        reader.next().unwrap();
        let mut content = [0; 100];
        assert_eq!(reader.read_content(&mut content).unwrap(), 5);
        assert_eq!(&content[..5], b"hello");
        assert_eq!(reader.read_content(&mut content).unwrap(), 0);
        bytes.truncate(600);
        assert_eq!(paths(&bytes).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(number(&header_of("x", 9 << 30)[124..136]).unwrap(), 9 << 30);
    }

    #[test]
    fn long_names_come_before_their_entries() {
        let long = "d/".repeat(150) + "f";
        let gnu = [typed("././@LongLink", b'L', long.len() as u64), long.clone().into_bytes()].concat();
        let mut gnu = gnu;
        gnu.resize(1024, 0);
        assert_eq!(paths(&[gnu, file("short", b"")].concat()).unwrap()[0].0, long);
        let record = format!("{} path={long}\n", long.len() + 10);
        assert_eq!(record.len(), long.len() + 10);
        let mut pax = [typed("pax", b'x', record.len() as u64), record.into_bytes()].concat();
        pax.resize(1024, 0);
        assert_eq!(paths(&[pax, file("short", b"1")].concat()).unwrap(), [(long, Kind::File, 1)]);
    }

    #[test]
    fn what_is_no_tar_is_refused() {
        let mut damaged = file("a", b"hello");
        damaged[0] = b'b';
        for bytes in [
            damaged,
            vec![1; 2048],
            typed("x", b'x', 2 << 20),
            typed("L", b'L', u64::from(u32::MAX)),
            typed("sparse", b'S', 0),
            typed("what", b'?', 0),
            [typed("x", b'x', 8), b"99 a=bc\n".to_vec(), vec![0; 504]].concat(),
        ] {
            assert!(paths(&bytes).is_err());
        }
    }

    #[test]
    fn only_files_have_content() {
        let found = paths(&[typed("l", b'1', 4096), file("f", b"1")].concat()).unwrap();
        assert_eq!(found[0], ("l".to_owned(), Kind::HardLink(Vec::new()), 0));
        assert_eq!(found[1].1, Kind::File);
    }
}
