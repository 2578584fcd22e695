//! Calls of components that answer HTTP requests.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use lambent_pool::{End, InvokeRequest};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::host::Host;
use crate::http_event::Asked;
use crate::limits::RESPONSE_BYTES_MAX;

type Sent = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

/// How a call ended, and whether the component has returned from it.
pub(crate) struct Answered {
    pub(crate) end: End,
    pub(crate) has_returned: bool,
}

/// What came of a request.
enum Answer {
    Whole(http::Response<Bytes>),
    TooLarge,
    Failed(String),
    /// The component set none.
    None,
}

impl Answered {
    fn whole(end: End) -> Self {
        Self { end, has_returned: true }
    }

    fn broken_off(end: End) -> Self {
        Self { end, has_returned: false }
    }
}

/// Makes a request of the event, and a result of the response.
pub(crate) async fn call(
    store: &mut Store<Host>,
    proxy: &Proxy,
    request: &InvokeRequest,
    deadline_ms: u64,
) -> wasmtime::Result<Answered> {
    let asked = match Asked::read(request, deadline_ms) {
        Ok(asked) => asked,
        Err(problem) => return Ok(Answered::whole(End::error("Runtime.MalformedEvent", &problem))),
    };
    let (is_event, scheme) = (asked.is_event, if asked.is_https { Scheme::Https } else { Scheme::Http });
    let (sender, sent) = oneshot::channel();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let own = sender.clone();
    let incoming = store.data_mut().http().new_incoming_request(scheme, asked.request)?;
    let out = store.data_mut().http().new_response_outparam_from_callback(move |answer| {
        if let Some(sender) = own.lock().take() {
            // Nobody listens only when the call is over.
            let _ = sender.send(answer);
        }
    })?;
    let handled = async {
        let handled = proxy.wasi_http_incoming_handler().call_handle(store, incoming, out).await;
        // What was not sent by now never will be.
        sender.lock().take();
        handled
    };
    let Some(answer) = both(handled, receive(sent)).await? else {
        return Ok(Answered::broken_off(End::too_large()));
    };
    Ok(Answered::whole(match answer {
        Answer::Whole(response) if is_event => End::success(crate::http_event::result(&response)),
        Answer::Whole(response) => crate::http_event::plain_result(response),
        Answer::TooLarge => End::too_large(),
        Answer::Failed(why) => End::error("Runtime.HttpError", &why),
        Answer::None => {
            End::error("Runtime.NoResponse", "The component returned without having set a response.")
        }
    }))
}

/// Lets the component run until it has returned, and takes its response meanwhile; `None` where that grew too large before.
async fn both(
    handled: impl Future<Output = wasmtime::Result<()>>,
    received: impl Future<Output = Answer>,
) -> wasmtime::Result<Option<Answer>> {
    let (mut handled, mut has_returned) = (pin!(handled), false);
    // Without a share in the task's turns: that nothing is there must mean that nothing is there.
    let mut received = pin!(tokio::task::unconstrained(received));
    let mut answer = None;
    poll_fn(|context| {
        if !has_returned && let Poll::Ready(returned) = handled.as_mut().poll(context) {
            has_returned = true;
            if let Err(error) = returned {
                return Poll::Ready(Err(error));
            }
        }
        if answer.is_none()
            && let Poll::Ready(received) = received.as_mut().poll(context)
        {
            answer = Some(received);
        }
        match (has_returned, &answer) {
            (true, Some(_)) => Poll::Ready(Ok(answer.take())),
            // Nobody is there who could write the rest.
            (true, None) => {
                let why = "The component returned before its response was whole.";
                Poll::Ready(Ok(Some(Answer::Failed(why.to_owned()))))
            }
            (false, Some(Answer::TooLarge)) => Poll::Ready(Ok(None)),
            (false, _) => Poll::Pending,
        }
    })
    .await
}

async fn receive(sent: oneshot::Receiver<Sent>) -> Answer {
    let (head, mut body) = match sent.await {
        Ok(Ok(response)) => response.into_parts(),
        Ok(Err(code)) => return Answer::Failed(format!("The component answered with the error {code:?}.")),
        Err(_) => return Answer::None,
    };
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => {
                if bytes.len() + data.len() > RESPONSE_BYTES_MAX {
                    return Answer::TooLarge;
                }
                bytes.extend_from_slice(&data);
            }
            // Trailers, for which a result has no place.
            Ok(Err(_)) => {}
            Err(code) => return Answer::Failed(format!("The response ended early: {code:?}.")),
        }
    }
    Answer::Whole(http::Response::from_parts(head, bytes.freeze()))
}
