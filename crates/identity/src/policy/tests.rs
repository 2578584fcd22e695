//! Documents that are refused, and what single elements mean.

mod properties;
mod reference;

use std::sync::Arc;

use super::*;
use crate::{Caller, CallerKind, Circumstances, Keys, Simulated, SimulatedDecision, Simulation, simulate};

const USER: &str = "arn:aws:iam::111111111111:user/ann";

fn ann() -> Caller {
    let kind = CallerKind::User { name: "ann".to_owned() };
    Caller { arn: USER.to_owned(), kind, ..Caller::root("111111111111", "AKIA") }
}

fn statement(members: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",{members}}}}}"#)
}

fn message<T>(result: Result<T, MalformedPolicy>) -> String {
    result.err().expect("the document is malformed").to_string()
}

/// What a policy comes to for Ann's read of an object, with these keys.
fn tried(text: &str, resource: &str, keys: &Keys) -> Simulated {
    simulate(&Simulation {
        caller: &ann(),
        principal_tags: &[("team".to_owned(), "blue".to_owned())],
        identity: &[(Arc::from("p"), Policy::identity(text).unwrap())],
        boundary: None,
        resource_policy: None,
        action: "s3:GetObject",
        resource,
        owner: "111111111111",
        keys,
        at: &Circumstances { source_ip: "::ffff:10.1.2.3".parse().ok(), ..Circumstances::default() },
    })
}

