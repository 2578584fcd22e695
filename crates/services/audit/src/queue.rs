//! Events that wait to be written, by who causes them: whoever floods the queue loses events, and nobody else does.

use std::collections::HashMap;

use crate::event::Event;

#[derive(Default)]
pub(crate) struct Queue {
    by_account: HashMap<String, Waiting>,
    pub count: usize,
    pub bytes: usize,
}

#[derive(Default)]
struct Waiting {
    events: Vec<Event>,
    bytes: usize,
}

impl Queue {
    pub(crate) fn push(&mut self, event: Event) {
        let bytes = event.bytes();
        let waiting = self.by_account.entry(event.who.account.clone()).or_default();
        waiting.events.push(event);
        waiting.bytes += bytes;
        self.count += 1;
        self.bytes += bytes;
    }

    /// Drops the latest event of the account that has most in the queue.
    pub(crate) fn drop_of_fullest(&mut self) {
        let fullest = self.by_account.values_mut().max_by_key(|waiting| waiting.bytes);
        if let Some(waiting) = fullest
            && let Some(event) = waiting.events.pop()
        {
            waiting.bytes -= event.bytes();
            self.count -= 1;
            self.bytes -= event.bytes();
        }
    }

    pub(crate) fn into_events(self) -> Vec<Event> {
        self.by_account.into_values().flat_map(|waiting| waiting.events).collect()
    }
}
