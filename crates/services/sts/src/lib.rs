//! lambent-sts
