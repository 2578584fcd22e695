//! Policy documents: parsed strictly, compiled once.
//! Source: IAM User Guide, "Grammar of the IAM JSON policy language".

mod condition;
mod date;
mod family;
mod glob;
mod json;
mod keys;
mod malformed;
mod operators;
mod pattern;
mod principal;
mod statement;
#[cfg(test)]
mod tests;

pub(crate) use keys::{Key, Request, Values};
pub use malformed::MalformedPolicy;
pub(crate) use principal::{Grant, Who};
pub(crate) use statement::Statement;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use json::Json;
use statement::Written;

use crate::Pins;

/// A policy, ready to decide with. Cheap to clone.
#[derive(Clone)]
pub struct Policy(Arc<Inner>);

struct Inner {
    text: Box<str>,
    family: Family,
    statements: Vec<Statement>,
    index: Index,
}

/// What a policy is for: decides what its statements must and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Identity,
    Session,
    Trust,
    /// Of the resources of a service, as `s3`.
    Resource(&'static str),
}

/// What of a document is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// All that AWS checks.
    Full,
    /// What must be so that it can be decided with.
    Meaning,
}

/// Which statements may speak of an action, by their place.
#[derive(Default)]
struct Index {
    /// Of those that name the action itself; not of those in the other two.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// Of those with a pattern for actions of the service.
    services: HashMap<Box<str>, Vec<usize>>,
    /// Of those that may speak of any.
    any: Vec<usize>,
}

/// What a policy says of a request.
#[derive(Default)]
pub(crate) struct Found<'p> {
    pub(crate) allows: Vec<(&'p Statement, Grant)>,
    pub(crate) denies: Vec<&'p Statement>,
}

/// Which of the statements that allow are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    /// As many as it takes to know.
    Enough,
    /// All of them: for explanations.
    All,
}

/// Keys whose fixed value keeps a statement for everybody from being public.
/// Source: Amazon S3 User Guide, "Blocking public access to your Amazon S3 storage", "The meaning of public".
const KEYS_AGAINST_PUBLIC: [&str; 13] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
];

impl Policy {
    /// Reads an identity policy: about resources, without principals.
    pub fn identity(text: &str) -> Result<Self, MalformedPolicy> {
        Self::parse(text, Family::Identity, Strictness::Full)
    }

    /// Reads an identity policy that was taken once, perhaps by an older and less strict version: only what it means counts.
    pub fn stored(text: &str) -> Result<Self, MalformedPolicy> {
        Self::parse(text, Family::Identity, Strictness::Meaning)
    }

    /// Reads a managed policy: an identity policy of the version of 2012.
    pub fn managed(text: &str) -> Result<Self, MalformedPolicy> {
        let policy = Self::identity(text)?;
        let value: Json = serde_json::from_str(text).map_err(|_| MalformedPolicy::Json)?;
        let version = member(&value, "Version").and_then(Json::text);
        if version == Some(VERSION) { Ok(policy) } else { Err(MalformedPolicy::Version) }
    }

    /// Reads a policy that a session is made with: written as identity policies are.
    pub fn session(text: &str) -> Result<Self, MalformedPolicy> {
        Self::parse(text, Family::Session, Strictness::Full)
    }

    /// Reads several policies of a session that were taken once, as one: it allows what any of them allows and none denies.
    pub(crate) fn union(texts: &[String]) -> Result<Self, MalformedPolicy> {
        let mut statements = Vec::new();
        for text in texts {
            let first = statements.len();
            statements.extend(Self::read(text, Family::Session, Strictness::Meaning, first)?);
        }
        Ok(Self::of(&texts.join("\n"), Family::Session, statements))
    }

    /// Reads a trust policy: about principals, without resources.
    pub fn trust(text: &str) -> Result<Self, MalformedPolicy> {
        Self::parse(text, Family::Trust, Strictness::Full)
    }

    /// Reads the policy of a resource of a service, as `s3`: about principals.
    pub fn resource(text: &str, service: &'static str) -> Result<Self, MalformedPolicy> {
        Self::parse(text, Family::Resource(service), Strictness::Full)
    }

    /// Reads the policy of a resource that was taken once: it is about whom its principals meant then, and nobody who has got one
    /// of their names since.
    pub fn stored_resource(text: &str, service: &'static str, pins: &Pins) -> Result<Self, MalformedPolicy> {
        Self::pinned(text, Family::Resource(service), pins)
    }

