//! Keeps the ready set as it should be, behind the calls' backs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use lambent_sandbox::Shell;
use tokio::time::{Instant, sleep, timeout};

use crate::pool::{Inner, Working};
use crate::prepared::Prepared;
use crate::ready::{Limits, ReadySet};
use crate::start::prepare;

/// Ready environments, and what they are made from, take at most one part in so many of the memory that this process may
/// use.
const READY_MEMORY_SHARE: u64 = 10;
/// Starts have settled when none was begun for so long, and none is under way.
const SETTLED: Duration = Duration::from_millis(3);
/// What is wanted is made after so long even if starts never settle, one at a time.
const LONGEST_PUT_OFF: Duration = Duration::from_millis(50);
/// How often it is looked whether fewer will do; more are noticed at once.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(100);
/// A bootstrap that does not ask for its function within this is given up.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// Keeps environments ready until the pool goes away.
pub(crate) async fn keep(ready: Arc<ReadySet>, inner: Weak<Inner>) {
    let mut pause = None;
    loop {
        let dead = match pause {
            None => ready.changed().await,
            Some(pause) => timeout(pause, ready.changed()).await.unwrap_or_default(),
        };
        let Some(inner) = inner.upgrade() else { return };
        let now = inner.parts.clock.monotonic();
        dead.iter().for_each(|one| ready.put_off(&one.shell, now));
        inner.end(dead);
        let next_over = inner.tidy();
        pause = next_over.map(|then| then.saturating_sub(now).clamp(LOOK_AT_MOST_EVERY, LOOK_EVERY));
        if inner.wants_more() {
            let at_once = inner.free_to_make().await;
            inner.make(at_once);
        }
    }
}

impl Inner {
    /// Ends what is ready and not needed; gives when there will be more of that, if there is anything to look after.
    pub(crate) fn tidy(self: &Arc<Self>) -> Option<Duration> {
        let plan = self.ready.plan(self.parts.clock.monotonic(), self.ready_limits(), 0);
        self.end(plan.excess);
        if !plan.retired.is_empty() {
            let (inner, work) = (self.clone(), Working::new(self));
            tokio::task::spawn_blocking(move || {
                plan.retired.iter().for_each(|shell| inner.sandbox.retire(shell));
                drop(work);
            });
        }
        plan.next_over
    }

    fn wants_more(&self) -> bool {
        self.ready.wants_more(self.parts.clock.monotonic(), self.ready_limits())
    }

    /// Waits until starts have settled, or have been waited for long enough; gives how many may be prepared at once, so
    /// that it slows nobody down.
    async fn free_to_make(&self) -> usize {
        let give_up = Instant::now() + LONGEST_PUT_OFF;
        loop {
            let starts = self.ready.starts();
            sleep(SETTLED).await;
            let load = self.leases.lock().load();
            let cores = self.config.max_parallel;
            if load.starting == 0 && self.ready.starts() == starts {
                return cores.saturating_sub(load.running).max(1);
            }
            if Instant::now() >= give_up && load.starting < cores {
                return 1;
            }
        }
    }

    fn make(self: &Arc<Self>, at_once: usize) {
        let plan = self.ready.plan(self.parts.clock.monotonic(), self.ready_limits(), at_once);
        self.end(plan.excess);
        for shell in plan.make {
            let (inner, work) = (self.clone(), Working::new(self));
            tokio::spawn(async move {
                let made = inner.make_one(&shell).await;
                let back = inner.ready.put(&shell, made, inner.parts.clock.monotonic());
                inner.end(back.into_iter().collect());
                drop(work);
            });
        }
    }

    async fn make_one(self: &Arc<Self>, shell: &Arc<Shell>) -> Option<Prepared> {
        let mut killing = self.killing.subscribe();
        let mut made = tokio::select! {
            biased;
            // What is being made is not waited for to the last; it ends with the process.
            _ = killing.wait_for(|killing| *killing) => return None,
            made = prepare(self, shell) => made.ok()?,
        };
        let is_ready = tokio::select! {
            biased;
            () = self.ready.closing() => false,
            waited = timeout(READY_TIMEOUT, made.wait_until_ready()) => matches!(waited, Ok(Ok(()))),
        };
        // It waits for an answer, and uses no CPU. To thaw it would cost a start some milliseconds whenever the kernel
        // makes or removes control groups at the same time.
        if is_ready {
            return Some(made);
        }
        self.end(vec![made]);
        None
    }

    fn ready_limits(&self) -> Limits {
        Limits {
            bytes: self.memory_bytes / READY_MEMORY_SHARE,
            room: self.config.max_environments.saturating_sub(self.leases.lock().load().living),
            keep_alive: self.config.idle_timeout,
        }
    }
}
