//! Whether the role of a mapping's function may read its source: asked once for all lanes, and again when something
//! changed that the answer depends on. An answer is a decision, which the audit log has.

use std::time::Duration;

use lambent_base::Arn;

use crate::engine::Inner;
use crate::error::MappingError;
use crate::rows::Mapping;
use crate::source::{Reading, SourceError};

/// How long it is not looked whether something has changed, where it was allowed.
const LOOKED_KEPT: Duration = Duration::from_secs(5);
/// It is asked again after so long though nothing changed that is known of: a stream has a policy of its own.
const ALLOWED_KEPT: Duration = Duration::from_secs(60);
/// The same where it was refused; doubles up to [`REFUSED_KEPT_MAX`].
const REFUSED_KEPT: Duration = Duration::from_secs(5);
const REFUSED_KEPT_MAX: Duration = Duration::from_secs(15 * 60);

/// What was found out last; the lanes of a mapping have one together.
#[derive(Default)]
pub(crate) struct Standing(tokio::sync::Mutex<Option<Known>>);

struct Known {
    reading: Reading,
    /// What it depends on, in brief.
    basis: String,
    /// On the monotonic clock, as all times here.
    looked: Duration,
    asked: Duration,
    /// How often one after the other it was refused.
    refusals: u32,
}

/// An answer, and until when it is not asked again unless something changes.
pub(crate) struct Answer {
    pub(crate) reading: Reading,
    pub(crate) until: Duration,
}

impl Known {
    fn until(&self) -> Duration {
        let kept = match self.reading {
            Reading::Allowed { .. } => ALLOWED_KEPT,
            Reading::Refused(_) => {
                let doublings = self.refusals.saturating_sub(1).min(16);
                REFUSED_KEPT.saturating_mul(1 << doublings).min(REFUSED_KEPT_MAX)
            }
        };
        self.asked + kept
    }

    fn is_fresh(&self, now: Duration) -> bool {
        matches!(self.reading, Reading::Allowed { .. }) && now < self.looked + LOOKED_KEPT
    }
}

impl Standing {
    /// Whether the role may do all of this.
    pub(crate) async fn ask(
        &self,
        engine: &Inner,
        mapping: &Mapping,
        function: &Arn,
        permissions: &[(&'static str, String)],
    ) -> Result<Answer, MappingError> {
        let failed = |error: lambent_bus::ports::PortError| SourceError::Failed(error.to_string());
        let mut known = self.0.lock().await;
        let now = engine.clock.monotonic();
        if let Some(known) = known.as_ref().filter(|known| known.is_fresh(now)) {
            return Ok(Answer { reading: known.reading.clone(), until: known.until() });
        }
        let basis = engine.functions.basis(function).await.map_err(failed)?;
        if let Some(known) = known.as_mut().filter(|known| known.basis == basis && now < known.until()) {
            known.looked = now;
            return Ok(Answer { reading: known.reading.clone(), until: known.until() });
        }
        let reading = engine.functions.may_read(&mapping.arn(), function, permissions).await;
        let reading = reading.map_err(failed)?;
        let refusals = match (&reading, known.as_ref()) {
            (Reading::Allowed { .. }, _) => 0,
            (Reading::Refused(_), Some(known)) if known.basis == basis => known.refusals.saturating_add(1),
            (Reading::Refused(_), _) => 1,
        };
        let known = known.insert(Known { reading, basis, looked: now, asked: now, refusals });
        Ok(Answer { reading: known.reading.clone(), until: known.until() })
    }
}
