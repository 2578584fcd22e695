//! A service as the gateway sees it: operations by name.

use std::collections::HashMap;
use std::sync::Arc;

use lambent_base::{BoxFuture, Place};
use lambent_identity::{Caller, Identity, Wanted};
use lambent_wire::{
    ApiError, EncodedResponse, Labels, Operation, OperationInfo, ProtocolKind, RequestView, ServiceInfo,
};

use crate::{Body, Call, CallContext};

/// A service: its tables, and a handler for each operation.
pub struct Service {
    pub info: &'static ServiceInfo,
    /// The error code for inputs that break the model's constraints; `None` where the service checks them itself (S3).
    validation_code: Option<&'static str>,
    body_check: Option<BodyCheck>,
    routes: HashMap<&'static str, Route>,
}

/// One operation, ready to be run.
#[derive(Clone)]
pub struct Route {
    pub info: &'static OperationInfo,
    pub body: BodyMode,
    handler: Handler,
}

type Handler = Arc<dyn Fn(Incoming) -> BoxFuture<'static, Result<Reply, ApiError>> + Send + Sync>;

/// Whether the gateway reads a request's body before the handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyMode {
    Buffered,
    Streamed,
}

/// A routed and authenticated request.
pub struct Incoming {
    pub protocol: ProtocolKind,
    pub service: &'static ServiceInfo,
    pub parts: http::request::Parts,
    pub labels: Labels,
    pub body: Body,
    pub context: CallContext,
    pub caller: Caller,
    pub identity: Arc<Identity>,
}

/// What goes back: the encoded head (and body, unless `body` streams it).
#[derive(Debug)]
pub struct Reply {
    pub head: EncodedResponse,
    /// A streamed body; `None` when the head has it all.
    pub body: Option<Body>,
}

/// The resource that a policy decides on, computed from the input.
pub type ResourceOf<I> = fn(&I, &Place) -> String;

/// All that an input wants, of an operation whose parts are decided on one by one; an error refuses the whole.
pub type WantedOf<I> = fn(&I, &Place) -> Result<Vec<Wanted>, ApiError>;

/// What policies decide on before an operation runs.
pub enum Access<I> {
    /// This action on one resource: a no is the answer.
    One(&'static str, ResourceOf<I>),
    /// Several things, each by itself: the handler finds the decisions in [`Call::decisions`].
    Each(WantedOf<I>),
}

/// Compares the body of a buffered operation, all there, with what the request's headers and trailers claim of it.
pub type BodyCheck = fn(&'static OperationInfo, &http::HeaderMap, &Body) -> Result<(), ApiError>;

impl Service {
    /// A service without operations. `validation_code` as `ValidationException`, or `None` to leave constraints to handlers.
    pub fn new(info: &'static ServiceInfo, validation_code: Option<&'static str>) -> Self {
        Self { info, validation_code, body_check: None, routes: HashMap::new() }
    }

    /// Has the bodies of the buffered operations that are added from now on checked before they are read.
    pub fn check_bodies(&mut self, check: BodyCheck) {
        self.body_check = Some(check);
    }

    /// The operation of this name.
    pub fn route(&self, operation: &str) -> Option<&Route> {
        self.routes.get(operation)
    }

    /// Adds an operation; [`crate::operations!`] writes the calls.
    pub fn add<O: Operation + 'static>(
        &mut self,
        body: BodyMode,
        access: Access<O::Input>,
        run: impl Fn(Call, O::Input, Body) -> BoxFuture<'static, Result<(O::Output, Option<Body>), ApiError>>
        + Send
        + Sync
        + Clone
        + 'static,
    ) where
        O::Input: Send + Sync,
        O::Output: Send,
    {
        let checks = Checks { validation_code: self.validation_code, body: self.body_check };
        let handler: Handler = Arc::new(move |incoming| {
            let run = run.clone();
            Box::pin(async move {
                let (input, mut incoming) = read_input::<O>(incoming, body, checks)?;
                let body = std::mem::replace(&mut incoming.body, Body::empty());
                let request_id = incoming.context.request_id.clone();
                let call =
                    access.decide(&input, incoming.context, incoming.identity, &incoming.caller).await?;
                let (output, body) = run(call, input, body).await?;
                let mut head =
                    lambent_wire::encode(incoming.protocol, incoming.service, O::INFO, &output, &request_id);
                // HTTP's own rule, which models leave unsaid: an answer that names a range is partial.
                if head.headers.contains_key(http::header::CONTENT_RANGE) {
                    head.status = http::StatusCode::PARTIAL_CONTENT;
                }
                Ok(Reply { head, body })
            })
        });
        self.routes.insert(O::INFO.name, Route { info: O::INFO, body, handler });
    }
}

impl Route {
    /// Reads the input, has it authorised, runs the operation, and writes its output.
    pub fn run(&self, incoming: Incoming) -> BoxFuture<'static, Result<Reply, ApiError>> {
        (self.handler)(incoming)
    }
}

