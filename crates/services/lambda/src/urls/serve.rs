//! One request to a function URL, from the gateway's hands to the function and back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lambent_api::{ApiError, Body, BoxFuture, ByteStream, FunctionUrl, FunctionUrls, UrlAnswer, UrlCall};
use lambent_model_lambda::{InvokeMode, errors as model};
use lambent_pool::{Answer, Invocation, Outcome, ResultStream};

use super::answer::{self, DELIMITER};
use super::cache::Url;
use super::{UrlRow, UrlTargetRow, access, event};
use crate::configuration::tenancy;
use crate::engine::Engine;
use crate::errors::{self, LambdaError};
use crate::invocations::invoke::Run;
use crate::invocations::trace;
use crate::limits::{RESPONSE_PRELUDE_MAX, SYNC_PAYLOAD_MAX};
use crate::names::FunctionName;
use crate::{keys, rows as store};

/// The content type of a stream that begins with a description of the HTTP response that it is.
const HTTP_STREAM: &str = "application/vnd.awslambda.http-integration-response";
/// Beside the body there are headers and more in an event.
const BODY_WHOLE_MAX: usize = 6_291_556;

/// Every function URL, for the gateway.
pub struct LambdaUrls(pub Engine);

/// One of them.
struct Served {
    engine: Engine,
    url: Arc<Url>,
}

impl FunctionUrls for LambdaUrls {
    fn find<'a>(
        &'a self,
        id: &'a str,
        region: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn FunctionUrl>>, ApiError>> {
        Box::pin(async move {
            let url = self.0.url(region, id).await?;
            Ok(url.map(|url| Arc::new(Served { engine: self.0.clone(), url }) as Arc<dyn FunctionUrl>))
        })
    }
}

impl Engine {
    async fn url(&self, region: &str, id: &str) -> Result<Option<Arc<Url>>, LambdaError> {
        let read_at = self.parts.clock.monotonic();
        if let Some(url) = self.urls.get(region, id, read_at) {
            return Ok(Some(url));
        }
        let began = self.urls.generation();
        let read = self.db.read(|txn| async move {
            let target = store::get::<UrlTargetRow>(&txn, &keys::url_id(region, id)).await?;
            let Some(UrlTargetRow { account, name, qualifier }) = target else { return Ok(None) };
            let place = lambent_base::Place { account, region: region.to_owned() };
            let name = FunctionName { place, name, qualifier };
            let row = store::get::<UrlRow>(&txn, &keys::url(&name)).await?;
            Ok::<_, LambdaError>(row.filter(|row| row.id == id).map(|row| Url { row, name, read_at }))
        });
        let url = read.await?.map(Arc::new);
        if let Some(url) = &url {
            self.urls.put(began, url);
        }
        Ok(url)
    }
}

impl FunctionUrl for Served {
    fn is_signed(&self) -> bool {
        self.url.row.is_signed
    }

    fn preflight(&self, request: &HeaderMap) -> Option<HeaderMap> {
        self.url.row.cors.as_ref()?.preflight(request)
    }

    fn add_cors(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if let Some(cors) = &self.url.row.cors {
            cors.add(request, answer);
        }
    }

    fn call(self: Arc<Self>, call: UrlCall) -> BoxFuture<'static, Result<UrlAnswer, ApiError>> {
        Box::pin(async move { self.answer(call).await })
    }
}

impl Served {
    async fn answer(&self, mut call: UrlCall) -> Result<UrlAnswer, ApiError> {
        let (engine, Url { row, name, .. }) = (&self.engine, &*self.url);
        if row.is_signed && call.caller.is_none() {
            return Err(access::forbidden());
        }
        let caller = call.caller.take_if(|_| row.is_signed);
        let at = call.context.circumstances();
        access::check(&engine.parts.identity, &at, caller.as_ref(), &name.qualified_arn()).await?;
        // After the decision: to get a function ready can mean to fetch and unpack its code.
        let Some(loaded) = engine.load(name).await? else { return Err(access::forbidden()) };
        call.caller = caller;

        let parts = &engine.parts;
        let trace = call.context.trace.as_deref().and_then(|trace| trace::carried(trace, &parts.random));
        let trace = trace.unwrap_or_else(|| trace::begun(parts.clock.unix_s(), &parts.random));
        let called = event::Called {
            id: &row.id,
            region: &name.place.region,
            domain: &parts.domain,
            account: &name.place.account,
            trace: &trace,
        };
        let payload = event::event(&call, &called);
        if payload.len() > BODY_WHOLE_MAX {
            return Err(model::request_too_large_exception(format!(
                "Request must be smaller than {SYNC_PAYLOAD_MAX} bytes for the InvokeFunction operation"
            )));
        }
        // Who calls a URL names no tenant.
        tenancy::check_call(loaded.is_per_tenant, None)?;
        let run = Run {
            payload,
            request_id: call.context.request_id.clone(),
            invoked_arn: name.qualified_arn(),
            client_context: None,
            trace: Some(trace.clone()),
            tenant_id: None,
            has_tail: false,
        };
        let ran = engine.run_streaming(name, &loaded, run).await?;
        let is_streaming = row.invoke_mode.as_deref() == Some(InvokeMode::ResponseStream.as_str());
        let mut answer = match ran {
            Answer::Streamed(stream) if is_streaming => streamed(stream).await,
            Answer::Streamed(stream) => gathered(stream).await?,
            Answer::Whole(invocation) => whole(*invocation, is_streaming),
        };
        if let Ok(trace) = HeaderValue::from_str(&trace) {
            answer.headers.insert(HeaderName::from_static("x-amzn-trace-id"), trace);
        }
        Ok(answer)
    }
}

