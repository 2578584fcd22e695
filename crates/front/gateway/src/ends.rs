//! How requests end, for whoever keeps a record of them.

use lambent_api::ApiError;

use crate::Inner;

/// A request that has its answer: that its body is sent is not waited for.
#[derive(Clone, Copy, Debug)]
pub struct RequestEnd<'a> {
    pub request_id: &'a str,
    /// The signing name: `s3`.
    pub service: &'a str,
    /// `None` when the request named none that there is.
    pub operation: Option<&'a str>,
    /// The error that goes back, if it is one.
    pub error: Option<&'a ApiError>,
}

/// Is told of each request: the audit log.
pub trait RequestEnds: Send + Sync {
    /// Called before the answer goes out: must be quick.
    fn ended(&self, end: &RequestEnd<'_>);
}

impl Inner {
    pub(crate) fn ended(&self, end: &RequestEnd<'_>) {
        if let Some(ends) = &self.ends {
            ends.ended(end);
        }
    }
}
