//! lambent-s3