#[test]
fn identity_policies_are_refused_in_iams_words() {
    const READ: &str = r#""Action":"s3:GetObject""#;
    const IAM_PATHS: &str = "IAM resource path must either be \"*\" or start with user/, federated-user/, role/, group/, \
                             instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, \
                             oidc-provider/, report/, access-report/.";
    let resource = |resource: &str| format!(r#"{READ},"Resource":{resource}"#);
    for (members, expected) in [
        (r#""Resource":"*""#.to_owned(), "Policy statement must contain actions."),
        (r#""Action":[],"Resource":"*""#.to_owned(), "Policy statement must contain actions."),
        (READ.to_owned(), "Policy statement must contain resources."),
        (resource("[]"), "Policy statement must contain resources."),
        (resource(r#""adf""#), "Resource adf must be in ARN format or \"*\"."),
        (resource(r#""""#), "Resource  must be in ARN format or \"*\"."),
        (resource(r#""a:bsdf""#), "Partition \"bsdf\" is not valid for resource \"arn:bsdf:*:*:*:*\"."),
        (resource(r#""a:b:cadfsdf""#), "Partition \"b\" is not valid for resource \"arn:b:cadfsdf:*:*:*\"."),
        (
            resource(r#""a:b:c:d:e:f:g:h""#),
            "Partition \"b\" is not valid for resource \"arn:b:c:d:e:f:g:h\".",
        ),
        (
            resource(r#""aws:s3:::example_bucket""#),
            "Partition \"s3\" is not valid for resource \"arn:s3:::example_bucket:*\".",
        ),
        (resource(r#""arn:aws""#), "Resource vendor must be fully qualified and cannot contain regexes."),
        (
            resource(r#""arn:aws:s*:::b""#),
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ),
        (resource(r#""arn:aws:s3::b""#), "The policy failed legacy parsing"),
        (
            resource(r#""arn:aws:s3:us-east-1::b""#),
            "Resource arn:aws:s3:us-east-1::b can not contain region information.",
        ),
        (
            resource(r#""arn:aws:iam:eu:1:user/a""#),
            "IAM resource arn:aws:iam:eu:1:user/a cannot contain region information.",
        ),
        (resource(r#""arn:aws:iam:::bucket""#), IAM_PATHS),
        (
            r#""Action":"invalid","Resource":"*""#.to_owned(),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (r#""Action":"a a:List","Resource":"*""#.to_owned(), "Vendor a a is not valid"),
        (
            r#""Action":"s3:List:B","Resource":"*""#.to_owned(),
            "Actions/Condition can contain only one colon.",
        ),
        (
            format!(r#"{},"Principal":"*""#, resource(r#""*""#)),
            "Policy document should not specify a principal.",
        ),
        (
            format!(r#"{},"Condition":{{"DateGreaterThan":{{"aws:CurrentTime":"b"}}}}"#, resource(r#""*""#)),
            "The policy failed legacy parsing",
        ),
    ] {
        assert_eq!(message(Policy::identity(&statement(&members))), expected, "{members}");
    }
}

#[test]
fn syntax_is_strict() {
    let read = r#""Action":"s3:GetObject","Resource":"*""#;
    for text in [
        "[]".to_owned(),
        r#"{"Version":"2012-10-17"}"#.to_owned(),
        r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(),
        r#"{"Version":"2013-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#.to_owned(),
        r#"{"Other":1,"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#.to_owned(),
        statement(&format!(r#"{read},"Extra":1"#)),
        statement(&format!(r#"{read},"NotResource":"*""#)),
        statement(&format!(r#"{read},"Condition":[]"#)),
        statement(&format!(r#"{read},"Condition":{{"StringAlmost":{{"a":"b"}}}}"#)),
        statement(&format!(r#"{read},"Condition":{{"StringEquals":{{"a":null}}}}"#)),
        statement(&format!(r#"{read},"Condition":{{"IpAddress":{{"aws:SourceIp":"10.0.0.0/33"}}}}"#)),
        statement(r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username""#),
    ] {
        assert_eq!(message(Policy::identity(&text)), "Syntax errors in policy.", "{text}");
    }
    let lower = statement(read).replace("Allow", "allow");
    assert_eq!(message(Policy::identity(&lower)), "The policy failed legacy parsing");
    assert_eq!(message(Policy::identity("{")), "This policy contains invalid Json");
    // Of two members of one name one would not count.
    let twice = statement(&format!(r#"{read},"Resource":"arn:aws:s3:::b""#));
    assert_eq!(message(Policy::identity(&twice)), "This policy contains invalid Json");
    let old = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    assert!(Policy::identity(old).is_ok());
    assert_eq!(message(Policy::managed(old)), "Policy document must be version 2012-10-17 or greater.");
    let sids = |sid: &str| {
        let one = format!(r#"{{"Sid":"{sid}","Effect":"Deny",{read}}}"#);
        format!(r#"{{"Version":"2012-10-17","Statement":[{one},{one}]}}"#)
    };
    assert_eq!(
        message(Policy::identity(&sids("a"))),
        "Statement IDs (SID) in a single policy must be unique."
    );
    assert!(
        message(Policy::identity(&sids("a b"))).starts_with("Statement IDs (SID) must be alpha-numeric.")
    );
    assert!(Policy::identity(&sids("")).is_ok());
}

#[test]
fn policies_with_principals_are_refused_in_their_services_words() {
    let trust = |members: &str| Policy::trust(&statement(members)).map(drop);
    assert_eq!(message(trust(r#""Action":"sts:AssumeRole""#)), "Missing required field Principal");
    let full = r#""Principal":"*","Action":"sts:AssumeRole","Resource":"*""#;
    assert_eq!(message(trust(full)), "Has prohibited field Resource");
    assert_eq!(
        message(trust(r#""Principal":{"AWS":"nobody"},"Action":"sts:AssumeRole""#)),
        "Invalid principal in policy: \"AWS\":\"nobody\""
    );
    assert_eq!(
        message(trust(r#""Principal":"*","Action":"s3:GetObject""#)),
        "AssumeRole policy may only specify STS AssumeRole actions."
    );
    let bucket = |members: &str| Policy::resource(&statement(members), "s3").map(drop);
    let read = r#""Action":"s3:GetObject""#;
    for (members, expected) in [
        (format!(r#"{read},"Resource":"arn:aws:s3:::b/*""#), "Missing required field Principal"),
        (format!(r#"{read},"Principal":{{"AWS":"x"}},"Resource":"*""#), "Invalid principal in policy"),
        (format!(r#"{read},"Principal":"*","Resource":"arn:aws:sqs:::b""#), "Policy has invalid resource"),
        (r#""Action":"sqs:A","Principal":"*","Resource":"*""#.to_owned(), "Policy has invalid action"),
    ] {
        assert_eq!(message(bucket(&members)), expected, "{members}");
    }
    let json = message(Policy::resource("x", "s3"));
    assert_eq!(json, "Policies must be valid JSON and the first byte must be '{'");
}

#[test]
fn variables_are_filled_by_requests() {
    let text = |resource: &str, version: &str| {
        statement(&format!(r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::b/{resource}""#))
            .replace("2012-10-17", version)
    };
    for (pattern, key, is_allowed) in [
        ("${aws:username}/*", "ann/x", true),
        ("${AWS:UserName}/*", "ann/x", true),
        ("${aws:username}/*", "bob/x", false),
        ("${aws:PrincipalTag/team}/*", "blue/x", true),
        ("${aws:PrincipalTag/Team, 'red'}/*", "blue/x", true),
        ("${aws:PrincipalTag/other, 'red'}/*", "red/x", true),
        ("${aws:PrincipalTag/other}/*", "/x", false),
        ("${*}", "*", true),
        ("${*}", "x", false),
        ("${$}{a}", "${a}", true),
        ("${?}?", "?x", true),
    ] {
        let resource = format!("arn:aws:s3:::b/{key}");
        let got = tried(&text(pattern, "2012-10-17"), &resource, &Keys::new()).decision;
        assert_eq!(got == SimulatedDecision::Allowed, is_allowed, "{pattern} on {key}");
    }
    // Older policies have none: the text is what it is.
    let old = text("${aws:username}", "2008-10-17");
    let literal = tried(&old, "arn:aws:s3:::b/${aws:username}", &Keys::new());
    assert_eq!(literal.decision, SimulatedDecision::Allowed);
}

#[test]
fn what_a_variable_leaves_open_lets_nobody_through() {
    let open = r#""Action":"*","NotResource":"arn:aws:s3:::${aws:PrincipalTag/none}""#;
    let deny = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"*","Resource":"*"}},
            {{"Effect":"Deny",{open}}}]}}"#
    );
    let decided = |text: &str| tried(text, "arn:aws:s3:::b", &Keys::new()).decision;
    assert_eq!(decided(&statement(open)), SimulatedDecision::ImplicitDeny);
    assert_eq!(decided(&deny), SimulatedDecision::ExplicitDeny);
}

#[test]
fn conditions_hold_as_in_aws() {
    let none = Keys::new();
    let tags = Keys::new().with_each("aws:TagKeys", ["team", "cost"]).with("s3:max-keys", "10");
    for (condition, keys, holds) in [
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, &none, true),
        (r#"{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8"]}}"#, &none, false),
        (r#"{"IpAddress":{"aws:SourceIp":"::/0"}}"#, &none, false),
        (r#"{"Bool":{"aws:SecureTransport":false}}"#, &none, true),
        (r#"{"Bool":{"aws:SecureTransport":"TRUE"}}"#, &none, false),
        (r#"{"Null":{"aws:TokenIssueTime":"true"}}"#, &none, true),
        (r#"{"Null":{"aws:TokenIssueTime":true,"aws:username":"false"}}"#, &none, true),
        (r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#, &none, false),
        (r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}"#, &none, true),
        (r#"{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}"#, &none, true),
        (r#"{"StringEquals":{"aws:PrincipalTag/Team":["red","blue"]}}"#, &none, true),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost","x"]}}"#, &tags, true),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}"#, &tags, false),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}"#, &none, true),
        (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"cost"}}"#, &tags, true),
        (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"cost"}}"#, &none, false),
        (r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":"cost"}}"#, &tags, true),
        (r#"{"NumericLessThanEquals":{"s3:max-keys":10}}"#, &tags, true),
        (r#"{"NumericGreaterThan":{"s3:max-keys":"10"}}"#, &tags, false),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/a*"}}"#, &none, true),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:*:user/a*"}}"#, &none, false),
        (r#"{"DateLessThan":{"aws:EpochTime":"2020-01-01T00:00:00Z"}}"#, &none, true),
        (r#"{"StringLike":{"aws:username":"a*"},"StringEquals":{"aws:userid":"x"}}"#, &none, false),
    ] {
        let text = statement(&format!(r#""Action":"s3:*","Resource":"*","Condition":{condition}"#));
        let got = tried(&text, "arn:aws:s3:::b/k", keys).decision;
        assert_eq!(got == SimulatedDecision::Allowed, holds, "{condition}");
    }
}

#[test]
fn a_simulation_tells_what_decided_and_what_is_missing() {
    let text = statement(
        r#""Sid":"one","Action":"s3:Get*","Resource":"arn:aws:s3:::${aws:username}/*","Condition":
        {"StringLike":{"s3:Prefix":"${s3:delimiter}"}}"#,
    );
    let got = tried(&text, "arn:aws:s3:::ann/k", &Keys::new());
    assert_eq!(got.decision, SimulatedDecision::ImplicitDeny);
    assert_eq!(
        got.missing_keys.iter().map(String::as_str).collect::<Vec<_>>(),
        ["s3:Prefix", "s3:delimiter"]
    );
    let keys = Keys::new().with("s3:prefix", "/").with("s3:delimiter", "/");
    let got = tried(&text, "arn:aws:s3:::ann/k", &keys);
    assert_eq!((got.decision, got.missing_keys.len()), (SimulatedDecision::Allowed, 0));
    let hit = &got.statements[0];
    assert_eq!((&*hit.policy, hit.sid.as_deref(), hit.index, hit.is_allow), ("p", Some("one"), 0, true));
    let keys = Policy::identity(&text).unwrap().context_keys();
    assert_eq!(
        keys.iter().map(String::as_str).collect::<Vec<_>>(),
        ["aws:username", "s3:Prefix", "s3:delimiter"]
    );
}

#[test]
fn who_lets_in_everybody_is_public() {
    let public = |members: &str| {
        let text = format!(r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*",{members}"#);
        Policy::resource(&statement(&text), "s3").unwrap().is_public()
    };
    assert!(public(r#""Principal":"*""#));
    assert!(public(r#""Principal":{"AWS":"*"},"Condition":{"StringLike":{"aws:SourceArn":"*"}}"#));
    assert!(public(r#""Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#));
    assert!(!public(r#""Principal":"*","Condition":{"StringEquals":{"aws:SourceAccount":"111111111111"}}"#));
    assert!(!public(r#""Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#));
    for (value, is_public) in [("64.0.0.0/7", true), ("2000::/31", true), ("2001:db8::/32", false)] {
        let tied = format!(r#""Principal":"*","Condition":{{"IpAddress":{{"aws:SourceIp":"{value}"}}}}"#);
        assert_eq!(public(&tied), is_public, "{value}");
    }
    for (key, value, is_public) in [
        ("aws:PrincipalArn", "arn:aws:iam::*:role/admin", true),
        ("aws:PrincipalArn", "arn:aws:iam::111111111111:role/*", false),
        ("aws:SourceArn", "arn:aws:s3:::bucket", false),
    ] {
        let tied = format!(r#""Principal":"*","Condition":{{"ArnLike":{{"{key}":"{value}"}}}}"#);
        assert_eq!(public(&tied), is_public, "{value}");
    }
    assert!(!public(r#""Principal":{"AWS":"111111111111"}"#));
}

#[test]
fn canonical_users_are_refused() {
    let text = statement(
        r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Principal":{"CanonicalUser":"79a59df900b949e55d96a1e6"}"#,
    );
    assert_eq!(message(Policy::resource(&text, "s3")), "Invalid principal in policy");
}

#[test]
fn objects_with_many_names_are_read_in_one_go() {
    let members: Vec<String> = (0..50_000).map(|at| format!(r#""k{at}":1"#)).collect();
    let read = |members: &[String]| serde_json::from_str::<Json>(&format!("{{{}}}", members.join(",")));
    assert_eq!(read(&members).unwrap().object().map(<[_]>::len), Some(50_000));
    let again = [&members[..], &members[..1]].concat();
    assert!(read(&again).unwrap_err().to_string().contains("`k0` stands twice"));
}
