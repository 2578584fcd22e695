//! Asynchronous invocations, and invocations for other services.
//!
//! An event is in the outbox before its 202 is sent; the outbox's workers come back with it through [`InvokeFunction`],
//! once or, after failures, again. Source: AWS Lambda Developer Guide, "Invoking a Lambda function asynchronously".

use std::sync::Arc;
use std::time::Duration;

use lambent_api::Call;
use lambent_base::{Arn, BoxFuture, Place};
use lambent_bus::ports::{
    Caller, EventPlan, Follow, Invocation, InvokeError, InvokeFunction, Invoked, MayInvoke, PortError,
};
use lambent_bus::{BusError, Event, NewEvent, RetryPolicy};
use lambent_identity::{Circumstances, IdentityError, Wanted};
use lambent_pool::{InvokeError as PoolError, InvokeRequest, Outcome};

use crate::asynchronous::destinations::HandOn;
use crate::asynchronous::event_invoke::{self, EventInvokeRow};
use crate::asynchronous::recursion;
use crate::configuration::tenancy;
use crate::engine::Engine;
use crate::errors::{self, LambdaError};
use crate::functions::cache::{Draw, Loaded};
use crate::lambda::Lambda;
use crate::limits::SYNC_PAYLOAD_MAX;
use crate::names::FunctionName;
use crate::policies::statements::INVOKE;

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
        let committed = self.db(call).run(|txn| async move {
            self.parts.outbox.put(&txn, event.clone()).await.map(drop).map_err(from_bus)
        });
        committed.await
    }
}

impl Engine {
    /// What the function's owner wants done with an event, as it is configured now.
    async fn plan_of(&self, event: &Event) -> Result<EventPlan, InvokeError> {
        let platform = |error: LambdaError| InvokeError::Platform(error.to_string());
        let name = &name_of(&event.target)?;
        let loaded =
            self.load_target(&event.target, Draw::Attempt(&event.request_id, event.failures)).await?;
        let read = self.db.read(|txn| async move { event_invoke::get(&txn, name).await });
        let config = read.await.map_err(platform)?.unwrap_or_default();
        let retry = retry_of(&config, event.retry);
        let age_ms = self.parts.clock.unix_ms().saturating_sub(event.created_ms).max(0).unsigned_abs();
        let has_targets =
            config.on_success.is_some() || config.on_failure.is_some() || loaded.dead_letter_arn.is_some();
        let follow = loaded.role.clone().filter(|_| has_targets).map(|role_arn| {
            let now_ms = self.parts.clock.unix_ms();
            let traced = recursion::step(event.trace.as_deref(), &name.arn(), now_ms, &self.parts.random);
            Arc::new(HandOn {
                clock: self.parts.clock.clone(),
                role_arn,
                function: name.clone(),
                config,
                dead_letter_arn: loaded.dead_letter_arn.clone(),
                trace: Some(traced.header),
            }) as Arc<dyn Follow>
        });
        Ok(EventPlan { retry, is_overdue: Duration::from_millis(age_ms) >= retry.max_age, follow })
    }

    async fn invoke_as(&self, invocation: Invocation) -> Result<Invoked, InvokeError> {
        let Invocation { function, payload, request_id, caller, trace, earlier_attempts, mut attributes } =
            invocation;
        let tenant_id = attributes.remove(TENANT).filter(|_| caller == Caller::Authorized);
        if payload.len() > SYNC_PAYLOAD_MAX {
            return Err(InvokeError::PayloadTooLarge { bytes: payload.len(), limit: SYNC_PAYLOAD_MAX });
        }
        // As for its plan, so that what follows is what the version that ran has configured.
        let loaded = self.load_target(&function, Draw::Attempt(&request_id, earlier_attempts)).await?;
        match self.lets_in(&function, &caller).await {
            Ok(true) => {}
            Ok(false) => return Err(InvokeError::NotAllowed(function)),
            Err(error) => return Err(InvokeError::Platform(error.to_string())),
        }
        let Some(spec) = loaded.spec.clone() else {
            return Err(InvokeError::NotReady(function, "it is being created, or could not be".to_owned()));
        };
        if let Some(problem) = loaded.foreign_architecture() {
            return Err(InvokeError::CannotRunHere(function, problem));
        }
        if let Err(error) = tenancy::check_call(loaded.is_per_tenant, tenant_id.as_deref()) {
            return Err(InvokeError::CannotRun(function, error.message));
        }
        if spec.reserved_concurrency == Some(0) {
            return Err(InvokeError::NoConcurrency(function));
        }
        let name = name_of(&function)?;
        let traced = self.traced(&name, trace.as_deref()).await;
        let header = match traced.map_err(|error| InvokeError::Platform(error.to_string()))? {
            Ok(header) => header,
            Err(loops) => return Err(InvokeError::Recursive(function, loops)),
        };
        let request = InvokeRequest {
            function: spec,
            payload,
            request_id,
            invoked_arn: function.to_string(),
            trace_id: Some(header),
            client_context: (!attributes.is_empty())
                .then(|| serde_json::json!({ "custom": attributes }).to_string()),
            tenant_id,
            is_told_whole: true,
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
            Err(PoolError::RuntimeUnavailable(why)) => Err(InvokeError::CannotRunHere(function, why)),
            Err(error) => Err(InvokeError::Platform(error.to_string())),
        }
    }

