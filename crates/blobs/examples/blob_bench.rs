//! One large blob in and out: `cargo run --release -p lambent-blobs --example blob_bench [MIB]`.

use std::time::Duration;

use bytes::Bytes;
use lambent_base::{Clock, Random};
use lambent_blobs::{BlobOptions, BlobStore};

type AnyError = Box<dyn std::error::Error>;

const PIECE_BYTES: usize = 64 * 1024;
const SMALL_BYTES: usize = 100 * 1024;
const SMALL_BLOBS: u32 = 200;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let mib = std::env::args().nth(1).map_or(Ok(1024), |text| text.parse::<u64>())?;
    let directory = tempfile::tempdir_in(".")?;
    let clock = Clock::system();
    let store = BlobStore::open(directory.path(), BlobOptions::default(), clock.clone(), Random::system())?;
    let mut piece = vec![0; PIECE_BYTES];
    Random::seeded(1).fill(&mut piece);
    let piece = Bytes::from(piece);

    let started = clock.monotonic();
    let mut writer = store.create();
    for _ in 0..mib * 1024 * 1024 / PIECE_BYTES as u64 {
        writer.write(piece.clone()).await?;
    }
    let blob = writer.finish().await?;
    report("write", mib, clock.monotonic() - started);
    for _ in 0..3 {
        let started = clock.monotonic();
        let mut reader = store.open_range(blob.id, 0..blob.length).await?;
        while let Some(piece) = reader.next().await? {
            std::hint::black_box(&piece);
        }
        report("read", mib, clock.monotonic() - started);
    }
    let started = clock.monotonic();
    for _ in 0..SMALL_BLOBS {
        let mut writer = store.create();
        writer.write(piece.clone()).await?;
        writer.write(piece.slice(..SMALL_BYTES - PIECE_BYTES)).await?;
        writer.finish().await?;
    }
    println!(
        "100 KiB blobs: {:.2} ms each",
        (clock.monotonic() - started).as_secs_f64() * 1e3 / f64::from(SMALL_BLOBS)
    );
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    Ok(())
}

fn report(what: &str, mib: u64, took: Duration) {
    println!("{what} {mib} MiB: {:.2} s, {:.0} MiB/s", took.as_secs_f64(), mib as f64 / took.as_secs_f64());
}
