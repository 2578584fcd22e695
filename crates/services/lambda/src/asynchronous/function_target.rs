//! Functions as targets of what other functions hand on.

use std::sync::Arc;

use lambent_base::{Arn, BoxFuture, Place};
use lambent_bus::ports::{Caller, DeliverTo, Outgoing, PortError};
use lambent_bus::{BusError, Delivery, NewEvent};

use crate::engine::{Engine, WeakEngine};
use crate::names::FunctionName;
use crate::policies::statements::INVOKE;

/// Invokes functions asynchronously, in the name of another function's role.
struct FunctionTarget(WeakEngine);

impl Engine {
    /// Functions, for [`lambent_bus::ports::Targets`].
    pub fn as_target(&self) -> Arc<dyn DeliverTo> {
        Arc::new(FunctionTarget(self.downgrade()))
    }

    async fn take_over(&self, outgoing: Outgoing) -> Delivery {
        let Outgoing { target, role_arn, source, body, attributes, id, trace, .. } = outgoing;
        match self.role_may(&role_arn, &target.region, INVOKE, target.to_string()).await {
            Ok(true) => {}
            Ok(false) => {
                return Delivery::Refused(format!(
                    "the role {role_arn} of {source} may not {INVOKE} on {target}, or does not trust Lambda"
                ));
            }
            Err(error) => return Delivery::Busy(error.to_string()),
        }
        match exists(self, &target).await {
            Ok(true) => {}
            Ok(false) => return Delivery::Refused(format!("function {target} does not exist")),
            Err(error) => return Delivery::Busy(error.to_string()),
        }
        let event = &NewEvent {
            request_id: Some(id),
            trace,
            attributes,
            ..NewEvent::for_function(target, Caller::Authorized, body)
        };
        let put =
            self.db.run(|txn| async move { self.parts.outbox.put(&txn, event.clone()).await.map(drop) });
        match put.await {
            Ok(()) => Delivery::Done,
            Err(error @ BusError::PayloadTooLarge { .. }) => Delivery::Refused(error.to_string()),
            Err(error) => Delivery::Busy(error.to_string()),
        }
    }
}

fn function_name(target: &Arn) -> Option<FunctionName> {
    let place = Place { account: target.account.clone(), region: target.region.clone() };
    FunctionName::parse(&target.to_string(), None, &place).ok()
}

async fn exists(engine: &Engine, target: &Arn) -> Result<bool, PortError> {
    let Some(name) = function_name(target) else { return Ok(false) };
    let found = engine.resolve(&engine.db, &name).await.map_err(|error| PortError(error.to_string()))?;
    Ok(found.is_some())
}

impl DeliverTo for FunctionTarget {
    fn permission(&self, target: &Arn) -> (&'static str, String) {
        (INVOKE, target.to_string())
    }

    fn exists<'a>(&'a self, target: &'a Arn) -> BoxFuture<'a, Result<bool, PortError>> {
        Box::pin(async move {
            match self.0.upgrade() {
                Some(engine) => exists(&engine, target).await,
                None => Err(PortError("the platform is stopping".to_owned())),
            }
        })
    }

    fn deliver(&self, outgoing: Outgoing) -> BoxFuture<'_, Delivery> {
        Box::pin(async move {
            match self.0.upgrade() {
                Some(engine) => engine.take_over(outgoing).await,
                None => Delivery::Busy("the platform is stopping".to_owned()),
            }
        })
    }
}
