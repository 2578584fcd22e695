//! InvokeAsync: what Invoke with the type Event was before there were types. AWS keeps it for old clients.
//! Source: Lambda API Reference, "InvokeAsync".

use std::sync::Arc;

use lambent_api::{Body, Call};
use lambent_model_lambda::{InvocationType, InvokeAsyncRequest, InvokeAsyncResponse};

use crate::configuration::tenancy;
use crate::errors::{self, LambdaError};
use crate::functions::existing;
use crate::invocations::invoke::checked_payload;
use crate::lambda::Lambda;
use crate::limits::ASYNC_PAYLOAD_MAX;

impl Lambda {
    pub(crate) async fn invoke_async(
        self: &Arc<Self>,
        call: &Call,
        input: InvokeAsyncRequest,
        mut body: Body,
    ) -> Result<InvokeAsyncResponse, LambdaError> {
        let name = existing(&input.function_name, None, &call.owner_place())?;
        let kind = InvocationType::Event;
        let too_large = || errors::payload_too_large(ASYNC_PAYLOAD_MAX + 1, kind.as_str(), ASYNC_PAYLOAD_MAX);
        let payload = body.collect(ASYNC_PAYLOAD_MAX, too_large).await?;
        let payload = checked_payload(Some(payload), &kind)?;
        let loaded = self.engine(call).loaded(&name).await?;
        tenancy::check_call(loaded.is_per_tenant, None)?;
        self.enqueue(call, &name, payload, None).await?;
        Ok(InvokeAsyncResponse { status: Some(202) })
    }
}
