//! Calls of components that answer HTTP requests.

use std::sync::Arc;

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

/// What came of a request.
enum Answer {
    Whole(http::Response<Bytes>),
    TooLarge,
    Failed(String),
    /// The component set none.
    None,
}

/// Makes a request of the event, and a result of the response.
pub(crate) async fn call(
    store: &mut Store<Host>,
    proxy: &Proxy,
    request: &InvokeRequest,
    deadline_ms: u64,
) -> wasmtime::Result<End> {
    let asked = match Asked::read(request, deadline_ms) {
        Ok(asked) => asked,
        Err(problem) => return Ok(End::error("Runtime.MalformedEvent", &problem)),
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
    let (handled, answer) = tokio::join!(handled, receive(sent));
    handled?;
    Ok(match answer {
        Answer::Whole(response) if is_event => End::success(crate::http_event::result(&response)),
        Answer::Whole(response) => crate::http_event::plain_result(response),
        Answer::TooLarge => End::too_large(),
        Answer::Failed(why) => End::error("Runtime.HttpError", &why),
        Answer::None => {
            End::error("Runtime.NoResponse", "The component returned without having set a response.")
        }
    })
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
