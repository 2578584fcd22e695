//! Policy documents: parsed strictly, matched literally.
//! Source: IAM User Guide, "Grammar of the IAM JSON policy language".

use serde_json::Value;

/// A parsed policy document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    allow: bool,
    actions: Selection,
    /// `None` in trust policies, which are about the role they belong to.
    resources: Option<Selection>,
    principals: Option<Vec<Principal>>,
    /// Conditions are not evaluated yet; they are known to be there, so that an allow with one allows nothing.
    conditional: bool,
}

/// Patterns that select, or with `Not...` deselect.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Selection {
    patterns: Vec<String>,
    inverted: bool,
}

/// Whom a statement of a trust or resource policy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    Anyone,
    /// An account's twelve digits, or the ARN of a principal.
    Aws(String),
    /// As `lambda.amazonaws.com`.
    Service(String),
    Federated(String),
}

/// What a document says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
    Nothing,
}

/// Why a text is not a policy document; the texts are AWS's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPolicy {
    #[error("This policy contains invalid Json")]
    Json,
    #[error("Syntax errors in policy.")]
    Syntax,
    #[error("Has prohibited field {0}")]
    Prohibited(&'static str),
    #[error("Missing required field {0}")]
    Missing(&'static str),
    /// AWS has them; taken literally they would turn a deny into nothing.
    #[error("Lambent does not evaluate policy variables yet: {0}")]
    Variable(String),
}

impl Policy {
    /// Reads an identity policy: about resources, without principals.
    pub fn identity(text: &str) -> Result<Self, MalformedPolicy> {
        let document = Self::parse(text)?;
        for statement in &document.statements {
            match (&statement.principals, &statement.resources) {
                (Some(_), _) => return Err(MalformedPolicy::Prohibited("Principal")),
                (None, None) => return Err(MalformedPolicy::Missing("Resource")),
                (None, Some(_)) => {}
            }
        }
        Ok(document)
    }

    /// Reads a trust policy: about principals, without resources.
    pub fn trust(text: &str) -> Result<Self, MalformedPolicy> {
        let document = Self::parse(text)?;
        for statement in &document.statements {
            match (&statement.principals, &statement.resources) {
                (_, Some(_)) => return Err(MalformedPolicy::Prohibited("Resource")),
                (None, None) => return Err(MalformedPolicy::Missing("Principal")),
                (Some(_), None) => {}
            }
        }
        Ok(document)
    }

    /// Reads the policy of a resource of a service, as `s3`: about principals and, mostly, resources.
    pub fn resource(text: &str, _service: &str) -> Result<Self, MalformedPolicy> {
        Self::parse(text)
    }

    /// Reads a policy that a session is made with: written as identity policies are.
    pub fn session(text: &str) -> Result<Self, MalformedPolicy> {
        Self::identity(text)
    }

    /// A policy that allows nothing.
    pub(crate) fn nothing() -> Self {
        Self { statements: Vec::new() }
    }

    /// What the document says of an action on a resource.
    pub(crate) fn effect_on(&self, action: &str, resource: &str) -> Effect {
        self.effect(|statement| {
            statement.actions.selects_action(action)
                && statement.resources.as_ref().is_none_or(|resources| resources.selects(resource))
        })
    }

    /// What a trust policy says of somebody who wants to take `action` (as `sts:AssumeRole`).
    pub(crate) fn effect_for(&self, action: &str, is_meant: impl Fn(&Principal) -> bool) -> Effect {
        self.effect(|statement| {
            statement.actions.selects_action(action)
                && statement.principals.as_ref().is_some_and(|principals| principals.iter().any(&is_meant))
        })
    }

    fn effect(&self, applies: impl Fn(&Statement) -> bool) -> Effect {
        let mut effect = Effect::Nothing;
        for statement in self.statements.iter().filter(|statement| applies(statement)) {
            match statement.allow {
                // Until conditions are evaluated, one that might hold denies, and none allows.
                false => return Effect::Deny,
                true if !statement.conditional => effect = Effect::Allow,
                true => {}
            }
        }
        effect
    }

    fn parse(text: &str) -> Result<Self, MalformedPolicy> {
        let value: Value = serde_json::from_str(text).map_err(|_| MalformedPolicy::Json)?;
        let fields = value.as_object().ok_or(MalformedPolicy::Syntax)?;
        if fields.keys().any(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement")) {
            return Err(MalformedPolicy::Syntax);
        }
        if let Some(version) = fields.get("Version")
            && !matches!(version.as_str(), Some("2012-10-17" | "2008-10-17"))
        {
            return Err(MalformedPolicy::Syntax);
        }
        let statements = match fields.get("Statement").ok_or(MalformedPolicy::Syntax)? {
            Value::Array(statements) => {
                statements.iter().map(Statement::parse).collect::<Result<Vec<_>, _>>()?
            }
            single => vec![Statement::parse(single)?],
        };
        Ok(Self { statements })
    }
}

impl Statement {
    fn parse(value: &Value) -> Result<Self, MalformedPolicy> {
        // NotPrincipal is refused: it is only meant for resource policies that deny.
        const KNOWN: [&str; 8] =
            ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "Condition"];
        let fields = value.as_object().ok_or(MalformedPolicy::Syntax)?;
        if fields.keys().any(|key| !KNOWN.contains(&key.as_str())) {
            return Err(MalformedPolicy::Syntax);
        }
        let allow = match fields.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(MalformedPolicy::Syntax),
        };
        let selection = |key: &str, not_key: &str| match (fields.get(key), fields.get(not_key)) {
            (Some(patterns), None) => Selection::parse(patterns, false).map(Some),
            (None, Some(patterns)) => Selection::parse(patterns, true).map(Some),
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(MalformedPolicy::Syntax),
        };
        let conditional = match fields.get("Condition") {
            None => false,
            Some(Value::Object(condition)) => !condition.is_empty(),
            Some(_) => return Err(MalformedPolicy::Syntax),
        };
        Ok(Self {
            allow,
            actions: selection("Action", "NotAction")?.ok_or(MalformedPolicy::Missing("Action"))?,
            resources: selection("Resource", "NotResource")?,
            principals: fields.get("Principal").map(parse_principals).transpose()?,
            conditional,
        })
    }
}

