//! The events that functions are sent.

use bytes::Bytes;
use lambent_wire::{Timestamp, TimestampFormat};
use serde_json::Value;

use crate::source::Record;
use crate::window::Invocation;

/// The longest event. Source: Lambda Developer Guide, "Lambda quotas": payload of synchronous invocations.
pub(crate) const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;
/// What an event has beside its records, without the state of a window.
const ENVELOPE_BYTES: usize = 1024;

/// How many bytes of records an event has room for, each with the comma behind it.
pub(crate) fn room(window: Option<&Invocation>) -> usize {
    let state = window.map_or(0, |window| window.state.len());
    EVENT_BYTES_MAX.saturating_sub(ENVELOPE_BYTES + state)
}

/// What a record takes of the room.
pub(crate) fn bytes_of(record: &Record) -> usize {
    record.json.len() + 1
}

/// The event of a batch.
pub(crate) fn compose(records: &[Record], window: Option<&Invocation>, shard: &str, source: &str) -> Bytes {
    let length: usize = records.iter().map(bytes_of).sum();
    let mut event = Vec::with_capacity(length + ENVELOPE_BYTES);
    event.extend_from_slice(br#"{"Records":["#);
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            event.push(b',');
        }
        event.extend_from_slice(&record.json);
    }
    event.push(b']');
    if let Some(window) = window {
        let tail = format!(
            r#","window":{{"start":"{}","end":"{}"}},"state":{},"shardId":{},"eventSourceARN":{},"isFinalInvokeForWindow":{},"isWindowTerminatedEarly":{}"#,
            seconds(window.start_ms),
            seconds(window.end_ms),
            window.state,
            Value::from(shard),
            Value::from(source),
            window.is_final,
            window.is_early,
        );
        event.extend_from_slice(tail.as_bytes());
    }
    event.push(b'}');
    event.into()
}

/// As `2022-07-13T13:48:01Z`.
pub(crate) fn seconds(ms: i64) -> String {
    Timestamp::from_ms(ms.div_euclid(1000) * 1000).format(TimestampFormat::Iso8601)
}

/// As `2022-07-13T13:48:01.000Z`.
pub(crate) fn millis(ms: i64) -> String {
    Timestamp::from_ms(ms).iso8601_ms()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(seconds(1_657_720_081_999), "2022-07-13T13:48:01Z");
        assert_eq!(millis(1_657_720_081_009), "2022-07-13T13:48:01.009Z");
    }

    #[test]
    fn events_are_json() {
        let record = |json: &'static str| Record {
            sequence: "1".to_owned(),
            next: "2".to_owned(),
            arrived_ms: 0,
            json: Bytes::from_static(json.as_bytes()),
        };
        let event = compose(&[record("{\"a\":1}"), record("{}")], None, "s", "arn");
        assert_eq!(&event[..], br#"{"Records":[{"a":1},{}]}"#);
        let window = Invocation {
            start_ms: 1_657_720_080_000,
            end_ms: 1_657_720_090_000,
            state: "{\"n\":1}".to_owned(),
            is_final: true,
            is_early: false,
        };
        let event: Value = serde_json::from_slice(&compose(&[], Some(&window), "s\"", "arn")).unwrap();
        let expected = serde_json::json!({
            "Records": [],
            "window": { "start": "2022-07-13T13:48:00Z", "end": "2022-07-13T13:48:10Z" },
            "state": { "n": 1 },
            "shardId": "s\"",
            "eventSourceARN": "arn",
            "isFinalInvokeForWindow": true,
            "isWindowTerminatedEarly": false,
        });
        assert_eq!(event, expected);
    }
}
