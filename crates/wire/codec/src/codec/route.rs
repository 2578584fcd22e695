//! Finds the operation that a request asks for.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, Method};

use super::params::{decode_param, decode_path, is_key, raw_pairs};
use crate::{Kind, Known, Location, OperationInfo, ProtocolKind, ServiceInfo};

/// What a request asks for.
#[derive(Debug)]
pub enum Routed {
    /// With the values of the labels in the request's path.
    Operation(&'static OperationInfo, Labels),
    /// AWS has it; we don't.
    Unimplemented(&'static Known),
    /// No such operation.
    Unknown,
}

/// The decoded values of the labels of a template.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Labels {
    values: Vec<(&'static str, String)>,
    malformed: bool,
}

impl Labels {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a label is not UTF-8 when decoded. [`super::decode`] refuses such requests.
    pub fn is_malformed(&self) -> bool {
        self.malformed
    }
}

/// The operations of a service, arranged for the search.
#[derive(Debug)]
pub struct Router {
    service: &'static ServiceInfo,
    rest: bool,
    /// The literal before the label, the label before the greedy label.
    patterns: Vec<Pattern>,
    names: HashMap<&'static str, Target>,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Operation(&'static OperationInfo),
    Known(&'static Known),
}

/// A method and a path, with all operations that share them.
#[derive(Debug)]
struct Pattern {
    method: &'static str,
    segments: Vec<Segment>,
    candidates: Vec<Candidate>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(&'static str),
    Label,
    /// Takes slashes, too.
    Greedy,
}

#[derive(Debug)]
struct Candidate {
    target: Target,
    /// The names of the labels, in the order of the path.
    labels: Vec<&'static str>,
    /// Query keys that must be there, with a value or not.
    literals: Vec<(&'static str, Option<&'static str>)>,
    required_query: Vec<&'static str>,
    required_headers: Vec<HeaderName>,
}

/// How well a candidate fits; the greatest wins.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    literals: usize,
    /// How many required members are absent, negated: one with all of them fits better than one without.
    absent: std::cmp::Reverse<usize>,
    required: usize,
}

impl Router {
    pub fn new(service: &'static ServiceInfo) -> Self {
        let rest = service
            .protocols
            .iter()
            .any(|kind| matches!(kind, ProtocolKind::RestJson | ProtocolKind::RestXml));
        let mut router = Self { service, rest, patterns: Vec::new(), names: HashMap::new() };
        for info in service.operations {
            router.names.insert(info.name, Target::Operation(info));
            router.add(info.method, info.uri, Target::Operation(info));
        }
        for known in service.unimplemented {
            router.names.entry(known.name).or_insert(Target::Known(known));
            router.add(known.method, known.uri, Target::Known(known));
        }
        router.patterns.sort_by(|a, b| a.segments.cmp(&b.segments));
        router
    }

    /// Finds the operation by `X-Amz-Target`, by path (REST), or by an `Action` in the query string.
    /// For a query protocol request whose `Action` is in its body, use [`Router::route_form`].
    pub fn route(&self, method: &Method, raw_path: &str, raw_query: &str, headers: &HeaderMap) -> Routed {
        if let Some(prefix) = self.service.target_prefix
            && let Some(target) = headers.get("x-amz-target")
        {
            let name = target.to_str().ok().and_then(|target| target.strip_prefix(prefix)?.strip_prefix('.'));
            return name.map_or(Routed::Unknown, |name| self.route_action(name));
        }
        if self.rest {
            return self.route_path(method, raw_path, raw_query, headers);
        }
        self.route_form(raw_query, b"")
    }

    /// Finds the operation by the parameter `Action`, in the query string or in a form body.
    pub fn route_form(&self, raw_query: &str, body: &[u8]) -> Routed {
        let body = std::str::from_utf8(body).unwrap_or_default();
        let action = raw_pairs(raw_query).chain(raw_pairs(body)).find(|(key, _)| is_key(key, "Action"));
        match action.and_then(|(_, value)| decode_param(value)) {
            Some(name) => self.route_action(&name),
            None => Routed::Unknown,
        }
    }

    /// Finds an operation by its name.
    pub fn route_action(&self, name: &str) -> Routed {
        match self.names.get(name) {
            Some(Target::Operation(info)) => Routed::Operation(info, Labels::default()),
            Some(Target::Known(known)) => Routed::Unimplemented(known),
            None => Routed::Unknown,
        }
    }

    fn route_path(&self, method: &Method, raw_path: &str, raw_query: &str, headers: &HeaderMap) -> Routed {
        let path = raw_path.strip_prefix('/').unwrap_or(raw_path);
        let mut captured = Vec::new();
        for pattern in self.patterns.iter().filter(|pattern| pattern.method == method.as_str()) {
            captured.clear();
            if !matches(&pattern.segments, path, &mut captured) {
                continue;
            }
            let mut best: Option<(Fit, &Candidate)> = None;
            for candidate in &pattern.candidates {
                let Some(fit) = candidate.fit(raw_query, headers) else { continue };
                // On a tie the first stays: those that we implement come first.
                if best.as_ref().is_none_or(|(known, _)| fit > *known) {
                    best = Some((fit, candidate));
                }
            }
            if let Some((_, candidate)) = best {
                return candidate.routed(&captured);
            }
        }
        Routed::Unknown
    }

    fn add(&mut self, method: &'static str, uri: &'static str, target: Target) {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let path = path.trim_matches('/');
        let mut labels = Vec::new();
        let mut segments = Vec::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let label = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            segments.push(match label.map(|label| (label, label.strip_suffix('+'))) {
                Some((_, Some(greedy))) => {
                    labels.push(greedy);
                    Segment::Greedy
                }
                Some((label, None)) => {
                    labels.push(label);
                    Segment::Label
                }
                None => Segment::Literal(part),
            });
        }
        let candidate = Candidate::new(target, labels, query);
        let known =
            self.patterns.iter_mut().find(|known| known.method == method && known.segments == segments);
        match known {
            Some(pattern) => pattern.candidates.push(candidate),
            None => self.patterns.push(Pattern { method, segments, candidates: vec![candidate] }),
        }
    }
}

impl Candidate {
    fn new(target: Target, labels: Vec<&'static str>, query: &'static str) -> Self {
        let literals = query
            .split('&')
            .filter(|literal| !literal.is_empty())
            .map(|literal| match literal.split_once('=') {
                Some((key, value)) if !value.is_empty() => (key, Some(value)),
                Some((key, _)) => (key, None),
                None => (literal, None),
            })
            // A hint for logs that some SDKs send and others don't.
            .filter(|(key, _)| *key != "x-id")
            .collect();
        let (mut required_query, mut required_headers) = (Vec::new(), Vec::new());
        if let Target::Operation(info) = target
            && let Kind::Structure(members) = info.input.kind
        {
            for member in members.iter().filter(|member| member.required) {
                match member.location {
                    Location::Querystring => required_query.push(member.wire_name()),
                    Location::Header => required_headers.extend(member.wire_name().parse::<HeaderName>()),
                    _ => {}
                }
            }
        }
        Self { target, labels, literals, required_query, required_headers }
    }