    /// Likewise a trust policy.
    pub(crate) fn stored_trust(text: &str, pins: &Pins) -> Result<Self, MalformedPolicy> {
        Self::pinned(text, Family::Trust, pins)
    }

    fn pinned(text: &str, family: Family, pins: &Pins) -> Result<Self, MalformedPolicy> {
        let mut statements = Self::read(text, family, Strictness::Meaning, 0)?;
        // Without one a statement is about everybody, as those of identities are.
        if !statements.iter().all(Statement::has_principals) {
            return Err(MalformedPolicy::Missing("Principal"));
        }
        statements.iter_mut().for_each(|statement| statement.pin(pins));
        Ok(Self::of(text, family, statements))
    }

    /// The users and roles that its principals name, by ARN or by unique id.
    pub(crate) fn principal_names(&self) -> BTreeSet<String> {
        self.0.statements.iter().flat_map(Statement::principal_names).map(str::to_owned).collect()
    }

    /// A document with other names of users and roles; `None` where it cannot be read.
    pub(crate) fn renamed(text: &str, new: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut document: Json = serde_json::from_str(text).ok()?;
        let statements = document.member_mut("Statement")?;
        for statement in statements.each_mut() {
            for element in ["Principal", "NotPrincipal"] {
                let named = statement.member_mut(element).and_then(|kinds| kinds.member_mut("AWS"));
                for name in named.into_iter().flat_map(Json::each_mut) {
                    if let Json::Text(name) = name
                        && let Some(new) = new(name)
                    {
                        *name = new;
                    }
                }
            }
        }
        Some(document.to_string())
    }

    /// The document as it was given.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether it lets in everybody.
    pub fn is_public(&self) -> bool {
        self.0.statements.iter().any(|statement| statement.is_public(&KEYS_AGAINST_PUBLIC))
    }

    /// The resources that its statements name, as they were written.
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        self.0.statements.iter().flat_map(Statement::resource_texts).map(String::as_str)
    }

    /// The condition keys that it uses, as they were written.
    pub fn context_keys(&self) -> BTreeSet<String> {
        self.keys().map(|key| key.written.to_string()).collect()
    }

    /// The condition keys that it uses and a request says nothing to, as they were written.
    pub(crate) fn keys_missing_in(&self, request: &Request<'_>) -> BTreeSet<String> {
        let missing = self.keys().filter(|key| request.get(key).is_none());
        missing.map(|key| key.written.to_string()).collect()
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.statements.iter().flat_map(Statement::keys)
    }

    pub(crate) fn family(&self) -> Family {
        self.0.family
    }

    /// A policy that allows nothing.
    pub(crate) fn nothing() -> Self {
        let (text, family) = (Box::default(), Family::Session);
        Self(Arc::new(Inner { text, family, statements: Vec::new(), index: Index::default() }))
    }

    /// Which statements apply to a request.
    pub(crate) fn find(&self, request: &Request<'_>, who: Who<'_>, search: Search) -> Found<'_> {
        let mut found = Found::default();
        for at in self.about(request.action) {
            found.add(&self.0.statements[at], request, who, search);
        }
        found
    }

    /// Which statements speak of an action (in small letters), by their place.
    pub(crate) fn about(&self, action: &str) -> impl Iterator<Item = usize> {
        let Inner { index, statements, .. } = &*self.0;
        let service = action.split(':').next().unwrap_or_default();
        let exact = index.exact.get(action).into_iter().flatten().copied();
        let others = index.services.get(service).into_iter().flatten().chain(&index.any).copied();
        exact.chain(others.filter(move |at| statements[*at].actions.select(action)))
    }

    pub(crate) fn statement(&self, at: usize) -> &Statement {
        &self.0.statements[at]
    }

    fn parse(text: &str, family: Family, strictness: Strictness) -> Result<Self, MalformedPolicy> {
        Ok(Self::of(text, family, Self::read(text, family, strictness, 0)?))
    }

    fn of(text: &str, family: Family, statements: Vec<Statement>) -> Self {
        let index = Index::of(&statements);
        Self(Arc::new(Inner { text: text.into(), family, statements, index }))
    }

    /// The statements of a document, numbered from `first`.
    fn read(
        text: &str,
        family: Family,
        strictness: Strictness,
        first: usize,
    ) -> Result<Vec<Statement>, MalformedPolicy> {
        let invalid =
            if family == Family::Resource("s3") { MalformedPolicy::JsonForS3 } else { MalformedPolicy::Json };
        let value: Json = serde_json::from_str(text).map_err(|_| invalid.clone())?;
        let fields = value.object().ok_or(match family {
            Family::Resource("s3") => invalid,
            _ => MalformedPolicy::Syntax,
        })?;
        let is_known = |name: &str| matches!(name, "Version" | "Id" | "Statement");
        let is_text = |name: &str| member(&value, name).is_none_or(|value| value.text().is_some());
        if !fields.iter().all(|(name, _)| is_known(name)) || !is_text("Id") {
            return Err(MalformedPolicy::Syntax);
        }
        let has_variables = match member(&value, "Version").map(Json::text) {
            Some(Some(VERSION)) => true,
            None | Some(Some(OLD_VERSION)) => false,
            Some(_) => return Err(MalformedPolicy::Syntax),
        };
        let statements = member(&value, "Statement").ok_or(MalformedPolicy::Syntax)?.each();
        let is_strict = strictness == Strictness::Full;
        if statements.is_empty() && is_strict && family != Family::Trust {
            return Err(MalformedPolicy::Syntax);
        }
        let parse = |statement| Written::parse(statement, family, has_variables);
        let written = statements.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if is_strict {
            family::check(family, &written)?;
        }
        let compile = |(index, written)| Statement::compile(written, first + index, has_variables);
        written.into_iter().enumerate().map(compile).collect()
    }
}

