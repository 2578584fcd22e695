//! What a running cloud answers to the commands that take care of its data; for the root key alone.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use lambent_api::{ApiError, Body, ByteStream};
use lambent_base::Clock;
use lambent_bus::pins;
use lambent_care::DumpStream;
use lambent_gateway::RootPath;
use lambent_store::{Db, KeyRange, StoreError};
use tokio::sync::mpsc;

/// Pieces of a dump that wait for a slow reader.
const PIECES_AHEAD: usize = 4;

/// The paths.
pub(crate) fn paths(db: &Db, clock: &Clock) -> Vec<RootPath> {
    vec![export(db.clone()), pin(db.clone(), clock.clone())]
}

/// Rows of all services that speak of processes which run now: no dump has them.
pub(crate) fn process_rows() -> Vec<KeyRange> {
    [pins::process_rows(), lambent_s3::process_rows()].concat()
}

/// `/_lambent/export`: a dump of all rows.
fn export(db: Db) -> RootPath {
    RootPath {
        path: lambent_cli::care::EXPORT_PATH,
        handler: Arc::new(move |_, _| {
            let db = db.clone();
            Box::pin(async move {
                let export = db.export().await.map_err(|error| failed(&error))?;
                let dump = DumpStream::new(export, process_rows()).await;
                let dump = dump.map_err(|error| failed(&error))?;
                let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
                tokio::spawn(send(dump, sender));
                Ok(Body::stream(Pieces(pieces), None))
            })
        }),
    }
}

/// `/_lambent/pin?id=HEX` sets or renews a pin, `/_lambent/pin?id=HEX&remove` removes it.
fn pin(db: Db, clock: Clock) -> RootPath {
    RootPath {
        path: lambent_cli::care::PIN_PATH,
        handler: Arc::new(move |_, query| {
            let (db, clock) = (db.clone(), clock.clone());
            Box::pin(async move {
                let mut words = query.split('&');
                let id = words.next().and_then(|word| word.strip_prefix("id=")).and_then(pins::read_id);
                let id = id.ok_or_else(|| {
                    ApiError::client("ValidationException", "id is not 32 hexadecimal digits")
                })?;
                let done = match words.next() {
                    Some("remove") => pins::remove(&db, &id).await,
                    _ => pins::set(&db, &id, clock.unix_ms()).await,
                };
                done.map_err(|error| failed(&error))?;
                Ok(Body::from(Bytes::from_static(b"{}")))
            })
        }),
    }
}

/// Who has the root key is told what is wrong.
fn failed(error: &StoreError) -> ApiError {
    ApiError::new("StoreFailed", 503, error.to_string())
}

async fn send(mut dump: DumpStream, sender: mpsc::Sender<Result<Bytes, ApiError>>) {
    loop {
        let piece = match dump.next().await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "an export broke off");
                Err(failed(&error))
            }
        };
        let is_last = piece.is_err();
        // The reader may have gone.
        if sender.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

struct Pieces(mpsc::Receiver<Result<Bytes, ApiError>>);

impl ByteStream for Pieces {
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        self.0.poll_recv(cx)
    }
}
