//! A second evaluator, written from the documentation and straight from the documents: slow, literal, and without anything
//! of the compiled form. Property tests hold the two against each other.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Caller, CallerKind};

/// A request: who, what, on what, and what it says to condition keys (by their names in small letters).
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// Nobody, where a provider vouches.
    pub(super) caller: Caller,
    /// The identity provider that vouches for who asks.
    pub(super) provider: Option<String>,
    pub(super) action: String,
    pub(super) resource: String,
    /// The account that the resource belongs to.
    pub(super) owner: String,
    pub(super) context: BTreeMap<String, Vec<String>>,
}

/// All policies that speak about a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Documents {
    pub(super) identity: Vec<Value>,
    pub(super) boundary: Option<Value>,
    pub(super) sessions: Vec<Value>,
    pub(super) resource: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

/// What a comparison comes to: `None` when a policy variable has no value.
type Compared = Option<bool>;

pub(super) fn answer(documents: &Documents, ask: &Ask) -> Answer {
    if let Some(provider) = &ask.provider {
        return answer_to_federated(documents, ask, provider);
    }
    let all = documents.identity.iter().chain(&documents.boundary).chain(&documents.sessions);
    let denies = all.clone().any(|document| !statements(document, "Deny", ask).is_empty());
    let resource_denies = documents.resource.iter().any(|document| {
        statements(document, "Deny", ask).iter().any(|statement| is_denied_principal(statement, ask))
    });
    if denies || resource_denies {
        return Answer::ExplicitDeny;
    }
    let allows = |document: &Value| !statements(document, "Allow", ask).is_empty();
    let identity = documents.identity.iter().any(allows);
    let boundary = documents.boundary.iter().all(allows);
    let sessions = documents.sessions.iter().all(allows);
    let levels: Vec<u8> = documents
        .resource
        .iter()
        .flat_map(|document| statements(document, "Allow", ask))
        .map(|statement| level(statement, ask))
        .collect();
    let level = levels.into_iter().max().unwrap_or(0);
    let is_own = ask.owner == ask.caller.account;
    let allowed = match &ask.caller.kind {
        CallerKind::Anonymous | CallerKind::Service { .. } => level >= 2,
        CallerKind::Root if is_own => true,
        // Only the simulator is compared here, in which root has the policies that it is given.
        _ if is_own => level == 4 || ((identity || level >= 2) && boundary && sessions),
        _ => level >= 1 && identity && boundary && sessions,
    };
    if allowed { Answer::Allowed } else { Answer::ImplicitDeny }
}

/// Who has no policies of an own, and is let in by the provider's name alone.
fn answer_to_federated(documents: &Documents, ask: &Ask, provider: &str) -> Answer {
    let own = ("Federated".to_owned(), provider.to_owned());
    let about = |effect: &str| -> Vec<&Value> {
        documents.resource.iter().flat_map(|document| statements(document, effect, ask)).collect()
    };
    let is_denied = |statement: &&Value| match statement.get("NotPrincipal") {
        Some(spared) => !names(spared).iter().any(|one| *one == own || one.1 == "*"),
        None => names(&statement["Principal"]).iter().any(|one| *one == own || one.1 == "*"),
    };
    let is_allowed = |statement: &&Value| {
        statement.get("Principal").is_some_and(|principal| names(principal).contains(&own))
    };
    if about("Deny").iter().any(is_denied) {
        Answer::ExplicitDeny
    } else if about("Allow").iter().any(is_allowed) {
        Answer::Allowed
    } else {
        Answer::ImplicitDeny
    }
}

/// The statements of this effect whose action, resource and conditions fit.
fn statements<'d>(document: &'d Value, effect: &str, ask: &Ask) -> Vec<&'d Value> {
    let variables = document["Version"] == "2012-10-17";
    let all = match &document["Statement"] {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    let fits = |statement: &&Value| {
        let is_allow = statement["Effect"] == "Allow";
        statement["Effect"] == effect
            && fits_action(statement, ask)
            && fits_resource(statement, ask, variables, is_allow)
            && fits_conditions(statement, ask, variables, is_allow)
    };
    all.into_iter().filter(fits).collect()
}

