//! Invocations. Source: Lambda API Reference, "Invoke".

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use lambent_api::Call;
use lambent_model_lambda::{InvocationRequest, InvocationResponse, InvocationType, LogType, errors as model};
use lambent_pool::{Answer, Invocation, InvokeRequest, Outcome};
use lambent_wire::ApiError;

use crate::configuration::tenancy;
use crate::engine::Engine;
use crate::errors::{self, LambdaError};
use crate::functions::cache::Loaded;
use crate::functions::existing;
use crate::invocations::payload;
use crate::lambda::Lambda;
use crate::limits::{ASYNC_PAYLOAD_MAX, CLIENT_CONTEXT_MAX, SYNC_PAYLOAD_MAX};
use crate::names::{FunctionName, LATEST};
use crate::rows::Phase;

/// What to run, besides the function itself.
pub(crate) struct Run {
    pub(crate) payload: Bytes,
    pub(crate) request_id: String,
    /// As the caller wrote it, with its qualifier.
    pub(crate) invoked_arn: String,
    pub(crate) client_context: Option<String>,
    /// The caller's `X-Amzn-Trace-Id`.
    pub(crate) trace: Option<String>,
    pub(crate) tenant_id: Option<String>,
    /// Whether the caller wants the end of the log.
    pub(crate) has_tail: bool,
}

/// What a request for a call says, whichever way its answer comes.
pub(crate) struct Asked {
    pub(crate) name: FunctionName,
    pub(crate) payload: Option<Bytes>,
    /// Base64.
    pub(crate) client_context: Option<String>,
    pub(crate) tenant_id: Option<String>,
    pub(crate) has_tail: bool,
}

impl Lambda {
    pub(crate) async fn invoke(
        self: &Arc<Self>,
        call: &Call,
        input: InvocationRequest,
    ) -> Result<InvocationResponse, LambdaError> {
        if input.durable_execution_name.is_some() {
            return Err(errors::unsupported("DurableExecutionName", "invoke without it").into());
        }
        let kind = input.invocation_type.unwrap_or(InvocationType::RequestResponse);
        let has_tail = input.log_type == Some(LogType::Tail);
        let asked = Asked {
            name: existing(&input.function_name, input.qualifier.as_deref(), &call.owner_place())?,
            payload: input.payload,
            client_context: input.client_context,
            tenant_id: input.tenant_id,
            has_tail,
        };
        let (name, loaded, run) = self.admitted(call, asked, &kind).await?;
        match kind {
            InvocationType::DryRun => Ok(status(204)),
            InvocationType::Event => {
                self.enqueue(call, &name, run.payload, run.tenant_id).await?;
                Ok(status(202))
            }
            InvocationType::RequestResponse | InvocationType::Unknown(_) => {
                Ok(response(self.engine(call).run(&name, &loaded, run).await?, has_tail))
            }
        }
    }

    /// Finds the function that is to be called, and sees whether it may be called so.
    pub(crate) async fn admitted(
        self: &Arc<Self>,
        call: &Call,
        asked: Asked,
        kind: &InvocationType,
    ) -> Result<(FunctionName, Arc<Loaded>, Run), LambdaError> {
        let Asked { name, payload, client_context, tenant_id, has_tail } = asked;
        let payload = checked_payload(payload, kind)?;
        let client_context = client_context.as_deref().map(read_client_context).transpose()?;
        let loaded = self.engine(call).loaded(&name).await?;
        tenancy::check_call(loaded.is_per_tenant, tenant_id.as_deref())?;
        let run = Run {
            payload,
            request_id: call.request_id().to_owned(),
            invoked_arn: name.qualified_arn(),
            client_context,
            trace: call.context.trace.clone(),
            tenant_id,
            has_tail,
        };
        Ok((name, loaded, run))
    }
}

