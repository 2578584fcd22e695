//! The compiled form against the reference, and what must be so of any evaluator.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::reference::{Answer, Ask, Documents, answer};
use crate::decide::{Case, IdentitySide, Outcome, Sessions, decide};
use crate::policy::{Request, Search, Who};
use crate::{Caller, CallerKind, Circumstances, Keys, Policy, SimulatedDecision, Simulation, simulate};

const OWN: &str = "111111111111";
const OTHER: &str = "222222222222";
const USER: &str = "arn:aws:iam::111111111111:user/ann";
const ROLE: &str = "arn:aws:iam::111111111111:role/reader";
const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/reader/me";
const PROVIDER: &str = "arn:aws:iam::111111111111:oidc-provider/accounts.example.com";
const OTHER_PROVIDER: &str = "arn:aws:iam::111111111111:oidc-provider/other.example.com";

fn caller(arn: &str, kind: CallerKind) -> Caller {
    Caller { arn: arn.to_owned(), kind, ..Caller::root(OWN, "AKIA") }
}

fn callers() -> Vec<Caller> {
    let session = CallerKind::RoleSession {
        role_name: "reader".to_owned(),
        role_arn: ROLE.to_owned(),
        session_policies: Arc::new([]),
        session_tags: Vec::new(),
        transitive_tag_keys: Vec::new(),
        source_identity: None,
        federated: None,
    };
    vec![
        caller(USER, CallerKind::User { name: "ann".to_owned() }),
        caller(SESSION, session),
        Caller::anonymous(),
        Caller::service("s3.amazonaws.com"),
    ]
}

fn one_or_more(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => select(values).prop_map(|one| json!(one)),
        1 => prop::collection::vec(select(values), 1..4).prop_map(|many| json!(many)),
    ]
}

fn actions() -> impl Strategy<Value = Value> {
    one_or_more(&[
        "s3:GetObject",
        "s3:PutObject",
        "s3:*",
        "S3:get*",
        "*",
        "lambda:InvokeFunction",
        "s3:?etObject",
        "s3:G*t*",
        "*:GetObject",
        "s3:getobject",
    ])
}

fn resources() -> impl Strategy<Value = Value> {
    one_or_more(&[
        "*",
        "arn:aws:s3:::b/*",
        "arn:aws:s3:::b/ann/x",
        "arn:aws:s3:::b/${aws:username}/*",
        "arn:aws:s3:::b/${s3:prefix, 'ann'}/?",
        "arn:aws:s3:::b/${*}/x",
        "arn:aws:s3:::*/x",
        "arn:aws:s3:::c/*",
    ])
}

fn principals() -> impl Strategy<Value = Value> {
    let aws = one_or_more(&[
        "*",
        OWN,
        OTHER,
        USER,
        ROLE,
        SESSION,
        "arn:aws:iam::111111111111:root",
        "arn:aws:iam::222222222222:user/bob",
    ]);
    prop_oneof![
        1 => Just(json!("*")),
        5 => aws.prop_map(|names| json!({ "AWS": names })),
        1 => one_or_more(&["s3.amazonaws.com", "sns.amazonaws.com"]).prop_map(|names| json!({"Service": names})),
        1 => Just(json!({"AWS": [OWN, ROLE, SESSION, USER]})),
        2 => one_or_more(&[PROVIDER, OTHER_PROVIDER]).prop_map(|names| json!({"Federated": names})),
        1 => Just(json!({"AWS": USER, "Federated": [PROVIDER]})),
    ]
}

/// Keys with values, of which some fit the operators' types.
const CONTEXT: [(&str, &[&str]); 8] = [
    ("aws:username", &["ann", "Ann", "b*"]),
    ("s3:prefix", &["ann", "b", "*"]),
    ("aws:TagKeys", &["team", "cost", "Team"]),
    ("aws:SourceIp", &["10.1.2.3", "192.168.0.1"]),
    ("aws:CurrentTime", &["2026-01-01T00:00:00Z", "2027-06-01T12:00:00Z"]),
    ("s3:max-keys", &["1", "10", "10.5"]),
    ("aws:PrincipalArn", &[USER, ROLE]),
    ("aws:SecureTransport", &["true", "false"]),
];

