//! lambent-pool
