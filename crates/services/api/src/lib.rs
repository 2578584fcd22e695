//! What a service is made of: operations, the call they get, the bodies they stream.
//!
//! The gateway knows services only as [`Service`]: a table of operations behind one `dyn` handler each. A handler reads its
//! typed input through `wire`, has `identity` decide, and only then runs; there is no way to run it without.
#![forbid(unsafe_code)]

mod body;
mod call;
mod guarded;
mod service;
pub mod testing;
mod urls;

pub use body::{Body, ByteStream, Trailers};
pub use call::{
    ACCESS_DENIED, AUTHORIZATION_MESSAGE, Asked, Call, CallContext, Client, Decisions, OpenCall, Signature,
    not_implemented,
};
pub use guarded::{Guarded, PlatformWork, Proof};
pub use service::{
    Access, BodyCheck, BodyMode, EachKeys, EachOf, Incoming, KnownEachOf, KnownOf, OwnResourceOf, Reply,
    ResourceOf, Route, Service, Signing, ViolationWords,
};
pub use urls::{FunctionUrl, FunctionUrls, UrlAnswer, UrlCall};

pub use lambent_base::BoxFuture;
pub use lambent_wire::ApiError;
