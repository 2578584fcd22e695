//! lambent-model-s3