/// The version whose policies have variables.
const VERSION: &str = "2012-10-17";
const OLD_VERSION: &str = "2008-10-17";

fn member<'a>(value: &'a Json, name: &str) -> Option<&'a Json> {
    value.object()?.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

impl<'p> Found<'p> {
    fn needs(&self, statement: &Statement, search: Search) -> bool {
        !statement.is_allow || search == Search::All || self.grant() != Grant::Full
    }

    fn add(&mut self, statement: &'p Statement, request: &Request<'_>, who: Who<'_>, search: Search) {
        if self.needs(statement, search) {
            self.note(statement, statement.on(request, who));
        }
    }

    /// Adds what a statement gives or takes.
    pub(crate) fn note(&mut self, statement: &'p Statement, grant: Grant) {
        match grant {
            Grant::None => {}
            _ if !statement.is_allow => self.denies.push(statement),
            grant => self.allows.push((statement, grant)),
        }
    }

    /// The most that a statement gives.
    pub(crate) fn grant(&self) -> Grant {
        self.allows.iter().map(|(_, grant)| *grant).max().unwrap_or(Grant::None)
    }
}

impl Index {
    fn of(statements: &[Statement]) -> Self {
        let mut index = Self::default();
        for (at, statement) in statements.iter().enumerate() {
            let patterns = &statement.actions.patterns;
            let services: Option<BTreeSet<Box<str>>> = patterns.iter().map(service).collect();
            let Some(services) = services.filter(|_| !statement.actions.is_inverted) else {
                index.any.push(at);
                continue;
            };
            for of in services {
                let own = || patterns.iter().filter(|pattern| service(pattern).as_ref() == Some(&of));
                let names: Option<BTreeSet<&str>> = own().map(exact).collect();
                match names {
                    Some(names) => {
                        for name in names {
                            index.exact.entry(name.into()).or_default().push(at);
                        }
                    }
                    None => index.services.entry(of).or_default().push(at),
                }
            }
        }
        index
    }
}

/// The service of a pattern's actions; `None` when it may be more than one.
fn service(pattern: &glob::Glob) -> Option<Box<str>> {
    let text = match pattern {
        glob::Glob::Any => return None,
        glob::Glob::Exact(text) | glob::Glob::Prefix(text) | glob::Glob::Tokens { start: text, .. } => text,
    };
    text.split_once(':').map(|(service, _)| service.into())
}

fn exact(pattern: &glob::Glob) -> Option<&str> {
    match pattern {
        glob::Glob::Exact(text) => Some(text),
        _ => None,
    }
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.0.family == other.0.family && self.0.text == other.0.text
    }
}

impl Eq for Policy {}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Policy").field(&self.0.text).finish()
    }
}
