//! Event patterns, as EventBridge's rules and the filter criteria of event source mappings write them: a tree of fields
//! with lists of what their values may be. Read once, matched often.
//!
//! A list in an event means any of its elements, and all that a pattern says below the list holds for the same element.
//! Sources: EventBridge User Guide, "Comparison operators for use in event patterns"; Lambda Developer Guide, "Control
//! which events Lambda sends to your function".
#![forbid(unsafe_code)]

mod cidr;
mod parse;
mod pattern;
#[cfg(test)]
mod tests;
mod wildcard;

pub use parse::InvalidPattern;
pub use pattern::Pattern;
