//! Events of requests that are not answered yet.

use std::collections::HashMap;

use lambent_identity::Decision;

use crate::event::{Decided, Event};

/// Requests that are looked at while they run. Of more than these, the event is written when it begins.
const OPEN_MAX: usize = 20_000;
/// Decisions of one request that are kept: DeleteObjects makes a thousand.
const DECISIONS_MAX: usize = 1_000;
/// A request that runs for longer is written as it is; a function may run for 15 minutes.
const OPEN_FOR_MS: i64 = 16 * 60_000;

#[derive(Default)]
pub(crate) struct Open {
    by_request: HashMap<String, Event>,
}

impl Open {
    /// Adds a decision; gives the event back if nobody will say how it ended, or there is no place to wait for that.
    pub(crate) fn decided(
        &mut self,
        decision: &Decision<'_>,
        begin: impl FnOnce(&Decision<'_>) -> Event,
    ) -> Option<Event> {
        let request_id = &decision.at.request_id;
        if let Some(event) = self.by_request.get_mut(request_id) {
            if event.decisions.len() < DECISIONS_MAX {
                event.decisions.push(Decided::of(decision));
            }
            return None;
        }
        let event = begin(decision);
        // The gateway knows who sent a request; what the platform does by itself comes from nowhere.
        let is_answered_later = decision.at.source_ip.is_some() && !request_id.is_empty();
        if !is_answered_later || self.by_request.len() >= OPEN_MAX {
            return Some(event);
        }
        self.by_request.insert(request_id.clone(), event);
        None
    }

    /// The event of a request that ends now.
    pub(crate) fn close(&mut self, request_id: &str) -> Option<Event> {
        self.by_request.remove(request_id)
    }

    /// Events that nobody ended: callers that went away in the middle.
    pub(crate) fn take_old(&mut self, now_ms: i64) -> Vec<Event> {
        self.by_request
            .extract_if(|_, event| now_ms - event.time_ms > OPEN_FOR_MS)
            .map(|(_, event)| event)
            .collect()
    }

    /// All of them.
    pub(crate) fn take_all(&mut self) -> Vec<Event> {
        self.by_request.drain().map(|(_, event)| event).collect()
    }
}
