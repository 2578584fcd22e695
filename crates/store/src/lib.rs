//! lambent-store
