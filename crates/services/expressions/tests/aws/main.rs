//! What AWS answers to expressions: its messages, its order of checks, and what conditions and updates do.

mod conditions;
mod evaluation;
mod keys;
mod legacy;
mod projections;
mod support;
mod updates;
