//! Timers that are set often and ring seldom.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The one timer of a task that sets a new deadline for each thing that it does: a connection, an environment.
///
/// A timer of the runtime costs the driver's lock when it is set and when it is dropped, and wakes the thread that
/// sleeps in the driver whenever it is nearer than what that one sleeps for: more than a small request. This one stays
/// set to the nearest deadline it was ever asked for, rings early at most once for each, and is only then set anew.
///
/// Cheap to clone; the clones are one timer. It wakes whoever polled last, so that only one task may wait at a time.
#[derive(Clone, Default)]
pub struct Alarm {
    set: Arc<Mutex<Option<Pin<Box<Sleep>>>>>,
}

/// Ready at its deadline.
#[derive(Clone)]
pub struct Until {
    alarm: Alarm,
    deadline: Instant,
}

/// A wait ended by its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl Alarm {
    /// Ready at `deadline`, of the runtime's clock.
    pub fn until(&self, deadline: Instant) -> Until {
        Until { alarm: self.clone(), deadline }
    }

    /// Ready when `duration` has passed.
    pub fn after(&self, duration: Duration) -> Until {
        self.until(Instant::now() + duration)
    }

    /// What comes of `future`, if it comes within `duration`.
    pub async fn within<F: Future>(&self, duration: Duration, future: F) -> Result<F::Output, Elapsed> {
        let (mut future, mut until) = (pin!(future), self.after(duration));
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => until.poll_passed(context).map(|()| Err(Elapsed)),
        })
        .await
    }
}

impl Until {
    /// Whether it is ready, without waiting.
    pub fn has_passed(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Another deadline for the same wait.
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Ready once the deadline has passed, also in a task that has used up what the runtime lets it do at a time: a
    /// timer of the runtime is never ready then.
    pub fn poll_passed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut set = self.alarm.set.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.has_passed() {
                return Poll::Ready(());
            }
            let timer = set.get_or_insert_with(|| Box::pin(sleep_until(self.deadline)));
            if timer.deadline() > self.deadline {
                timer.as_mut().reset(self.deadline);
            }
            ready!(timer.as_mut().poll(context));
            // It rang for an earlier deadline, which nobody waits for any more.
            timer.as_mut().reset(self.deadline);
        }
    }
}

impl Future for Until {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.poll_passed(context)
    }
}

impl fmt::Debug for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Until").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_later_deadline_is_kept_although_an_earlier_one_was_set() {
        let (alarm, begun) = (Alarm::default(), Instant::now());
        assert_eq!(alarm.within(MS, std::future::ready(1)).await, Ok(1));
        assert_eq!(alarm.within(MS, tokio::task::yield_now()).await, Ok(()), "which sets the timer");
        alarm.after(5 * MS).await;
        assert!(begun.elapsed() >= 5 * MS);
    }

    #[tokio::test]
    async fn an_earlier_deadline_is_kept_although_a_later_one_was_set() {
        let (alarm, begun) = (Alarm::default(), Instant::now());
        assert_eq!(alarm.within(HOUR, tokio::task::yield_now()).await, Ok(()), "which sets the timer");
        assert_eq!(alarm.within(MS, std::future::pending::<()>()).await, Err(Elapsed));
        assert!(begun.elapsed() < HOUR);
    }

    #[tokio::test]
    async fn a_wait_can_be_made_longer() {
        let begun = Instant::now();
        let mut until = Alarm::default().until(begun);
        assert!(until.has_passed());
        until.reset(begun + 3 * MS);
        (&mut until).await;
        assert!(until.has_passed());
        assert!(begun.elapsed() >= 3 * MS);
    }
}
