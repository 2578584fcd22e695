//! A service as the gateway sees it: operations by name.

use std::collections::HashMap;
use std::sync::Arc;

use lambent_base::{BoxFuture, Place};
use lambent_identity::{Caller, Identity, Wanted};
use lambent_wire::{
    ApiError, EncodedResponse, Labels, Operation, OperationInfo, ProtocolKind, RequestView, ServiceInfo,
};

use crate::{Asked, Body, Call, CallContext, Decisions, OpenCall};

/// A service: its tables, and a handler for each operation.
pub struct Service {
    pub info: &'static ServiceInfo,
    /// The error code for inputs that break the model's constraints; `None` where the service checks them itself (S3).
    validation_code: Option<&'static str>,
    body_check: Option<BodyCheck>,
    each: Option<EachKeys>,
    violation_words: Option<ViolationWords>,
    routes: HashMap<&'static str, Route>,
}

/// One operation, ready to be run.
#[derive(Clone)]
pub struct Route {
    pub info: &'static OperationInfo,
    pub body: BodyMode,
    pub signing: Signing,
    handler: Handler,
}

/// Whether a request must be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    Needed,
    /// What the request brings instead of a signature, the operation checks itself.
    Needless,
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

/// Like [`ResourceOf`], for inputs that may leave the resource to who asks.
pub type OwnResourceOf<I> = fn(&I, &Place, &Caller) -> String;

/// All that an input wants, of an operation whose parts are decided on one by one: at least one thing. An error refuses
/// the whole.
pub type EachOf<I> = fn(&I, &Place) -> Result<Vec<Wanted>, ApiError>;

/// Like [`EachOf`], for what only the service's state can tell, as the keys of a table: at least one thing, all of which
/// must be allowed. It is asked before anybody has decided, so that it may look only, and is to find what it needs in memory.
pub type KnownOf<S, I> = for<'a> fn(&'a S, &'a I, &'a Place) -> BoxFuture<'a, Result<Vec<Wanted>, ApiError>>;

/// Like [`KnownOf`], for parts that are allowed or denied one by one. A part that is wrong in itself is not decided on.
pub type KnownEachOf<S, I> =
    for<'a> fn(&'a S, &'a I, &'a Place) -> BoxFuture<'a, Result<Vec<Result<Wanted, ApiError>>, ApiError>>;

