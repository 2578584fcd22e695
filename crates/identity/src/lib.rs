//! lambent-identity
