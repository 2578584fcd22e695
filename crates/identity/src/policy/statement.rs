//! Statements: as they were written, and ready to be compared with requests.

use std::sync::Arc;

use super::condition::Condition;
use super::glob::Glob;
use super::json::Json;
use super::keys::{Key, Request};
use super::pattern::{Match, Pattern, Style};
use super::principal::{Grant, Principal, Who, is_not_among};
use super::{Family, MalformedPolicy};
use crate::Pins;

/// A statement as it was written, with the forms of its members checked.
pub(super) struct Written {
    pub(super) sid: Option<String>,
    pub(super) is_allow: bool,
    /// Whether the letters of `Effect` have their right case.
    pub(super) is_effect_exact: bool,
    pub(super) actions: Option<Listed>,
    pub(super) resources: Option<Listed>,
    pub(super) principals: Option<(bool, Vec<Principal>)>,
    conditions: Vec<Condition>,
}

/// A member with its list of texts, or that with `Not` in front.
pub(super) struct Listed {
    pub(super) is_inverted: bool,
    pub(super) texts: Vec<String>,
}

/// A statement, ready.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sid: Option<Arc<str>>,
    /// Which one of its policy, from 0.
    pub(crate) index: usize,
    pub(crate) is_allow: bool,
    pub(super) actions: Actions,
    /// `None` in trust policies: they are about the role they belong to.
    resources: Option<Resources>,
    principals: Option<Principals>,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Debug)]
pub(super) struct Actions {
    pub(super) is_inverted: bool,
    /// In small letters.
    pub(super) patterns: Vec<Glob>,
}

#[derive(Debug)]
struct Resources {
    is_inverted: bool,
    patterns: Vec<Pattern>,
    texts: Vec<String>,
}

#[derive(Debug)]
struct Principals {
    is_inverted: bool,
    named: Vec<Principal>,
}

impl Written {
    pub(super) fn parse(value: &Json, family: Family, has_variables: bool) -> Result<Self, MalformedPolicy> {
        let fields = value.object().ok_or(MalformedPolicy::Syntax)?;
        let of = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        const KNOWN: [&str; 9] = [
            "Sid",
            "Effect",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Principal",
            "NotPrincipal",
            "Condition",
        ];
        if fields.iter().any(|(name, _)| !KNOWN.contains(&name.as_str())) {
            return Err(MalformedPolicy::Syntax);
        }
        let effect = match (of("Effect"), family) {
            (Some(effect), _) => effect.text().ok_or(MalformedPolicy::Syntax)?,
            (None, Family::Identity | Family::Session) => return Err(MalformedPolicy::Syntax),
            (None, Family::Trust | Family::Resource(_)) => return Err(MalformedPolicy::Missing("Effect")),
        };
        let is_allow = effect.eq_ignore_ascii_case("Allow");
        if !is_allow && !effect.eq_ignore_ascii_case("Deny") {
            return Err(MalformedPolicy::Syntax);
        }
        let sid = of("Sid").map(|sid| sid.text().map(str::to_owned).ok_or(MalformedPolicy::Syntax));
        let condition = of("Condition").map(|condition| Condition::parse_all(condition, has_variables));
        Ok(Self {
            sid: sid.transpose()?,
            is_allow,
            is_effect_exact: matches!(effect, "Allow" | "Deny"),
            actions: listed(of("Action"), of("NotAction"))?,
            resources: listed(of("Resource"), of("NotResource"))?,
            principals: principals(of("Principal"), of("NotPrincipal"), family)?,
            conditions: condition.transpose()?.unwrap_or_default(),
        })
    }
}

impl Statement {
    pub(super) fn compile(
        written: Written,
        index: usize,
        has_variables: bool,
    ) -> Result<Self, MalformedPolicy> {
        let actions = written.actions.ok_or(MalformedPolicy::NoActions)?;
        let patterns = actions.texts.iter().map(|text| Glob::new(&text.to_ascii_lowercase())).collect();
        let style = Style { has_wildcards: true, folds_case: false, has_variables };
        let resources = written.resources.map(|Listed { is_inverted, texts }| {
            let patterns = texts.iter().map(|text| Pattern::new(text, style)).collect::<Result<_, _>>()?;
            Ok(Resources { is_inverted, patterns, texts })
        });
        Ok(Self {
            sid: written.sid.map(Arc::from),
            index,
            is_allow: written.is_allow,
            actions: Actions { is_inverted: actions.is_inverted, patterns },
            resources: resources.transpose()?,
            principals: written.principals.map(|(is_inverted, named)| Principals { is_inverted, named }),
            conditions: written.conditions,
        })
    }

