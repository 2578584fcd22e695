//! lambent-gateway