    /// `None` when a literal of the query string is absent.
    fn fit(&self, raw_query: &str, headers: &HeaderMap) -> Option<Fit> {
        let has = |key: &str, value: Option<&str>| {
            raw_pairs(raw_query)
                .any(|(known, found)| is_key(known, key) && value.is_none_or(|value| found == value))
        };
        if !self.literals.iter().all(|(key, value)| has(key, *value)) {
            return None;
        }
        let required = self.required_query.len() + self.required_headers.len();
        let present = self.required_query.iter().filter(|key| has(key, None)).count()
            + self.required_headers.iter().filter(|name| headers.contains_key(*name)).count();
        Some(Fit { literals: self.literals.len(), absent: std::cmp::Reverse(required - present), required })
    }

    fn routed(&self, captured: &[&str]) -> Routed {
        match self.target {
            Target::Known(known) => Routed::Unimplemented(known),
            Target::Operation(info) => {
                let mut labels = Labels { values: Vec::with_capacity(captured.len()), malformed: false };
                for (name, raw) in self.labels.iter().zip(captured) {
                    match decode_path(raw) {
                        Some(value) => labels.values.push((name, value.into_owned())),
                        None => labels.malformed = true,
                    }
                }
                Routed::Operation(info, labels)
            }
        }
    }
}

/// Whether a path without its leading slash is of this form; captures what the labels hold.
fn matches<'p>(segments: &[Segment], path: &'p str, captured: &mut Vec<&'p str>) -> bool {
    let Some((first, rest)) = segments.split_first() else { return path.is_empty() };
    if *first == Segment::Greedy {
        return matches_greedy(rest, path, captured);
    }
    let (head, tail) = path.split_once('/').unwrap_or((path, ""));
    let fits = match first {
        Segment::Literal(literal) => {
            head == *literal
                || (head.contains('%') && decode_path(head).is_some_and(|decoded| decoded == *literal))
        }
        _ => {
            captured.push(head);
            !head.is_empty()
        }
    };
    fits && matches(rest, tail, captured)
}

fn matches_greedy<'p>(rest: &[Segment], path: &'p str, captured: &mut Vec<&'p str>) -> bool {
    if rest.is_empty() {
        captured.push(path);
        return !path.is_empty();
    }
    let before = captured.len();
    for (slash, _) in path.rmatch_indices('/').filter(|(slash, _)| *slash > 0) {
        captured.push(&path[..slash]);
        if matches(rest, &path[slash + 1..], captured) {
            return true;
        }
        captured.truncate(before);
    }
    false
}
