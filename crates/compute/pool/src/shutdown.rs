//! The end of an environment that has extensions: who is told, in which order, and how long each has.
//! Source: AWS Lambda Developer Guide, "Understanding the Lambda execution environment lifecycle", "Shutdown phase".

use std::time::Duration;

use lambent_sandbox::ExitStatus;

use crate::environment::{Environment, Event, SPINDOWN};

/// The whole of it where programs run beside the runtime.
const EXTERNAL_TIME: Duration = Duration::from_secs(2);
/// Of that, what the runtime has at most.
const RUNTIME_TIME: Duration = Duration::from_millis(300);
/// The whole of it where all extensions are the runtime's own.
const INTERNAL_TIME: Duration = Duration::from_millis(500);

impl Environment {
    /// Ends the runtime, tells its extensions that the environment ends, and waits until they have ended, for as long as
    /// AWS does. (Without extensions there is no such phase.)
    pub(crate) async fn shut_down(&mut self) {
        if self.wake().await.is_err() {
            return;
        }
        let began = self.clock.monotonic();
        let has_external = self.extensions.has_external();
        // What failed is not asked.
        if self.end_reason == SPINDOWN {
            self.let_runtime_end(if has_external { RUNTIME_TIME } else { INTERNAL_TIME }).await;
        }
        // Where that cannot be done extensions of a healthy one are told nevertheless.
        let is_killed = has_external && self.enclosure.kill_runtime().await;
        if has_external && (is_killed || self.end_reason == SPINDOWN) {
            let gone = self.clock.monotonic().saturating_sub(began);
            self.let_extensions_end(EXTERNAL_TIME.saturating_sub(gone)).await;
        }
    }

    /// Sends the runtime a `SIGTERM`, and waits for it.
    async fn let_runtime_end(&mut self, time: Duration) {
        if !self.enclosure.terminate_runtime().await {
            return;
        }
        let logs = self.logs.clone();
        let mut deadline = self.alarm.after(time);
        loop {
            match self.next(&logs, &mut deadline).await {
                Event::TimedOut | Event::Broken(_) | Event::Exited(_) => return,
                Event::Call(connection, call) => self.refuse(connection, &call),
                _ => {}
            }
        }
    }

    async fn let_extensions_end(&mut self, time: Duration) {
        let logs = self.logs.clone();
        let deadline_ms = self.clock.unix_ms() + i64::try_from(time.as_millis()).unwrap_or_default();
        let told = self.extensions.begin_end(&mut self.api, &self.random, self.end_reason, deadline_ms);
        if let Some(telemetry) = self.log.telemetry() {
            telemetry.hurry();
        }
        let mut deadline = self.alarm.after(if told { time } else { Duration::ZERO });
        while told && !self.extensions.have_ended() {
            match self.next(&logs, &mut deadline).await {
                Event::TimedOut | Event::Broken(_) => break,
                Event::Exited(ExitStatus::Signal(0)) => break,
                Event::Call(connection, call) => self.refuse(connection, &call),
                _ => {}
            }
        }
    }
}