impl Engine {
    /// The function that a name means; an error for the caller when there is none.
    pub(crate) async fn loaded(&self, name: &FunctionName) -> Result<Arc<Loaded>, LambdaError> {
        Ok(self.load(name).await?.ok_or_else(|| {
            let qualifier = name.qualifier.as_deref().unwrap_or(LATEST);
            errors::function_not_found(&format!("{}:{qualifier}", name.arn()))
        })?)
    }

    /// Runs a loaded function.
    pub(crate) async fn run(
        &self,
        name: &FunctionName,
        loaded: &Loaded,
        run: Run,
    ) -> Result<Invocation, LambdaError> {
        let request = self.request(name, loaded, run).await?;
        Ok(self.parts.runner.run(request).await.map_err(errors::not_run)?)
    }

    /// Runs a loaded function, and gives its result while it comes.
    pub(crate) async fn run_streaming(
        &self,
        name: &FunctionName,
        loaded: &Loaded,
        run: Run,
    ) -> Result<Answer, LambdaError> {
        let request = self.request(name, loaded, run).await?;
        Ok(self.parts.runner.run_streaming(request).await.map_err(errors::not_run)?)
    }

    async fn request(
        &self,
        name: &FunctionName,
        loaded: &Loaded,
        run: Run,
    ) -> Result<InvokeRequest, LambdaError> {
        let function = loaded.spec.clone().ok_or_else(|| {
            errors::not_active(if loaded.phase == Phase::Creating { "Pending" } else { "Failed" })
        })?;
        if let Some(problem) = loaded.foreign_architecture() {
            return Err(model::invalid_runtime_exception(problem).into());
        }
        let Run { payload, request_id, invoked_arn, client_context, trace, tenant_id, has_tail } = run;
        let traced = self.traced(name, trace.as_deref()).await?;
        let trace_id = Some(traced.map_err(|_| model::recursive_invocation_exception(errors::RECURSIVE))?);
        Ok(InvokeRequest {
            function,
            payload,
            request_id,
            invoked_arn,
            trace_id,
            client_context,
            tenant_id,
            is_told_whole: has_tail,
        })
    }
}

pub(crate) fn checked_payload(payload: Option<Bytes>, kind: &InvocationType) -> Result<Bytes, ApiError> {
    let payload = payload.unwrap_or_default();
    let limit = match kind {
        InvocationType::Event => ASYNC_PAYLOAD_MAX,
        _ => SYNC_PAYLOAD_MAX,
    };
    if payload.len() > limit {
        return Err(errors::payload_too_large(payload.len(), kind.as_str(), limit));
    }
    if payload.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    payload::check(&payload).map_err(|problem| {
        let told =
            format!("Could not parse request body into json: Could not parse payload into json: {problem}");
        model::invalid_request_content_exception(told)
    })?;
    Ok(payload)
}

fn read_client_context(encoded: &str) -> Result<String, ApiError> {
    let refused = || {
        model::invalid_request_content_exception(
            "Client context must be a valid Base64-encoded JSON object of no more than 3583 bytes.",
        )
    };
    if encoded.len() > CLIENT_CONTEXT_MAX {
        return Err(refused());
    }
    let context = BASE64.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let context = context.ok_or_else(refused)?;
    let is_object = serde_json::from_str::<serde_json::Value>(&context).is_ok_and(|json| json.is_object());
    if is_object { Ok(context) } else { Err(refused()) }
}

fn response(invocation: Invocation, has_tail: bool) -> InvocationResponse {
    let (payload, function_error) = match invocation.outcome {
        Outcome::Success(payload) => (payload, None),
        Outcome::FunctionError { kind, payload } => (payload, Some(kind.as_str().to_owned())),
    };
    InvocationResponse {
        executed_version: Some(invocation.record.function.version),
        function_error,
        log_result: has_tail.then(|| BASE64.encode(&invocation.log_tail)),
        payload: Some(payload),
        ..status(200)
    }
}

fn status(code: i32) -> InvocationResponse {
    InvocationResponse { status_code: Some(code), ..InvocationResponse::default() }
}
