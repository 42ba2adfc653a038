//! Elements of XML and their text.

use std::fmt::{Display, Write};

use quick_xml::escape::escape;

/// An element with its attributes, in order, and its content.
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Element>,
    text: Option<String>,
}

impl Element {
    pub(super) fn new(name: &'static str) -> Self {
        Element { name, attributes: Vec::new(), children: Vec::new(), text: None }
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.attributes.push((name, value.to_string()));
        self
    }

    /// Adds attributes.
    pub(super) fn with_all(self, attributes: impl IntoIterator<Item = (&'static str, impl Display)>) -> Self {
        attributes.into_iter().fold(self, |element, (name, value)| element.with(name, value))
    }

    /// Adds elements behind those that are there.
    pub(super) fn holding(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// Has text for content.
    pub(super) fn saying(mut self, text: impl Display) -> Self {
        self.text = Some(text.to_string());
        self
    }

    /// The document of which this is the root.
    pub(super) fn document(&self) -> String {
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        self.write(&mut text, 0);
        text
    }

    /// Writing to a string cannot fail.
    fn write(&self, out: &mut String, depth: usize) {
        let indent = 2 * depth;
        let _ = write!(out, "{:indent$}<{}", "", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"{}\"", escape(value));
        }
        match &self.text {
            Some(text) => {
                let _ = writeln!(out, ">{}</{}>", escape(text), self.name);
            }
            None if self.children.is_empty() => out.push_str("/>\n"),
            None => {
                out.push_str(">\n");
                self.children.iter().for_each(|child| child.write(out, depth + 1));
                let _ = writeln!(out, "{:indent$}</{}>", "", self.name);
            }
        }
    }
}
