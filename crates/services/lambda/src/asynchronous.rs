//! Asynchronous invocations, and invocations for other services.
//!
//! An event is in the outbox before its 202 is sent; the outbox's workers come back with it through [`InvokeFunction`],
//! once or, after failures, again. Source: AWS Lambda Developer Guide, "Invoking a Lambda function asynchronously".

use lambent_api::Call;
use lambent_base::{Arn, BoxFuture, Place};
use lambent_bus::ports::{Caller, Invocation, InvokeError, InvokeFunction, Invoked, MayInvoke, PortError};
use lambent_bus::{BusError, NewEvent};
use lambent_pool::{InvokeError as PoolError, InvokeRequest, Outcome};

use crate::cache::Loaded;
use crate::errors::{self, LambdaError};
use crate::lambda::Lambda;
use crate::limits::SYNC_PAYLOAD_MAX;
use crate::names::FunctionName;
use crate::policy::{self, ServiceCaller};
use crate::{tenancy, trace};

/// The attribute of an event that says whose it is.
const TENANT: &str = "X-Amz-Tenant-Id";

impl Lambda {
    /// Makes an event durable, to be run soon.
    pub(crate) async fn enqueue(
        &self,
        call: &Call,
        name: &FunctionName,
        payload: bytes::Bytes,
        tenant_id: Option<String>,
    ) -> Result<(), LambdaError> {
        let arn = Arn::new(
            "lambda",
            &name.place.region,
            &name.place.account,
            match &name.qualifier {
                None => format!("function:{}", name.name),
                Some(qualifier) => format!("function:{}:{qualifier}", name.name),
            },
        );
        let mut event = NewEvent::for_function(arn, Caller::Authorized, payload);
        event.request_id = Some(call.request_id().to_owned());
        event.trace = call.context.trace.clone();
        event.attributes.extend(tenant_id.map(|tenant_id| (TENANT.to_owned(), tenant_id)));
        let event = &event;
        let committed = self.parts.db.run(|txn| async move {
            self.parts.outbox.put(&txn, event.clone()).await.map(drop).map_err(from_bus)
        });
        committed.await
    }

    async fn invoke_as(&self, invocation: Invocation) -> Result<Invoked, InvokeError> {
        let Invocation { function, payload, request_id, caller, trace, earlier_attempts: _, mut attributes } =
            invocation;
        let tenant_id = attributes.remove(TENANT).filter(|_| caller == Caller::Authorized);
        if payload.len() > SYNC_PAYLOAD_MAX {
            return Err(InvokeError::PayloadTooLarge { bytes: payload.len(), limit: SYNC_PAYLOAD_MAX });
        }
        let loaded = self.load_target(&function).await?;
        if !allows(&loaded, &caller) {
            return Err(InvokeError::NotAllowed(function));
        }
        let Some(spec) = loaded.spec.clone() else {
            return Err(InvokeError::NotReady(function, "it is being created, or could not be".to_owned()));
        };
        if let Some(problem) = loaded.foreign_architecture() {
            return Err(InvokeError::Platform(problem));
        }
        tenancy::check_call(loaded.is_per_tenant, tenant_id.as_deref())
            .map_err(|error| InvokeError::Platform(error.message))?;
        let request = InvokeRequest {
            function: spec,
            payload,
            request_id,
            invoked_arn: function.to_string(),
            trace_id: trace.and_then(|trace| trace::carried(&trace, &self.parts.random)),
            client_context: (!attributes.is_empty())
                .then(|| serde_json::json!({ "custom": attributes }).to_string()),
            tenant_id,
        };
        match self.parts.runner.run(request).await {
            Ok(invocation) => {
                let (payload, function_error) = match invocation.outcome {
                    Outcome::Success(payload) => (payload, None),
                    Outcome::FunctionError { kind, payload } => (payload, Some(kind.as_str().to_owned())),
                };
                Ok(Invoked {
                    payload,
                    function_error,
                    executed_version: invocation.record.function.version,
                    log_tail: invocation.log_tail.into(),
                })
            }
            Err(PoolError::Throttled(_)) => Err(InvokeError::Throttled(function)),
            Err(error) => Err(InvokeError::Platform(error.to_string())),
        }
    }

    async fn load_target(&self, function: &Arn) -> Result<std::sync::Arc<Loaded>, InvokeError> {
        let missing = || InvokeError::NoSuchFunction(function.clone());
        let place = Place { account: function.account.clone(), region: function.region.clone() };
        let name = FunctionName::parse(&function.to_string(), None, &place).map_err(|_| missing())?;
        let found = self.load(&name).await;
        found.map_err(|error| InvokeError::Platform(error.to_string()))?.ok_or_else(missing)
    }
}

impl InvokeFunction for Lambda {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Invoked, InvokeError>> {
        Box::pin(self.invoke_as(invocation))
    }
}

impl MayInvoke for Lambda {
    fn may_invoke<'a>(
        &'a self,
        function: &'a Arn,
        caller: &'a Caller,
    ) -> BoxFuture<'a, Result<bool, PortError>> {
        Box::pin(async move {
            match self.load_target(function).await {
                Ok(loaded) => Ok(allows(&loaded, caller)),
                Err(InvokeError::NoSuchFunction(_)) => Ok(false),
                Err(error) => Err(PortError(error.to_string())),
            }
        })
    }
}

/// Whether the function's resource policy lets the caller in; whoever was authorised by its own needs none.
fn allows(loaded: &Loaded, caller: &Caller) -> bool {
    match caller {
        Caller::Authorized => true,
        Caller::Service { principal, source, source_account } => {
            let source_arn = &source.to_string();
            policy::allows_invoke(
                loaded.policy.as_ref(),
                &ServiceCaller { principal, source_arn, source_account },
            )
        }
        // Its policies are asked before anything is handed on in its name.
        Caller::Role { .. } => false,
    }
}

fn from_bus(error: BusError) -> LambdaError {
    match error {
        BusError::Store(error) => LambdaError::Store(error),
        BusError::PayloadTooLarge { length } => {
            errors::payload_too_large(length, "Event", lambent_bus::MAX_PAYLOAD_BYTES).into()
        }
        other => LambdaError::Event(other.to_string()),
    }
}