fn operators() -> Vec<(&'static str, &'static [&'static str])> {
    const TEXTS: &[&str] = &[
        "ann",
        "team",
        "TEAM",
        "a*",
        "*",
        "${aws:username}",
        "${s3:prefix, 'ann'}",
        "${aws:missing}",
        "true",
    ];
    const ARNS: &[&str] = &[
        USER,
        ROLE,
        "arn:aws:iam::*:user/*",
        "arn:aws:iam::*:*",
        "*",
        "arn:*:iam::111111111111:user/${aws:username}",
        "arn:aws:sts::*:role/${aws:missing}",
    ];
    const NUMBERS: &[&str] = &["1", "10", "-2", "10.5"];
    const DATES: &[&str] = &["2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z"];
    vec![
        ("StringEquals", TEXTS),
        ("StringNotEquals", TEXTS),
        ("StringEqualsIgnoreCase", TEXTS),
        ("StringNotEqualsIgnoreCase", TEXTS),
        ("StringLike", TEXTS),
        ("StringNotLike", TEXTS),
        ("Bool", TEXTS),
        ("ArnEquals", ARNS),
        ("ArnLike", ARNS),
        ("ArnNotEquals", ARNS),
        ("ArnNotLike", ARNS),
        ("NumericEquals", NUMBERS),
        ("NumericNotEquals", NUMBERS),
        ("NumericLessThan", NUMBERS),
        ("NumericLessThanEquals", NUMBERS),
        ("NumericGreaterThan", NUMBERS),
        ("NumericGreaterThanEquals", NUMBERS),
        ("DateEquals", DATES),
        ("DateNotEquals", DATES),
        ("DateLessThan", DATES),
        ("DateLessThanEquals", DATES),
        ("DateGreaterThan", DATES),
        ("DateGreaterThanEquals", DATES),
        ("BinaryEquals", &["YW5u", "dGVhbQ=="]),
        ("IpAddress", &["10.0.0.0/8", "192.168.0.1", "0.0.0.0/0"]),
        ("NotIpAddress", &["10.0.0.0/8", "1.2.3.4"]),
        ("Null", &["true", "false"]),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    let quantifier = select(vec!["", "", "ForAnyValue:", "ForAllValues:"]);
    let one = (select(operators()), quantifier, any::<bool>(), select(CONTEXT.to_vec())).prop_flat_map(
        |((operator, values), quantifier, if_exists, (key, _))| {
            let suffix = if if_exists && operator != "Null" { "IfExists" } else { "" };
            let written = format!("{quantifier}{operator}{suffix}");
            one_or_more(values).prop_map(move |values| (written.clone(), key, values))
        },
    );
    prop::collection::vec(one, 0..3).prop_map(|all| {
        let mut condition = serde_json::Map::new();
        for (operator, key, values) in all {
            let keys = condition.entry(operator).or_insert_with(|| json!({}));
            keys[key] = values;
        }
        Value::Object(condition)
    })
}

fn statement(with_principal: bool) -> impl Strategy<Value = Value> {
    let effect = select(vec!["Allow", "Allow", "Deny"]);
    let inverted = (prop::bool::weighted(0.15), prop::bool::weighted(0.15), prop::bool::weighted(0.15));
    (effect, actions(), resources(), principals(), condition(), inverted).prop_map(
        move |(effect, actions, resources, principals, condition, inverted)| {
            let mut statement = json!({ "Effect": effect });
            statement[if inverted.0 { "NotAction" } else { "Action" }] = actions;
            statement[if inverted.1 { "NotResource" } else { "Resource" }] = resources;
            if with_principal {
                statement[if inverted.2 { "NotPrincipal" } else { "Principal" }] = principals;
            }
            if condition.as_object().is_some_and(|condition| !condition.is_empty()) {
                statement["Condition"] = condition;
            }
            statement
        },
    )
}

fn document(with_principal: bool) -> impl Strategy<Value = Value> {
    let version = select(vec!["2012-10-17", "2012-10-17", "2008-10-17"]);
    (version, prop::collection::vec(statement(with_principal), 1..5))
        .prop_map(|(version, statements)| json!({ "Version": version, "Statement": statements }))
}

fn documents() -> impl Strategy<Value = Documents> {
    let resource = prop::option::of(document(true));
    (prop::collection::vec(document(false), 0..3), prop::option::weighted(0.3, document(false)), resource)
        .prop_map(|(identity, boundary, resource)| Documents {
            identity,
            boundary,
            sessions: Vec::new(),
            resource,
        })
}

fn ask() -> impl Strategy<Value = Ask> {
    let values = |(key, values): (&'static str, &'static [&'static str])| {
        let values = prop::collection::vec(select(values), 0..3);
        prop::option::of(values).prop_map(move |values| (key, values))
    };
    let context: Vec<_> = CONTEXT.into_iter().map(values).collect();
    let action = select(vec!["s3:GetObject", "s3:PutObject", "lambda:InvokeFunction"]);
    let resource = select(vec!["arn:aws:s3:::b/ann/x", "arn:aws:s3:::b/*/x", "arn:aws:s3:::c/b"]);
    (select(callers()), action, resource, select(vec![OWN, OWN, OTHER]), context).prop_map(
        |(caller, action, resource, owner, context)| {
            let own = |(key, values): (&str, Option<Vec<&str>>)| {
                let values = values?.into_iter().map(str::to_owned).collect();
                Some((key.to_ascii_lowercase(), values))
            };
            let context: BTreeMap<String, Vec<String>> = context.into_iter().filter_map(own).collect();
            Ask {
                caller,
                provider: None,
                action: action.to_owned(),
                resource: resource.to_owned(),
                owner: owner.to_owned(),
                context,
            }
        },
    )
}

/// The same, of somebody whom a provider vouches for: nobody's own policies count.
fn federated(ask: Ask) -> Ask {
    Ask { caller: Caller::anonymous(), provider: Some(PROVIDER.to_owned()), ..ask }
}

/// The compiled form's answer to who is vouched for.
fn compiled_for_federated(documents: &Documents, ask: &Ask) -> Answer {
    let policy =
        documents.resource.as_ref().map(|value| Policy::resource(&value.to_string(), "test").unwrap());
    let mut keys = Keys::new();
    for (key, values) in &ask.context {
        keys = keys.with_each(key.clone(), values.iter().map(String::as_str));
    }
    let case = Case {
        request: Request {
            action: &ask.action.to_lowercase(),
            resource: &ask.resource,
            caller: &ask.caller,
            principal_tags: &[],
            at: &Circumstances::default(),
            keys: &keys,
            owner: &ask.owner,
            resource_tags: &[],
            is_simulated: true,
        },
        who: Who::Federated(PROVIDER),
        identity: IdentitySide::Nothing,
        boundary: None,
        sessions: Sessions::Free,
        resource: policy.as_ref(),
        is_own_account: false,
        is_blocked_public: false,
    };
    match decide(&case, Search::Enough).outcome {
        Outcome::Allowed => Answer::Allowed,
        Outcome::Denied(_) => Answer::ExplicitDeny,
        Outcome::Silent(_) => Answer::ImplicitDeny,
    }
}

/// The compiled form's answer; `ask.context` becomes what the request says in full.
fn compiled(documents: &Documents, ask: &Ask) -> Answer {
    let parse = |value: &Value| Policy::identity(&value.to_string()).unwrap();
    let named = |value: &Value| (Arc::from("p"), parse(value));
    let identity: Vec<_> = documents.identity.iter().map(named).collect();
    let resource =
        documents.resource.as_ref().map(|value| Policy::resource(&value.to_string(), "test").unwrap());
    let mut keys = Keys::new();
    for (key, values) in &ask.context {
        keys = keys.with_each(key.clone(), values.iter().map(String::as_str));
    }
    let simulated = simulate(&Simulation {
        caller: &ask.caller,
        principal_tags: &[],
        identity: &identity,
        boundary: documents.boundary.as_ref().map(named),
        resource_policy: resource.as_ref(),
        action: &ask.action,
        resource: &ask.resource,
        owner: &ask.owner,
        keys: &keys,
        at: &Circumstances::default(),
    });
    match simulated.decision {
        SimulatedDecision::Allowed => Answer::Allowed,
        SimulatedDecision::ExplicitDeny => Answer::ExplicitDeny,
        SimulatedDecision::ImplicitDeny => Answer::ImplicitDeny,
    }
}

/// What the request says by itself, where the context leaves it open: the reference knows no callers' keys.
fn completed(mut ask: Ask) -> Ask {
    let own = [
        ("aws:username", matches!(ask.caller.kind, CallerKind::User { .. }).then_some("ann")),
        ("aws:securetransport", Some("false")),
        ("aws:currenttime", Some("1970-01-01T00:00:00Z")),
        (
            "aws:principalarn",
            match &ask.caller.kind {
                CallerKind::User { .. } => Some(USER),
                CallerKind::RoleSession { .. } => Some(ROLE),
                _ => None,
            },
        ),
    ];
    for (key, value) in own {
        let is_open = ask.context.get(key).is_none_or(Vec::is_empty);
        if let (true, Some(value)) = (is_open, value) {
            ask.context.insert(key.to_owned(), vec![value.to_owned()]);
        }
    }
    ask
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_form_equals_the_reference(documents in documents(), ask in ask().prop_map(completed)) {
        prop_assert_eq!(compiled(&documents, &ask), answer(&documents, &ask));
    }

    #[test]
    fn who_is_vouched_for_is_decided_on_as_the_reference_does(
        documents in documents(), ask in ask().prop_map(federated).prop_map(completed),
    ) {
        prop_assert_eq!(compiled_for_federated(&documents, &ask), answer(&documents, &ask));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn one_more_deny_never_allows_more(
        documents in documents(), ask in ask(), mut extra in statement(true), where_to in 0..3usize,
    ) {
        extra["Effect"] = json!("Deny");
        let mut more = documents.clone();
        let target = match where_to {
            0 => more.identity.first_mut(),
            1 => more.boundary.as_mut(),
            _ => more.resource.as_mut(),
        };
        if let Some(target) = target {
            if where_to < 2 {
                let fields = extra.as_object_mut().unwrap();
                fields.remove("Principal");
                fields.remove("NotPrincipal");
            }
            target["Statement"].as_array_mut().unwrap().push(extra);
        }
        if compiled(&documents, &ask) != Answer::Allowed {
            prop_assert_ne!(compiled(&more, &ask), Answer::Allowed);
        }
    }

    #[test]
    fn one_allow_less_never_allows_more(documents in documents(), ask in ask(), which in any::<prop::sample::Index>()) {
        let mut less = documents.clone();
        let all = less.identity.iter_mut().chain(&mut less.boundary).chain(&mut less.resource);
        let mut allows: Vec<&mut Value> = all
            .flat_map(|document| document["Statement"].as_array_mut().unwrap())
            .filter(|statement| statement["Effect"] == "Allow")
            .collect();
        if !allows.is_empty() {
            let at = which.index(allows.len());
            // An action that nobody takes: the statement is gone, and its policy is still one.
            *allows[at] = {
                let mut nothing = allows[at].clone();
                nothing.as_object_mut().unwrap().remove("NotAction");
                nothing["Action"] = json!("none:None");
                nothing
            };
        }
        if compiled(&documents, &ask) != Answer::Allowed {
            prop_assert_ne!(compiled(&less, &ask), Answer::Allowed);
        }
    }

    #[test]
    fn no_text_panics(text in "[\\x20-\\x7e]{0,80}") {
        for parse in [Policy::identity, Policy::managed, Policy::trust, Policy::session] {
            parse(&text).ok();
        }
        let wrapped = json!({"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": {"AWS": &text},
            "Condition": {"ArnLike": {"aws:PrincipalArn": &text}, "IpAddress": {"aws:SourceIp": &text}}}});
        Policy::resource(&wrapped.to_string(), "s3").ok();
    }
}
