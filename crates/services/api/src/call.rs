//! What a handler knows of the request besides its input.

use std::sync::Arc;

use lambent_base::Place;
use lambent_identity::{Authorized, Caller, Identity, IdentityError, Wanted};
use lambent_wire::ApiError;

/// The request around an operation: there is none before access was decided on.
#[derive(Clone, Debug)]
pub struct Call {
    pub context: CallContext,
    caller: Arc<Caller>,
    identity: Arc<Identity>,
}

/// What was decided on each of several things, in their order: the proof of a yes, or the error that says no.
pub type Decisions = Vec<Result<Authorized, ApiError>>;

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
    /// `X-Amzn-Trace-Id` as the client sent it: what the request sets off carries it on.
    pub trace: Option<String>,
}

impl Call {
    /// A call that `caller` is allowed to make; an AccessDenied error when it is not.
    pub async fn decide(
        context: CallContext,
        identity: Arc<Identity>,
        caller: &Caller,
        wanted: Wanted,
    ) -> Result<Self, ApiError> {
        let authorized = identity.authorize(caller, wanted.action, wanted.resource).await.map_err(denied)?;
        let caller = Arc::clone(authorized.caller());
        Ok(Self { context, caller, identity })
    }

    /// A call of an operation that takes several actions, each of which is allowed or denied by itself.
    ///
    /// Errors: when it cannot be decided; a no is none. AccessDenied when there is nothing to decide on: it would be a
    /// call that nobody was asked about.
    pub async fn decide_each(
        context: CallContext,
        identity: Arc<Identity>,
        caller: &Caller,
        wanted: Vec<Wanted>,
    ) -> Result<(Self, Decisions), ApiError> {
        if wanted.is_empty() {
            let message = "The request names nothing that access to could be decided on.";
            return Err(ApiError::new(ACCESS_DENIED, 403, message));
        }
        let decisions = identity.authorize_each(caller, wanted).await.map_err(denied)?;
        let decisions = decisions.into_iter().map(|decision| decision.map_err(denied)).collect();
        Ok((Self { context, caller: Arc::new(caller.clone()), identity }, decisions))
    }

    /// Decides on a further action that the operation takes in the caller's name, as reading a copy's source.
    pub async fn authorize(&self, action: &'static str, resource: String) -> Result<Authorized, ApiError> {
        self.identity.authorize(self.caller(), action, resource).await.map_err(denied)
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

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

/// The code is S3's and the query protocol's; the gateway knows which services say AccessDeniedException.
fn denied(error: IdentityError) -> ApiError {
    match error {
        IdentityError::Denied(message) => ApiError::new(ACCESS_DENIED, 403, message),
        other => ApiError::internal(&other),
    }
}

/// The error code of a policy's no.
pub const ACCESS_DENIED: &str = "AccessDenied";

/// An error for what AWS has and Lambent has not, where passing it over would mislead.
pub fn not_implemented(what: &str) -> ApiError {
    ApiError::new("NotImplemented", 501, format!("Lambent does not implement {what} yet"))
}
