//! Which statements of a principal's policies can speak of a request, told by reading little memory.
//!
//! Of hundreds of statements about an action most fall through at their resource, or at a condition's text. What all that a
//! statement matches begins with is copied here, side by side, so that to pass one over costs no walk through its parts.

use crate::policy::{Key, Request, Statement, Values};
use crate::policy_set::NamedPolicy;

/// Distinct condition keys that hints are kept about; a request is asked for each of them once.
const HINT_KEYS_MAX: usize = 4;

/// The statements that speak of one action, in the order of their policies.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    steps: Box<[Step]>,
    keys: Vec<Key>,
    /// The beginnings that steps name, one after another.
    texts: Vec<u8>,
}

/// A statement that may apply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// The place of its policy, and its own in that.
    pub(crate) policy: usize,
    pub(crate) statement: usize,
    pub(crate) is_allow: bool,
}

/// A statement, and what must be true if it is to apply.
#[derive(Debug)]
struct Step {
    candidate: Candidate,
    /// What its resources begin with.
    resource: Span,
    /// The place of a condition key, and what the values begin with of which the condition needs one.
    condition: Option<(usize, Span)>,
}

/// A part of [`Plan::texts`].
#[derive(Clone, Copy, Debug)]
struct Span {
    from: usize,
    to: usize,
}

impl Plan {
    /// The statements about an action (in small letters).
    pub(crate) fn new(policies: &[NamedPolicy], action: &str) -> Self {
        let mut plan = Self::default();
        let mut steps = Vec::new();
        for (policy, named) in policies.iter().enumerate() {
            for at in named.policy.about(action) {
                let statement = named.policy.statement(at);
                let candidate = Candidate { policy, statement: at, is_allow: statement.is_allow };
                steps.push(plan.step(candidate, statement));
            }
        }
        plan.steps = steps.into();
        plan
    }

    /// The statements that may apply to a request: all that do are among them.
    pub(crate) fn candidates<'a>(&'a self, request: &'a Request<'a>) -> impl Iterator<Item = Candidate> {
        let mut values: [Option<Values<'a>>; HINT_KEYS_MAX] = Default::default();
        for (value, key) in values.iter_mut().zip(&self.keys) {
            *value = request.get(key);
        }
        let fits = move |step: &&Step| {
            request.resource.as_bytes().starts_with(self.text(step.resource))
                && step.condition.is_none_or(|(key, start)| has_one(values[key].as_ref(), self.text(start)))
        };
        self.steps.iter().filter(fits).map(|step| step.candidate)
    }

    fn text(&self, span: Span) -> &[u8] {
        &self.texts[span.from..span.to]
    }

    fn step(&mut self, candidate: Candidate, statement: &Statement) -> Step {
        let resource = self.keep(statement.resource_start());
        let condition = statement.condition_start().and_then(|(key, start)| {
            let known = self.keys.iter().position(|known| known == key);
            let place = match known {
                Some(place) => place,
                None if self.keys.len() == HINT_KEYS_MAX => return None,
                None => {
                    self.keys.push(key.clone());
                    self.keys.len() - 1
                }
            };
            Some((place, self.keep(start)))
        });
        Step { candidate, resource, condition }
    }

    fn keep(&mut self, text: &str) -> Span {
        let from = self.texts.len();
        self.texts.extend_from_slice(text.as_bytes());
        Span { from, to: self.texts.len() }
    }
}

/// Whether one of a key's values begins so.
fn has_one(values: Option<&Values<'_>>, start: &[u8]) -> bool {
    match values {
        None => false,
        Some(Values::One(value)) => value.as_bytes().starts_with(start),
        Some(Values::Many(all)) => all.iter().any(|value| value.as_bytes().starts_with(start)),
    }
}
