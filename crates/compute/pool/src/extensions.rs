//! The Extensions API's server side: who registered, who has asked for its next event, who failed.
//! Source: AWS Lambda Developer Guide, "Using the Lambda Extensions API to create extensions".

use bytes::Bytes;
use lambent_base::Random;
use lambent_sandbox::ExitStatus;
use serde::Deserialize;
use serde_json::json;

use crate::api::{ExtensionCall, ExtensionRequest, RuntimeApi};
use crate::texts;

/// Source: AWS Lambda Developer Guide, "Configuring extensions" (10, internal ones included).
const MAX_EXTENSIONS: usize = 10;
/// The longest name that an internal extension may have.
const MAX_NAME_BYTES: usize = 128;
const FORBIDDEN: &str = "403 Forbidden";
const INVOKE: &str = "INVOKE";
const SHUTDOWN: &str = "SHUTDOWN";

/// What extensions are told of their function.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) handler: String,
    pub(crate) account: String,
}

/// The extensions of one environment.
#[derive(Debug, Default)]
pub(crate) struct Extensions {
    facts: Facts,
    /// Files of `/opt/extensions` that were started and must register.
    expected: Vec<String>,
    registered: Vec<Extension>,
    /// Registration is over, and so is initialisation.
    closed: bool,
    /// Sends no more calls: the environment comes to its end.
    ending: bool,
}

#[derive(Debug)]
struct Extension {
    name: String,
    id: String,
    external: bool,
    invoke: bool,
    shutdown: bool,
    state: State,
    /// An event that came while nobody waited for it.
    pending: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Registered,
    /// It has asked for its next event.
    Ready,
    /// It has one.
    Running,
    /// It said that it failed, or ended.
    Over,
}

/// What a request of an extension's comes to, for whoever runs the environment.
#[derive(Debug)]
pub(crate) enum Heard {
    Nothing,
    /// It was registered.
    Registered,
    /// It failed.
    Failed(Failure),
    /// A subscription to logs or telemetry, which is answered elsewhere: the extension's name, and the body.
    Subscribe {
        name: String,
        is_logs: bool,
        body: Bytes,
    },
}

/// Why an environment cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) name: String,
    /// `Extension.Crash` and the like.
    pub(crate) kind: &'static str,
    /// In words.
    pub(crate) why: String,
    pub(crate) state: &'static str,
}

/// The answer to a registration's body.
#[derive(Deserialize)]
struct Registration {
    #[serde(default)]
    events: Vec<String>,
}

impl Extensions {
    /// Before anybody has registered; `expected` are started.
    pub(crate) fn new(facts: Facts, expected: Vec<String>) -> Self {
        Self { facts, expected, ..Self::default() }
    }

    /// Whether all that were started have registered, so that the runtime may start.
    pub(crate) fn all_registered(&self) -> bool {
        let is_there = |name: &String| self.registered.iter().any(|one| one.external && one.name == *name);
        self.expected.iter().all(is_there)
    }

    /// Whether all have asked for their next event.
    pub(crate) fn are_ready(&self) -> bool {
        self.all_registered() && self.registered.iter().all(|one| one.state == State::Ready)
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.registered.is_empty() && self.expected.is_empty()
    }

    /// Whether any is a program beside the runtime.
    pub(crate) fn has_external(&self) -> bool {
        self.registered.iter().any(|one| one.external)
    }