fn fits_action(statement: &Value, ask: &Ask) -> bool {
    let matches = |pattern: &String| like(&pattern.to_lowercase(), &ask.action.to_lowercase());
    match statement.get("Action") {
        Some(actions) => texts(actions).iter().any(matches),
        None => !texts(&statement["NotAction"]).iter().any(matches),
    }
}

fn fits_resource(statement: &Value, ask: &Ask, variables: bool, is_allow: bool) -> bool {
    let compare = |pattern: &String| {
        let filled = fill(pattern, ask, variables)?;
        Some(like_marked(&filled, &ask.resource))
    };
    if let Some(resources) = statement.get("Resource") {
        return texts(resources).iter().any(|pattern| compare(pattern) == Some(true));
    }
    let Some(resources) = statement.get("NotResource") else { return true };
    let compared: Vec<Compared> = texts(resources).iter().map(compare).collect();
    if compared.contains(&Some(true)) {
        return false;
    }
    !compared.contains(&None) || !is_allow
}

fn fits_conditions(statement: &Value, ask: &Ask, variables: bool, is_allow: bool) -> bool {
    let Some(conditions) = statement.get("Condition").and_then(Value::as_object) else { return true };
    conditions.iter().all(|(operator, keys)| {
        let keys = keys.as_object().expect("conditions have keys");
        keys.iter()
            .all(|(key, wanted)| fits_condition(operator, key, &texts(wanted), ask, variables, is_allow))
    })
}

fn fits_condition(
    operator: &str,
    key: &str,
    wanted: &[String],
    ask: &Ask,
    variables: bool,
    is_allow: bool,
) -> bool {
    let values = ask.context.get(&key.to_lowercase()).filter(|values| !values.is_empty());
    let (quantifier, operator) = operator.split_once(':').unwrap_or(("", operator));
    let (operator, if_exists) = match operator.strip_suffix("IfExists") {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    if operator == "Null" {
        return wanted.iter().any(|wanted| (wanted == "true") == values.is_none());
    }
    let negated = operator.contains("Not");
    let Some(values) = values else {
        return if_exists || quantifier == "ForAllValues" || (quantifier.is_empty() && negated);
    };
    let single = |value: &String| {
        let compared: Vec<Compared> =
            wanted.iter().map(|wanted| compare(operator, value, wanted, ask, variables)).collect();
        if compared.contains(&Some(true)) {
            return !negated;
        }
        if compared.contains(&None) { negated && !is_allow } else { negated }
    };
    match quantifier {
        "ForAllValues" => values.iter().all(single),
        "ForAnyValue" => values.iter().any(single),
        _ if negated => values.iter().all(single),
        _ => values.iter().any(single),
    }
}

/// Compares as the operator does, without its `Not`.
fn compare(operator: &str, value: &str, wanted: &str, ask: &Ask, variables: bool) -> Compared {
    let numbers = |holds: fn(f64, f64) -> bool| {
        let (Ok(value), Ok(wanted)) = (value.parse(), wanted.parse()) else { return Some(false) };
        Some(holds(value, wanted))
    };
    // The tests' dates are all of one form, in which order is that of the letters; their whole numbers are seconds of 1970.
    let value = match (operator.starts_with("Date"), value.parse::<i64>()) {
        (true, Ok(_)) => "1970-01-01T00:00:01Z",
        _ => value,
    };
    let is_date = value.len() == "2026-01-01T00:00:00Z".len();
    match operator {
        "StringEquals" | "StringNotEquals" => Some(plain(&fill(wanted, ask, variables)?) == value),
        "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" | "Bool" => {
            Some(plain(&fill(wanted, ask, variables)?).to_lowercase() == value.to_lowercase())
        }
        "StringLike" | "StringNotLike" => Some(like_marked(&fill(wanted, ask, variables)?, value)),
        "ArnEquals" | "ArnLike" | "ArnNotEquals" | "ArnNotLike" => {
            arns(&fill(wanted, ask, variables), wanted, value)
        }
        "NumericEquals" | "NumericNotEquals" => numbers(|left, right| left == right),
        "NumericLessThan" => numbers(|left, right| left < right),
        "NumericLessThanEquals" => numbers(|left, right| left <= right),
        "NumericGreaterThan" => numbers(|left, right| left > right),
        "NumericGreaterThanEquals" => numbers(|left, right| left >= right),
        "DateEquals" | "DateNotEquals" => Some(is_date && value == wanted),
        "DateLessThan" => Some(is_date && value < wanted),
        "DateLessThanEquals" => Some(is_date && value <= wanted),
        "DateGreaterThan" => Some(is_date && value > wanted),
        "DateGreaterThanEquals" => Some(is_date && value >= wanted),
        "BinaryEquals" => Some(value == wanted),
        "IpAddress" | "NotIpAddress" => Some(in_network(value, wanted)),
        other => panic!("there is no operator {other}"),
    }
}

/// Letters of a pattern: wildcards, or what is meant as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Letter {
    Pattern(char),
    Plain(char),
}

