//! What becomes of environments that nobody calls: they are frozen after a moment, and stopped after a while.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::enclosure::Stillness;
use crate::environment::Environment;
use crate::pool::Inner;

/// Environments that become due one after the other are stopped together.
const MIN_REAP_PAUSE: Duration = Duration::from_millis(100);
/// The same for those that are frozen.
const MIN_FREEZE_PAUSE: Duration = Duration::from_millis(10);

impl Inner {
    /// Takes out what was idle for too long; and tells when the longest idle of the rest became so.
    pub(crate) fn take_old(&self) -> (Vec<Environment>, Option<Duration>) {
        let now = self.parts.clock.monotonic();
        // A clock that has not run for so long yet cannot have seen anything idle for so long.
        let Some(then) = now.checked_sub(self.config.idle_timeout) else {
            return (Vec::new(), Some(now));
        };
        let (old, longest_idle) = self.leases.lock().take_idle_since(then);
        (old, longest_idle)
    }

    /// Watches idle environments for as long as there are any.
    pub(crate) fn reap_from_now_on(self: &Arc<Self>) {
        if self.reaping.swap(true, Ordering::SeqCst) {
            return;
        }
        let inner = Arc::downgrade(self);
        let mut pause = self.config.idle_timeout;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause.max(MIN_REAP_PAUSE)).await;
                let Some(inner) = inner.upgrade() else { return };
                let (old, longest_idle) = inner.take_old();
                inner.end(old);
                let Some(since) = longest_idle else {
                    inner.reaping.store(false, Ordering::SeqCst);
                    // One may have become idle between the look and the store.
                    if inner.leases.lock().stats().idle > 0 {
                        inner.reap_from_now_on();
                    }
                    return;
                };
                let age = inner.parts.clock.monotonic().saturating_sub(since);
                pause = inner.config.idle_timeout.saturating_sub(age);
            }
        });
    }

    /// Freezes what is idle when its time has come, for as long as there is anything to freeze: one timer for all, and
    /// none for a call.
    pub(crate) fn freeze_from_now_on(self: &Arc<Self>) {
        if self.freezing.load(Ordering::Relaxed) || self.freezing.swap(true, Ordering::SeqCst) {
            return;
        }
        let inner = Arc::downgrade(self);
        let mut pause = self.config.freeze_after;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause.max(MIN_FREEZE_PAUSE)).await;
                let Some(inner) = inner.upgrade() else { return };
                let Some(since) = inner.freeze_idle() else {
                    inner.freezing.store(false, Ordering::SeqCst);
                    // One may have become idle between the look and the store.
                    if inner.leases.lock().longest_unfrozen().is_some() {
                        inner.freeze_from_now_on();
                    }
                    return;
                };
                let age = inner.parts.clock.monotonic().saturating_sub(since);
                pause = inner.config.freeze_after.saturating_sub(age);
            }
        });
    }

    /// Freezes what was idle for long enough; gives since when the longest idle of the rest has been so.
    fn freeze_idle(&self) -> Option<Duration> {
        let due = self.parts.clock.monotonic().checked_sub(self.config.freeze_after);
        let mut leases = self.leases.lock();
        let still = due.map(|due| leases.still_since(due)).unwrap_or_default();
        let rest = leases.longest_unfrozen();
        drop(leases);
        if !still.is_empty() {
            tokio::task::spawn_blocking(move || still.into_iter().for_each(Stillness::begin));
        }
        rest
    }
}
