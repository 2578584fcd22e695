//! Invocations whose answers stream. Source: Lambda API Reference, "InvokeWithResponseStream".

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use lambent_api::{ApiError, Body, BoxFuture, ByteStream, Call};
use lambent_model_lambda::{
    InvocationType, InvokeWithResponseStreamCompleteEvent, InvokeWithResponseStreamRequest,
    InvokeWithResponseStreamResponse, LogType, ResponseStreamingInvocationType,
};
use lambent_pool::{Answer, Invocation, InvokeError, Outcome, ResultStream};
use lambent_wire::event_stream;

use crate::errors::LambdaError;
use crate::functions::existing;
use crate::invocations::invoke::Asked;
use crate::lambda::Lambda;

/// Bytes of one event's payload; a result that is there as a whole is cut.
const CHUNK_BYTES: usize = 256 * 1024;
/// What a failure is called that is not told behind a response.
const UNHANDLED: &str = "Unhandled";

impl Lambda {
    pub(crate) async fn invoke_with_response_stream(
        self: &Arc<Self>,
        call: &Call,
        input: InvokeWithResponseStreamRequest,
    ) -> Result<(InvokeWithResponseStreamResponse, Body), LambdaError> {
        let has_tail = input.log_type == Some(LogType::Tail);
        let asked = Asked {
            name: existing(&input.function_name, input.qualifier.as_deref(), &call.owner_place())?,
            payload: input.payload,
            client_context: input.client_context,
            tenant_id: input.tenant_id,
            has_tail,
        };
        let (name, loaded, run) = self.admitted(call, asked, &InvocationType::RequestResponse).await?;
        if input.invocation_type == Some(ResponseStreamingInvocationType::DryRun) {
            let status = InvokeWithResponseStreamResponse {
                status_code: Some(204),
                ..InvokeWithResponseStreamResponse::default()
            };
            return Ok((status, Body::empty()));
        }
        let version = loaded.spec.as_ref().map(|spec| spec.key.version.clone());
        let ran = self.engine(call).run_streaming(&name, &loaded, run).await?;
        let head = InvokeWithResponseStreamResponse {
            executed_version: version,
            response_stream_content_type: Some(event_stream::CONTENT_TYPE.to_owned()),
            status_code: Some(200),
            ..InvokeWithResponseStreamResponse::default()
        };
        Ok((head, Body::stream(Events::of(ran, has_tail), None)))
    }
}

/// The events of an answer.
struct Events {
    /// What is there already.
    ready: VecDeque<Bytes>,
    stream: Option<ResultStream>,
    ending: Option<BoxFuture<'static, Result<Invocation, InvokeError>>>,
    has_tail: bool,
}

impl Events {
    fn of(answer: Answer, has_tail: bool) -> Self {
        let mut events = Self { ready: VecDeque::new(), stream: None, ending: None, has_tail };
        match answer {
            Answer::Streamed(stream) => events.stream = Some(stream),
            Answer::Whole(invocation) => {
                if let Outcome::Success(result) = &invocation.outcome {
                    let chunks = result.chunks(CHUNK_BYTES).map(chunk);
                    events.ready.extend(chunks);
                }
                events.ready.push_back(complete(&invocation, has_tail));
            }
        }
        events
    }
}

impl ByteStream for Events {
    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ApiError>>> {
        let this = &mut *self;
        if let Some(event) = this.ready.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        if let Some(stream) = &mut this.stream {
            if let Some(piece) = ready!(stream.poll_next(context)) {
                return Poll::Ready(Some(Ok(chunk(&piece))));
            }
            let stream = this.stream.take();
            this.ending = stream.map(|stream| Box::pin(stream.end()) as BoxFuture<'static, _>);
        }
        let Some(ending) = &mut this.ending else { return Poll::Ready(None) };
        let ended = ready!(ending.as_mut().poll(context));
        this.ending = None;
        Poll::Ready(Some(match ended {
            Ok(invocation) => Ok(complete(&invocation, this.has_tail)),
            Err(error) => Err(crate::errors::not_run(error)),
        }))
    }
}

fn chunk(payload: impl AsRef<[u8]>) -> Bytes {
    event_stream::blob_event("PayloadChunk", payload.as_ref())
}

/// The last event, which tells how the call ended.
fn complete(invocation: &Invocation, has_tail: bool) -> Bytes {
    let (error_code, error_details) = match &invocation.outcome {
        Outcome::Success(_) => (None, None),
        Outcome::FunctionError { payload, .. } => {
            let details = String::from_utf8_lossy(payload).into_owned();
            (Some(UNHANDLED.to_owned()), Some(details))
        }
    };
    let event = InvokeWithResponseStreamCompleteEvent {
        error_code,
        error_details,
        log_result: has_tail.then(|| BASE64.encode(&invocation.log_tail)),
    };
    event_stream::json_event("InvokeComplete", &event)
}
