//! lambent-wire
