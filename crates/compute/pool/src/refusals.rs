//! What runtimes are told that say something out of turn, in the words of AWS's own server of the Runtime API.

use crate::api::{Call, RuntimeApi};
use crate::routes;

/// How far a runtime is, as its environment knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has not asked for an event yet.
    #[default]
    Started,
    /// It has the event with this request id.
    Running(String),
    /// It has answered that event.
    Answered(String),
}

impl Progress {
    /// The request id that may be spoken of.
    fn id(&self) -> Option<&str> {
        match self {
            Self::Started => None,
            Self::Running(id) | Self::Answered(id) => Some(id),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Running(_) => "Running",
            Self::Answered(_) => "RuntimeResponseSentState",
        }
    }
}

/// Refuses what a runtime said on a connection.
pub(crate) fn refuse(api: &mut RuntimeApi, connection: usize, call: &Call, progress: &Progress) {
    let to = match call {
        Call::Response { id, .. } | Call::Error { id, .. } if Some(id.as_str()) != progress.id() => {
            return api.refuse(connection, "400 Bad Request", "InvalidRequestID", "Invalid request ID");
        }
        // Paths that only our own bootstraps know, and only before they have a function.
        Call::Function | Call::Code { .. } => {
            return api.reply(connection, routes::not_found().as_bytes());
        }
        Call::Response { .. } => "InvocationResponse",
        Call::Error { .. } => "InvocationErrorResponse",
        Call::InitError { .. } => "InitError",
        _ => "Ready",
    };
    let message = format!(
        "State transition from {} to {to} failed for runtime. Error: State transition is not allowed",
        progress.name()
    );
    api.refuse(connection, "403 Forbidden", "InvalidStateTransition", &message);
}
