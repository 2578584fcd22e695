//! Amazon S3: buckets, objects, multipart uploads, listings, notifications.
#![forbid(unsafe_code)]

mod buckets;
mod check;
mod checksums;
mod client;
mod conditions;
mod data;
mod errors;
mod events;
mod fetch;
mod gc;
mod ingest;
mod keys;
mod limits;
mod listing;
mod metadata;
mod multipart;
mod names;
mod notifications;
mod objects;
mod policies;
mod ranges;
mod readers;
mod reading;
mod rows;
mod service;
mod sweeper;
mod target;
#[cfg(test)]
mod tests;
mod wanted;

pub use check::{check, named_blob, process_rows};
pub use client::{ListedObject, ObjectAt, ObjectClient};
pub use fetch::ObjectReader;
pub use gc::referenced;
pub use policies::BucketPolicies;
pub use readers::OpenReaders;
pub use service::{S3Parts, service};
pub use sweeper::Sweeper;
pub use target::bucket_target;
