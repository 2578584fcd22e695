//! Lines that the platform itself writes: those of functions.

use std::sync::Arc;

use lambent_api::PlatformWork;
use lambent_base::Place;
use lambent_store::Txn;

use crate::chunk::{Line, counted_bytes};
use crate::rows::{self, GroupRow, StreamRow};
use crate::{Logs, LogsError, keys, put};

/// How much one transaction takes: below the store's limit, with room for keys.
const TXN_BYTES_MAX: usize = 2 << 20;
const TXN_LINES_MAX: usize = 20_000;

/// Lines of one log stream.
#[derive(Clone, Debug)]
pub struct StreamLines {
    pub place: Place,
    /// As `/aws/lambda/NAME`.
    pub log_group: Arc<str>,
    pub log_stream: Arc<str>,
    /// Milliseconds since 1970, and the line as it was written, at most 1 MiB.
    pub events: Vec<(i64, String)>,
}

/// Some of the lines of a [`StreamLines`].
struct Piece<'a> {
    of: &'a StreamLines,
    events: &'a [(i64, String)],
}

impl Logs {
    /// Stores the lines, in as few transactions as there can be; makes groups and streams that are not there.
    /// What cannot be stored is lost, and reported to the operator with the number of lines: whoever kept it would have
    /// to stop the functions of all when a disk is full.
    pub async fn write(&self, work: &PlatformWork, batches: Vec<StreamLines>) {
        for pieces in transactions(&batches) {
            if let Err(error) = self.write_pieces(work, &pieces).await {
                let lines: usize = pieces.iter().map(|piece| piece.events.len()).sum();
                let group = pieces.first().map_or("", |piece| &piece.of.log_group);
                tracing::error!(%error, lines, first_group = group, "log lines of functions were lost");
            }
        }
    }

    async fn write_pieces(&self, work: &PlatformWork, pieces: &[Piece<'_>]) -> Result<(), LogsError> {
        let now_ms = self.clock.unix_ms();
        let group_id = self.random.u64();
        self.rows
            .of_platform(work)
            .run(|txn| async move {
                for (fresh, piece) in (0..).zip(pieces) {
                    let StreamLines { place, log_group, log_stream, .. } = piece.of;
                    // Several groups may be new: the number of each is drawn before, so that a retry draws the same.
                    let fresh_id = group_id.wrapping_add(fresh);
                    let group = ensure_group(&txn, place, log_group, fresh_id, now_ms).await?;
                    let mut row = ensure_stream(&txn, group.id, log_stream, now_ms).await?;
                    let mut lines: Vec<Line<'_>> = piece
                        .events
                        .iter()
                        .map(|(time_ms, message)| Line { time_ms: *time_ms, message })
                        .collect();
                    lines.sort_by_key(|line| line.time_ms);
                    put::append(&txn, group.id, log_stream, &mut row, &lines, now_ms);
                }
                Ok(())
            })
            .await
    }
}

async fn ensure_group(
    txn: &Txn,
    place: &Place,
    name: &str,
    fresh_id: u64,
    now_ms: i64,
) -> Result<GroupRow, LogsError> {
    if let Some(group) = rows::find_group(txn, place, name).await? {
        return Ok(group);
    }
    let group = GroupRow::new(fresh_id, now_ms);
    txn.put(&keys::group(place, name), &rows::encode(&group));
    Ok(group)
}

async fn ensure_stream(txn: &Txn, group: u64, name: &str, now_ms: i64) -> Result<StreamRow, LogsError> {
    let found = rows::find_stream(txn, group, name).await?;
    Ok(found.unwrap_or(StreamRow { created_ms: now_ms, ..StreamRow::default() }))
}

/// Cuts the batches into what single transactions hold.
fn transactions(batches: &[StreamLines]) -> Vec<Vec<Piece<'_>>> {
    let mut transactions = Vec::new();
    let mut pieces = Vec::new();
    let (mut bytes, mut lines) = (0, 0);
    for of in batches {
        let mut start = 0;
        for (at, (_, message)) in of.events.iter().enumerate() {
            let size = counted_bytes(message);
            if lines > 0 && (bytes + size > TXN_BYTES_MAX || lines >= TXN_LINES_MAX) {
                pieces.push(Piece { of, events: &of.events[start..at] });
                transactions.push(std::mem::take(&mut pieces));
                (bytes, lines, start) = (0, 0, at);
            }
            bytes += size;
            lines += 1;
        }
        pieces.push(Piece { of, events: &of.events[start..] });
    }
    transactions.push(pieces);
    transactions.iter_mut().for_each(|pieces| pieces.retain(|piece| !piece.events.is_empty()));
    transactions.retain(|pieces| !pieces.is_empty());
    transactions
}
