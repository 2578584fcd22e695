//! Reads an XML body.

use super::text;
use super::xml_tree::{Element, Tree, local};
use crate::{Kind, Location, Member, ReadContext, ReadError, Reader, Shape};

/// Reads a document's root element as a structure. The root's own name is not checked: clients differ in it.
#[derive(Debug)]
pub struct XmlReader<'a> {
    tree: Tree<'a>,
    open: Vec<Open>,
    here: Here,
    context: ReadContext,
}

/// Where the value is that was announced last.
#[derive(Debug, Clone, Copy)]
enum Here {
    Element(usize),
    /// The first of the elements of a flattened list or map.
    Flattened(usize),
    /// An attribute of an element, by their numbers.
    Attribute(usize, usize),
}

#[derive(Debug)]
enum Open {
    Structure {
        element: usize,
        /// How many attributes were looked at.
        attributes: usize,
        child: Option<usize>,
        /// Flattened lists and maps that were read: all their elements at once.
        taken: u128,
    },
    /// A list or map, with its next element. The members of a flattened one share one name.
    Elements { next: Option<usize>, flattened: bool },
}

impl<'a> XmlReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, ReadError> {
        Ok(Self {
            tree: Tree::parse(bytes)?,
            open: Vec::new(),
            here: Here::Element(0),
            context: ReadContext::default(),
        })
    }

    fn element(&self, index: usize) -> &Element<'a> {
        &self.tree.elements[index]
    }

    /// The text of the simple value at the current place.
    fn text(&mut self) -> Result<(&str, &mut ReadContext), ReadError> {
        let text = match self.here {
            Here::Element(index) | Here::Flattened(index) => {
                let element = &self.tree.elements[index];
                if element.first_child.is_some() {
                    let expected = text::kind_name(&self.context.target().kind);
                    return Err(self.context.type_error(expected, "an element with elements"));
                }
                element.text.as_ref()
            }
            Here::Attribute(element, index) => self.tree.elements[element].attributes[index].1.as_str(),
        };
        Ok((text, &mut self.context))
    }

    fn next_attribute(&mut self) -> Option<usize> {
        let Some(Open::Structure { element, attributes, .. }) = self.open.last_mut() else { return None };
        let known = &self.tree.elements[*element].attributes;
        while let Some((name, _)) = known.get(*attributes) {
            let number = *attributes;
            *attributes += 1;
            let is_it = |member: &Member| {
                member.xml_attribute && (member.wire_name() == name || member.wire_name() == local(name))
            };
            if let Some(index) = self.context.shape().members().iter().position(is_it) {
                self.here = Here::Attribute(*element, number);
                return Some(index);
            }
        }
        None
    }

    fn next_child(&mut self) -> Option<usize> {
        let root = self.context.depth() == 1;
        let members = self.context.shape().members();
        let Some(Open::Structure { child, taken, .. }) = self.open.last_mut() else { return None };
        while let Some(at) = *child {
            let element = &self.tree.elements[at];
            *child = element.next;
            let is_it = |member: &Member| {
                !member.xml_attribute
                    && (!root || member.location == Location::Body)
                    && member.wire_name() == element.name
            };
            let Some(index) = members.iter().position(is_it) else { continue };
            self.here = Here::Element(at);
            if members[index].is_flattened() && is_collection(members[index].target) {
                if *taken & (1 << index) != 0 {
                    continue;
                }
                *taken |= 1 << index;
                self.here = Here::Flattened(at);
            }
            return Some(index);
        }
        None
    }

    fn begin_elements(&mut self) -> Result<(), ReadError> {
        let (next, flattened) = match self.here {
            Here::Element(index) => (self.element(index).first_child, false),
            Here::Flattened(index) => (Some(index), true),
            Here::Attribute(..) => {
                let expected = text::kind_name(&self.context.target().kind);
                return Err(self.context.type_error(expected, "an attribute"));
            }
        };
        self.open.push(Open::Elements { next, flattened });
        self.context.open_here()
    }

    /// The next element of the open list or map that has this name (of a flattened one: the same name as the last).
    fn next_element(&mut self, name: &str) -> Option<usize> {
        let Some(Open::Elements { next, flattened }) = self.open.last_mut() else { return None };
        while let Some(at) = *next {
            let element = &self.tree.elements[at];
            *next = element.next;
            if *flattened {
                while let Some(sibling) = *next {
                    if self.tree.elements[sibling].name == element.name {
                        break;
                    }
                    *next = self.tree.elements[sibling].next;
                }
                return Some(at);
            }
            if element.name == name {
                return Some(at);
            }
        }
        None
    }

    fn close(&mut self) {
        self.open.pop();
        self.context.close();
    }

    fn child(&self, element: usize, name: &str) -> Option<usize> {
        let mut at = self.element(element).first_child;
        while let Some(child) = at {
            if self.element(child).name == name {
                return Some(child);
            }
            at = self.element(child).next;
        }
        None
    }
}

fn is_collection(shape: &Shape) -> bool {
    matches!(shape.kind, Kind::List(_) | Kind::Map(..))
}

impl Reader for XmlReader<'_> {
    fn context(&mut self) -> &mut ReadContext {
        &mut self.context
    }

    fn begin_structure(&mut self, shape: &'static Shape) -> Result<(), ReadError> {
        let (Here::Element(element) | Here::Flattened(element)) = self.here else {
            return Err(self.context.type_error("a structure", "an attribute"));
        };
        let child = self.element(element).first_child;
        self.open.push(Open::Structure { element, attributes: 0, child, taken: 0 });
        self.context.open(shape)
    }

    fn next_member(&mut self) -> Result<Option<usize>, ReadError> {
        let index = self.next_attribute().or_else(|| self.next_child());
        match index {
            Some(index) => self.context.at_member(index),
            None => self.close(),
        }
        Ok(index)
    }

    fn begin_list(&mut self) -> Result<(), ReadError> {
        self.begin_elements()
    }

    fn next_item(&mut self) -> Result<bool, ReadError> {
        let name = match self.context.shape().kind {
            Kind::List(element) => element.wire_name(),
            _ => "member",
        };
        match self.next_element(name) {
            Some(at) => {
                self.here = Here::Element(at);
                self.context.at_item();
                Ok(true)
            }
            None => {
                self.close();
                Ok(false)
            }
        }
    }

    fn begin_map(&mut self) -> Result<(), ReadError> {
        self.begin_elements()
    }

    fn next_key(&mut self) -> Result<Option<String>, ReadError> {
        let (key_name, value_name) = match self.context.shape().kind {
            Kind::Map(key, value) => (key.wire_name(), value.wire_name()),
            _ => ("key", "value"),
        };
        while let Some(entry) = self.next_element("entry") {
            let (key, value) = (self.child(entry, key_name), self.child(entry, value_name));
            if let (Some(key), Some(value)) = (key, value) {
                let key = self.element(key).text.clone().into_owned();
                self.here = Here::Element(value);
                self.context.at_key(&key);
                return Ok(Some(key));
            }
        }
        self.close();
        Ok(None)
    }

    text::scalars!();

    fn skip(&mut self) -> Result<(), ReadError> {
        // The parent already stands at the next element.
        Ok(())
    }
}
