//! The least policy that would have allowed what somebody did.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::event::Event;

/// Of more resources than these that differ in their last part only, the pattern of all is suggested.
const ALIKE_MAX: usize = 5;

/// What was seen, and the policy for it.
#[derive(Clone, Debug, Default)]
pub struct Suggestion {
    /// Resources by action.
    seen: BTreeMap<String, BTreeSet<String>>,
    /// How many events it was made of.
    pub events: usize,
}

/// A policy that allows exactly what these events asked for, whether it was allowed or not.
pub fn suggest<'a>(events: impl IntoIterator<Item = &'a Event>) -> Suggestion {
    let mut suggestion = Suggestion::default();
    events.into_iter().for_each(|event| suggestion.add(event));
    suggestion
}

impl Suggestion {
    /// Takes in one more event.
    pub fn add(&mut self, event: &Event) {
        self.events += 1;
        for decided in &event.decisions {
            let resources = self.seen.entry(decided.action.clone()).or_default();
            resources.insert(decided.resource.clone());
        }
    }

    /// The policy document: a statement for each set of resources, with all actions on just these.
    pub fn policy(&self) -> Value {
        let mut by_resources: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
        for (action, resources) in &self.seen {
            by_resources.entry(together(resources)).or_default().push(action);
        }
        let statements: Vec<Value> = by_resources
            .iter()
            .map(
                |(resources, actions)| json!({ "Effect": "Allow", "Action": actions, "Resource": resources }),
            )
            .collect();
        json!({ "Version": "2012-10-17", "Statement": statements })
    }
}

/// Resources, many that are alike as one pattern: `arn:aws:s3:::photos/a` and others become `arn:aws:s3:::photos/*`.
fn together(resources: &BTreeSet<String>) -> Vec<String> {
    let mut by_parent: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for resource in resources {
        // The part after the last slash, or after the last colon of a resource without one.
        let parent = resource.rfind('/').or(resource.rfind(':')).map_or("", |at| &resource[..=at]);
        by_parent.entry(parent).or_default().push(resource);
    }
    let mut wanted = BTreeSet::new();
    for (parent, alike) in by_parent {
        // Never a whole service: `arn:aws:s3:::*` would be all buckets.
        if alike.len() > ALIKE_MAX && parent.contains('/') {
            wanted.insert(format!("{}*", literal(parent)));
        } else {
            wanted.extend(alike.into_iter().map(|resource| literal(resource)));
        }
    }
    wanted.into_iter().collect()
}

/// A name that means itself: `*` and `?` in it are no patterns. `*` alone is an action's that has no resource.
fn literal(resource: &str) -> String {
    if resource == "*" {
        return resource.to_owned();
    }
    resource.replace("${", "${$}{").replace('*', "${*}").replace('?', "${?}")
}