    /// What the statement gives to, or with [`Grant::Full`] takes from, who makes a request; the action is known to be
    /// among its own.
    pub(crate) fn on(&self, request: &Request<'_>, who: Who<'_>) -> Grant {
        let grant = self.grant(who);
        let applies = grant != Grant::None
            && self.resources.as_ref().is_none_or(|resources| resources.select(request, self.is_allow))
            && self.conditions.iter().all(|condition| condition.holds(request, self.is_allow));
        if applies { grant } else { Grant::None }
    }

    fn grant(&self, who: Who<'_>) -> Grant {
        let Some(Principals { is_inverted, named }) = &self.principals else { return Grant::Full };
        match (is_inverted, self.is_allow) {
            (true, is_allow) if is_not_among(named, who, is_allow) => Grant::Everybody,
            (true, _) => Grant::None,
            (false, true) => named.iter().map(|one| one.grant(who)).max().unwrap_or(Grant::None),
            (false, false) if named.iter().any(|one| one.denies(who)) => Grant::Full,
            (false, false) => Grant::None,
        }
    }

    /// Whether it lets in everybody, under no condition that one of these keys has a fixed value.
    pub(super) fn is_public(&self, unless_fixed: &[&str]) -> bool {
        let is_for_all = self.principals.as_ref().is_some_and(|principals| {
            principals.is_inverted || principals.named.contains(&Principal::Anyone)
        });
        let is_tied = self.conditions.iter().any(|condition| condition.fixes(unless_fixed));
        self.is_allow && is_for_all && !is_tied
    }

    /// What every resource begins with that it is about.
    pub(crate) fn resource_start(&self) -> &str {
        match &self.resources {
            Some(Resources { is_inverted: false, patterns, .. }) => Pattern::common_start(patterns),
            _ => "",
        }
    }

    /// A condition key of the service, and what one of its values must begin with if the statement is to apply.
    pub(crate) fn condition_start(&self) -> Option<(&Key, &str)> {
        self.conditions.iter().find_map(Condition::start)
    }

    /// Its resources, as they were written.
    pub(super) fn resource_texts(&self) -> &[String] {
        self.resources.as_ref().map_or(&[], |resources| &resources.texts)
    }

    pub(super) fn has_principals(&self) -> bool {
        self.principals.is_some()
    }

    /// Users and roles among its principals.
    pub(super) fn principal_names(&self) -> impl Iterator<Item = &str> {
        let named = self.principals.iter().flat_map(|principals| &principals.named);
        named.filter_map(Principal::lasting_name)
    }

    /// Puts unique ids in place of names.
    pub(super) fn pin(&mut self, pins: &Pins) {
        for principal in self.principals.iter_mut().flat_map(|principals| &mut principals.named) {
            if let Some(id) = principal.lasting_name().and_then(|name| pins.id_of(name)) {
                *principal = Principal::Aws(id.into());
            }
        }
    }

    /// The condition keys that it uses, in variables, too.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        let patterns = self.resources.iter().flat_map(|resources| &resources.patterns);
        let in_resources = patterns.flat_map(Pattern::keys);
        in_resources.chain(self.conditions.iter().flat_map(Condition::keys))
    }
}

impl Actions {
    /// `action` is in small letters.
    pub(super) fn select(&self, action: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(action)) != self.is_inverted
    }
}

impl Resources {
    fn select(&self, request: &Request<'_>, is_allow: bool) -> bool {
        let mut is_open = false;
        for pattern in &self.patterns {
            match pattern.matches(request.resource, request) {
                Match::Yes => return !self.is_inverted,
                Match::No => {}
                Match::Unknown => is_open = true,
            }
        }
        // A variable that the request leaves open must not let through what it might have ruled out.
        self.is_inverted && !(is_open && is_allow)
    }
}

fn principals(
    given: Option<&Json>,
    not_given: Option<&Json>,
    family: Family,
) -> Result<Option<(bool, Vec<Principal>)>, MalformedPolicy> {
    let (is_inverted, value) = match (given, not_given) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(MalformedPolicy::Syntax),
        (Some(value), None) => (false, value),
        (None, Some(value)) => (true, value),
    };
    let named = Principal::parse_all(value).map_err(|problem| match (problem, family) {
        (MalformedPolicy::Principal { .. } | MalformedPolicy::Syntax, Family::Resource("s3")) => {
            MalformedPolicy::PrincipalForS3
        }
        (other, _) => other,
    });
    Ok(Some((is_inverted, named?)))
}

fn listed(given: Option<&Json>, not_given: Option<&Json>) -> Result<Option<Listed>, MalformedPolicy> {
    let (is_inverted, value) = match (given, not_given) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(MalformedPolicy::Syntax),
        (Some(value), None) => (false, value),
        (None, Some(value)) => (true, value),
    };
    let text = |value: &Json| value.text().map(str::to_owned).ok_or(MalformedPolicy::Syntax);
    let texts = value.each().iter().map(text).collect::<Result<_, _>>()?;
    Ok(Some(Listed { is_inverted, texts }))
}
