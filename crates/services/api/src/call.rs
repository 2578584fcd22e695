//! What a handler knows of the request besides its input.

use std::sync::Arc;

use lambent_base::Place;
use lambent_identity::{Authorized, Caller, CallerKind, Circumstances, Identity, IdentityError, Wanted};
use lambent_wire::ApiError;

use crate::service::EachKeys;

/// The request around an operation: there is none before access was decided on.
#[derive(Clone, Debug)]
pub struct Call {
    pub context: CallContext,
    authorized: Authorized,
    identity: Arc<Identity>,
    /// What every request to the service tells policies.
    each: Option<EachKeys>,
}

/// The request around an operation whose parts are decided on one by one; each yes makes a [`Call`] of it.
#[derive(Clone, Debug)]
pub struct Asked {
    context: CallContext,
    caller: Arc<Caller>,
    identity: Arc<Identity>,
    each: Option<EachKeys>,
}

/// The request around an operation that decides on access itself.
#[derive(Clone, Debug)]
pub struct OpenCall {
    pub context: CallContext,
    /// Anonymous where the request is not signed.
    pub caller: Caller,
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
    pub client: Client,
}

/// What a client says of itself and of its connection, for policies to ask.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Whether the request came over TLS.
    pub is_secure: bool,
    pub user_agent: Option<String>,
    pub referer: Option<String>,
    /// `None` where nobody signed.
    pub signature: Option<Signature>,
}

/// How a request was signed.
#[derive(Clone, Debug)]
pub struct Signature {
    /// As `AWS4-HMAC-SHA256`.
    pub version: &'static str,
    /// Whether the signature is in the URL.
    pub is_presigned: bool,
    /// Milliseconds since 1970, where the signature says when it was made.
    pub signed_ms: Option<i64>,
    /// `x-amz-content-sha256`.
    pub content_sha256: Option<String>,
}

impl CallContext {
    /// What policies may ask of the request whoever makes it.
    pub fn circumstances(&self) -> Circumstances {
        Circumstances {
            source_ip: self.source_ip.parse().ok(),
            is_secure: self.client.is_secure,
            user_agent: self.client.user_agent.clone(),
            referer: self.client.referer.clone(),
            region: self.place.region.clone(),
            time_ms: self.time_ms,
            request_id: self.request_id.clone(),
            ..Circumstances::default()
        }
    }
}

impl Call {
    /// A call that `caller` is allowed to make; an AccessDenied error when it is not.
    pub async fn decide(
        context: CallContext,
        identity: Arc<Identity>,
        caller: &Caller,
        wanted: Wanted,
    ) -> Result<Self, ApiError> {
        let at = context.circumstances();
        let authorized = identity.authorize(caller, &at, wanted).await;
        let authorized = authorized.map_err(|error| explained(&identity, caller, &at, error))?;
        Ok(Self { context, authorized, identity, each: None })
    }

    /// A call of an operation that takes several actions, all of which must be allowed: of the first it says whose
    /// resource it is.
    ///
    /// Errors: AccessDenied at the first no, and when there is nothing to decide on.
    pub async fn decide_all(
        context: CallContext,
        identity: Arc<Identity>,
        caller: &Caller,
        wanted: Vec<Wanted>,
    ) -> Result<Self, ApiError> {
        let mut wanted = wanted.into_iter();
        let first = wanted.next().ok_or_else(nothing_to_decide)?;
        let call = Self::decide(context, identity, caller, first).await?;
        for further in wanted {
            call.authorize(further).await?;
        }
        Ok(call)
    }

    /// [`Call::decide_each`] of those parts that are not wrong in themselves: what is wrong with the others is in the
    /// place of their decision.
    pub async fn decide_parts(
        context: CallContext,
        identity: Arc<Identity>,
        caller: &Caller,
        parts: Vec<Result<Wanted, ApiError>>,
    ) -> Result<(Asked, Decisions), ApiError> {
        if parts.is_empty() {
            return Err(nothing_to_decide());
        }
        let asked = Asked { context, caller: Arc::new(caller.clone()), identity, each: None };
        let mut decisions = Vec::with_capacity(parts.len());
        for part in parts {
            decisions.push(match part {
                Ok(wanted) => asked.authorize(wanted).await,
                Err(wrong) => Err(wrong),
            });
        }
        Ok((asked, decisions))
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
    ) -> Result<(Asked, Decisions), ApiError> {
        if wanted.is_empty() {
            return Err(nothing_to_decide());
        }
        let denied = |error| denied(caller, error);
        let decisions =
            identity.authorize_each(caller, &context.circumstances(), wanted).await.map_err(denied)?;
        let decisions = decisions.into_iter().map(|decision| decision.map_err(denied)).collect();
        Ok((Asked { context, caller: Arc::new(caller.clone()), identity, each: None }, decisions))
    }

