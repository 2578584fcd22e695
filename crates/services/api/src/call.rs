//! What a handler knows of the request besides its input.

use lambent_base::Place;
use lambent_identity::Authorized;

/// The request around an operation.
#[derive(Clone, Debug)]
pub struct Call {
    pub context: CallContext,
    /// The caller, and the decision that let it in.
    pub authorized: Authorized,
}

/// The part of a call that is known before its input is read.
#[derive(Clone, Debug)]
pub struct CallContext {
    pub request_id: String,
    /// The caller's account and the region it signed for.
    pub place: Place,
    /// Milliseconds since 1970, when the request came in.
    pub time_ms: i64,
    /// The client's address, without port.
    pub source_ip: String,
    /// Scheme and authority that the client used, as `http://127.0.0.1:4566`: for URLs in answers.
    pub endpoint: String,
}

impl Call {
    pub fn account(&self) -> &str {
        &self.context.place.account
    }

    pub fn region(&self) -> &str {
        &self.context.place.region
    }

    pub fn place(&self) -> &Place {
        &self.context.place
    }

    pub fn request_id(&self) -> &str {
        &self.context.request_id
    }

    /// Milliseconds since 1970, when the request came in.
    pub fn time_ms(&self) -> i64 {
        self.context.time_ms
    }
}
