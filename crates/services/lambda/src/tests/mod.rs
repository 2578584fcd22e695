//! The service through its own table of operations, on a store in memory, with a runner that runs nothing.

mod actions;
mod aliases;
mod checks;
mod cloud;
mod codes;
mod compilations;
mod concurrencies;
mod configurations;
mod events;
mod invocations;
mod layers;
mod lifecycles;
mod policies;
mod sealing;
mod stored;
mod tags;
mod tenants;
mod urls;
mod versions;
mod zips;

pub(crate) use cloud::{Answer, Cloud};