/// The response of a call that is over.
fn whole(invocation: Invocation, is_streaming: bool) -> UrlAnswer {
    let Outcome::Success(result) = invocation.outcome else { return answer::bad_gateway() };
    if is_streaming {
        // A URL that streams gives on what the function gives, and reads nothing into it.
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return UrlAnswer { status: StatusCode::OK, headers, body: Body::from(result) };
    }
    answer::of_result(&result).unwrap_or_else(|_| answer::bad_gateway())
}

/// The response of a function that streams, behind a URL that does not.
async fn gathered(mut stream: ResultStream) -> Result<UrlAnswer, ApiError> {
    let is_http = stream.content_type.as_deref() == Some(HTTP_STREAM);
    let content_type = stream.content_type.take();
    let mut all = BytesMut::new();
    while let Some(piece) = stream.next().await {
        if all.len() + piece.len() > BODY_WHOLE_MAX {
            return Ok(answer::bad_gateway());
        }
        all.extend_from_slice(&piece);
    }
    let end = stream.end().await.map_err(errors::not_run)?;
    if !matches!(end.outcome, Outcome::Success(_)) {
        return Ok(answer::bad_gateway());
    }
    let all = all.freeze();
    if !is_http {
        return Ok(answer::of_result(&all).unwrap_or_else(|_| bytes_of(content_type.as_deref(), all)));
    }
    let at = all.windows(DELIMITER.len()).position(|window| window == DELIMITER);
    let described = at.map(|at| (answer::of_prelude(&all[..at]), all.slice(at + DELIMITER.len()..)));
    Ok(match described {
        Some((Ok(head), body)) => UrlAnswer { status: head.status, headers: head.headers, body: body.into() },
        _ => answer::bad_gateway(),
    })
}

/// The response of a function that streams, while it does.
async fn streamed(mut stream: ResultStream) -> UrlAnswer {
    if stream.content_type.as_deref() != Some(HTTP_STREAM) {
        let content_type = stream.content_type.take();
        let mut answer = bytes_of(content_type.as_deref(), Bytes::new());
        answer.body = Body::stream(Pieces { first: Bytes::new(), stream: Some(stream), ending: None }, None);
        return answer;
    }
    let mut begun = BytesMut::new();
    let at = loop {
        // What was searched before cannot have it, but for its last bytes.
        let from = begun.len().saturating_sub(DELIMITER.len() - 1);
        let Some(piece) = stream.next().await else { return answer::bad_gateway() };
        begun.extend_from_slice(&piece);
        let found = begun[from..].windows(DELIMITER.len()).position(|window| window == DELIMITER);
        match found {
            Some(at) if from + at <= RESPONSE_PRELUDE_MAX => break from + at,
            None if begun.len() <= RESPONSE_PRELUDE_MAX => {}
            _ => return answer::bad_gateway(),
        }
    };
    let prelude = begun.split_to(at);
    let first = begun.split_off(DELIMITER.len()).freeze();
    match answer::of_prelude(&prelude) {
        Ok(head) => {
            let body = Body::stream(Pieces { first, stream: Some(stream), ending: None }, None);
            UrlAnswer { status: head.status, headers: head.headers, body }
        }
        Err(_) => answer::bad_gateway(),
    }
}

fn bytes_of(content_type: Option<&str>, body: Bytes) -> UrlAnswer {
    let mut headers = HeaderMap::new();
    let content_type = content_type.and_then(|text| HeaderValue::from_str(text).ok());
    let unknown = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, content_type.unwrap_or(unknown));
    UrlAnswer { status: StatusCode::OK, headers, body: Body::from(body) }
}

/// The body of a streamed response; one that breaks off ends with an error, and with it the connection.
struct Pieces {
    first: Bytes,
    stream: Option<ResultStream>,
    ending: Option<Ending>,
}

type Ending = BoxFuture<'static, Result<Invocation, lambent_pool::InvokeError>>;

impl ByteStream for Pieces {
    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ApiError>>> {
        let this = &mut *self;
        if !this.first.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut this.first))));
        }
        if let Some(stream) = &mut this.stream {
            if let Some(piece) = ready!(stream.poll_next(context)) {
                return Poll::Ready(Some(Ok(piece)));
            }
            this.ending = this.stream.take().map(|stream| Box::pin(stream.end()) as Ending);
        }
        let Some(ending) = &mut this.ending else { return Poll::Ready(None) };
        let ended = ready!(ending.as_mut().poll(context));
        this.ending = None;
        match ended.map(|invocation| invocation.outcome) {
            Ok(Outcome::Success(_)) => Poll::Ready(None),
            Ok(Outcome::FunctionError { .. }) => {
                Poll::Ready(Some(Err(model::service_exception("the function's response broke off"))))
            }
            Err(error) => Poll::Ready(Some(Err(errors::not_run(error)))),
        }
    }
}
