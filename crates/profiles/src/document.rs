//! An XML document that keeps every byte: elements with their place in the text, and edits of that text.

use std::borrow::Cow;
use std::ops::Range;

use roxmltree::{Node, ParsingOptions};

use crate::Error;

/// The most elements, comments and texts of a file: fifteen times as many as NVIDIA's has. This limits memory.
const MAX_NODES: u32 = 1_000_000;
/// The most attributes of a tag. The parser compares each of them with each other.
const MAX_ATTRIBUTES: usize = 1000;

/// A parsed document with its text.
pub struct Document<'t> {
    text: &'t str,
    tree: roxmltree::Document<'t>,
}

impl<'t> Document<'t> {
    /// Parses well-formed XML. Entity declarations are refused. NVIDIA's files have none. An element that comes from an
    /// entity has no place that could be edited, and a few lines of entities can fill any memory.
    pub fn parse(text: &'t str) -> Result<Self, Error> {
        if let Some((before, _)) = text.split_once("<!ENTITY") {
            return Err(Error::Entities { line: before.matches('\n').count() + 1 });
        }
        let tags = text.split('<').filter(|piece| !piece.starts_with('!'));
        if tags.map(|tag| tag.matches('=').count()).any(|count| count > MAX_ATTRIBUTES) {
            return Err(Error::Attributes { limit: MAX_ATTRIBUTES });
        }
        let options = ParsingOptions { allow_dtd: true, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        Ok(Self { text, tree: roxmltree::Document::parse_with_options(text, options)? })
    }

    /// The outermost element.
    pub fn root(&self) -> Node<'_, 't> {
        self.tree.root_element()
    }

    /// The element with this id.
    pub fn node(&self, id: roxmltree::NodeId) -> Option<Node<'_, 't>> {
        self.tree.get_node(id)
    }

    /// The line an element starts on, from 1.
    pub fn line(&self, node: Node) -> usize {
        self.tree.text_pos_at(node.range().start).row as usize
    }

    /// An element as it is written.
    pub fn source(&self, node: Node) -> &'t str {
        self.slice(node.range())
    }

    fn slice(&self, range: Range<usize>) -> &'t str {
        self.text.get(range).unwrap_or_default()
    }

    /// The white space before an element that is on its own line: line end and indentation, as they are in the file.
    pub fn indentation(&self, node: Node) -> &'t str {
        let before = self.slice(0..node.range().start);
        let space = self.slice(before.trim_end_matches(is_space).len()..before.len());
        let line =
            space.rfind('\n').and_then(|at| space.get(..at)).map(|before| before.strip_suffix('\r').unwrap_or(before));
        line.and_then(|before| space.get(before.len()..)).unwrap_or(space)
    }

    /// The place for something new after an element: after the comments on the rest of its line.
    pub fn behind(&self, node: Node) -> usize {
        let mut end = node.range().end;
        for next in node.next_siblings().skip(1) {
            match next.text() {
                Some(_) if next.is_comment() => end = next.range().end,
                Some(text) if next.is_text() && text.chars().all(|c| is_space(c) && c != '\n') => {}
                _ => break,
            }
        }
        end
    }

    /// The place of an attribute's value, without its quotes. `None` if there is no such attribute.
    pub fn attribute_place(&self, node: Node, name: &str) -> Option<Range<usize>> {
        // Not range_value(): it is wrong after more than 255 blanks around the `=`.
        let range = node.attribute_node(name)?.range();
        let quote = self.slice(range.clone()).find(['"', '\''])?;
        Some(range.start + quote + 1..range.end - 1)
    }

    fn start_tag(&self, node: Node) -> StartTag {
        let source = self.source(node);
        let mut quote = None;
        let end = source.bytes().position(|byte| match (quote, byte) {
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                false
            }
            (Some(open), byte) => {
                quote = quote.filter(|_| open != byte);
                false
            }
            (None, byte) => byte == b'>',
        });
        let tag = source.get(..end.unwrap_or_default()).unwrap_or_default();
        let inner = tag.strip_suffix('/').unwrap_or(tag).trim_end_matches(is_space);
        let start = node.range().start;
        StartTag { inner: start + inner.len(), end: start + tag.len() + 1, empty: tag.ends_with('/') }
    }

    /// The places of the texts directly in an element: between its tags, elements and comments.
    fn texts(&self, node: Node, tag: &StartTag) -> Vec<Range<usize>> {
        let end = tag.end + self.slice(tag.end..node.range().end).rfind("</").unwrap_or_default();
        let mut texts = Vec::new();
        let mut from = tag.end;
        for child in node.children().filter(|child| !child.is_text()) {
            texts.push(from..child.range().start);
            from = child.range().end;
        }
        texts.push(from..end);
        texts
    }
}

/// Where a start tag ends.
struct StartTag {
    /// After its name and attributes.
    inner: usize,
    /// After its `>`.
    end: usize,
    /// Whether it is `<name/>`, without an end tag.
    empty: bool,
}

