//! Services and their operations, as tables.

use crate::{Readable, Shape, Writable};

/// One operation of a service: what a router and a codec need.
#[derive(Debug)]
pub struct OperationInfo {
    pub name: &'static str,
    pub method: &'static str,
    /// The request URI template, as `/{Bucket}/{Key+}?uploads`; `/` for the RPC protocols.
    pub uri: &'static str,
    /// The HTTP status of success.
    pub status: u16,
    pub input: &'static Shape,
    pub output: &'static Shape,
    /// The element that wraps the input, and its namespace, where the model names them (REST-XML).
    pub input_element: Option<(&'static str, &'static str)>,
    /// The element that wraps the output (query protocol).
    pub result_wrapper: Option<&'static str>,
    pub errors: &'static [&'static Shape],
}

/// Ties an operation's table to its types. Implemented by a unit struct with the operation's name.
pub trait Operation {
    type Input: Readable;
    type Output: Writable;
    const INFO: &'static OperationInfo;
}

/// An operation that AWS has and this server does not: enough to recognise it and say so.
#[derive(Debug)]
pub struct Known {
    pub name: &'static str,
    pub method: &'static str,
    pub uri: &'static str,
}

/// One service: its names on the wire and its operations.
#[derive(Debug)]
pub struct ServiceInfo {
    /// The name in a credential scope, as `s3`.
    pub signing_name: &'static str,
    /// The service's name for people, as `Amazon S3`.
    pub full_name: &'static str,
    pub api_version: &'static str,
    /// Which protocols clients may speak, the model's first choice first.
    pub protocols: &'static [ProtocolKind],
    /// The part of `X-Amz-Target` before the dot (JSON protocols).
    pub target_prefix: Option<&'static str>,
    pub xml_namespace: Option<&'static str>,
    pub operations: &'static [&'static OperationInfo],
    /// What AWS has and we don't.
    pub unimplemented: &'static [Known],
}

/// The wire protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolKind {
    Json10,
    Json11,
    Query,
    RestJson,
    RestXml,
    RpcV2Cbor,
}
