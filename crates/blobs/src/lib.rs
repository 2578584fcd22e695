//! lambent-blobs
