//! Dumps come back as they were, and no damage goes unnoticed.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

use std::collections::BTreeMap;

use bytes::Bytes;
use lambent_base::{Clock, Random};
use lambent_care::{DumpEncoder, DumpError, DumpReader, DumpStream, Header};
use lambent_store::{Db, KeyRange, StoreError, Version};
use proptest::prelude::*;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn dump(header: &Header, rows: &Rows) -> Vec<u8> {
    let (mut encoder, first) = DumpEncoder::new(header);
    let mut bytes = first.to_vec();
    for (key, value) in rows {
        bytes.extend(encoder.row(key, value).into_iter().flatten());
    }
    bytes.extend(encoder.finish().0);
    bytes
}

fn read(bytes: &[u8]) -> Result<(Header, Rows), DumpError> {
    let mut reader = DumpReader::open(bytes)?;
    let mut rows = Rows::new();
    while let Some((key, value)) = reader.next_row()? {
        rows.insert(key.to_vec(), value.to_vec());
    }
    Ok((reader.header().clone(), rows))
}

fn header() -> Header {
    Header { version: Version(81), cloud_id: "0123456789abcdef".to_owned() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_rows_come_back(
        rows in proptest::collection::btree_map(
            proptest::collection::vec(any::<u8>(), 1..40), proptest::collection::vec(any::<u8>(), 0..3000), 0..300),
        version in any::<u64>(),
        cloud_id in "[a-z0-9]{0,32}",
    ) {
        let header = Header { version: Version(version), cloud_id };
        let bytes = dump(&header, &rows);
        prop_assert_eq!(&dump(&header, &rows), &bytes);
        prop_assert_eq!(read(&bytes).unwrap(), (header, rows));
    }
}

fn some_rows(count: u32, value_bytes: usize) -> Rows {
    (0..count).map(|n| (format!("key/{n:05}").into_bytes(), vec![n.to_le_bytes()[0]; value_bytes])).collect()
}

#[test]
fn a_cut_is_named_wherever_it_is() {
    let bytes = dump(&header(), &some_rows(9, 20));
    for length in 0..bytes.len() {
        match read(&bytes[..length]) {
            Err(DumpError::Truncated { at, .. }) => assert!(at <= length as u64, "cut to {length}"),
            other => panic!("cut to {length}: {other:?}"),
        }
    }
    // Between blocks too, where everything read so far is whole.
    let rows = some_rows(500, 2_000);
    let bytes = dump(&header(), &rows);
    let starts: Vec<usize> = block_starts(&bytes);
    assert!(starts.len() > 3);
    for start in starts {
        assert!(matches!(read(&bytes[..start]), Err(DumpError::Truncated { .. })), "cut to {start}");
    }
}

/// Where the blocks begin, by their own lengths.
fn block_starts(bytes: &[u8]) -> Vec<usize> {
    let mut at = 8 + 4 + 8 + 2 + header().cloud_id.len() + 4;
    let mut starts = Vec::new();
    while bytes[at] == b'B' {
        starts.push(at);
        let length = u32::from_le_bytes(bytes[at + 5..at + 9].try_into().unwrap());
        at += 9 + length as usize + 4;
    }
    starts.push(at);
    starts
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = dump(&header(), &some_rows(9, 20));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(read(&damaged).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_block_too_few_or_too_many_is_noticed() {
    let bytes = dump(&header(), &some_rows(500, 2_000));
    let starts = block_starts(&bytes);
    let mut without = bytes.clone();
    without.drain(starts[1]..starts[2]);
    assert!(matches!(read(&without), Err(DumpError::Damaged { .. })));
    let mut twice = bytes.clone();
    twice.splice(starts[1]..starts[1], bytes[starts[1]..starts[2]].iter().copied());
    assert!(matches!(read(&twice), Err(DumpError::Damaged { .. })));
    let more = [&bytes[..], b"x"].concat();
    assert!(matches!(read(&more), Err(DumpError::Damaged { .. })));
}

#[test]
fn other_files_are_refused_by_name() {
    assert!(matches!(read(b"PK\x03\x04 a zip"), Err(DumpError::Foreign)));
    let mut newer = dump(&header(), &Rows::new());
    newer[8] = 9;
    let refused = read(&newer).unwrap_err();
    assert!(matches!(refused, DumpError::Format { found: 9 }), "{refused}");
}

async fn store(rows: &Rows) -> Db {
    let db = Db::memory(Clock::system(), Random::system());
    let mut import = db.import().await.unwrap();
    for (key, value) in rows {
        import.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)).await.unwrap();
    }
    import.finish(Version(9)).await.unwrap();
    db
}

async fn dump_of(db: &Db, without: Vec<KeyRange>) -> Vec<u8> {
    let mut stream = DumpStream::new(db.export().await.unwrap(), without).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert!(stream.totals().is_some());
    bytes
}

#[tokio::test]
async fn a_store_is_dumped_whole_but_for_what_stays_behind() {
    let mut rows = some_rows(12_000, 100);
    rows.insert(b"cloud/id".to_vec(), b"this one".to_vec());
    let db = store(&rows).await;
    let (header, read_back) = read(&dump_of(&db, vec![]).await).unwrap();
    assert_eq!(header, Header { version: Version(9), cloud_id: "this one".to_owned() });
    assert_eq!(read_back, rows);
    let without = vec![KeyRange::prefix(b"key/00")];
    rows.retain(|key, _| !key.starts_with(b"key/00"));
    assert_eq!(read(&dump_of(&db, without).await).unwrap().1, rows);
}

#[tokio::test]
async fn another_store_of_the_same_content_gives_the_same_bytes() {
    let rows = some_rows(3_000, 500);
    let first = dump_of(&store(&rows).await, vec![]).await;
    let again = Db::memory(Clock::system(), Random::system());
    // In another order, one by one, and with changes on the way.
    for (key, value) in rows.iter().rev() {
        again
            .run(|txn| async move {
                txn.put(key, value);
                txn.put(b"passing", b"");
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
    }
    let cleared = again.clear(&KeyRange::prefix(b"passing")).await.unwrap();
    assert_eq!(cleared, 1);
    let mut second = dump_of(&again, vec![]).await;
    // The version tells them apart; everything after the header is the same.
    let header_bytes = 8 + 4 + 8 + 2 + 4;
    let digest = first.len() - 36..;
    assert!(first[header_bytes..digest.start] == second[header_bytes..digest.start]);
    second.truncate(digest.start);
    assert!(matches!(read(&second), Err(DumpError::Truncated { .. })));
}
