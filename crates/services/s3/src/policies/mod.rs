//! Who, besides the owner's own principals, may use a bucket: its policy, and what blocks a public one.

mod block;
mod document;
mod known;

pub use known::BucketPolicies;
