//! lambent-model-lambda