    /// Has these keys told with whatever else the request is decided on.
    pub(crate) fn telling(self, each: Option<EachKeys>) -> Self {
        Self { each, ..self }
    }

    /// Decides on a further action that the operation takes in the caller's name, as reading a copy's source: with what the
    /// request told for the first one, whichever it is.
    pub async fn authorize(&self, wanted: Wanted) -> Result<Authorized, ApiError> {
        let wanted = told(self.each, &self.context, wanted);
        let at = self.context.circumstances();
        let authorized = self.identity.authorize(self.caller(), &at, wanted).await;
        authorized.map_err(|error| explained(&self.identity, self.caller(), &at, error))
    }

    /// The same request, as far as it does something else that was decided on.
    #[must_use]
    pub fn allowed(&self, authorized: Authorized) -> Self {
        let (context, identity) = (self.context.clone(), Arc::clone(&self.identity));
        Self { context, authorized, identity, each: self.each }
    }

    /// The decision that let the operation run.
    pub fn authorized(&self) -> &Authorized {
        &self.authorized
    }

    /// The account that owns what was decided on: not always the caller's.
    pub fn owner(&self) -> &str {
        self.authorized.owner()
    }

    /// The account that owns what was decided on, and the region of the call.
    pub fn owner_place(&self) -> Place {
        Place { account: self.owner().to_owned(), region: self.region().to_owned() }
    }

    pub fn caller(&self) -> &Caller {
        self.authorized.caller()
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

impl Asked {
    /// See [`Call::telling`].
    pub(crate) fn telling(self, each: Option<EachKeys>) -> Self {
        Self { each, ..self }
    }

    /// See [`Call::authorize`].
    pub async fn authorize(&self, wanted: Wanted) -> Result<Authorized, ApiError> {
        let wanted = told(self.each, &self.context, wanted);
        let authorized = self.identity.authorize(&self.caller, &self.context.circumstances(), wanted).await;
        authorized.map_err(|error| denied(&self.caller, error))
    }

    /// The call, as far as it does what was decided on.
    pub fn allowed(&self, authorized: Authorized) -> Call {
        let (context, identity) = (self.context.clone(), Arc::clone(&self.identity));
        Call { context, authorized, identity, each: self.each }
    }
}

fn told(each: Option<EachKeys>, context: &CallContext, wanted: Wanted) -> Wanted {
    match each {
        Some(each) => each(context, wanted),
        None => wanted,
    }
}

fn nothing_to_decide() -> ApiError {
    ApiError::new(ACCESS_DENIED, 403, "The request names nothing that access to could be decided on.")
}

/// The code is S3's and the query protocol's; the gateway knows which services say AccessDeniedException. A stranger does
/// not learn from a no what there is.
fn denied(caller: &Caller, error: IdentityError) -> ApiError {
    match error {
        IdentityError::Denied(_) if matches!(caller.kind, CallerKind::Anonymous) => {
            ApiError::new(ACCESS_DENIED, 403, "Access Denied")
        }
        IdentityError::Denied(denial) => ApiError::new(ACCESS_DENIED, 403, denial.message),
        other => ApiError::internal(&other),
    }
}

/// [`denied`], with what DecodeAuthorizationMessage reads to who may: why, which the message leaves out.
fn explained(identity: &Identity, caller: &Caller, at: &Circumstances, error: IdentityError) -> ApiError {
    let encoded = match &error {
        IdentityError::Denied(denial) => Some(identity.encode_denial(caller, at, denial)),
        _ => None,
    };
    let refused = denied(caller, error);
    match encoded {
        Some(encoded) => refused.with_header(AUTHORIZATION_MESSAGE, encoded),
        None => refused,
    }
}

/// The header of a denied request's answer that DecodeAuthorizationMessage takes.
pub const AUTHORIZATION_MESSAGE: &str = "x-lambent-authorization-message";

/// The error code of a policy's no.
pub const ACCESS_DENIED: &str = "AccessDenied";

/// An error for what AWS has and Lambent has not, where passing it over would mislead.
pub fn not_implemented(what: &str) -> ApiError {
    ApiError::new("NotImplemented", 501, format!("Lambent does not implement {what} yet"))
}