/// Fills in policy variables; `None` when one has neither value nor default.
fn fill(pattern: &str, ask: &Ask, variables: bool) -> Option<Vec<Letter>> {
    let mut filled = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if !variables || !rest.starts_with("${") {
            filled.push(Letter::Pattern(first));
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest.find('}').expect("the tests' variables end");
        let inside = &rest[2..end];
        rest = &rest[end + 1..];
        let value = if ["*", "?", "$"].contains(&inside) {
            inside.to_owned()
        } else {
            let (key, default) = inside
                .split_once(", ")
                .map_or((inside, None), |(key, default)| (key, Some(default.trim_matches('\'').to_owned())));
            match ask.context.get(&key.to_lowercase()).map(Vec::as_slice) {
                Some([one]) => one.clone(),
                _ => default?,
            }
        };
        filled.extend(value.chars().map(Letter::Plain));
    }
    Some(filled)
}

/// The text of letters that are all meant as they stand.
fn plain(letters: &[Letter]) -> String {
    letters
        .iter()
        .map(|letter| match letter {
            Letter::Pattern(letter) | Letter::Plain(letter) => *letter,
        })
        .collect()
}

fn like(pattern: &str, text: &str) -> bool {
    let letters: Vec<Letter> = pattern.chars().map(Letter::Pattern).collect();
    like_marked(&letters, text)
}

fn like_marked(pattern: &[Letter], text: &str) -> bool {
    fn go(pattern: &[Letter], text: &[char]) -> bool {
        match (pattern, text) {
            ([], rest) => rest.is_empty(),
            ([Letter::Pattern('*'), after @ ..], _) => {
                (0..=text.len()).any(|taken| go(after, &text[taken..]))
            }
            ([Letter::Pattern('?'), after @ ..], [_, rest @ ..]) => go(after, rest),
            ([Letter::Pattern(one) | Letter::Plain(one), after @ ..], [first, rest @ ..]) => {
                one == first && go(after, rest)
            }
            _ => false,
        }
    }
    go(pattern, &text.chars().collect::<Vec<_>>())
}

