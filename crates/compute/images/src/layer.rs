//! A layer's bytes, unpacked and counted.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::limits::{PIECE_BYTES, ZSTD_WINDOW_MAX};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A zstd frame that holds nothing of the content begins with one of sixteen numbers.
const SKIPPED_MAGIC: [u8; 3] = [0x2a, 0x4d, 0x18];

/// What comes out of a layer, whose digest is known when everything has.
pub(crate) struct Unpacked<R> {
    source: Packing<R>,
    hasher: Sha256,
    /// How many more bytes may come, of this layer and those after it.
    room: u64,
}

enum Packing<R> {
    Plain(BufReader<R>),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zstd(Box<Frames<R>>),
}

/// Zstandard frames one after the other.
struct Frames<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    /// Whether a frame was begun and is not at its end.
    is_within: bool,
}

impl<R: Read> Unpacked<R> {
    /// How a layer is packed is said by its first bytes; `room` is how many bytes may come out.
    pub(crate) fn new(source: R, room: u64) -> io::Result<Self> {
        let mut source = BufReader::with_capacity(PIECE_BYTES, source);
        let mut first = [0; 4];
        let known = peek(&mut source, &mut first)?;
        let is_zstd = first == ZSTD_MAGIC || first[1..] == SKIPPED_MAGIC && first[0] >> 4 == 5;
        let source = match &first[..known] {
            [a, b, ..] if [*a, *b] == GZIP_MAGIC => Packing::Gzip(Box::new(MultiGzDecoder::new(source))),
            _ if known == first.len() && is_zstd => {
                let mut decoder = FrameDecoder::new();
                decoder.set_max_window_size(ZSTD_WINDOW_MAX);
                Packing::Zstd(Box::new(Frames { source, decoder, is_within: false }))
            }
            _ => Packing::Plain(source),
        };
        Ok(Self { source, hasher: Sha256::new(), room })
    }

    /// The digest of all that came out, and how many more bytes may; to be asked at the end.
    pub(crate) fn finish(self) -> (Digest, u64) {
        (Digest::finish(self.hasher), self.room)
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.source {
            Packing::Plain(source) => source.read(buffer)?,
            Packing::Gzip(source) => source.read(buffer)?,
            Packing::Zstd(source) => source.read(buffer)?,
        };
        let too_large =
            || io::Error::new(io::ErrorKind::FileTooLarge, "it unpacks to more than an image may have");
        self.room = self.room.checked_sub(count as u64).ok_or_else(too_large)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            while !self.is_within {
                if self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.begin()?;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded =
                    self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| malformed(&error))?;
            }
            match self.decoder.read(buffer)? {
                0 => self.is_within = false,
                count => return Ok(count),
            }
        }
    }
}

impl<R: Read> Frames<R> {
    fn begin(&mut self) -> io::Result<()> {
        match self.decoder.init(&mut self.source) {
            Ok(()) => self.is_within = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let skipped = io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                if skipped < u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(malformed(&error)),
        }
        Ok(())
    }
}

fn malformed(error: &FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// Copies the first bytes without taking them; gives how many there are.
fn peek<R: Read>(source: &mut BufReader<R>, first: &mut [u8]) -> io::Result<usize> {
    // One read gives them all, or the source is shorter, or it is a pipe that is too slow to be worth more care.
    let there = source.fill_buf()?;
    let known = there.len().min(first.len());
    first[..known].copy_from_slice(&there[..known]);
    Ok(known)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn unpacked(bytes: &[u8], room: u64) -> io::Result<(Vec<u8>, Digest, u64)> {
        let mut layer = Unpacked::new(bytes, room)?;
        let mut all = Vec::new();
        layer.read_to_end(&mut all)?;
        let (digest, room) = layer.finish();
        Ok((all, digest, room))
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_packing_gives_the_same() {
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let (one, two) = content.split_at(1_000);
        let skipped = [[0x5a, 0x2a, 0x4d, 0x18].as_slice(), &3_u32.to_le_bytes(), b"abc"].concat();
        for packed in [
            content.clone(),
            gzip(&content),
            [gzip(one), gzip(two)].concat(),
            zstd(&content),
            [skipped.clone(), zstd(one), skipped, zstd(two)].concat(),
        ] {
            let (all, digest, room) = unpacked(&packed, 1_000_000).unwrap();
            assert!(all == content);
            assert_eq!((digest, room), (Digest::of(&content), 600_000));
        }
    }

    #[test]
    fn bombs_are_stopped_and_halves_are_no_layers() {
        let content = vec![0; 1_000_000];
        for packed in [gzip(&content), zstd(&content), content.clone()] {
            assert_eq!(unpacked(&packed, 999_999).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        }
        for packed in [gzip(&content), zstd(&content)] {
            assert!(unpacked(&packed[..packed.len() - 3], 1_000_000).is_err());
        }
    }
}
