//! The timer that hyper holds an HTTP/1 connection to its limits with.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use lambent_base::{Alarm, Until};

/// One for each connection: all that its task waits for shares one alarm.
pub(crate) struct ConnectionTimer(pub(crate) Alarm);

struct Waiting(Until);

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Waiting(self.0.after(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Waiting(self.0.until(deadline.into())))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_passed(context)
    }
}

impl Sleep for Waiting {}
