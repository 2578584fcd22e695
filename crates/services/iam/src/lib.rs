//! lambent-iam