/// The text directly in an element, without the white space around it.
pub fn text<'a>(node: Node<'a, '_>) -> Cow<'a, str> {
    let mut texts = node.children().filter(Node::is_text).filter_map(|text| text.text());
    let first = texts.next().unwrap_or_default();
    let rest: String = texts.collect();
    if rest.is_empty() {
        Cow::Borrowed(first.trim_matches(is_space))
    } else {
        Cow::Owned(format!("{first}{rest}").trim_matches(is_space).to_owned())
    }
}

/// The elements of that name directly in an element.
pub fn children<'a, 't>(node: Node<'a, 't>, name: &str) -> impl Iterator<Item = Node<'a, 't>> {
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// What XML calls white space.
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Whether an element may have this name. Prefixes (`a:b`) are refused, because they need a declaration.
pub fn is_element_name(name: &str) -> bool {
    roxmltree::Document::parse(&format!("<{name}/>"))
        .is_ok_and(|parsed| parsed.root_element().tag_name().name() == name)
}

/// Whether an attribute may have this name. `xmlns` may not be used: it would change the names of other elements.
pub fn is_attribute_name(name: &str) -> bool {
    roxmltree::Document::parse(&format!("<a {name}=\"\"/>"))
        .is_ok_and(|parsed| parsed.root_element().attributes().next().is_some_and(|found| found.name() == name))
}

/// The first character that XML cannot contain, not even escaped.
pub fn unwritable(value: &str) -> Option<char> {
    value.chars().find(|&c| (c < ' ' && !is_space(c)) || matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// A value, escaped for a text or an attribute. In an attribute, a parser would change line ends that are not escaped.
pub fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Replacements in a document, in any order. They do not overlap.
pub struct Edits<'d, 't> {
    document: &'d Document<'t>,
    edits: Vec<(Range<usize>, String)>,
}

impl<'d, 't> Edits<'d, 't> {
    pub fn new(document: &'d Document<'t>) -> Self {
        Self { document, edits: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Replaces a range by a text.
    pub fn replace(&mut self, range: Range<usize>, with: impl Into<String>) {
        self.edits.push((range, with.into()));
    }

    /// Inserts a text.
    pub fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replace(at..at, text);
    }

    /// Removes an element with its line.
    pub fn remove(&mut self, node: Node) {
        let start = node.range().start - self.document.indentation(node).len();
        self.replace(start..node.range().end, "");
    }

    /// Gives an element another text. White space around the old text, comments, and elements beside it stay.
    pub fn set_text(&mut self, node: Node, value: &str) {
        let document = self.document;
        let tag = document.start_tag(node);
        if tag.empty {
            self.fill(node, &tag, &escape(value));
            return;
        }
        let mut value = Some(escape(value));
        for place in document.texts(node, &tag) {
            let written = document.slice(place.clone());
            let start = place.start + written.len() - written.trim_start_matches(is_space).len();
            let length = written.trim_matches(is_space).len();
            if length > 0 {
                self.replace(start..start + length, value.take().unwrap_or_default());
            }
        }
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.insert(tag.end, value);
        }
    }

    /// Sets attributes of an element. Those that it has get new values; others are added after them.
    pub fn set_attributes<'v>(&mut self, node: Node, values: impl IntoIterator<Item = (&'v str, &'v str)>) {
        let mut new = String::new();
        for (name, value) in values {
            match self.document.attribute_place(node, name) {
                Some(place) => self.replace(place, escape(value)),
                None => new.push_str(&format!(" {name}=\"{}\"", escape(value))),
            }
        }
        if !new.is_empty() {
            self.insert(self.document.start_tag(node).inner, new);
        }
    }

    /// Adds elements, given as text, after the last one in an element. They are indented like that one.
    pub fn append(&mut self, node: Node, elements: &[String]) {
        let document = self.document;
        let tag = document.start_tag(node);
        if let Some(last) = node.last_element_child() {
            let indentation = document.indentation(last);
            let lines: String = elements.iter().flat_map(|element| [indentation, element]).collect();
            self.insert(document.behind(last), lines);
        } else if tag.empty {
            self.fill(node, &tag, &elements.concat());
        } else {
            self.insert(tag.end, elements.concat());
        }
    }

    /// `<name/>` becomes `<name>content</name>`.
    fn fill(&mut self, node: Node, tag: &StartTag, content: &str) {
        let source = self.document.source(node).trim_start_matches('<');
        let name = source.split(|c| is_space(c) || c == '/').next().unwrap_or_default();
        self.replace(tag.inner..tag.end, format!(">{content}</{name}>"));
    }

    /// The text with the edits in it. `None` if two of them overlap.
    pub fn finish(mut self) -> Option<String> {
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let text = self.document.text;
        let mut edited =
            String::with_capacity(text.len() + self.edits.iter().map(|(_, with)| with.len()).sum::<usize>());
        let mut from = 0;
        for (range, with) in self.edits {
            edited.push_str(text.get(from..range.start)?);
            edited.push_str(&with);
            from = range.end;
        }
        edited.push_str(text.get(from..)?);
        Some(edited)
    }
}