    /// Whether they were told that the environment ends.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending
    }

    /// Whether registration is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Names and events of all that registered, with their number.
    pub(crate) fn shown(&self) -> Vec<(String, Vec<&'static str>)> {
        self.registered.iter().map(|one| (one.name.clone(), one.events())).collect()
    }

    /// Initialisation is over.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Answers an extension's request.
    pub(crate) fn hear(
        &mut self,
        api: &mut RuntimeApi,
        random: &Random,
        connection: usize,
        request: ExtensionRequest,
    ) -> Heard {
        let refuse = |api: &mut RuntimeApi, kind: &str, message: &str| {
            api.refuse(connection, FORBIDDEN, kind, message);
            Heard::Nothing
        };
        if let ExtensionCall::Register = request.call {
            return match self.register(&request, random) {
                Ok(index) => {
                    let with_account = request.features.as_deref().is_some_and(asks_for_account);
                    api.reply(connection, &self.welcome(index, with_account));
                    Heard::Registered
                }
                Err((kind, message)) => refuse(api, kind, &message),
            };
        }
        let at = match self.named(request.id.as_deref()) {
            Ok(at) => at,
            Err((kind, message)) => return refuse(api, kind, &message),
        };
        let one = &mut self.registered[at];
        match request.call {
            ExtensionCall::Register => Heard::Nothing,
            ExtensionCall::Next if one.state == State::Over => {
                refuse(api, "Extension.InvalidExtensionState", "The extension has failed")
            }
            ExtensionCall::Next => {
                match one.pending.take() {
                    Some(event) => api.reply(connection, &event),
                    None => {
                        api.park(connection, at);
                        one.state = State::Ready;
                    }
                }
                Heard::Nothing
            }
            ExtensionCall::InitError | ExtensionCall::ExitError => {
                if request.error_type.is_none() {
                    let message = "Lambda-Extension-Function-Error-Type not found";
                    return refuse(api, "Extension.MissingHeader", message);
                }
                api.accept(connection);
                one.state = State::Over;
                let is_init = matches!(request.call, ExtensionCall::InitError);
                let (kind, state) = if is_init {
                    ("Extension.InitError", "InitError")
                } else {
                    ("Extension.ExitError", "ExitError")
                };
                let said = request.error_type.unwrap_or_default();
                let why =
                    texts::message_of(&request.body).map_or(said.clone(), |text| format!("{said}: {text}"));
                Heard::Failed(Failure { name: one.name.clone(), kind, why, state })
            }
            ExtensionCall::Telemetry | ExtensionCall::Logs => {
                let is_logs = matches!(request.call, ExtensionCall::Logs);
                Heard::Subscribe { name: one.name.clone(), is_logs, body: request.body }
            }
        }
    }

    /// The number of the extension with an identifier, or what is wrong with that: error type and message.
    fn named(&self, id: Option<&str>) -> Result<usize, (&'static str, String)> {
        let Some(id) = id else {
            let message = "Missing Lambda-Extension-Identifier header";
            return Err(("Extension.MissingExtensionIdentifier", message.to_owned()));
        };
        if !is_uuid(id) {
            let message = "Invalid Lambda-Extension-Identifier";
            return Err(("Extension.InvalidExtensionIdentifier", message.to_owned()));
        }
        let at = self.registered.iter().position(|one| one.id == *id);
        at.ok_or_else(|| ("Extension.UnknownExtensionIdentifier", format!("Unknown extension {id}")))
    }

    /// The number of the extension, or why it cannot be: error type and message.
    fn register(
        &mut self,
        request: &ExtensionRequest,
        random: &Random,
    ) -> Result<usize, (&'static str, String)> {
        let invalid_name = |message: &str| ("Extension.InvalidExtensionName", message.to_owned());
        let name = request.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            return Err(invalid_name("Empty extension name"));
        }
        if name.len() > MAX_NAME_BYTES
            || name.chars().any(|char| matches!(char, '/' | '"' | '\\') || char.is_control())
        {
            return Err(invalid_name("Invalid extension name"));
        }
        let body: Registration = serde_json::from_slice(&request.body)
            .map_err(|error| ("InvalidRequestFormat", plain(&error.to_string())))?;
        if let Some(known) = self.registered.iter().find(|one| one.name == name) {
            let state = if known.state == State::Registered { "Registered" } else { "Ready" };
            let message = if known.external {
                format!(
                    "State transition from {state} to Registered failed for extension {name}. Error: State transition \
                     is not allowed"
                )
            } else {
                "Extension with this name already registered".to_owned()
            };
            return Err(("Extension.InvalidExtensionState", message));
        }
        if self.closed {
            return Err(("Extension.RegistrationClosed", "Extension registration closed already".to_owned()));
        }
        let external = self.expected.iter().any(|one| one == name);
        let is_known = |event: &String| *event == INVOKE || (*event == SHUTDOWN && external);
        if let Some(odd) = body.events.iter().find(|event| !is_known(event)) {
            let why = if *odd == SHUTDOWN {
                "event type not supported for internal extensions"
            } else {
                "Invalid event type"
            };
            return Err(("Extension.InvalidEventType", format!("{}: {why}", plain(odd))));
        }
        if self.registered.len() >= MAX_EXTENSIONS {
            return Err((
                "Extension.TooManyExtensions",
                format!("Extension limit ({MAX_EXTENSIONS}) reached"),
            ));
        }
        let wants = |event: &str| body.events.iter().any(|one| one == event);
        self.registered.push(Extension {
            name: name.to_owned(),
            id: random.uuid(),
            external,
            invoke: wants(INVOKE),
            shutdown: wants(SHUTDOWN),
            state: State::Registered,
            pending: None,
        });
        Ok(self.registered.len() - 1)
    }

    /// The answer to a registration.
    fn welcome(&self, index: usize, with_account: bool) -> Bytes {
        let Facts { name, version, handler, account } = &self.facts;
        let mut body = json!({ "functionName": name, "functionVersion": version, "handler": handler });
        if with_account {
            body["accountId"] = json!(account);
        }
        answer(&format!("Lambda-Extension-Identifier: {}\r\n", self.registered[index].id), &body)
    }

    /// Tells those who want to know that a call begins.
    pub(crate) fn begin_call(&mut self, api: &mut RuntimeApi, random: &Random, call: &CallFacts<'_>) {
        for (at, one) in self.registered.iter_mut().enumerate().filter(|(_, one)| one.invoke) {
            let body = json!({
                "eventType": INVOKE,
                "deadlineMs": call.deadline_ms,
                "requestId": call.request_id,
                "invokedFunctionArn": call.invoked_arn,
                "tracing": { "type": "X-Amzn-Trace-Id", "value": call.trace },
            });
            one.send(at, api, random, &body);
        }
    }

    /// Tells those who want to know that the environment comes to its end; whether there are any.
    pub(crate) fn begin_end(
        &mut self,
        api: &mut RuntimeApi,
        random: &Random,
        reason: &str,
        deadline_ms: i64,
    ) -> bool {
        self.ending = true;
        let body = json!({ "eventType": SHUTDOWN, "shutdownReason": reason, "deadlineMs": deadline_ms });
        let mut any = false;
        let wants = |one: &Extension| one.shutdown && one.state != State::Over;
        for (at, one) in self.registered.iter_mut().enumerate().filter(|(_, one)| wants(one)) {
            one.send(at, api, random, &body);
            any = true;
        }
        any
    }

    /// Whether all that were told of the end are over, or have nothing more to do.
    pub(crate) fn have_ended(&self) -> bool {
        self.registered.iter().all(|one| !one.shutdown || matches!(one.state, State::Over | State::Ready))
    }

    /// A program that was started beside the runtime is no more; what that means.
    pub(crate) fn ended(&mut self, name: &str, end: ExtensionEnd) -> Option<Failure> {
        let known = self.registered.iter_mut().find(|one| one.external && one.name == name);
        let was_over = known.as_ref().is_some_and(|one| one.state == State::Over);
        if let Some(known) = known {
            known.state = State::Over;
        }
        if self.ending || was_over {
            return None;
        }
        let name = name.to_owned();
        Some(match end {
            ExtensionEnd::NotExecuted(errno) => {
                let why = format!("fork/exec /opt/extensions/{name}: {}", texts::errno_words(errno));
                Failure { name, kind: "Extension.LaunchError", why, state: "LaunchError" }
            }
            ExtensionEnd::Exited(status) => {
                Failure { name, kind: "Extension.Crash", why: texts::exit_words(status), state: "Exited" }
            }
        })
    }
}

