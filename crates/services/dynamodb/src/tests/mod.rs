//! Operations as policies see them.

mod access;
mod actions;
