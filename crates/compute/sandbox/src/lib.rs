//! lambent-sandbox