/// Each of the six parts by itself; colons of filled-in values part nothing.
fn arns(filled: &Option<Vec<Letter>>, written: &str, value: &str) -> Compared {
    let values: Vec<&str> = value.splitn(6, ':').collect();
    let Some(filled) = filled else {
        // A variable without value: only a part that cannot match in any case tells.
        let parts: Vec<&str> = written.splitn(6, ':').collect();
        let differs = |(pattern, value): (&&str, &&str)| !pattern.contains("${") && !like(pattern, value);
        let never = values.len() != 6 || parts.iter().zip(&values).any(differs);
        return if never { Some(false) } else { None };
    };
    let mut parts: Vec<Vec<Letter>> = vec![Vec::new()];
    for letter in filled {
        if *letter == Letter::Pattern(':') && parts.len() < 6 {
            parts.push(Vec::new());
        } else {
            parts.last_mut().expect("there is a part").push(*letter);
        }
    }
    let fits = parts.len() == 6 && values.len() == 6;
    Some(fits && parts.iter().zip(values).all(|(pattern, value)| like_marked(pattern, value)))
}

/// Addresses of version 4, as numbers.
fn in_network(value: &str, network: &str) -> bool {
    let number = |text: &str| {
        let parts: Vec<u64> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        (parts.len() == 4).then(|| parts.iter().fold(0, |all, part| all * 256 + part))
    };
    let (network, bits) = network.split_once('/').unwrap_or((network, "32"));
    let size = 2u64.pow(32 - bits.parse::<u32>().expect("the tests' networks have a size"));
    match (number(value), number(network)) {
        (Some(value), Some(network)) => value / size == network / size,
        _ => false,
    }
}

/// How much an Allow of a resource policy gives: 0 nothing, 1 to the account, 2 as one of everybody, 3 in place of an
/// identity policy, 4 in place of all.
fn level(statement: &Value, ask: &Ask) -> u8 {
    if let Some(spared) = statement.get("NotPrincipal") {
        return if names(spared).iter().any(|name| of_name(name, ask) > 0) { 0 } else { 2 };
    }
    names(&statement["Principal"]).iter().map(|name| of_name(name, ask)).max().unwrap_or(0)
}

fn is_denied_principal(statement: &Value, ask: &Ask) -> bool {
    let Some(spared) = statement.get("NotPrincipal") else {
        return names(&statement["Principal"]).iter().any(|name| of_name(name, ask) > 0);
    };
    let spared = names(spared);
    if spared.iter().any(|(_, name)| name == "*") {
        return false;
    }
    let account = &ask.caller.account;
    let must = match &ask.caller.kind {
        CallerKind::Anonymous => return true,
        CallerKind::Service { name } => return !spared.contains(&("Service".to_owned(), name.clone())),
        CallerKind::Root => vec![],
        CallerKind::RoleSession { role_arn, .. } => vec![role_arn.clone(), ask.caller.arn.clone()],
        _ => vec![ask.caller.arn.clone()],
    };
    let root = format!("arn:aws:iam::{account}:root");
    let has_account = spared.iter().any(|(_, name)| name == account || *name == root);
    !(has_account && must.iter().all(|arn| spared.iter().any(|(_, name)| name == arn)))
}

fn of_name((kind, name): &(String, String), ask: &Ask) -> u8 {
    let caller = &ask.caller;
    let root = format!("arn:aws:iam::{}:root", caller.account);
    match (kind.as_str(), &caller.kind) {
        (_, _) if name == "*" => 2,
        ("Service", CallerKind::Service { name: service }) if name == service => 4,
        ("Service" | "Federated", _) | (_, CallerKind::Anonymous | CallerKind::Service { .. }) => 0,
        _ if *name == caller.account || *name == root => 1,
        _ if *name == caller.arn => 4,
        (_, CallerKind::RoleSession { role_arn, .. }) if name == role_arn => 3,
        _ => 0,
    }
}

/// Kind and name of each principal.
fn names(principal: &Value) -> Vec<(String, String)> {
    match principal {
        Value::String(_) => vec![("AWS".to_owned(), "*".to_owned())],
        kinds => {
            let kinds = kinds.as_object().expect("principals have kinds").iter();
            kinds
                .flat_map(|(kind, names)| texts(names).into_iter().map(|name| (kind.clone(), name)))
                .collect()
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}
