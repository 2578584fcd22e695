//! Function URLs, as the gateway knows them: hosts whose requests are events of functions.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use lambent_base::BoxFuture;
use lambent_identity::Caller;
use lambent_wire::ApiError;

use crate::{Body, CallContext};

/// Knows every function URL: implemented by `lambda`.
pub trait FunctionUrls: Send + Sync {
    /// The URL of this id in this region; `None` when there is none.
    fn find<'a>(
        &'a self,
        id: &'a str,
        region: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn FunctionUrl>>, ApiError>>;
}

/// One function URL.
pub trait FunctionUrl: Send + Sync {
    /// Whether requests must be signed (AuthType is AWS_IAM).
    fn is_signed(&self) -> bool;

    /// The headers of the answer to a request with which a browser asks whether it may send another; `None` when the
    /// URL leaves such requests to its function.
    fn preflight(&self, request: &HeaderMap) -> Option<HeaderMap>;

    /// Adds what a browser must know of any answer to this request.
    fn add_cors(&self, request: &HeaderMap, answer: &mut HeaderMap);

    /// Decides whether the request may be made, runs the function, and answers.
    fn call(self: Arc<Self>, call: UrlCall) -> BoxFuture<'static, Result<UrlAnswer, ApiError>>;
}

/// A request to a function URL.
#[derive(Debug)]
pub struct UrlCall {
    pub parts: Parts,
    pub body: Bytes,
    /// Who signed it, if it had to be signed.
    pub caller: Option<Caller>,
    pub context: CallContext,
}

/// What goes back.
#[derive(Debug)]
pub struct UrlAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}
