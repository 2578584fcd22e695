//! lambent-logs
