//! An XML body as a small tree, with bounds: no document types, no entities of the sender's own.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::constants::{XML_ATTRIBUTES_MAX, XML_ELEMENTS_MAX};
use crate::{ReadError, limits};

/// The elements of a document, the root first, each after its parent.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) elements: Vec<Element<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct Element<'a> {
    /// Without its namespace prefix.
    pub(super) name: &'a str,
    /// All character data directly inside.
    pub(super) text: Cow<'a, str>,
    /// Names as they were written, prefix and all.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) first_child: Option<usize>,
    pub(super) next: Option<usize>,
    last_child: Option<usize>,
}

impl<'a> Tree<'a> {
    /// Reads a document; an empty text gives a lone empty element.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ReadError::Syntax(format!("invalid UTF-8 at byte {}", error.valid_up_to())))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut builder = Builder { tree: Self { elements: Vec::new() }, open: Vec::new() };
        if text.trim_ascii().is_empty() {
            builder.tree.elements.push(Element::default());
            return Ok(builder.tree);
        }
        let mut reader = quick_xml::Reader::from_str(text);
        loop {
            let start = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let event = reader.read_event().map_err(syntax)?;
            if matches!(event, Event::Eof) {
                break;
            }
            builder.take(text, start, event)?;
        }
        builder.finish()
    }
}

struct Builder<'a> {
    tree: Tree<'a>,
    open: Vec<usize>,
}

impl<'a> Builder<'a> {
    fn take(&mut self, text: &'a str, start: usize, event: Event<'a>) -> Result<(), ReadError> {
        match event {
            Event::Start(tag) => {
                let index = self.add(text, start, &tag)?;
                self.open.push(index);
                if self.open.len() > limits::DEPTH_MAX {
                    return Err(ReadError::Limit(format!(
                        "elements nest deeper than {} levels",
                        limits::DEPTH_MAX
                    )));
                }
            }
            Event::Empty(tag) => {
                self.add(text, start, &tag)?;
            }
            Event::End(_) => {
                self.open.pop();
            }
            Event::Text(text) => self.append(text.xml10_content())?,
            Event::CData(text) => self.append(text.xml10_content())?,
            Event::GeneralRef(reference) => self.append(resolve(&reference)?)?,
            Event::DocType(_) => {
                return Err(ReadError::Syntax("document type declarations are not accepted".to_owned()));
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn add(&mut self, text: &'a str, start: usize, tag: &BytesStart<'a>) -> Result<usize, ReadError> {
        let index = self.tree.elements.len();
        if index >= XML_ELEMENTS_MAX {
            return Err(ReadError::Limit(format!("more than {XML_ELEMENTS_MAX} elements")));
        }
        if index > 0 && self.open.is_empty() {
            return Err(ReadError::Syntax("more than one root element".to_owned()));
        }
        // The name is taken from the text, not from the event, so that it lives as long as the text.
        let name = text.get(start + 1..start + 1 + tag.name().as_ref().len());
        let name = name.ok_or_else(|| ReadError::Syntax("unreadable element name".to_owned()))?;
        let mut element = Element { name: local(name), ..Element::default() };
        if !tag.attributes_raw().trim_ascii().is_empty() {
            for attribute in tag.attributes() {
                let attribute = attribute.map_err(syntax)?;
                if element.attributes.len() >= XML_ATTRIBUTES_MAX {
                    return Err(ReadError::Limit(format!("more than {XML_ATTRIBUTES_MAX} attributes")));
                }
                let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(syntax)?;
                element.attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
            }
        }
        self.tree.elements.push(element);
        if let Some(&parent) = self.open.last() {
            match self.tree.elements[parent].last_child.replace(index) {
                Some(previous) => self.tree.elements[previous].next = Some(index),
                None => self.tree.elements[parent].first_child = Some(index),
            }
        }
        Ok(index)
    }

    fn append(&mut self, text: Cow<'a, str>) -> Result<(), ReadError> {
        match self.open.last() {
            Some(&index) => {
                let element = &mut self.tree.elements[index];
                if element.text.is_empty() {
                    element.text = text;
                } else {
                    element.text.to_mut().push_str(&text);
                }
                Ok(())
            }
            None if text.trim_ascii().is_empty() => Ok(()),
            None => Err(ReadError::Syntax("text outside the root element".to_owned())),
        }
    }

    fn finish(self) -> Result<Tree<'a>, ReadError> {
        if !self.open.is_empty() {
            return Err(ReadError::Syntax("the document ends inside an element".to_owned()));
        }
        if self.tree.elements.is_empty() {
            return Err(ReadError::Syntax("there is no root element".to_owned()));
        }
        Ok(self.tree)
    }
}

/// A name without its namespace prefix.
pub(super) fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn resolve(reference: &BytesRef<'_>) -> Result<Cow<'static, str>, ReadError> {
    if let Some(char) = reference.resolve_char_ref().map_err(syntax)? {
        return Ok(Cow::Owned(char.to_string()));
    }
    let name = reference.xml10_content();
    let text = quick_xml::escape::resolve_predefined_entity(&name);
    text.map(Cow::Borrowed).ok_or_else(|| ReadError::Syntax(format!("unknown entity `{name}`")))
}

fn syntax(error: impl std::fmt::Display) -> ReadError {
    ReadError::Syntax(error.to_string())
}
