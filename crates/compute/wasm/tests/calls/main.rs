//! Calls of components that were written by hand.

mod artifacts;
mod ends;
mod instances;
mod results;
mod support;
