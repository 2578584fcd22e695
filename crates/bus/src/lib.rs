//! lambent-bus
