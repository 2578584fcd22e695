//! lambent-runtimes
