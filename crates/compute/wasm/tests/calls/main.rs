//! Calls of components that were written by hand.

#[path = "../../guests/mod.rs"]
mod guests;

mod artifacts;
mod ends;
mod instances;
mod results;
mod support;
