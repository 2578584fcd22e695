//! What packets belong to, and who has something to do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use parking_lot::Mutex;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

/// Two endpoints that talk to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flow {
    pub(crate) protocol: Protocol,
    /// The function's end.
    pub(crate) inside: SocketAddr,
    /// The end that the function means.
    pub(crate) outside: SocketAddr,
}

/// The flows of one environment that have something to do.
#[derive(Debug, Default)]
pub(crate) struct Ready(Mutex<ReadyFlows>);

#[derive(Debug, Default)]
struct ReadyFlows {
    flows: Vec<Flow>,
    /// The task that serves them.
    task: Option<Waker>,
}

impl Ready {
    /// Has the task woken when a flow becomes ready.
    pub(crate) fn watch(&self, task: &Waker) {
        let mut inner = self.0.lock();
        if !inner.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            inner.task = Some(task.clone());
        }
    }

    /// Those that became ready since the last time, each once.
    pub(crate) fn take(&self) -> Vec<Flow> {
        std::mem::take(&mut self.0.lock().flows)
    }
}

/// Wakes the task of an environment for the sake of one of its flows.
#[derive(Debug)]
pub(crate) struct FlowWaker {
    flow: Flow,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl FlowWaker {
    pub(crate) fn new(flow: Flow, ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self { flow, queued: AtomicBool::new(false), ready: ready.clone() })
    }

    /// Makes the flow ready without waking anybody: the task is running.
    pub(crate) fn queue(&self) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.0.lock().flows.push(self.flow);
        }
    }

    /// The flow is being looked after; what happens from now on makes it ready again.
    pub(crate) fn taken(&self) {
        self.queued.store(false, Ordering::Release);
    }
}

impl Wake for FlowWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue();
        let task = self.ready.0.lock().task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}
