//! Who made a call: how it is told what comes of that.

use tokio::sync::oneshot;

use crate::error::InvokeError;
use crate::invocation::Invocation;
use crate::stream::Sink;

/// What a caller is told in the end.
pub(crate) type Told = Result<Invocation, InvokeError>;

/// See the module.
pub(crate) struct Caller {
    /// Where the result goes while it is made, if the caller takes it so.
    pub(crate) sink: Option<Sink>,
    answer: Option<oneshot::Sender<Told>>,
}

/// A call that runs by itself, for who waits until it is told.
pub(crate) struct Running(oneshot::Receiver<Told>);

impl Caller {
    /// A caller, and what it waits for.
    pub(crate) fn new(sink: Option<Sink>) -> (Self, Running) {
        let (answer, told) = oneshot::channel();
        (Self { sink, answer: Some(answer) }, Running(told))
    }

    /// Tells what came of the call, if that was not told before. A result that streamed is over with this.
    pub(crate) fn tell(&mut self, told: Told) {
        self.sink = None;
        if let Some(answer) = self.answer.take() {
            // Whoever called may have gone.
            let _ = answer.send(told);
        }
    }
}

impl Running {
    /// What is told. A call that ends without a word ended with the platform.
    pub(crate) async fn told(self) -> Told {
        self.0.await.unwrap_or(Err(InvokeError::ShuttingDown))
    }
}
