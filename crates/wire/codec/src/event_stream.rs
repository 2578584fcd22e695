//! Messages of `application/vnd.amazon.eventstream`: what an operation answers piece by piece.
//!
//! A message is two lengths and their checksum, headers, a payload, and a checksum over all of it.
//! Source: Smithy, "Amazon Event Stream Specification".

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::CrcAlgorithm;

use crate::{JsonWriter, Writable};

/// The content type of a response that is made of such messages.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
/// Two lengths and a checksum.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
/// How headers say that a value is text.
const TEXT: u8 = 7;

/// An event whose one member is its payload, as `PayloadChunk`; at most 16 MiB.
pub fn blob_event(event_type: &str, payload: &[u8]) -> Bytes {
    message(event_type, "application/octet-stream", payload)
}

/// An event whose members are written as JSON.
pub fn json_event(event_type: &str, event: &dyn Writable) -> Bytes {
    let mut writer = JsonWriter::default();
    event.write(&mut writer);
    message(event_type, "application/json", &writer.finish())
}

fn message(event_type: &str, content_type: &str, payload: &[u8]) -> Bytes {
    let headers = [(":event-type", event_type), (":content-type", content_type), (":message-type", "event")];
    let header_bytes: usize = headers.iter().map(|(name, value)| 1 + name.len() + 3 + value.len()).sum();
    let total = PRELUDE_BYTES + header_bytes + payload.len() + CHECKSUM_BYTES;
    let mut out = BytesMut::with_capacity(total);
    out.put_u32(length(total));
    out.put_u32(length(header_bytes));
    out.put_u32(crc32(&out));
    for (name, value) in headers {
        out.put_u8(u8::try_from(name.len()).expect("the names are short"));
        out.put_slice(name.as_bytes());
        out.put_u8(TEXT);
        out.put_u16(u16::try_from(value.len()).expect("types are short texts of the model"));
        out.put_slice(value.as_bytes());
    }
    out.put_slice(payload);
    out.put_u32(crc32(&out));
    out.freeze()
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("callers cut payloads into messages of few bytes")
}

/// CRC-32 as zlib and Ethernet have it.
pub fn crc32(bytes: &[u8]) -> u32 {
    u32::try_from(crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, bytes)).expect("CRC-32 has 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification's own test vectors (`payload_no_headers` has none, so lengths and checksums are computed
    /// by hand here): the checksum of the prelude 0x0000001d 0x00000000 is 0xfd528c5a.
    #[test]
    fn checksums_are_those_of_the_specification() {
        assert_eq!(crc32(&[0, 0, 0, 0x1d, 0, 0, 0, 0]), 0xfd52_8c5a);
        let mut whole = vec![0, 0, 0, 0x1d, 0, 0, 0, 0, 0xfd, 0x52, 0x8c, 0x5a];
        whole.extend_from_slice(b"{'foo':'bar'}");
        assert_eq!(crc32(&whole), 0xc365_3936);
    }

    #[test]
    fn a_message_says_how_long_its_parts_are() {
        let bytes = blob_event("PayloadChunk", b"abc");
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(number(0) as usize, bytes.len());
        let headers = &bytes[12..12 + number(4) as usize];
        assert!(headers.starts_with(b"\x0b:event-type\x07\x00\x0cPayloadChunk\x0d:content-type\x07"));
        assert!(headers.ends_with(b"\x0d:message-type\x07\x00\x05event"));
        assert_eq!(&bytes[12 + headers.len()..bytes.len() - 4], b"abc");
        assert_eq!(number(bytes.len() - 4), crc32(&bytes[..bytes.len() - 4]));
    }
}