impl Selection {
    fn parse(value: &Value, inverted: bool) -> Result<Self, MalformedPolicy> {
        let patterns = strings(value)?;
        match patterns.iter().find(|pattern| pattern.contains("${")) {
            Some(pattern) => Err(MalformedPolicy::Variable(pattern.clone())),
            None => Ok(Self { patterns, inverted }),
        }
    }

    fn selects(&self, text: &str) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern.as_bytes(), text.as_bytes())) != self.inverted
    }

    /// Actions are compared without regard to case.
    fn selects_action(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        let hit = |pattern: &String| matches(pattern.to_ascii_lowercase().as_bytes(), action.as_bytes());
        self.patterns.iter().any(hit) != self.inverted
    }
}

fn parse_principals(value: &Value) -> Result<Vec<Principal>, MalformedPolicy> {
    if value.as_str() == Some("*") {
        return Ok(vec![Principal::Anyone]);
    }
    let mut principals = Vec::new();
    for (kind, names) in value.as_object().ok_or(MalformedPolicy::Syntax)? {
        for name in strings(names)? {
            principals.push(match kind.as_str() {
                "AWS" if name == "*" => Principal::Anyone,
                "AWS" => Principal::Aws(name),
                "Service" => Principal::Service(name),
                "Federated" => Principal::Federated(name),
                _ => return Err(MalformedPolicy::Syntax),
            });
        }
    }
    Ok(principals)
}

fn strings(value: &Value) -> Result<Vec<String>, MalformedPolicy> {
    let one = |value: &Value| value.as_str().map(str::to_owned).ok_or(MalformedPolicy::Syntax);
    match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

/// Whether a pattern with `*` and `?` matches the whole text; in time that is at most pattern times text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                // The last star takes one byte more.
                Some((after_star, taken)) => {
                    retry = Some((after_star, taken + 1));
                    p = after_star;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(statement: &str) -> Policy {
        Policy::identity(&format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)).unwrap()
    }

    #[test]
    fn wildcards_match_as_in_aws() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("s3:Get*", "s3:GetObject", true),
            ("s3:Get?bject", "s3:GetObject", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b", false),
            ("arn:aws:s3:::b*/x", "arn:aws:s3:::b/y/x", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn deny_wins_and_silence_is_nothing() {
        let document = identity(
            r#"[{"Effect":"Allow","Action":"s3:*","Resource":"*"},
                {"Effect":"Deny","Action":["s3:deleteobject"],"Resource":"arn:aws:s3:::keep/*"}]"#,
        );
        assert_eq!(document.effect_on("s3:GetObject", "arn:aws:s3:::keep/a"), Effect::Allow);
        assert_eq!(document.effect_on("s3:DeleteObject", "arn:aws:s3:::keep/a"), Effect::Deny);
        assert_eq!(document.effect_on("lambda:InvokeFunction", "arn"), Effect::Nothing);
    }

    #[test]
    fn conditions_fail_closed() {
        let condition = r#""Condition":{"Bool":{"aws:SecureTransport":"true"}}"#;
        let allow = identity(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*",{condition}}}"#));
        assert_eq!(allow.effect_on("s3:GetObject", "x"), Effect::Nothing);
        let deny = identity(&format!(r#"{{"Effect":"Deny","Action":"*","Resource":"*",{condition}}}"#));
        assert_eq!(deny.effect_on("s3:GetObject", "x"), Effect::Deny);
    }

    #[test]
    fn not_action_and_not_resource_invert() {
        let document =
            identity(r#"{"Effect":"Allow","NotAction":"iam:*","NotResource":"arn:aws:s3:::secret"}"#);
        assert_eq!(document.effect_on("s3:GetObject", "arn:aws:s3:::open"), Effect::Allow);
        assert_eq!(document.effect_on("iam:CreateRole", "arn:aws:s3:::open"), Effect::Nothing);
        assert_eq!(document.effect_on("s3:GetObject", "arn:aws:s3:::secret"), Effect::Nothing);
    }

    #[test]
    fn malformed_documents_are_named() {
        assert_eq!(Policy::identity("{"), Err(MalformedPolicy::Json));
        for text in [
            "[]",
            r#"{"Statement":[{}]}"#,
            r#"{"Version":"2020-01-01","Statement":[]}"#,
            r#"{"Other":1,"Statement":[]}"#,
        ] {
            assert_eq!(Policy::identity(text), Err(MalformedPolicy::Syntax), "{text}");
        }
        let principal = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}}"#;
        assert_eq!(Policy::identity(principal), Err(MalformedPolicy::Prohibited("Principal")));
        assert_eq!(Policy::trust(principal), Err(MalformedPolicy::Prohibited("Resource")));
        let variable =
            r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::home/${aws:userid}/*"}}"#;
        assert!(matches!(Policy::identity(variable), Err(MalformedPolicy::Variable(_))));
    }
}
