//! Connections that wake themselves are polled again at once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// So often in a row; who then still wakes itself takes its turn behind other tasks.
const MAX_REPOLLS: usize = 4;

/// What `future` gives.
///
/// hyper's connection and the handler of its request live in one task, and each piece of a request's body that the one
/// hands to the other wakes that task although it runs. The runtime then queues it behind others and wakes a second
/// thread to help: more work than a small request is.
pub(crate) async fn repolled<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let inside = Arc::new(Inside::default());
    let waker = Waker::from(inside.clone());
    poll_fn(move |context| {
        inside.remember(context.waker());
        for _ in 0..=MAX_REPOLLS {
            let polled = inside.watch(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
            if let Some(polled) = polled {
                return polled;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// The waker that the future is given.
#[derive(Default)]
struct Inside {
    polling: AtomicBool,
    woken: AtomicBool,
    /// The task's own.
    task: Mutex<Option<Waker>>,
}

impl Inside {
    fn remember(&self, waker: &Waker) {
        let mut task = self.task.lock();
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// The outcome of a poll; `None` when it is pending and was woken meanwhile.
    fn watch<T>(&self, poll: impl FnOnce() -> Poll<T>) -> Option<Poll<T>> {
        self.woken.store(false, Ordering::SeqCst);
        self.polling.store(true, Ordering::SeqCst);
        let polled = poll();
        // In this order, and the other way round in `wake`: either that one sees that nobody polls, or this one sees it.
        self.polling.store(false, Ordering::SeqCst);
        (polled.is_ready() || !self.woken.load(Ordering::SeqCst)).then_some(polled)
    }
}

impl Wake for Inside {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if !self.polling.load(Ordering::SeqCst)
            && let Some(task) = &*self.task.lock()
        {
            task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Wakes itself in each of the first `times` polls.
    fn restless(times: usize) -> impl Future<Output = usize> {
        let mut polls = 0;
        poll_fn(move |context| {
            polls += 1;
            if polls > times {
                return Poll::Ready(polls);
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[test]
    fn who_wakes_itself_is_polled_again_without_the_runtime() {
        let wakes = Arc::new(Count::default());
        let waker = Waker::from(wakes.clone());
        let mut context = Context::from_waker(&waker);
        assert_eq!(pin!(repolled(restless(MAX_REPOLLS))).poll(&mut context), Poll::Ready(MAX_REPOLLS + 1));
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
        let mut long = pin!(repolled(restless(MAX_REPOLLS + 1)));
        assert_eq!(long.as_mut().poll(&mut context), Poll::Pending, "others get their turn");
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert_eq!(long.poll(&mut context), Poll::Ready(MAX_REPOLLS + 2));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_from_elsewhere_is_lost() {
        let (send, mut receive) = tokio::sync::mpsc::channel(1);
        let sending = tokio::spawn(async move {
            for number in 0..10_000 {
                send.send(number).await.unwrap();
            }
        });
        let receiving = repolled(async move {
            let mut next = 0;
            while let Some(number) = receive.recv().await {
                assert_eq!(number, next);
                next += 1;
            }
            next
        });
        assert_eq!(tokio::spawn(receiving).await.unwrap(), 10_000);
        sending.await.unwrap();
    }
}