/// What policies decide on before an operation runs: a no is the answer.
pub enum Access<I> {
    /// This action on one resource.
    Action(&'static str, ResourceOf<I>),
    /// This action on what the input names, or where it names nothing, on what the caller has.
    Own(&'static str, OwnResourceOf<I>),
    /// An action that the input decides on, too.
    Input(fn(&I, &Place) -> Wanted),
}

/// What a service says of broken constraints, made of what most say.
pub type ViolationWords = fn(String) -> String;

/// Adds the condition keys that every request to a service has.
pub type EachKeys = fn(&CallContext, Wanted) -> Wanted;

/// Compares the body of a buffered operation, all there, with what the request's headers and trailers claim of it.
pub type BodyCheck = fn(&'static OperationInfo, &http::HeaderMap, &Body) -> Result<(), ApiError>;

impl Service {
    /// A service without operations. `validation_code` as `ValidationException`, or `None` to leave constraints to handlers.
    pub fn new(info: &'static ServiceInfo, validation_code: Option<&'static str>) -> Self {
        Self {
            info,
            validation_code,
            body_check: None,
            each: None,
            violation_words: None,
            routes: HashMap::new(),
        }
    }

    /// Has the bodies of the buffered operations that are added from now on checked before they are read.
    pub fn check_bodies(&mut self, check: BodyCheck) {
        self.body_check = Some(check);
    }

    /// Has broken constraints of the operations that are added from now on told in the service's own words.
    pub fn word_violations(&mut self, words: ViolationWords) {
        self.violation_words = Some(words);
    }

    /// Has condition keys added to all that the operations want that are added from now on.
    pub fn tell_each(&mut self, keys: EachKeys) {
        self.each = Some(keys);
    }

    /// The operations that are there, by name.
    pub fn operations(&self) -> impl Iterator<Item = &'static str> {
        self.routes.keys().copied()
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
        let each = self.each;
        self.route_to::<O, _>(body, move |input: O::Input, mut incoming: Incoming| {
            let run = run.clone();
            async move {
                let body = std::mem::replace(&mut incoming.body, Body::empty());
                let Incoming { context, identity, caller, .. } = incoming;
                let mut wanted = access.wanted(&input, &context.place, &caller);
                if let Some(each) = each {
                    wanted = each(&context, wanted);
                }
                let call = Call::decide(context, identity, &caller, wanted).await?.telling(each);
                run(call, input, body).await
            }
        });
    }

    /// Adds an operation whose parts are allowed or denied one by one: its handler is given what was decided on each.
    pub fn add_each<O: Operation + 'static>(
        &mut self,
        wanted: EachOf<O::Input>,
        run: impl Fn(Asked, O::Input, Decisions) -> BoxFuture<'static, Result<O::Output, ApiError>>
        + Send
        + Sync
        + Clone
        + 'static,
    ) where
        O::Input: Send + Sync,
        O::Output: Send,
    {
        let each = self.each;
        self.route_to::<O, _>(BodyMode::Buffered, move |input: O::Input, incoming: Incoming| {
            let run = run.clone();
            async move {
                let Incoming { context, identity, caller, .. } = incoming;
                let mut wanted = wanted(&input, &context.place)?;
                if let Some(each) = each {
                    wanted = wanted.into_iter().map(|wanted| each(&context, wanted)).collect();
                }
                let (asked, decisions) = Call::decide_each(context, identity, &caller, wanted).await?;
                Ok((run(asked.telling(each), input, decisions).await?, None))
            }
        });
    }

    /// Adds an operation that wants what only the service's state can tell: a no to any of it refuses the whole.
    pub fn add_known<O: Operation + 'static, S: Send + Sync + 'static>(
        &mut self,
        state: &Arc<S>,
        wanted: KnownOf<S, O::Input>,
        run: impl Fn(Call, O::Input) -> BoxFuture<'static, Result<O::Output, ApiError>>
        + Send
        + Sync
        + Clone
        + 'static,
    ) where
        O::Input: Send + Sync,
        O::Output: Send,
    {
        let each = self.each;
        let state = Arc::clone(state);
        self.route_to::<O, _>(BodyMode::Buffered, move |input: O::Input, incoming: Incoming| {
            let (run, state) = (run.clone(), Arc::clone(&state));
            async move {
                let Incoming { context, identity, caller, .. } = incoming;
                let mut wanted = wanted(&state, &input, &context.place).await?;
                if let Some(each) = each {
                    wanted = wanted.into_iter().map(|wanted| each(&context, wanted)).collect();
                }
                let call = Call::decide_all(context, identity, &caller, wanted).await?.telling(each);
                Ok((run(call, input).await?, None))
            }
        });
    }

    /// Adds an operation whose parts are allowed or denied one by one, as only the service's state can tell.
    pub fn add_known_each<O: Operation + 'static, S: Send + Sync + 'static>(
        &mut self,
        state: &Arc<S>,
        wanted: KnownEachOf<S, O::Input>,
        run: impl Fn(Asked, O::Input, Decisions) -> BoxFuture<'static, Result<O::Output, ApiError>>
        + Send
        + Sync
        + Clone
        + 'static,
    ) where
        O::Input: Send + Sync,
        O::Output: Send,
    {
        let each = self.each;
        let state = Arc::clone(state);
        self.route_to::<O, _>(BodyMode::Buffered, move |input: O::Input, incoming: Incoming| {
            let (run, state) = (run.clone(), Arc::clone(&state));
            async move {
                let Incoming { context, identity, caller, .. } = incoming;
                let mut parts = wanted(&state, &input, &context.place).await?;
                if let Some(each) = each {
                    parts = parts.into_iter().map(|part| part.map(|wanted| each(&context, wanted))).collect();
                }
                let (asked, decisions) = Call::decide_parts(context, identity, &caller, parts).await?;
                Ok((run(asked.telling(each), input, decisions).await?, None))
            }
        });
    }

    /// Adds an operation that decides on access itself, by what its input proves: only identity can.
    pub fn add_open<O: Operation + 'static>(
        &mut self,
        signing: Signing,
        run: impl Fn(OpenCall, O::Input) -> BoxFuture<'static, Result<O::Output, ApiError>>
        + Send
        + Sync
        + Clone
        + 'static,
    ) where
        O::Input: Send + Sync,
        O::Output: Send,
    {
        self.route_to::<O, _>(BodyMode::Buffered, move |input: O::Input, incoming: Incoming| {
            let run = run.clone();
            async move {
                let Incoming { context, caller, .. } = incoming;
                Ok((run(OpenCall { context, caller }, input).await?, None))
            }
        });
        if let Some(route) = self.routes.get_mut(O::INFO.name) {
            route.signing = signing;
        }
    }

    /// Reads inputs and writes outputs around `run`, which has access decided on.
    fn route_to<O: Operation + 'static, Fut>(
        &mut self,
        body: BodyMode,
        run: impl Fn(O::Input, Incoming) -> Fut + Send + Sync + Clone + 'static,
    ) where
        O::Input: Send,
        O::Output: Send,
        Fut: Future<Output = Result<(O::Output, Option<Body>), ApiError>> + Send,
    {
        let checks = Checks {
            validation_code: self.validation_code,
            body: self.body_check,
            words: self.violation_words,
        };
        let handler: Handler = Arc::new(move |incoming| {
            let run = run.clone();
            Box::pin(async move {
                let (input, incoming) = read_input::<O>(incoming, body, checks)?;
                let (protocol, service) = (incoming.protocol, incoming.service);
                let request_id = incoming.context.request_id.clone();
                let (output, body) = run(input, incoming).await?;
                let mut head = lambent_wire::encode(protocol, service, O::INFO, &output, &request_id);
                // HTTP's own rule, which models leave unsaid: an answer that names a range is partial.
                if head.headers.contains_key(http::header::CONTENT_RANGE) {
                    head.status = http::StatusCode::PARTIAL_CONTENT;
                }
                Ok(Reply { head, body })
            })
        });
        self.routes.insert(O::INFO.name, Route { info: O::INFO, body, signing: Signing::Needed, handler });
    }
}

