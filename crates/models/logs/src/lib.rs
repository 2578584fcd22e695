//! lambent-model-logs
