//! Whose turn it is: only one command at a time changes a place of backups.
//!
//! Where the operating system cannot keep a second command out, as in a bucket, the place has a [`Slot`]: a few bytes that
//! say who changes the place and until when. They are written only over what was seen before, so of two one is refused.
//! The holder renews them; a holder that died is in nobody's way once they have run out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{BoxFuture, Clock, Random, text};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::CareError;
use crate::backup::Backups;

/// How long a turn lasts unless it is renewed. Clocks of hosts that use one place may differ by some minutes.
pub const STANDS_FOR: Duration = Duration::from_secs(300);
/// How often a turn is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(60);
/// How often a write is tried whose answers are lost.
const WRITES_MAX: u32 = 3;
/// Characters of a holder's name that are shown.
const HOLDER_MAX: usize = 200;
const ID_BYTES: usize = 16;

/// Tells one content of a slot from every other, as an ETag does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(pub String);

/// A few bytes in a place, which are replaced only if they still are what was seen.
pub trait Slot: Send + Sync {
    /// What it holds; `None` before the first write.
    fn read(&self) -> BoxFuture<'_, Result<Option<(Bytes, Mark)>, CareError>>;

    /// Writes if what it holds still is `over`, nothing if that is `None`; gives the new mark, or `None` if it is not.
    fn write(&self, bytes: Bytes, over: Option<Mark>) -> BoxFuture<'_, Result<Option<Mark>, CareError>>;
}

/// The right to change a place of backups; renewed until it ends or is dropped.
pub struct Turn(Option<Renewed>);

struct Renewed {
    held: Arc<Held>,
    renewing: JoinHandle<()>,
}

struct Held {
    slot: Arc<dyn Slot>,
    clock: Clock,
    place: String,
    id: String,
    holder: String,
    /// `None` when another has the turn.
    state: Mutex<Option<State>>,
}

struct State {
    mark: Mark,
    until_ms: i64,
}

/// What a slot says, as JSON.
#[derive(Serialize, Deserialize)]
struct Claim {
    id: String,
    /// For people.
    holder: String,
    /// Milliseconds since 1970; 0 when the turn has ended.
    until_ms: i64,
}

impl Backups {
    /// Takes the turn to change this place. `holder` tells people who has it.
    ///
    /// Errors: `InUse` while another has it.
    pub async fn begin(&self, holder: &str, clock: &Clock, random: &Random) -> Result<Turn, CareError> {
        let Some(slot) = self.shelf.slot() else { return Ok(Turn(None)) };
        let id = text::hex(&random.bytes::<ID_BYTES>());
        let (holder, place) = (holder.to_owned(), self.shelf.name());
        let held = Held { slot, clock: clock.clone(), place, id, holder, state: Mutex::new(None) };
        held.take().await?;
        let held = Arc::new(held);
        let renewing = tokio::spawn(renew(held.clone()));
        Ok(Turn(Some(Renewed { held, renewing })))
    }
}

impl Turn {
    /// Renews the turn now: before what must not be done by two.
    ///
    /// Errors: `TurnLost` when another has taken it.
    pub(crate) async fn renew(&self) -> Result<(), CareError> {
        match &self.0 {
            Some(renewed) => renewed.held.renew().await,
            None => Ok(()),
        }
    }

    /// Renews the turn unless that was done a moment ago.
    ///
    /// Errors: as of [`Turn::renew`].
    pub(crate) async fn check(&self) -> Result<(), CareError> {
        match &self.0 {
            Some(renewed) if !renewed.held.is_fresh().await => renewed.held.renew().await,
            _ => Ok(()),
        }
    }

    /// Lets the next one begin now, rather than when the turn has run out.
    pub async fn end(self) -> Result<(), CareError> {
        let Some(renewed) = &self.0 else { return Ok(()) };
        renewed.renewing.abort();
        renewed.held.end().await
    }
}

impl Drop for Renewed {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

async fn renew(held: Arc<Held>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        match held.renew().await {
            Ok(()) => {}
            // Whoever works under the turn finds out before it changes anything.
            Err(CareError::TurnLost { .. }) => return,
            Err(error) => tracing::warn!(%error, "the turn to back up could not be renewed; trying again"),
        }
    }
}

impl Held {
    async fn take(&self) -> Result<(), CareError> {
        let found = self.slot.read().await?;
        if let Some(claim) = found.as_ref().and_then(|(bytes, _)| Claim::read(bytes))
            && claim.until_ms > self.clock.unix_ms()
        {
            return Err(self.in_use(Some(claim)));
        }
        // What cannot be read was cut off as it was written: its writer is gone.
        let over = found.map(|(_, mark)| mark);
        let until_ms = self.until_ms();
        match self.write(until_ms, over).await? {
            Some(mark) => *self.state.lock().await = Some(State { mark, until_ms }),
            None => {
                let winner = self.slot.read().await?;
                return Err(self.in_use(winner.and_then(|(bytes, _)| Claim::read(&bytes))));
            }
        }
        Ok(())
    }

    async fn renew(&self) -> Result<(), CareError> {
        let lost = || CareError::TurnLost { place: self.place.clone() };
        let mut state = self.state.lock().await;
        let over = state.as_ref().ok_or_else(lost)?.mark.clone();
        let until_ms = self.until_ms();
        *state = self.write(until_ms, Some(over)).await?.map(|mark| State { mark, until_ms });
        state.as_ref().map(drop).ok_or_else(lost)
    }

    async fn end(&self) -> Result<(), CareError> {
        let Some(State { mark, .. }) = self.state.lock().await.take() else { return Ok(()) };
        self.write(0, Some(mark)).await.map(drop)
    }

    /// Whether the turn would stand for long if it were never renewed again. Told by the clock of the wall, which also
    /// goes on while the host sleeps.
    async fn is_fresh(&self) -> bool {
        let fresh_from_ms = self.until_ms() - 2 * ms(RENEW_EVERY);
        self.state.lock().await.as_ref().is_some_and(|state| state.until_ms >= fresh_from_ms)
    }

    async fn write(&self, until_ms: i64, mut over: Option<Mark>) -> Result<Option<Mark>, CareError> {
        let claim = Claim { id: self.id.clone(), holder: self.holder.clone(), until_ms };
        let bytes = Bytes::from(serde_json::to_vec(&claim).expect("a claim is texts and a number"));
        for _ in 0..WRITES_MAX {
            if let Some(mark) = self.slot.write(bytes.clone(), over).await? {
                return Ok(Some(mark));
            }
            // Another was faster; or it was this one, and the answer to that was lost.
            match self.slot.read().await? {
                Some((found, mark)) if Claim::read(&found).is_some_and(|claim| claim.id == self.id) => {
                    over = Some(mark);
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn until_ms(&self) -> i64 {
        self.clock.unix_ms().saturating_add(ms(STANDS_FOR))
    }

    fn in_use(&self, claim: Option<Claim>) -> CareError {
        let unknown = Claim { id: String::new(), holder: "another".to_owned(), until_ms: self.until_ms() };
        let claim = claim.unwrap_or(unknown);
        let holder = claim.holder.chars().filter(|one| !one.is_control()).take(HOLDER_MAX).collect();
        let until = jiff::Timestamp::from_millisecond(claim.until_ms).unwrap_or_default();
        let until = until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        CareError::InUse { place: self.place.clone(), holder, until }
    }
}

impl Claim {
    fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).expect("the span is short")
}
