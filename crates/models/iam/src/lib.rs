//! lambent-model-iam
