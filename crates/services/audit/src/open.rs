//! Events of requests that are not answered yet.

use std::collections::HashMap;

use lambent_identity::Decision;

use crate::event::Event;

/// Requests that are looked at while they run. Of more than these, the event is written when it begins.
const OPEN_MAX: usize = 20_000;
/// Bytes that they may take together; then, too.
const OPEN_BYTES_MAX: usize = 32 << 20;
/// A request that runs for longer is written as it is; a function may run for 15 minutes.
const OPEN_FOR_MS: i64 = 16 * 60_000;

#[derive(Default)]
pub(crate) struct Open {
    by_request: HashMap<String, Event>,
    bytes: usize,
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
            let before = event.bytes();
            event.add(decision);
            self.bytes += event.bytes() - before;
            return None;
        }
        let event = begin(decision);
        // The gateway knows who sent a request; what the platform does by itself comes from nowhere.
        let is_answered_later = decision.at.source_ip.is_some() && !request_id.is_empty();
        let is_full = self.by_request.len() >= OPEN_MAX || self.bytes >= OPEN_BYTES_MAX;
        if !is_answered_later || is_full {
            return Some(event);
        }
        self.bytes += event.bytes();
        self.by_request.insert(request_id.clone(), event);
        None
    }

    /// The event of a request that ends now.
    pub(crate) fn close(&mut self, request_id: &str) -> Option<Event> {
        let event = self.by_request.remove(request_id)?;
        self.bytes -= event.bytes();
        Some(event)
    }

    /// Events that nobody ended: callers that went away in the middle.
    pub(crate) fn take_old(&mut self, now_ms: i64) -> Vec<Event> {
        let is_old = |_: &String, event: &mut Event| now_ms - event.time_ms > OPEN_FOR_MS;
        let old: Vec<Event> = self.by_request.extract_if(is_old).map(|(_, event)| event).collect();
        self.bytes -= old.iter().map(Event::bytes).sum::<usize>();
        old
    }

    /// All of them.
    pub(crate) fn take_all(&mut self) -> Vec<Event> {
        self.bytes = 0;
        self.by_request.drain().map(|(_, event)| event).collect()
    }
}
