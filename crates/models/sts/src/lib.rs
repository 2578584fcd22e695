//! lambent-model-sts
