//! For tests: what the operations of a service want, found out by asking for each as somebody who may nothing.

use std::sync::Arc;

use bytes::Bytes;
use lambent_base::Place;
use lambent_identity::{Authorized, Caller, Circumstances, Decision, Identity, Wanted, Witness};
use lambent_wire::{Labels, Routed, Router};
use parking_lot::Mutex;

use crate::{Body, CallContext, Client, Incoming, Service};

/// An action of the Service Authorization Reference, and the resources that it takes: ARNs with `*` for what varies.
pub type Action<'a> = (&'a str, &'a [&'a str]);

/// A service that is held to the reference.
pub struct Reference<'a> {
    pub service: &'a Service,
    pub identity: Arc<Identity>,
    pub place: Place,
    /// Values for the parts of paths, by the name that the model gives them.
    pub samples: &'a [(&'a str, &'a str)],
    /// Parameters that every request has.
    pub query: &'a str,
    /// What bodies say that tell what they are about.
    pub body: &'a str,
    /// Operations that cannot be asked for in this way, and are tested apart.
    pub apart: &'a [&'a str],
    /// The actions of operations that are not called as they are.
    pub renamed: &'a [(&'a str, &'a [&'a str])],
    pub actions: &'a [Action<'a>],
}

/// The leave of the owner's root, for what a test needs to be there first.
///
/// # Panics
///
/// Never: root may.
pub async fn root(identity: &Identity) -> Authorized {
    root_of(identity, &identity.root_caller().account).await
}

/// The same of another account's root.
///
/// # Panics
///
/// Never, likewise.
pub async fn root_of(identity: &Identity, account: &str) -> Authorized {
    let wanted = Wanted::new("iam:CreateRole", "*").of_a_new_thing();
    let (caller, at) = (Caller::root(account, "AKIAROOT"), Circumstances::default());
    identity.authorize(&caller, &at, wanted).await.expect("root may do everything in its own account")
}

#[derive(Default)]
struct Seen(Mutex<Vec<(String, String)>>);

impl Witness for Seen {
    fn decided(&self, decision: &Decision<'_>) {
        self.0.lock().push((decision.action.to_owned(), decision.resource.to_owned()));
    }
}

impl Reference<'_> {
    /// What is wrong: an operation that nobody decides on, with another action than its own, or on what the action does
    /// not take.
    pub async fn findings(&self) -> Vec<String> {
        let seen = Arc::new(Seen::default());
        self.identity.tell(seen.clone());
        let mut findings = Vec::new();
        let mut operations: Vec<_> = self.service.operations().collect();
        operations.retain(|operation| !self.apart.contains(operation));
        operations.sort_unstable();
        for operation in operations {
            let incoming = self.incoming(operation);
            let answer = self.service.route(operation).expect("it is listed").run(incoming).await;
            let decided = std::mem::take(&mut *seen.0.lock());
            let Some((action, resource)) = decided.first() else {
                findings.push(format!("{operation}: nobody decides on it: {:?}", answer.err()));
                continue;
            };
            let own = [operation];
            let names = self.renamed.iter().find(|(name, _)| *name == operation);
            let names = names.map_or(&own[..], |(_, names)| names);
            let bare = action.split_once(':').map_or(action.as_str(), |(_, bare)| bare);
            if !names.contains(&bare) {
                findings.push(format!("{operation}: is decided on as {action}"));
            }
            match self.actions.iter().find(|(name, _)| name == action) {
                None => findings.push(format!("{operation}: {action} is no action of the service")),
                Some((_, shapes)) if !shapes.iter().any(|shape| fits(shape, resource)) => {
                    findings.push(format!("{operation}: {action} does not take {resource}"));
                }
                Some(_) => {}
            }
        }
        findings
    }

    fn incoming(&self, operation: &str) -> Incoming {
        let info = self.service.route(operation).expect("it is listed").info;
        let (path, query) = info.uri.split_once('?').unwrap_or((info.uri, ""));
        let mut uri: String = path.split('/').map(|part| self.filled(part)).collect::<Vec<_>>().join("/");
        let query = format!("{query}&{}", self.query);
        uri = format!("{uri}?{query}");
        let request =
            http::Request::builder().method(info.method).uri(uri).body(()).expect("samples are plain");
        let (parts, ()) = request.into_parts();
        let router = Router::new(self.service.info);
        let labels = match router.route(&parts.method, parts.uri.path(), &query, &parts.headers) {
            Routed::Operation(_, labels) => labels,
            _ => Labels::default(),
        };
        Incoming {
            protocol: lambent_wire::choose(self.service.info, &parts.headers),
            service: self.service.info,
            parts,
            labels,
            body: Body::from(Bytes::from(self.body.to_owned())),
            context: CallContext {
                request_id: "0A49CE4060975EAC".to_owned(),
                place: self.place.clone(),
                time_ms: 0,
                source_ip: "127.0.0.1".to_owned(),
                endpoint: "http://127.0.0.1:4566".to_owned(),
                trace: None,
                client: Client::default(),
            },
            caller: Caller::service("nobody.amazonaws.com"),
            identity: Arc::clone(&self.identity),
        }
    }

    /// A part of a path template with its value.
    fn filled(&self, part: &str) -> String {
        let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            return part.to_owned();
        };
        let name = name.trim_end_matches('+');
        let known = self.samples.iter().find(|(known, _)| *known == name);
        known.map_or_else(|| name.to_ascii_lowercase(), |(_, value)| value.replace(':', "%3A"))
    }
}

/// Whether an ARN has the shape: `*` stands for one or more characters that are no slash, `**` for any.
fn fits(shape: &str, arn: &str) -> bool {
    match shape.split_once('*') {
        None => shape == arn,
        Some((before, after)) => {
            let Some(rest) = arn.strip_prefix(before) else { return false };
            let (after, all) = match after.strip_prefix('*') {
                Some(after) => (after, true),
                None => (after, false),
            };
            (1..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| (all || !rest[..at].contains(['/', ':'])) && fits(after, &rest[at..]))
        }
    }
}
