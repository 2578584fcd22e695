//! The parameters of a form as a tree: `A.member.1.B=x` is a path of four names with a value at its end.

use std::borrow::Cow;
use std::collections::HashMap;

use super::constants::QUERY_NODES_MAX;
use crate::{ReadError, limits};

#[derive(Debug, Default)]
pub(super) struct Tree<'a> {
    /// The root first.
    pub(super) nodes: Vec<Node<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) name: String,
    pub(super) value: Option<Cow<'a, str>>,
    pub(super) children: Vec<usize>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>) -> Result<Self, ReadError> {
        let mut tree = Self { nodes: vec![Node::default()] };
        let mut known: HashMap<(usize, String), usize> = HashMap::new();
        for (key, value) in pairs {
            let mut at = 0;
            for (depth, name) in key.split('.').enumerate() {
                // Lists and maps take two names for each level of values.
                if depth > 2 * limits::DEPTH_MAX {
                    return Err(ReadError::Limit(format!(
                        "values nest deeper than {} levels",
                        limits::DEPTH_MAX
                    )));
                }
                at = match known.get(&(at, name.to_owned())) {
                    Some(&child) => child,
                    None => tree.add(at, name, &mut known),
                };
            }
            tree.nodes[at].value = Some(value);
            if tree.nodes.len() > QUERY_NODES_MAX {
                return Err(ReadError::Limit(format!("more than {QUERY_NODES_MAX} names in the parameters")));
            }
        }
        Ok(tree)
    }

    fn add(&mut self, parent: usize, name: &str, known: &mut HashMap<(usize, String), usize>) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node { name: name.to_owned(), ..Node::default() });
        self.nodes[parent].children.push(index);
        known.insert((parent, name.to_owned()), index);
        index
    }

    pub(super) fn child(&self, node: usize, name: &str) -> Option<usize> {
        self.nodes[node].children.iter().copied().find(|child| self.nodes[*child].name == name)
    }

    /// The children that are numbered, in the order of their numbers.
    pub(super) fn numbered(&self, node: usize) -> Vec<usize> {
        let children = self.nodes[node].children.iter();
        let mut numbered: Vec<(u32, usize)> =
            children.filter_map(|child| Some((self.nodes[*child].name.parse().ok()?, *child))).collect();
        numbered.sort_unstable();
        numbered.into_iter().map(|(_, child)| child).collect()
    }
}
