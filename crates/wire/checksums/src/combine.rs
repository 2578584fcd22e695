//! The CRC of two byte strings, one behind the other, from the CRCs of the two.
//!
//! Zero bytes behind a string change its CRC by a linear map. The maps of 1, 2, 4, ... bytes are made once, so that a
//! part of any size is a few of them applied; squaring them anew takes a thousand times as long, which ten thousand
//! parts feel.

use std::sync::LazyLock;

use crc_fast::CrcAlgorithm;

/// What each bit of a CRC becomes.
type Map = [u64; 64];
/// The maps of 2^0, 2^1, ... zero bytes.
type Maps = [Map; 64];

static CRC32: LazyLock<Box<Maps>> = LazyLock::new(|| maps(0xedb8_8320));
static CRC32C: LazyLock<Box<Maps>> = LazyLock::new(|| maps(0x82f6_3b78));
static CRC64_NVME: LazyLock<Box<Maps>> = LazyLock::new(|| maps(0x9a6c_9329_ac4b_c9b5));

/// The CRC of a string whose first part has the CRC `first`, and whose second has `second` and this many bytes.
pub(crate) fn combine(crc: CrcAlgorithm, first: u64, second: u64, second_bytes: u64) -> u64 {
    let maps = match crc {
        CrcAlgorithm::Crc32IsoHdlc => &*CRC32,
        CrcAlgorithm::Crc32Iscsi => &*CRC32C,
        CrcAlgorithm::Crc64Nvme => &*CRC64_NVME,
        other => return crc_fast::checksum_combine(other, first, second, second_bytes),
    };
    let shifted = bits(second_bytes).fold(first, |value, power| apply(&maps[power], value));
    shifted ^ second
}

/// For a polynomial in the bit order of the CRC, the lowest bit being the highest power.
fn maps(polynomial: u64) -> Box<Maps> {
    let mut maps = Box::new([[0; 64]; 64]);
    maps[0] = std::array::from_fn(|bit| {
        (0..8).fold(1 << bit, |value: u64, _| (value >> 1) ^ (polynomial * (value & 1)))
    });
    for power in 1..maps.len() {
        let half = maps[power - 1];
        maps[power] = half.map(|value| apply(&half, value));
    }
    maps
}

fn apply(map: &Map, value: u64) -> u64 {
    bits(value).fold(0, |sum, bit| sum ^ map[bit])
}

/// The places of the bits that are set.
fn bits(mut value: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (value != 0).then_some(value.trailing_zeros() as usize)?;
        value &= value - 1;
        Some(lowest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combining_is_the_crc_of_both() {
        for crc in [CrcAlgorithm::Crc32IsoHdlc, CrcAlgorithm::Crc32Iscsi, CrcAlgorithm::Crc64Nvme] {
            let whole: Vec<u8> = (0..5000_u32).map(|at| (at * at % 251) as u8).collect();
            for at in [0, 1, 7, 4095, 4999, 5000] {
                let (first, second) = whole.split_at(at);
                let of = |bytes: &[u8]| crc_fast::checksum(crc, bytes);
                assert_eq!(
                    combine(crc, of(first), of(second), second.len() as u64),
                    of(&whole),
                    "{crc:?} {at}"
                );
            }
            for bytes in [0, 1, 5 << 20, (5 << 30) - 1, 5 << 30, 50_000_000_000_000] {
                let expected = crc_fast::checksum_combine(crc, 0x1234_5678, 0x8765_4321, bytes);
                assert_eq!(combine(crc, 0x1234_5678, 0x8765_4321, bytes), expected, "{crc:?} {bytes}");
            }
        }
    }
}
