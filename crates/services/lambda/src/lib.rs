//! lambent-lambda