impl<I> Access<I> {
    async fn decide(
        &self,
        input: &I,
        context: CallContext,
        identity: Arc<Identity>,
        caller: &Caller,
    ) -> Result<Call, ApiError> {
        match self {
            Self::One(action, resource) => {
                let resource = resource(input, &context.place);
                Call::decide(context, identity, caller, action, resource).await
            }
            Self::Each(wanted) => {
                let wanted = wanted(input, &context.place)?;
                Call::decide_each(context, identity, caller, wanted).await
            }
        }
    }
}

impl<I> Clone for Access<I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I> Copy for Access<I> {}

/// What a service wants of every input.
#[derive(Clone, Copy)]
struct Checks {
    validation_code: Option<&'static str>,
    body: Option<BodyCheck>,
}

/// The typed input, and the request with its body if that streams.
fn read_input<O: Operation>(
    mut incoming: Incoming,
    mode: BodyMode,
    checks: Checks,
) -> Result<(O::Input, Incoming), ApiError> {
    let bytes = match mode {
        BodyMode::Streamed => bytes::Bytes::new(),
        BodyMode::Buffered => {
            if let Some(check) = checks.body {
                check(O::INFO, &incoming.parts.headers, &incoming.body)?;
            }
            std::mem::replace(&mut incoming.body, Body::empty()).into_bytes().unwrap_or_default()
        }
    };
    let view = RequestView {
        method: &incoming.parts.method,
        raw_path: incoming.parts.uri.path(),
        raw_query: incoming.parts.uri.query().unwrap_or_default(),
        headers: &incoming.parts.headers,
        labels: &incoming.labels,
        body: &bytes,
    };
    let decoded = lambent_wire::decode::<O::Input>(incoming.protocol, O::INFO, &view)?;
    match (decoded.violation, checks.validation_code) {
        (Some(message), Some(code)) => Err(ApiError::client(code, message)),
        _ => Ok((decoded.input, incoming)),
    }
}

/// Adds operations to a [`Service`]: `operations!(service, state, { kind Operation => method, "action", resource; ... })`.
///
/// The kinds: `plain` methods take `(&Call, Input)` and give `Output`; `upload` methods take a [`Body`] too; `download`
/// methods give `(Output, Body)`. Where an operation's parts are decided on one by one, a [`WantedOf`] stands in place
/// of action and resource.
#[macro_export]
macro_rules! operations {
    ($service:expr, $state:expr, { $($kind:ident $operation:path => $method:ident, $($access:expr),+;)* }) => {$(
        $crate::operations!(@add $kind, $service, $state, $operation, $method, $crate::operations!(@access $($access),+));
    )*};
    (@access $action:expr, $resource:expr) => { $crate::Access::One($action, $resource) };
    (@access $wanted:expr) => { $crate::Access::Each($wanted) };
    (@add plain, $service:expr, $state:expr, $operation:path, $method:ident, $access:expr) => {{
        let state = ::std::sync::Arc::clone(&$state);
        $service.add::<$operation>($crate::BodyMode::Buffered, $access, move |call, input, _body| {
            let state = ::std::sync::Arc::clone(&state);
            ::std::boxed::Box::pin(async move { Ok((state.$method(&call, input).await?, None)) })
        });
    }};
    (@add upload, $service:expr, $state:expr, $operation:path, $method:ident, $access:expr) => {{
        let state = ::std::sync::Arc::clone(&$state);
        $service.add::<$operation>($crate::BodyMode::Streamed, $access, move |call, input, body| {
            let state = ::std::sync::Arc::clone(&state);
            ::std::boxed::Box::pin(async move { Ok((state.$method(&call, input, body).await?, None)) })
        });
    }};
    (@add download, $service:expr, $state:expr, $operation:path, $method:ident, $access:expr) => {{
        let state = ::std::sync::Arc::clone(&$state);
        $service.add::<$operation>($crate::BodyMode::Buffered, $access, move |call, input, _body| {
            let state = ::std::sync::Arc::clone(&state);
            ::std::boxed::Box::pin(async move {
                let (output, body) = state.$method(&call, input).await?;
                Ok((output, Some(body)))
            })
        });
    }};
}