impl Route {
    /// Reads the input, has it authorised, runs the operation, and writes its output.
    pub fn run(&self, incoming: Incoming) -> BoxFuture<'static, Result<Reply, ApiError>> {
        (self.handler)(incoming)
    }
}

impl<I> Access<I> {
    fn wanted(&self, input: &I, place: &Place, caller: &Caller) -> Wanted {
        match self {
            Self::Action(action, resource) => Wanted::new(action, resource(input, place)),
            Self::Own(action, resource) => Wanted::new(action, resource(input, place, caller)),
            Self::Input(wanted) => wanted(input, place),
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
    words: Option<ViolationWords>,
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
    let decoded = lambent_wire::decode::<O::Input>(incoming.service, incoming.protocol, O::INFO, &view)?;
    match (decoded.violation, checks.validation_code) {
        (Some(message), Some(code)) => {
            let message = match checks.words {
                Some(words) => words(message),
                None => message,
            };
            Err(ApiError::client(code, message))
        }
        _ => Ok((decoded.input, incoming)),
    }
}

/// Adds operations to a [`Service`]: `operations!(service, state, { kind Operation => method, "action", resource; ... })`.
///
/// The kinds: `plain` methods take `(&Call, Input)` and give `Output`; `upload` methods take a [`Body`] too; `download`
/// methods give `(Output, Body)`. Where the action depends on the input, a function that gives [`Wanted`] stands in place
/// of action and resource. `own` operations are `plain`, and their resource is a function of the caller, too. `each`
/// operations name an [`EachOf`] there: their parts are decided on one by one, and the method takes
/// `(&Asked, Input, Decisions)`. `known` operations are `plain` and name a [`KnownOf`], which looks at the state, too;
/// `known_each` operations are to `each` what those are to `plain`, and name a [`KnownEachOf`]. `open` operations name a
/// [`Signing`]; their methods take `(&OpenCall, Input)` and decide by themselves.
#[macro_export]
macro_rules! operations {
    ($service:expr, $state:expr, { $($kind:ident $operation:path => $method:ident, $($access:expr),+;)* }) => {$(
        $crate::operations!(@$kind $service, $state, $operation, $method, $($access),+);
    )*};
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
    (@own $service:expr, $state:expr, $operation:path, $method:ident, $action:expr, $resource:expr) => {
        $crate::operations!(
            @add plain, $service, $state, $operation, $method, $crate::Access::Own($action, $resource)
        );
    };
    (@each $service:expr, $state:expr, $operation:path, $method:ident, $wanted:expr) => {{
        let state = ::std::sync::Arc::clone(&$state);
        $service.add_each::<$operation>($wanted, move |call, input, decisions| {
            let state = ::std::sync::Arc::clone(&state);
            ::std::boxed::Box::pin(async move { Ok(state.$method(&call, input, decisions).await?) })
        });
    }};
    (@known $service:expr, $state:expr, $operation:path, $method:ident, $wanted:expr) => {{
        let state = ::std::sync::Arc::clone(&$state);
        $service.add_known::<$operation, _>(&$state, $wanted, move |call, input| {
            let state = ::std::sync::Arc::clone(&state);
            ::std::boxed::Box::pin(async move { Ok(state.$method(&call, input).await?) })
        });
    }};
    (@known_each $service:expr, $state:expr, $operation:path, $method:ident, $wanted:expr) => {{
        let state = ::std::sync::Arc::clone(&$state);
        $service.add_known_each::<$operation, _>(&$state, $wanted, move |call, input, decisions| {
            let state = ::std::sync::Arc::clone(&state);
            ::std::boxed::Box::pin(async move { Ok(state.$method(&call, input, decisions).await?) })
        });
    }};
    (@open $service:expr, $state:expr, $operation:path, $method:ident, $signing:expr) => {{
        let state = ::std::sync::Arc::clone(&$state);
        $service.add_open::<$operation>($signing, move |call, input| {
            let state = ::std::sync::Arc::clone(&state);
            ::std::boxed::Box::pin(async move { state.$method(&call, input).await })
        });
    }};
    (@$kind:ident $service:expr, $state:expr, $operation:path, $method:ident, $wanted:expr) => {
        $crate::operations!(@add $kind, $service, $state, $operation, $method, $crate::Access::Input($wanted));
    };
    (@$kind:ident $service:expr, $state:expr, $operation:path, $method:ident, $action:expr, $resource:expr) => {
        $crate::operations!(
            @add $kind, $service, $state, $operation, $method, $crate::Access::Action($action, $resource)
        );
    };
}
