//! Reads the parameters of the query protocol.

use std::borrow::Cow;

use super::params::decode_pairs;
use super::query_tree::Tree;
use super::text;
use crate::{Kind, Member, ReadContext, ReadError, Reader, Shape};

/// Reads the parameters of a URL's query string and of a form body together.
#[derive(Debug)]
pub struct QueryReader<'a> {
    tree: Tree<'a>,
    open: Vec<Open>,
    here: usize,
    /// Whether the list or map at the current place has no name between it and its numbers.
    flattened: bool,
    context: ReadContext,
}

#[derive(Debug)]
enum Open {
    Structure { node: usize, child: usize },
    Elements(std::vec::IntoIter<usize>),
}

impl<'a> QueryReader<'a> {
    pub fn new(raw_query: &'a str, body: &'a [u8]) -> Result<Self, ReadError> {
        let form =
            std::str::from_utf8(body).map_err(|_| ReadError::Syntax("the body is not UTF-8".to_owned()))?;
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        decode_pairs(raw_query, &mut pairs)?;
        decode_pairs(form.trim_ascii_end(), &mut pairs)?;
        Ok(Self {
            tree: Tree::new(pairs)?,
            open: Vec::new(),
            here: 0,
            flattened: false,
            context: ReadContext::default(),
        })
    }

    fn text(&mut self) -> Result<(&str, &mut ReadContext), ReadError> {
        match &self.tree.nodes[self.here].value {
            Some(value) => Ok((value, &mut self.context)),
            None => {
                let expected = text::kind_name(&self.context.target().kind);
                Err(self.context.type_error(expected, "parameters below it"))
            }
        }
    }

    /// Opens the list or map at the current place; `name` stands between it and its numbers.
    fn begin_elements(&mut self, name: &str) -> Result<(), ReadError> {
        let holder = if self.flattened { Some(self.here) } else { self.tree.child(self.here, name) };
        let elements = holder.map(|holder| self.tree.numbered(holder)).unwrap_or_default();
        self.open.push(Open::Elements(elements.into_iter()));
        self.context.open_here()
    }

    fn next_element(&mut self) -> Option<usize> {
        match self.open.last_mut() {
            Some(Open::Elements(elements)) => elements.next(),
            _ => None,
        }
    }

    fn close(&mut self) {
        self.open.pop();
        self.context.close();
    }

    /// Stands at a value; of the members of structures, some lists and maps are flattened.
    fn stand(&mut self, node: usize, flattened: bool) {
        self.here = node;
        self.flattened = flattened;
    }
}

/// The elements of a flattened list may have the name that the model gives the list's element.
fn flattened_name(member: &Member) -> Option<&'static str> {
    match member.target.kind {
        Kind::List(element) if member.is_flattened() => element.location_name,
        _ => None,
    }
}

impl Reader for QueryReader<'_> {
    fn context(&mut self) -> &mut ReadContext {
        &mut self.context
    }

    fn begin_structure(&mut self, shape: &'static Shape) -> Result<(), ReadError> {
        self.open.push(Open::Structure { node: self.here, child: 0 });
        self.context.open(shape)
    }

    fn next_member(&mut self) -> Result<Option<usize>, ReadError> {
        let members = self.context.shape().members();
        while let Some(Open::Structure { node, child }) = self.open.last_mut() {
            let Some(&at) = self.tree.nodes[*node].children.get(*child) else { break };
            *child += 1;
            let name = self.tree.nodes[at].name.as_str();
            let by_name = members.iter().position(|member| member.wire_name() == name);
            let index =
                by_name.or_else(|| members.iter().position(|member| flattened_name(member) == Some(name)));
            if let Some(index) = index {
                self.stand(at, members[index].is_flattened());
                self.context.at_member(index);
                return Ok(Some(index));
            }
        }
        self.close();
        Ok(None)
    }

    fn begin_list(&mut self) -> Result<(), ReadError> {
        let name = match self.context.target().kind {
            Kind::List(element) => element.wire_name(),
            _ => "member",
        };
        self.begin_elements(name)
    }

    fn next_item(&mut self) -> Result<bool, ReadError> {
        let next = self.next_element();
        match next {
            Some(at) => {
                self.stand(at, false);
                self.context.at_item();
            }
            None => self.close(),
        }
        Ok(next.is_some())
    }

    fn begin_map(&mut self) -> Result<(), ReadError> {
        self.begin_elements("entry")
    }

    fn next_key(&mut self) -> Result<Option<String>, ReadError> {
        let (key_name, value_name) = match self.context.shape().kind {
            Kind::Map(key, value) => (key.wire_name(), value.wire_name()),
            _ => ("key", "value"),
        };
        while let Some(entry) = self.next_element() {
            let key = self.tree.child(entry, key_name).and_then(|key| self.tree.nodes[key].value.clone());
            if let (Some(key), Some(value)) = (key, self.tree.child(entry, value_name)) {
                self.stand(value, false);
                self.context.at_key(&key);
                return Ok(Some(key.into_owned()));
            }
        }
        self.close();
        Ok(None)
    }

    text::scalars!();

    fn skip(&mut self) -> Result<(), ReadError> {
        // The parent already stands at the next parameter.
        Ok(())
    }
}