    /// Whether the function's own policy lets the caller in; whoever was authorised by its own needs none.
    async fn lets_in(&self, function: &Arn, caller: &Caller) -> Result<bool, IdentityError> {
        let Caller::Service { principal, source, source_account } = caller else {
            // A role's policies are asked before anything is handed on in its name.
            return Ok(matches!(caller, Caller::Authorized));
        };
        let at = Circumstances {
            // Services call each other within the platform: nothing of it is on a wire that others read.
            is_secure: true,
            region: function.region.clone(),
            time_ms: self.parts.clock.unix_ms(),
            source_arn: Some(source.to_string()),
            source_account: Some(source_account.clone()),
            ..Circumstances::default()
        };
        let service = lambent_identity::Caller::service(principal);
        match self.parts.identity.authorize(&service, &at, Wanted::new(INVOKE, function.to_string())).await {
            Ok(_) => Ok(true),
            Err(IdentityError::Denied(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn load_target(&self, function: &Arn, draw: Draw<'_>) -> Result<Arc<Loaded>, InvokeError> {
        let found = self.load_drawn(&name_of(function)?, draw).await;
        let found = found.map_err(|error| InvokeError::Platform(error.to_string()))?;
        found.ok_or_else(|| InvokeError::NoSuchFunction(function.clone()))
    }
}

impl InvokeFunction for Engine {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Invoked, InvokeError>> {
        Box::pin(self.invoke_as(invocation))
    }

    fn plan<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<EventPlan, InvokeError>> {
        Box::pin(self.plan_of(event))
    }
}

impl MayInvoke for Engine {
    fn may_invoke<'a>(
        &'a self,
        function: &'a Arn,
        caller: &'a Caller,
    ) -> BoxFuture<'a, Result<bool, PortError>> {
        Box::pin(async move {
            match self.load_target(function, Draw::Chance(&self.parts.random)).await {
                Ok(_) => self.lets_in(function, caller).await.map_err(|error| PortError(error.to_string())),
                Err(InvokeError::NoSuchFunction(_)) => Ok(false),
                Err(error) => Err(PortError(error.to_string())),
            }
        })
    }
}

fn name_of(function: &Arn) -> Result<FunctionName, InvokeError> {
    let place = Place { account: function.account.clone(), region: function.region.clone() };
    FunctionName::parse(&function.to_string(), None, &place)
        .map_err(|_| InvokeError::NoSuchFunction(function.clone()))
}

/// The retries that a configuration asks for; what it leaves out is as the event has it.
fn retry_of(config: &EventInvokeRow, own: RetryPolicy) -> RetryPolicy {
    let retries = config.max_retries.map(i32::unsigned_abs);
    let age = config.max_age_s.map(|age| Duration::from_secs(age.unsigned_abs().into()));
    RetryPolicy {
        max_attempts: retries.map_or(own.max_attempts, |retries| retries + 1),
        max_age: age.unwrap_or(own.max_age),
        ..own
    }
}

fn from_bus(error: BusError) -> LambdaError {
    match error {
        BusError::Store(error) => LambdaError::Store(error),
        BusError::PayloadTooLarge { length, limit } => {
            errors::payload_too_large(length, "Event", limit).into()
        }
        other => LambdaError::Event(other.to_string()),
    }
}
