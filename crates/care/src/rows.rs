//! Rows out of a store into a file, and back.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use bytes::Bytes;
use lambent_store::Db;
use tokio::sync::mpsc;

use crate::dump::{DumpError, DumpReader, DumpStream, Header, Totals};
use crate::error::CareError;

/// Rows are read ahead of a store that is slower, so many times so many bytes.
const BATCHES_AHEAD: usize = 8;
const BATCH_BYTES: usize = 1024 * 1024;
/// What a row takes in memory beside its bytes.
const ROW_BYTES: usize = 64;

/// Writes a dump to an open file; `progress` is told of its bytes so far.
pub async fn write_dump(
    mut dump: DumpStream,
    to: &mut File,
    path: &Path,
    mut progress: impl FnMut(u64),
) -> Result<(), CareError> {
    let mut written = 0;
    while let Some(piece) = dump.next().await? {
        to.write_all(&piece).map_err(CareError::io("write", path))?;
        written += piece.len() as u64;
        progress(written);
    }
    Ok(())
}

/// Reads a dump from its first byte to its last; `see` is shown every row.
pub async fn verify_dump(
    path: &Path,
    mut see: impl FnMut(&Bytes, &Bytes) + Send + 'static,
) -> Result<(Header, Totals), CareError> {
    let path = path.to_owned();
    let verified = tokio::task::spawn_blocking(move || {
        let mut reader = open_dump(&path)?;
        while let Some((key, value)) = reader.next_row().map_err(CareError::dump(&path))? {
            see(&key, &value);
        }
        Ok((reader.header().clone(), reader.totals()))
    });
    verified.await.unwrap_or(Err(CareError::CutOff))
}

/// Brings the rows of a dump into an empty store. `before_whole` runs when all rows are in and the store still refuses to
/// be used; when it fails, or the process ends, the store stays so.
///
/// The dump is read twice: no row goes in before all of it was found whole.
pub async fn import_dump<Fut>(
    db: &Db,
    path: &Path,
    mut progress: impl FnMut(u64),
    before_whole: impl FnOnce() -> Fut,
) -> Result<(Header, Totals), CareError>
where
    Fut: Future<Output = Result<(), CareError>>,
{
    let (header, totals) = verify_dump(path, |_, _| {}).await?;
    let mut import = db.import().await?;
    let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
    let own = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || read_batches(&own, &sender));
    let mut done = 0;
    while let Some(batch) = batches.recv().await {
        for (key, value) in batch {
            import.put(key, value).await?;
            done += 1;
        }
        progress(done);
    }
    reading.await.unwrap_or(Err(CareError::CutOff))?;
    // What comes now may read and change them.
    import.flush().await?;
    before_whole().await?;
    import.finish(header.version).await?;
    Ok((header, totals))
}

/// Sends all rows of a dump, as long as somebody takes them.
fn read_batches(path: &Path, to: &mpsc::Sender<Vec<(Bytes, Bytes)>>) -> Result<(), CareError> {
    let mut reader = open_dump(path)?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some((key, value)) = reader.next_row().map_err(CareError::dump(path))? {
        bytes += ROW_BYTES + key.len() + value.len();
        batch.push((key, value));
        if bytes >= BATCH_BYTES {
            bytes = 0;
            if to.blocking_send(std::mem::take(&mut batch)).is_err() {
                return Ok(());
            }
        }
    }
    // Whoever takes them has failed, and says why.
    let _ = to.blocking_send(batch);
    Ok(())
}

fn open_dump(path: &Path) -> Result<DumpReader<BufReader<File>>, CareError> {
    let file = File::open(path).map_err(CareError::io("open", path))?;
    DumpReader::open(BufReader::with_capacity(1 << 20, file))
        .map_err(|source: DumpError| CareError::dump(path)(source))
}
