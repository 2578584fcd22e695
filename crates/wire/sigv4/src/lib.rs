//! lambent-sigv4