/// How an extension's program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtensionEnd {
    /// It could not be executed: the errno.
    NotExecuted(i32),
    Exited(ExitStatus),
}

/// What extensions are told of a call.
pub(crate) struct CallFacts<'a> {
    pub(crate) deadline_ms: i64,
    pub(crate) request_id: &'a str,
    pub(crate) invoked_arn: &'a str,
    pub(crate) trace: &'a str,
}

impl Extension {
    fn events(&self) -> Vec<&'static str> {
        let wanted = [(self.invoke, INVOKE), (self.shutdown, SHUTDOWN)];
        wanted.into_iter().filter(|(wants, _)| *wants).map(|(_, name)| name).collect()
    }

    fn send(&mut self, at: usize, api: &mut RuntimeApi, random: &Random, body: &serde_json::Value) {
        self.state = State::Running;
        let event = answer(&format!("Lambda-Extension-Event-Identifier: {}\r\n", random.uuid()), body);
        if !api.send_to_parked(at, &event) {
            self.pending = Some(event);
        }
    }
}

/// A whole HTTP answer; headers end with their line ends.
fn answer(headers: &str, body: &serde_json::Value) -> Bytes {
    let body = body.to_string();
    let length = body.len();
    Bytes::from(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    ))
}

fn asks_for_account(features: &str) -> bool {
    features.split(',').any(|one| one.trim() == "accountId")
}

/// As `8-4-4-4-12` hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Text that may stand in a JSON string as it is.
fn plain(text: &str) -> String {
    text.chars().filter(|char| !matches!(char, '"' | '\\') && !char.is_control()).collect()
}
