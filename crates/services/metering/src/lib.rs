//! lambent-metering
