//! The platform's own paths under `/_lambent/`: health without a signature, everything else signed and decided.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use lambent_api::{ACCESS_DENIED, ApiError, Body, BoxFuture, Call, CallContext};
use lambent_base::Place;
use lambent_identity::{Owner, Wanted};
use lambent_sigv4::ErrorStyle;
use serde_json::{Value, json};

use crate::authenticate::{Claim, Meant};
use crate::body_in::Arriving;
use crate::body_out::Outgoing;
use crate::{Inner, limits};

pub(crate) const PREFIX: &str = "/_lambent/";
/// Answered without a signature.
const HEALTH: &str = "/_lambent/health";
/// The service in the credential scope of requests to the platform itself.
const SIGNING_NAME: &str = "lambent";

/// What an admin path does, once that was decided on: takes the request's query string and gives JSON.
pub type AdminHandler =
    Arc<dyn Fn(Call, String) -> BoxFuture<'static, Result<Value, ApiError>> + Send + Sync>;

/// One admin path.
#[derive(Clone)]
pub struct Admin {
    /// As `/_lambent/bill`.
    pub path: &'static str,
    /// What a policy must allow, as `lambent:GetBill`.
    pub action: &'static str,
    pub handler: AdminHandler,
}

/// What a path for the root key alone does: takes the request's query string and gives a body of any length.
pub type RootHandler = Arc<dyn Fn(Owner, String) -> BoxFuture<'static, Result<Body, ApiError>> + Send + Sync>;

/// A path that concerns everything in the cloud, whosever it is: no policy opens it, the root key does.
#[derive(Clone)]
pub struct RootPath {
    /// As `/_lambent/export`.
    pub path: &'static str,
    pub handler: RootHandler,
}

/// What a download gives for the rest of the path and the query string.
pub type DownloadHandler =
    Arc<dyn Fn(String, String) -> BoxFuture<'static, Result<Body, ApiError>> + Send + Sync>;

/// URLs that carry their own proof, as those of Code.Location: the handler checks it.
#[derive(Clone)]
pub struct Download {
    /// As `/_lambent/code/`.
    pub prefix: &'static str,
    pub handler: DownloadHandler,
}

/// Answers a request under [`PREFIX`].
pub(crate) async fn answer(
    inner: &Arc<Inner>,
    parts: &Parts,
    body: Arriving,
    context: CallContext,
) -> Response<Outgoing> {
    if parts.uri.path() == HEALTH {
        return health(inner);
    }
    if let Err(error) = inner.acceptable(parts, body.arrival) {
        return error_response(&error);
    }
    if let Some(answer) = download(inner, parts) {
        return match answer.await {
            Ok(body) => Response::new(Outgoing::from(body)),
            Err(error) => error_response(&error),
        };
    }
    let underway = inner.underway(&context.request_id, SIGNING_NAME);
    let result = run(inner, parts, body, context).await;
    underway.ended(result.as_ref().err());
    match result {
        Ok(Answer::Json(value)) => json_response(StatusCode::OK, &value),
        Ok(Answer::Body(body)) => Response::new(Outgoing::from(body)),
        Err(error) => error_response(&error),
    }
}

/// 200 when every part can work, 503 with the reason when one cannot.
fn health(inner: &Inner) -> Response<Outgoing> {
    match inner.health.as_ref().map_or(Ok(()), |check| check()) {
        Ok(()) => {
            let services: Vec<&str> =
                inner.services.iter().map(|entry| entry.service.info.signing_name).collect();
            json_response(StatusCode::OK, &json!({ "status": "ready", "services": services }))
        }
        Err(reason) => {
            json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "failed", "reason": reason }))
        }
    }
}

/// The download that a GET asks for, if it does.
fn download(inner: &Inner, parts: &Parts) -> Option<BoxFuture<'static, Result<Body, ApiError>>> {
    let path = parts.uri.path();
    let found =
        inner.downloads.iter().find_map(|download| Some((download, path.strip_prefix(download.prefix)?)));
    let (download, rest) = found.filter(|_| parts.method == Method::GET)?;
    Some((download.handler)(rest.to_owned(), parts.uri.query().unwrap_or_default().to_owned()))
}

fn error_response(error: &ApiError) -> Response<Outgoing> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json_response(status, &json!({ "__type": error.code, "message": error.message }))
}

enum Answer {
    Json(Value),
    Body(Body),
}

async fn run(
    inner: &Arc<Inner>,
    parts: &Parts,
    body: Arriving,
    mut context: CallContext,
) -> Result<Answer, ApiError> {
    let style = ErrorStyle::RestJson;
    let claim = match Claim::of(parts, SIGNING_NAME) {
        Ok(claim) => claim,
        Err(error) => return Err(inner.refusal(error, style, body.arrival).await),
    };
    let max = limits::buffered_body_max(SIGNING_NAME);
    let meant = Meant { service: SIGNING_NAME, operation: "", style, max };
    let authenticated = inner.authenticate(parts, &claim, meant, body).await?;
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let caller = authenticated.caller;
    context.place = Place { account: caller.account.clone(), region: authenticated.region };
    if let Some(rooted) = inner.root_paths.iter().find(|rooted| rooted.path == path) {
        let Some(owner) = inner.identity.as_owner(&caller) else {
            let message = format!("{path} is for the owner's root key alone, not for {}", caller.arn);
            return Err(ApiError::new("AccessDeniedException", 403, message));
        };
        return (rooted.handler)(owner, query).await.map(Answer::Body);
    }
    let admin = inner.admin.iter().find(|admin| admin.path == path);
    let admin = admin.ok_or_else(|| ApiError::new("NotFound", 404, format!("there is nothing at {path}")))?;
    let wanted = Wanted::new(admin.action, "*");
    let call = Call::decide(context, Arc::clone(&inner.identity), &caller, wanted).await.map_err(worded)?;
    (admin.handler)(call, query).await.map(Answer::Json)
}

/// A no as JSON protocols call it.
fn worded(error: ApiError) -> ApiError {
    if error.code == ACCESS_DENIED {
        ApiError { code: "AccessDeniedException".into(), ..error }
    } else {
        error
    }
}

fn json_response(status: StatusCode, value: &Value) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::from(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
