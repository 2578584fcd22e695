//! The life of a request, from its head to its answer.

use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body as _, Incoming as HttpBody};
use lambent_api::{ApiError, Body, BodyMode, CallContext, Client, Incoming, Reply, Signature, Signing};
use lambent_base::{Alarm, Place};
use lambent_identity::{Caller, CallerKind, RoleName};
use lambent_sigv4::{AuthError, ErrorStyle, SignedRequest};
use lambent_wire::{ProtocolKind, Routed};

use crate::authenticate::{Authenticated, Claim, Meant, SignedBody};
use crate::body_in::Arriving;
use crate::body_out::Outgoing;
use crate::door::{Arrival, Transport};
use crate::{Entry, Inner, admin, body_in, errors, hosts, limits, tables, urls};

/// The service that answers those who do not sign, where a bucket's policy lets in everybody.
const ANONYMOUS_SERVICE: &str = "s3";

/// Answers one request. Never fails: what goes wrong becomes an answer in the service's own form.
pub(crate) async fn handle(
    inner: Arc<Inner>,
    request: Request<HttpBody>,
    arrival: Arrival,
    alarm: Alarm,
) -> Response<Outgoing> {
    let (parts, incoming) = request.into_parts();
    let has_body = !incoming.is_end_stream();
    let body = Arriving { incoming, alarm, arrival };
    let mut context = inner.context(&parts, arrival);
    let host = hosts::host_of(&parts);
    // What is below a bucket's or a function's own host is theirs.
    if parts.uri.path().starts_with(admin::PREFIX) && hosts::is_own(host, &inner.config.names) {
        return admin::answer(&inner, &parts, body, context).await;
    }
    if let Some((id, region)) = hosts::url_of(host, &inner.config.names.domain) {
        return urls::answer(&inner, (&id, &region), parts, body, context).await;
    }
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let request_id = context.request_id.clone();
    let signed = lambent_sigv4::parse(&parts);
    context.client.signature = signature_of(&signed, &parts);
    let (entry, protocol) = match inner.target(&parts, signed.as_ref().ok().and_then(Option::as_ref)) {
        Ok(target) => target,
        Err(unknown) => return unknown_service(&unknown, &request_id),
    };
    let service = entry.service.info.signing_name;
    let mut underway = inner.underway(&request_id, service);
    let admitted = match inner.acceptable(&parts, arrival) {
        Ok(()) => inner.admit(entry, protocol, &parts, signed, body).await,
        Err(error) => Err(error),
    };
    let result = match admitted {
        Ok(authenticated) => {
            inner.run(entry, protocol, parts, authenticated, context, &mut underway.operation).await
        }
        Err(error) => Err(error),
    };
    underway.ended(result.as_ref().err());
    match result {
        Ok(reply) => respond(tables::with_crc(entry.service.info, reply), &method),
        Err(error) => {
            let error = errors::in_dialect(error, errors::style_of(protocol));
            let error = tables::in_namespace(entry.service.info, error);
            tracing::debug!(service, %method, path, %error, "refused");
            let head = lambent_wire::encode_error(protocol, entry.service.info, &error, &request_id);
            let reply = tables::with_crc(entry.service.info, Reply { head, body: None });
            let mut response = respond(reply, &method);
            if has_body && service == "s3" {
                // The refusal may come before the body is read; clients must know that the connection ends with it.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

impl Inner {
    /// Holds a request to the signature that it was read to carry.
    async fn admit(
        &self,
        entry: &Entry,
        protocol: ProtocolKind,
        parts: &Parts,
        signed: Result<Option<SignedRequest<'_>>, AuthError>,
        body: Arriving,
    ) -> Result<Authenticated, ApiError> {
        let (service, style) = (entry.service.info.signing_name, errors::style_of(protocol));
        if matches!(signed, Ok(None)) && service == "sts" {
            return self.admit_unsigned(entry, style, parts, body).await;
        }
        if matches!(signed, Ok(None)) && service == ANONYMOUS_SERVICE {
            return self.nobody(parts, body);
        }
        let claim = match Claim::from_parsed(signed, parts, service) {
            Ok(claim) => claim,
            Err(error) => return Err(self.refusal(error, style, body.arrival).await),
        };
        // Only Lambda's words for a body that is too large name the operation.
        let routed = (protocol == ProtocolKind::RestJson)
            .then(|| entry.router.route(&parts.method, parts.uri.path(), "", &parts.headers));
        let operation = match routed {
            Some(Routed::Operation(info, _)) => info.name,
            _ => "",
        };
        let max = limits::buffered_body_max(service);
        self.authenticate(parts, &claim, Meant { service, operation, style, max }, body).await
    }

    /// Lets a form without a signature in, if it is for an operation that needs none.
    async fn admit_unsigned(
        &self,
        entry: &Entry,
        style: ErrorStyle,
        parts: &Parts,
        body: Arriving,
    ) -> Result<Authenticated, ApiError> {
        let service = entry.service.info.signing_name;
        let meant = Meant { service, operation: "", style, max: limits::UNSIGNED_BODY_BYTES_MAX };
        let arrival = body.arrival;
        let (bytes, permit) = self.buffer(body, meant).await?;
        let route = match entry.router.route_form(parts.uri.query().unwrap_or_default(), &bytes) {
            Routed::Operation(operation, _) => entry.service.route(operation.name),
            _ => None,
        };
        if route.is_none_or(|route| route.signing == Signing::Needed) {
            return Err(self.refusal(AuthError::NotSigned, style, arrival).await);
        }
        let region = self.config.region.clone();
        Ok(Authenticated { caller: Caller::anonymous(), region, body: SignedBody::Whole(bytes, permit) })
    }

    /// Routes, says to which operation, reads the body as that wants it, runs.
    async fn run(
        self: &Arc<Self>,
        entry: &Entry,
        protocol: ProtocolKind,
        mut parts: Parts,
        authenticated: Authenticated,
        mut context: CallContext,
        found: &mut Option<&'static str>,
    ) -> Result<Reply, ApiError> {
        let info = entry.service.info;
        let Authenticated { caller, region, body } = authenticated;
        context.place = Place { account: caller.account.clone(), region };

        // The signature was made over the URI as it came; from here on a bucket in the host name is one in the path.
        if let Some(uri) = self.path_style(&parts, info.signing_name) {
            parts.uri = uri;
        }
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let routed = match (&body, protocol) {
            (SignedBody::Whole(bytes, _), ProtocolKind::Query) => entry.router.route_form(query, bytes),
            _ => entry.router.route(&parts.method, path, query, &parts.headers),
        };
        let (operation, labels) = match routed {
            Routed::Operation(operation, labels) => (operation, labels),
            Routed::Unimplemented(known) => return Err(errors::unimplemented(info, known.name)),
            Routed::Unknown => return Err(errors::unknown_operation(protocol, &parts)),
        };
        *found = Some(operation.name);
        let route =
            entry.service.route(operation.name).ok_or_else(|| errors::unimplemented(info, operation.name))?;
        let (body, _memory) = match body {
            SignedBody::Whole(bytes, permit) => (Body::from(bytes), permit),
            SignedBody::Streaming(stream, reader) => {
                let alarm = stream.alarm.clone();
                let mut body = body_in::verified(stream, *reader, &parts.headers, self.config.patience)?;
                match route.body {
                    BodyMode::Streamed => (body, None),
                    BodyMode::Buffered => {
                        let max = limits::buffered_body_max(info.signing_name);
                        let expected = body.length().unwrap_or(max as u64).min(max as u64);
                        let permit = self.memory_for(expected, errors::style_of(protocol)).await?;
                        let too_large = || errors::too_large(info.signing_name, operation.name, max);
                        let bytes = self.in_time(&alarm, expected, body.collect(max, too_large)).await?;
                        (Body::from(bytes).with_trailers(body.trailers()), permit)
                    }
                }
            }
        };
        self.note_use(&caller, info.signing_name, &context.place.region);
        let identity = Arc::clone(&self.identity);
        route.run(Incoming { protocol, service: info, parts, labels, body, context, caller, identity }).await
    }

    /// Has the use of a long-term key or of a role written down, if it is time for that; no request waits for it.
    fn note_use(&self, caller: &Caller, service: &str, region: &str) {
        let (account, id) = (caller.account.clone(), caller.user_id.split(':').next().unwrap_or_default());
        let role = match &caller.kind {
            CallerKind::RoleSession { role_name, .. } => Some(role_name.clone()),
            _ if caller.session.is_some() || caller.access_key_id.is_empty() => return,
            _ => None,
        };
        let id = if role.is_some() { id } else { &caller.access_key_id }.to_owned();
        let Some(used) = self.identity.note_use(&id, service, region) else { return };
        let identity = Arc::clone(&self.identity);
        tokio::spawn(async move {
            let written = match &role {
                Some(name) => identity.write_role_use(RoleName { account: &account, name }, &used).await,
                None => identity.write_use(&id, &used).await,
            };
            if let Err(error) = written {
                tracing::warn!("the last use of {id} is not kept: {error}");
            }
        });
    }

    /// Refuses what no request may be, before anything in it counts.
    pub(crate) fn acceptable(&self, parts: &Parts, arrival: Arrival) -> Result<(), ApiError> {
        let (host, names) = (hosts::host_of(parts), &self.config.names);
        if !hosts::is_ours(host, names) {
            return Err(errors::unknown_host(host, &names.domain));
        }
        if arrival.transport == Transport::PlainFromAfar {
            return Err(errors::plain_http(host));
        }
        let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
        let sizes = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        if target > limits::TARGET_BYTES_MAX || target + sizes.sum::<usize>() > limits::HEAD_BYTES_MAX {
            return Err(errors::head_too_large());
        }
        Ok(())
    }

    /// The URI with a virtual host's bucket moved into its path; `None` when there is nothing to move.
    fn path_style(&self, parts: &Parts, signing_name: &str) -> Option<Uri> {
        let bucket = (signing_name == "s3")
            .then(|| hosts::bucket_of(hosts::host_of(parts), &self.config.names.domain));
        hosts::path_style(parts, &bucket.flatten()?)
    }

    /// The bucket that the host of a request to S3 names.
    pub(crate) fn virtual_bucket(&self, parts: &Parts, signing_name: &str) -> Option<String> {
        if signing_name != "s3" {
            return None;
        }
        hosts::bucket_of(hosts::host_of(parts), &self.config.names.domain)
    }

    fn context(&self, parts: &Parts, arrival: Arrival) -> CallContext {
        CallContext {
            request_id: self.random.uuid(),
            // The account and region are known once the signature is.
            place: Place { account: String::new(), region: self.config.region.clone() },
            time_ms: self.clock.unix_ms(),
            source_ip: arrival.address(),
            endpoint: [arrival.scheme().as_str(), "://", hosts::host_of(parts)].concat(),
            trace: trace_of(parts),
            client: Client {
                is_secure: arrival.is_secure(),
                user_agent: header(parts, USER_AGENT),
                referer: header(parts, REFERER),
                signature: None,
            },
        }
    }
}

/// How a request says that it was signed.
fn signature_of(signed: &Result<Option<SignedRequest<'_>>, AuthError>, parts: &Parts) -> Option<Signature> {
    let signature = |version, is_presigned, signed_ms| Signature {
        version,
        is_presigned,
        signed_ms,
        content_sha256: header(parts, HeaderName::from_static("x-amz-content-sha256")),
    };
    match signed {
        Ok(Some(signed)) => {
            let signed_ms = signed.signed_at().unix_s().saturating_mul(1000);
            Some(signature("AWS4-HMAC-SHA256", signed.is_presigned(), Some(signed_ms)))
        }
        Err(AuthError::SigV2) => Some(signature("AWS", true, None)),
        Ok(None) | Err(_) => None,
    }
}

/// A header's text, for policies to ask.
fn header(parts: &Parts, name: HeaderName) -> Option<String> {
    parts.headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The tracing header, unless it is longer than any.
fn trace_of(parts: &Parts) -> Option<String> {
    let text = parts.headers.get("x-amzn-trace-id")?.to_str().ok()?;
    (text.len() <= limits::TRACE_BYTES_MAX).then(|| text.to_owned())
}

fn respond(reply: Reply, method: &Method) -> Response<Outgoing> {
    let Reply { head, body } = reply;
    let has_none =
        *method == Method::HEAD || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = match body {
        _ if has_none => Outgoing::from(Body::empty()),
        Some(body) => Outgoing::from(body),
        None => Outgoing::from(head.body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if has_none && *method != Method::HEAD {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

/// There is no service whose words could be used, so the answer is plain.
fn unknown_service(name: &str, request_id: &str) -> Response<Outgoing> {
    let text = serde_json::json!({
        "__type": "UnknownService",
        "message": format!("Lambent has no service that signs as `{name}`"),
    });
    let mut response = Response::new(Outgoing::from(bytes::Bytes::from(text.to_string())));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
