//! Shapes, codecs, validation and errors of the AWS wire protocols.
//!
//! Generated model crates hold static tables ([`Shape`], [`Member`], [`OperationInfo`]) and plain structs. The structs are
//! read and written through two `dyn` visitors ([`Reader`], [`Writer`]), so each protocol is one small codec that serves
//! every service, and validation happens in one place ([`ReadContext`]) for all of them.
#![forbid(unsafe_code)]

pub mod codec;
mod context;
mod error;
pub mod event_stream;
mod macros;
mod operation;
mod read;
pub mod shape;
mod timestamp;
mod value;
mod write;

pub use codec::{
    Decoded, Dynamic, EncodedResponse, JsonWriter, Labels, RequestView, Routed, Router, Value, choose,
    decode, encode, encode_error,
};
pub use context::{ReadContext, limits};
pub use error::{ApiError, Fault};
pub use operation::{Known, Operation, OperationInfo, ProtocolKind, ServiceInfo};
pub use read::{ReadError, Readable, Reader};
pub use shape::{Constraint, EMPTY, ErrorTrait, Kind, Location, Member, Namespace, Shape, TimestampFormat};
pub use timestamp::Timestamp;
pub use value::{Document, Empty};
pub use write::{Writable, Writer};

/// What the generated crates name; not for use by hand.
pub mod prelude {
    pub use crate::shape::types::*;
    pub use crate::{
        ApiError, Document, Empty, Fault, Known, Member, Namespace, Operation, OperationInfo, ProtocolKind,
        ServiceInfo, Shape, Timestamp, TimestampFormat, operation, string_enum, structure, union,
    };
    pub use bytes::Bytes;
    pub use std::collections::BTreeMap;
}
