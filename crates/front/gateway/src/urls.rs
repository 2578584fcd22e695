//! Requests to function URLs: signed if the URL wants it, read, and handed to the function's service.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::body::Body as _;
use lambent_api::{ApiError, Body, CallContext, FunctionUrl, UrlAnswer, UrlCall};
use lambent_sigv4::{AuthError, ErrorStyle};
use lambent_wire::ProtocolKind;

use crate::authenticate::{Claim, Meant, SignedBody};
use crate::body_in::Arriving;
use crate::body_out::Outgoing;
use crate::{Inner, limits};

/// What requests to function URLs are signed for, and the action as errors name it.
const MEANT: Meant = Meant {
    service: "lambda",
    operation: "InvokeFunction",
    style: ErrorStyle::RestJson,
    max: limits::URL_BODY_BYTES_MAX,
};

/// Answers a request to the URL of this id and region.
pub(crate) async fn answer(
    inner: &Arc<Inner>,
    (id, region): (&str, &str),
    parts: Parts,
    body: Arriving,
    mut context: CallContext,
) -> Response<Outgoing> {
    let request_id = context.request_id.clone();
    let has_body = !body.incoming.is_end_stream();
    if let Err(error) = inner.acceptable(&parts, body.arrival) {
        return inner.refuse_url(&error, has_body, &request_id);
    }
    let found = match &inner.urls {
        Some(urls) => urls.find(id, region).await,
        None => Ok(None),
    };
    let url = match found {
        Ok(Some(url)) => url,
        Ok(None) => return unknown(&request_id),
        Err(error) => return inner.refuse_url(&error, has_body, &request_id),
    };
    let request = parts.headers.clone();
    if parts.method == Method::OPTIONS
        && let Some(headers) = url.preflight(&request)
    {
        return respond(UrlAnswer { status: StatusCode::OK, headers, body: Body::empty() }, &request_id);
    }
    context.place.region = region.to_owned();
    let mut underway = inner.underway(&request_id, MEANT.service);
    underway.operation = Some("InvokeFunctionUrl");
    let result = inner.call_url(url.clone(), parts, body, context).await;
    underway.ended(result.as_ref().err());
    let mut response = match result {
        Ok(answer) => respond(answer, &request_id),
        Err(error) => inner.refuse_url(&error, has_body, &request_id),
    };
    url.add_cors(&request, response.headers_mut());
    response
}

impl Inner {
    async fn call_url(
        &self,
        url: Arc<dyn FunctionUrl>,
        parts: Parts,
        body: Arriving,
        mut context: CallContext,
    ) -> Result<UrlAnswer, ApiError> {
        let (caller, body, _memory) = if url.is_signed() {
            let claim = match Claim::of(&parts, MEANT.service) {
                Ok(claim) => claim,
                // The URL has its own word for this.
                Err(AuthError::NotSigned) => {
                    return url.call(UrlCall { parts, body: Bytes::new(), caller: None, context }).await;
                }
                Err(other) => return Err(self.refusal(other, MEANT.style, body.arrival).await),
            };
            let authenticated = self.authenticate(&parts, &claim, MEANT, body).await?;
            let SignedBody::Whole(bytes, memory) = authenticated.body else {
                return Err(ApiError::new("ServiceException", 500, "a signed body was not read whole"));
            };
            context.place.account.clone_from(&authenticated.caller.account);
            (Some(authenticated.caller), bytes, memory)
        } else {
            let (bytes, memory) = self.buffer(body, MEANT).await?;
            (None, bytes, memory)
        };
        url.call(UrlCall { parts, body, caller, context }).await
    }

    fn refuse_url(&self, error: &ApiError, has_body: bool, request_id: &str) -> Response<Outgoing> {
        tracing::debug!(%error, "a request to a function URL was refused");
        let service = self.services.iter().find(|entry| entry.service.info.signing_name == MEANT.service);
        let Some(entry) = service else { return unknown(request_id) };
        let head = lambent_wire::encode_error(ProtocolKind::RestJson, entry.service.info, error, request_id);
        let mut response = Response::new(Outgoing::from(head.body));
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        if has_body {
            // The refusal may come before the body is read; clients must know that the connection ends with it.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// As AWS answers for ids that it never gave out.
fn unknown(request_id: &str) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::from(Bytes::from_static(b"{\"Message\":null}")));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-amzn-errortype", HeaderValue::from_static("AccessDeniedException"));
    identify(headers, request_id);
    response
}

fn respond(UrlAnswer { status, headers, body }: UrlAnswer, request_id: &str) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    identify(response.headers_mut(), request_id);
    response
}

fn identify(headers: &mut http::HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
}
