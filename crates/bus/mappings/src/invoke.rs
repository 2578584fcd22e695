//! How a lane has its function run.

use std::time::Duration;

use bytes::Bytes;
use lambent_base::Arn;
use lambent_bus::ports::{Caller, Invocation, InvokeError, Invoked};

use crate::engine::Inner;

/// The first pause after runs could not be billed; it doubles up to [`KEEP_PAUSE_MAX`].
const KEEP_PAUSE: Duration = Duration::from_millis(100);
const KEEP_PAUSE_MAX: Duration = Duration::from_secs(10);

impl Inner {
    /// Runs a function with an event. Returns when the run is in the bill, so that no checkpoint passes one that nobody bills.
    pub(crate) async fn invoke(
        &self,
        function: &Arn,
        request_id: &str,
        event: Bytes,
        earlier_attempts: u32,
    ) -> Result<Invoked, InvokeError> {
        let invocation = Invocation {
            function: function.clone(),
            payload: event,
            request_id: request_id.to_owned(),
            caller: Caller::Authorized,
            trace: None,
            earlier_attempts,
            attributes: std::collections::BTreeMap::new(),
        };
        let answer = self.functions.invoke(invocation).await;
        if answer.is_ok() {
            self.keep_runs().await;
        }
        answer
    }

    /// Keeps trying: what ran must not run again only because of that.
    async fn keep_runs(&self) {
        let mut pause = KEEP_PAUSE;
        while let Err(error) = self.runs.keep_runs().await {
            tracing::error!(%error, "the record of a batch's run cannot be kept; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(KEEP_PAUSE_MAX);
        }
    }
}
