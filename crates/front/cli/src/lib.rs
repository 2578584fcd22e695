//! lambent-cli
